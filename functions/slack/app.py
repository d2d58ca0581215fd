"""The function URL behind Slack's buttons.

Slack waits 3 seconds, and a click's trigger lives as long. So the first invocation checks the request, opens a modal if
one was asked for, and passes the click to a second, asynchronous one. Lambda repeats that one if it fails.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.secrets import CachedSlackSecret, read_slack_secret
from ip_remediator.common.slack_actions import SlackAction
from ip_remediator.observability import logger
from ip_remediator.settings import SlackSettings
from ip_remediator.slack_interactions.requests import Click, Refused, read_click
from ip_remediator.slack_interactions.views import open_loading_view

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _settings() -> SlackSettings:
    return SlackSettings.read(os.environ)


@cache
def _secret() -> CachedSlackSecret:
    return CachedSlackSecret(lambda: read_slack_secret(session.client("ssm"), _settings().slack_secret))


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A request of Slack through the URL, or a click that an earlier invocation of this function passed on."""
    if "requestContext" not in event:  # not from the URL: only this function's role may invoke it otherwise
        _act(Click(**{**event["click"], "action": SlackAction(event["click"]["action"])}))
        return {}
    try:
        click = read_click(event, _secret().get().signing_secret, time.time())
    except Refused as refusal:
        logger.warning("refused", extra={"status": refusal.status, "reason": str(refusal)})
        return {"statusCode": refusal.status.value}
    if click:
        if click.action == SlackAction.DETAILS:
            open_loading_view(_settings().slack_api_url, _secret().get().bot_token, click)
        payload = json.dumps({"click": asdict(click)})
        itself = context.invoked_function_arn
        session.client("lambda").invoke(FunctionName=itself, InvocationType="Event", Payload=payload)
    return {"statusCode": 200}


def _act(click: Click) -> None:
    from ip_remediator.slack_interactions.work import work_on  # noqa: PLC0415 - the first invocation needs none of it

    work_on(click, _settings(), _secret().get())
