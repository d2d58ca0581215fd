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

from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.secrets import CachedSlackSecret, read_slack_secret
from ip_remediator.clients.slack.client import web_client
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.repository import Incidents
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.notifier import Delivery, Notifier, changed_incidents
from ip_remediator.notifications.slack_message import Slack
from ip_remediator.observability import metrics
from ip_remediator.settings import NotifySettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _settings() -> NotifySettings:
    return NotifySettings.read(os.environ)


@cache
def _secret() -> CachedSlackSecret:
    return CachedSlackSecret(lambda: read_slack_secret(session.client("ssm"), _settings().slack_secret))


def _slack() -> Slack:
    settings = _settings()
    token, url = _secret().get().bot_token, settings.slack_api_url
    return Slack(web_client(token, url), web_client(token, url, repeats_lost_calls=False), settings.slack_channel)


@cache
def _notifier() -> Notifier:
    settings = _settings()
    incidents = Incidents(session.table(settings.incidents_table), utc_now)
    site = Site(settings.docs_url, int(settings.cool_down_minutes), clickable=settings.slack_endpoint != "none")
    return Notifier(incidents, _slack, session.client("sns"), settings.fallback_topic, site, settings.slack_mention)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - Lambda's signature
    """Brings the Slack message of every changed incident up to date; `event` is a batch of the table's stream."""
    deliveries = _notifier().notify(changed_incidents(event["Records"]))
    metrics.add_metric(name="SlackUnavailable", unit="Count", value=deliveries.count(Delivery.FALLBACK))
