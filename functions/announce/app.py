"""The Incidents table's stream -> EventBridge: each new entry of a timeline is one event.

A function of its own beside `notify`: Slack must not wait for EventBridge, nor EventBridge for Slack.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws import session
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.opening import IncidentOpener
from ip_remediator.incidents.timeline_items import streamed_entries
from ip_remediator.notifications.eventbridge import Announcer
from ip_remediator.observability import logger
from ip_remediator.settings import AnnounceSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _cluster_of(incident: str) -> str:
    """Read once: the cluster of an incident never changes."""
    settings = AnnounceSettings.read(os.environ)
    return IncidentOpener(session.table(settings.incidents_table), utc_now).cluster_of(incident)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - Lambda's signature
    """On an error Lambda delivers the batch again, so events are put at least once; each has an id."""
    settings = AnnounceSettings.read(os.environ)
    announcer = Announcer(session.client("events"), settings.event_bus, _cluster_of)
    announcer.announce(streamed_entries(event["Records"]))
