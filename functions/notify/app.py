"""The Incidents table's stream -> Slack: the message of every incident whose record changed.

The stream only tells that a record changed; what is shown is read afresh. An image may be older than the message (a
batch tried again, a burst of changes), and an early one does not know yet where the message stands, so it would post
a second one. What is read now is never older than what an earlier run showed, because a stream keeps the changes of
one item in order and one run ends before the next begins.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.errors import IncidentNotFound
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.notifier import Notifier, Told, changed_incidents
from ip_remediator.adapters.secrets import read_slack_secret
from ip_remediator.adapters.slack import Slack, web_client
from ip_remediator.observability import logger, metrics
from ip_remediator.settings import NotifySettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _slack() -> Slack:
    settings = NotifySettings.read(os.environ)
    secret = read_slack_secret(boto3.client("ssm"), settings.slack_secret)
    return Slack(web_client(secret.bot_token, settings.slack_api_url), settings.slack_channel)


@cache
def _notifier() -> Notifier:
    settings = NotifySettings.read(os.environ)
    table = boto3.resource("dynamodb").Table(settings.incidents_table)
    return Notifier(Incidents(table, utc_now), _slack, boto3.client("sns"), settings.fallback_topic)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - Lambda's signature
    for incident_id in changed_incidents(event["Records"]):
        try:
            told, reason = _notifier().tell(incident_id)
        except IncidentNotFound as error:
            logger.warning("nothing to tell", extra={"incident": incident_id, "reason": str(error)})
            continue
        if told is Told.FALLBACK:
            logger.error("Slack is unavailable", extra={"incident": incident_id, "reason": reason})
        metrics.add_metric(name="SlackUnavailable", unit="Count", value=int(told is Told.FALLBACK))
