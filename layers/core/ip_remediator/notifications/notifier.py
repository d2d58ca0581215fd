"""Notifies people: by the incident's Slack message, and by Amazon SNS while Slack can't be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.secrets import SecretUnusable
from ip_remediator.clients.slack.client import SlackUnavailable
from ip_remediator.common.errors import IncidentNotFound, NotFound, PermissionDenied, Transient
from ip_remediator.incidents.record import Incident, SlackMessage, SlackReply
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.stored_record import from_stream_image
from ip_remediator.notifications.messages.calls import calls, settled
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.message import digest, plain, render, subject
from ip_remediator.notifications.messages.message import reply as reply_message
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
    """`connect` gives the Slack to use; it is asked each time, so that a new secret is found. `mention`: whom replies
    mention unless the cluster's tag names others."""

    def __init__(
        self,
        incidents: Incidents,
        connect: Callable[[], Slack],
        sns: SNSClient,
        topic: str,
        site: Site,
        mention: str = "",
    ) -> None:
        self._incidents = incidents
        self._connect = connect
        self._sns = sns
        self._topic = topic
        self._site = site
        self._mention = mention
        self._published: dict[str, str] = {}

    def notify(self, incident_ids: Iterable[str]) -> list[Delivery]:
        """Brings the messages of the incidents up to date.

        Raises:
            What DynamoDB and SNS raise (`common.errors`); messages that were updated before stay updated.
        """
        outage = ""
        results = []
        for incident_id in incident_ids:
            # After an outage Slack is not tried again in this batch, because the other incidents would be notified too
            # late.
            delivery, outage = self._notify(incident_id, outage)
            logger.info("told", extra={"incident": incident_id, "result": delivery, "outage": outage})
            results.append(delivery)
        return results

    def _notify(self, incident_id: str, outage: str) -> tuple[Delivery, str]:
        try:
            incident = self._incidents.get(incident_id)
        except IncidentNotFound:
            return Delivery.UNKNOWN, outage
        if incident.open and incident.policy is None:
            return Delivery.UNCHANGED, outage  # the cluster's tags name its channel; they are read first of all
        if not outage:
            try:
                return self._show(incident), ""
            except SlackUnavailable as error:
                outage = str(error)
        # The record may never change again, so the watchdog delivers the last state once Slack is back.
        self._incidents.mark_undelivered(incident.id)
        self._publish(incident, outage)
        return Delivery.FALLBACK, outage

    def _show(self, incident: Incident) -> Delivery:
        """Brings the message and the replies in its thread up to date.

        Raises:
            SlackUnavailable
        """
        message = render(incident, self._site)
        place = incident.slack
        changed = place is None or place.digest != digest(message)
        if place is None or changed:
            place = self._connected().post_or_update(incident, message)
            self._incidents.set_slack_message(incident.id, place)
        replied = self._call_people(incident, place)
        return Delivery.POSTED if changed or replied else Delivery.UNCHANGED

    def _call_people(self, incident: Incident, place: SlackMessage) -> bool:
        """Adds a reply for each new call, once, and settles the replies whose call is over.

        If the answer to a reply or the record of it is lost, a second one may appear.
        """
        wanted = {call.about: call for call in calls(incident, self._whom_to_mention(incident))}
        replied = {reply.about for reply in place.replies}
        obsolete = [reply for reply in place.replies if not reply.settled and reply.about not in wanted]
        fresh = [call for about, call in wanted.items() if about not in replied]
        for reply in obsolete:
            settlement = reply_message(settled(incident, reply.about))
            self._connected().edit_reply(place, reply.ts, settlement)
            place = self._record_reply(incident, place, reply.model_copy(update={"settled": True}))
        for call in fresh:
            ts = self._connected().reply(place, reply_message(call))
            place = self._record_reply(incident, place, SlackReply(about=call.about, ts=ts))
        return bool(obsolete or fresh)

    def _whom_to_mention(self, incident: Incident) -> str:
        return (incident.policy and incident.policy.slack_mention) or self._mention

    def _record_reply(self, incident: Incident, place: SlackMessage, reply: SlackReply) -> SlackMessage:
        place = _with_reply(place, reply)
        self._incidents.set_slack_message(incident.id, place)
        return place

    def _connected(self) -> Slack:
        try:
            return self._connect()
        except (SecretUnusable, NotFound, PermissionDenied, Transient) as error:
            raise SlackUnavailable(f"the Slack secret cannot be read: {error}") from error

    def _publish(self, incident: Incident, reason: str) -> None:
        """One e-mail for each state of the incident, not one for each step that ticks off. Another container may send
        one again, as SNS itself may (https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html)."""
        state = subject(incident)
        if self._published.get(incident.id) == state:
            return
        text = f"{plain(incident, self._site)}\n\nSent by Amazon SNS because Slack could not be used: {reason}"
        with aws_call("Publish"):
            self._sns.publish(TopicArn=self._topic, Subject=state, Message=text)
        self._published[incident.id] = state


def _with_reply(place: SlackMessage, changed: SlackReply) -> SlackMessage:
    others = tuple(reply for reply in place.replies if reply.about != changed.about)
    return place.model_copy(update={"replies": (*others, changed)})


def changed_incidents(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The incidents of a DynamoDB Streams batch, each once, in the order of their last change."""
    images = [record.get("dynamodb", {}).get("NewImage") for record in records]
    ids = [from_stream_image(image).id for image in images if image and image.get("sk") == {"S": "META"}]
    return list(reversed(dict.fromkeys(reversed(ids))))
