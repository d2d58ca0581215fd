"""Keeping people informed: the incident's Slack message, and Amazon SNS while Slack cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.secrets import SecretUnusable
from ip_remediator.clients.slack.client import SlackUnavailable
from ip_remediator.common.errors import IncidentNotFound, NotFound, PermissionDenied, Transient
from ip_remediator.incidents.record import Incident, SlackMessage
from ip_remediator.incidents.repository import Incidents, from_stream_image
from ip_remediator.notifications.messages.message import digest, plain, reminder, render, subject
from ip_remediator.notifications.slack_message import Slack
from ip_remediator.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class Delivery(StrEnum):
    """What became of a notification."""

    POSTED = "shown"
    UNCHANGED = "unchanged"
    FALLBACK = "fallback"
    UNKNOWN = "unknown"


class Notifier:
    """`connect` gives the Slack to use; it is asked each time, so that a secret put right is found."""

    def __init__(self, incidents: Incidents, connect: Callable[[], Slack], sns: SNSClient, topic: str) -> None:
        self._incidents = incidents
        self._connect = connect
        self._sns = sns
        self._topic = topic
        self._published: dict[str, str] = {}

    def tell(self, incident_ids: Iterable[str]) -> list[Delivery]:
        """Brings the messages of the incidents up to date.

        Raises:
            What DynamoDB and SNS raise (`common.errors`); what was told before stays told.
        """
        outage = ""
        results = []
        for incident_id in incident_ids:
            # An outage met once is not waited for again: the other incidents would be told too late.
            told, outage = self._tell(incident_id, outage)
            logger.info("told", extra={"incident": incident_id, "result": told, "outage": outage})
            results.append(told)
        return results

    def _tell(self, incident_id: str, outage: str) -> tuple[Delivery, str]:
        try:
            incident = self._incidents.get(incident_id)
        except IncidentNotFound:
            return Delivery.UNKNOWN, outage
        if incident.open and incident.policy is None:
            return Delivery.UNCHANGED, outage  # the cluster's tags name its channel; they are read first of all
        message = render(incident)
        if incident.slack and incident.slack.digest == digest(message):
            return Delivery.UNCHANGED, outage
        if not outage:
            try:
                shown = self._connected().post_or_update(incident, message)
            except SlackUnavailable as error:
                outage = str(error)
            else:
                self._incidents.set_slack_message(incident_id, shown)
                self._remind(incident, shown)
                return Delivery.POSTED, ""
        self._publish(incident, outage)
        return Delivery.FALLBACK, outage

    def _remind(self, incident: Incident, shown: SlackMessage) -> None:
        """A reply under the message, once for each question: an edited message makes nobody look.

        It is worth no e-mail of its own. If the answer to it or the record of it is lost, a second one may appear.
        """
        message = reminder(incident)
        asked = incident.approval.id if incident.approval else ""
        if message is None or shown.reminded == asked:
            return
        try:
            self._connected().reply(shown, message)
        except SlackUnavailable as error:
            logger.warning("no reminder", extra={"incident": incident.id, "reason": str(error)})
            return
        self._incidents.set_slack_message(incident.id, shown.model_copy(update={"reminded": asked}))

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
