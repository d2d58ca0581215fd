"""Slack's bot token and signing secret, read from one SecureString parameter of Systems Manager."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


KEPT_SECONDS = 60.0


class SecretUnusable(Exception):
    """The parameter's value is unusable; the message says what to store there, and never quotes the value."""


@dataclass(frozen=True)
class SlackSecret:
    """What docs/slack.md has people store."""

    bot_token: str = field(repr=False)
    signing_secret: str = field(repr=False)


def read_slack_secret(ssm: SSMClient, parameter: str) -> SlackSecret:
    """Reads `{"bot_token": "xoxb-...", "signing_secret": "..."}` from the parameter.

    Raises:
        SecretUnusable: not JSON, or a key is missing.
        The errors of `common.errors`; NotFound when there is no such parameter.
    """
    with aws_call(f"GetParameter {parameter}"):
        value = ssm.get_parameter(Name=parameter, WithDecryption=True)["Parameter"].get("Value", "")
    try:
        document = json.loads(value)
        secret = SlackSecret(str(document["bot_token"]).strip(), str(document["signing_secret"]).strip())
    except (ValueError, KeyError, TypeError):
        # without the cause: a parser's message quotes what it read
        raise SecretUnusable(_remedy(parameter)) from None
    if not (secret.bot_token and secret.signing_secret):
        raise SecretUnusable(_remedy(parameter))
    return secret


class CachedSlackSecret:
    """The secret, read again when it is older than `KEPT_SECONDS`, so that a new secret is used without a deployment.
    `now` is in seconds."""

    def __init__(self, read: Callable[[], SlackSecret], now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._now = now
        self._secret: SlackSecret | None = None
        self._read_at = float("-inf")

    def get(self) -> SlackSecret:
        """The secret as it is stored, or was at most `KEPT_SECONDS` ago; longer only while AWS does not answer.

        Raises:
            As `read_slack_secret`; `Transient` only if it was never read.
        """
        if self._secret is None or self._now() - self._read_at > KEPT_SECONDS:
            try:
                self._secret = self._read()
            except Transient:
                if self._secret is None:
                    raise
            self._read_at = self._now()
        return self._secret


def _remedy(parameter: str) -> str:
    return (
        f'the parameter {parameter} must hold {{"bot_token": "xoxb-...", "signing_secret": "..."}}: '
        f"put it there with `aws ssm put-parameter --overwrite --type SecureString --name {parameter} --value ...`"
    )
