"""What Slack gave us in confidence, from one SecureString parameter of Systems Manager."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.errors import aws_call

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class SecretUnusable(Exception):
    """The parameter does not hold what is needed; the message says what to put there, never what is there."""


@dataclass(frozen=True)
class SlackSecret:
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


def _remedy(parameter: str) -> str:
    return (
        f'the parameter {parameter} must hold {{"bot_token": "xoxb-...", "signing_secret": "..."}}: '
        f"put it there with `aws ssm put-parameter --overwrite --type SecureString --name {parameter} --value ...`"
    )
