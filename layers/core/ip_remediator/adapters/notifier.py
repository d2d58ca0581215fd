"""Keeping people informed: the incident's Slack message, and Amazon SNS while Slack cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters.errors import NotFound, PermissionDenied, Transient, aws_call
from ip_remediator.adapters.incidents import Incidents, from_stream_image
from ip_remediator.adapters.secrets import SecretUnusable
from ip_remediator.adapters.slack import Slack, SlackUnavailable
from ip_remediator.domain.incidents import Incident
from ip_remediator.domain.messages import digest, plain, render, subject

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class Told(StrEnum):
    """What became of a notification."""

    SHOWN = "shown"
    UNCHANGED = "unchanged"
    FALLBACK = "fallback"


class Notifier:
    """`connect` gives the Slack to use; it is asked each time, so that a secret put right is found."""

    def __init__(self, incidents: Incidents, connect: Callable[[], Slack], sns: SNSClient, topic: str) -> None:
        self._incidents = incidents
        self._connect = connect
        self._sns = sns
        self._topic = topic
        self._published: dict[str, str] = {}

    def tell(self, incident_id: str) -> tuple[Told, str]:
        """Brings the incident's message up to date. Returns what was done and, for a fallback, why.

        Raises:
            IncidentNotFound, and what DynamoDB and SNS raise (`adapters.errors`).
        """
        incident = self._incidents.get(incident_id)
        message = render(incident)
        if incident.slack and incident.slack.digest == digest(message):
            return Told.UNCHANGED, ""
        try:
            shown = self._connected().post_or_update(incident, message)
        except SlackUnavailable as error:
            self._publish(incident, str(error))
            return Told.FALLBACK, str(error)
        self._incidents.set_slack_message(incident_id, shown)
        return Told.SHOWN, ""

    def _connected(self) -> Slack:
        try:
            return self._connect()
        except (SecretUnusable, NotFound, PermissionDenied, Transient) as error:
            raise SlackUnavailable(f"the Slack secret cannot be read: {error}") from error

    def _publish(self, incident: Incident, reason: str) -> None:
        """One e-mail for each state of the incident, not one for each step that ticks off."""
        state = subject(incident)
        if self._published.get(incident.id) == state:
            return
        text = f"{plain(incident)}\n\nSent by Amazon SNS because Slack could not be used: {reason}"
        with aws_call("Publish"):
            self._sns.publish(TopicArn=self._topic, Subject=state, Message=text)
        self._published[incident.id] = state


def changed_incidents(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The incidents of a DynamoDB Streams batch, each once, in the order of their last change."""
    images = [record.get("dynamodb", {}).get("NewImage") for record in records]
    ids = [from_stream_image(image).id for image in images if image and image.get("sk") == {"S": "META"}]
    return list(reversed(dict.fromkeys(reversed(ids))))
