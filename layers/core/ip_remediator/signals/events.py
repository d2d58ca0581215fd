"""Any document -> signals: an EventBridge event, a message of the queue, a record of a file.

Everything that arrives was written by others. So every parser here accepts any JSON value and returns signals or
counted drops, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from pydantic import ValidationError

from ip_remediator.common.document import typed_by_people
from ip_remediator.signals import alarms, aws_events, kubernetes_events, log_lines
from ip_remediator.signals.documents import at, first_text, list_at, mapping_at, text_at, time_under
from ip_remediator.signals.error_catalogue import Cause, Strength, classify
from ip_remediator.signals.kubernetes_events import EVENT_REASONS, LAYOUT, ZONE_LABEL, event_in
from ip_remediator.signals.log_groups import LogGroups, Origin
from ip_remediator.signals.logs import parse_batch, parse_logs
from ip_remediator.signals.model import (
    EXCERPT_CHARACTERS,
    Affected,
    Dropped,
    DropReason,
    ParsedRecord,
    Signal,
    Source,
    UnplacedSignal,
    build,
    dropped,
    merged,
)
from ip_remediator.signals.unwrap import Envelope, cluster_in, find

__all__ = [
    "EVENT_REASONS",
    "EXCERPT_CHARACTERS",
    "LAYOUT",
    "OWN_DETAIL_TYPE",
    "OWN_SOURCE",
    "ZONE_LABEL",
    "Cause",
    "DropReason",
    "Dropped",
    "ParsedRecord",
    "Signal",
    "Source",
    "Strength",
    "UnplacedSignal",
    "at",
    "build",
    "classify",
    "merged",
    "parse_eventbridge",
    "parse_kubernetes_event",
    "parse_message",
    "text_at",
]

OWN_SOURCE = "eks-ip-remediator"
OWN_DETAIL_TYPE = "Signal"
# CloudWatch tells of changed configurations, too, with the state in which the alarm is.
_ALARM_DETAIL_TYPES = ("CloudWatch Alarm State Change", "CloudWatch Alarm Contributor State Change", None)
_CLOUDTRAIL_DETAIL_TYPE = "AWS API Call via CloudTrail"
_NO_GROUPS = LogGroups()


def parse_eventbridge(event: object, *, received_at: datetime) -> ParsedRecord:
    """The signal in one EventBridge event, as it stands in the body of an SQS message.

    `received_at` (aware) stands in for missing times and bounds those in the future.
    """
    detail = at(event, "detail")
    if not isinstance(event, dict) or not isinstance(detail, dict):
        return dropped(DropReason.NOT_AN_EVENT)
    outcomes = _Reader(received_at).eventbridge(event, detail, Envelope())
    return next(iter(outcomes), dropped(DropReason.UNKNOWN_SHAPE))


def parse_kubernetes_event(document: object, *, cluster: str | None, received_at: datetime) -> ParsedRecord:
    """The signal in a Kubernetes Event; `cluster` names its cluster where the document names none."""
    event = event_in(document) if isinstance(document, dict) else None
    if event is None:
        return dropped(DropReason.UNKNOWN_SHAPE)
    return kubernetes_events.signal_of(event, cluster=cluster, received_at=received_at)


def parse_message(
    document: object, *, received_at: datetime, groups: LogGroups = _NO_GROUPS, cluster: str | None = None
) -> Iterator[ParsedRecord]:
    """The outcomes of a document, whatever envelopes are around it; at least one. `groups` maps log groups to clusters;
    `cluster` is the cluster of records that name none."""
    reader = _Reader(received_at, groups)
    return _all_or(DropReason.NOT_AN_EVENT, find(document, reader.recognise, Envelope(cluster)))


def _all_or(reason: DropReason, records: Iterator[Iterable[ParsedRecord]]) -> Iterator[ParsedRecord]:
    """The outcomes of all records, or one drop where there are none."""
    nothing = True
    for outcomes in records:
        for outcome in outcomes:
            nothing = False
            yield outcome
    if nothing:
        yield dropped(reason)


class _Reader:
    """Recognises records by their structure, and reads them."""

    def __init__(self, received_at: datetime, groups: LogGroups = _NO_GROUPS) -> None:
        self._received_at = received_at
        self._groups = groups

    def recognise(self, document: Mapping[str, object], envelope: Envelope) -> Iterable[ParsedRecord] | None:
        """What `document` itself is; None where it may be an envelope."""
        detail = document.get("detail")
        if isinstance(detail, dict) and ("source" in document or "detail-type" in document):
            return self.eventbridge(document, detail, envelope)
        if "awslogs" in document:
            return parse_logs(document, received_at=self._received_at, groups=self._groups, cluster=envelope.cluster)
        if isinstance(document.get("logEvents"), list) or document.get("messageType") == "CONTROL_MESSAGE":
            return parse_batch(document, received_at=self._received_at, groups=self._groups, cluster=envelope.cluster)
        event = event_in(document)
        if event:
            return [self._of_event(event, envelope)]
        return self._of_services(document, envelope) or self._of_line(document, envelope)

    def eventbridge(
        self, event: Mapping[str, object], detail: Mapping[str, object], envelope: Envelope
    ) -> Iterable[ParsedRecord]:
        source, kind = event.get("source"), event.get("detail-type")
        if source == OWN_SOURCE:
            return [_parse_own(event, detail, self._received_at)]
        if source == "aws.cloudwatch":
            if kind not in _ALARM_DETAIL_TYPES:
                return [dropped(DropReason.UNKNOWN_SHAPE)]
            return [self._of_alarm(alarms.of_eventbridge(event, detail), envelope)]
        exported = event_in(detail)
        if exported:
            return [self._of_event(exported, envelope)]
        inner = Envelope(envelope.cluster, first_text(event, "id"))
        return _all_or(DropReason.UNKNOWN_SHAPE, find(detail, self.recognise, inner))

    def _of_event(self, event: kubernetes_events.KubernetesEvent, envelope: Envelope) -> ParsedRecord:
        return kubernetes_events.signal_of(event, cluster=envelope.cluster, received_at=self._received_at)

    def _of_alarm(self, alarm: alarms.Alarm, envelope: Envelope) -> ParsedRecord:
        return alarms.signal_of(alarm, cluster=envelope.cluster, received_at=self._received_at)

    def _of_services(self, document: Mapping[str, object], envelope: Envelope) -> Iterable[ParsedRecord] | None:
        """An event of AWS's services, or of Alertmanager."""
        of_aws = self._of_cloudwatch(document, envelope) or self._of_other_aws_services(document, envelope)
        if of_aws is not None:
            return of_aws
        if isinstance(document.get("alerts"), list):
            return self._of_alerts(list_at(document, "alerts"), mapping_at(document, "commonLabels"), envelope)
        if "Message" in document and "TopicArn" in document:
            return self._of_sns(document, envelope)
        return None

    def _of_cloudwatch(self, document: Mapping[str, object], envelope: Envelope) -> Iterable[ParsedRecord] | None:
        """An alarm, as CloudWatch sends it to SNS or has a Lambda function invoked with it."""
        if "AlarmName" in document and "NewStateValue" in document:
            return [self._of_alarm(alarms.of_notification(document, envelope.identity), envelope)]
        if isinstance(document.get("alarmData"), dict):
            alarm = alarms.of_eventbridge(document, mapping_at(document, "alarmData"))
            return [self._of_alarm(alarm, envelope)]
        return None

    def _of_other_aws_services(
        self, document: Mapping[str, object], envelope: Envelope
    ) -> Iterable[ParsedRecord] | None:
        """An event of CloudTrail, Auto Scaling, AWS Health or EKS."""
        if aws_events.is_call(document):
            return [aws_events.signal_of_call(document, envelope.identity, self._received_at)]
        if "AutoScalingGroupName" in document and "StatusMessage" in document:
            return [aws_events.signal_of_launch(document, envelope.identity, self._received_at)]
        if "eventTypeCode" in document and "service" in document:
            return aws_events.signal_of_aws_health(document, envelope.identity, self._received_at)
        if isinstance(at(document, "health", "issues"), list):
            return self._of_health(document, envelope)
        return None

    def _of_health(self, document: Mapping[str, object], envelope: Envelope) -> Iterator[ParsedRecord]:
        """The answers of DescribeCluster and DescribeNodegroup."""
        of_nodes = text_at(document, "nodegroupName") is not None
        cluster = text_at(document, "clusterName") if of_nodes else text_at(document, "name")
        return aws_events.signals_of_health(
            list_at(document, "health", "issues"),
            cluster or envelope.cluster,
            Affected.NODES if of_nodes else Affected.CLUSTER,
            self._received_at,
            Source.AWS_EVENT,
        )

    def _of_alerts(
        self, alerts: list[object], common: Mapping[str, object], envelope: Envelope
    ) -> Iterator[ParsedRecord]:
        for alert in alerts:
            yield alarms.signal_of_alert(alert, common, envelope.cluster, self._received_at)

    def _of_sns(self, document: Mapping[str, object], envelope: Envelope) -> Iterable[ParsedRecord] | None:
        """A confirmation, or a message that is plain text: only Alertmanager's is known. JSON is looked into."""
        message = text_at(document, "Message") or ""
        if document.get("Type") not in ("Notification", None):
            return [dropped(DropReason.CONTROL_MESSAGE)]
        alerts = alarms.alerts_in(message)
        return self._of_alerts(list(alerts), {}, envelope) if alerts else None

    def _of_line(self, document: Mapping[str, object], envelope: Envelope) -> Iterable[ParsedRecord] | None:
        """A record of a log shipper that came another way than through CloudWatch Logs, unless an event is in it."""
        if not _LINE_KEYS & document.keys() or not _TEXT_KEYS & document.keys():
            return None
        if next(find(list(document.values()), _event_or_none), None):
            return None
        line = log_lines.line_of(_text_of(document), document, Origin())
        moment = time_under(document, "time", "timestamp", "@timestamp", "date")
        return [
            log_lines.signal_of(
                line,
                cluster=cluster_in(document) or envelope.cluster,
                moment=moment,
                identity=envelope.identity,
                received_at=self._received_at,
            )
        ]


_LINE_KEYS = frozenset({"kubernetes", "systemd_unit", "_SYSTEMD_UNIT", "ident", "SYSLOG_IDENTIFIER", "stream"})
_TEXT_KEYS = frozenset({"log", "message", "MESSAGE", "body"})


def _text_of(document: Mapping[str, object]) -> str:
    return next((text for key in sorted(_TEXT_KEYS) if (text := text_at(document, key))), "")


def _event_or_none(document: Mapping[str, object], _envelope: Envelope) -> kubernetes_events.KubernetesEvent | None:
    return event_in(document)


def _parse_own(event: object, detail: Mapping[str, object], received_at: datetime) -> ParsedRecord:
    """Our own event carries a `Signal` document; times and id may be left to the envelope."""
    if text_at(event, "detail-type") != OWN_DETAIL_TYPE:
        return dropped(DropReason.UNKNOWN_SHAPE)
    sent = time_under(event, "time") or received_at
    defaults = {"first_seen": sent, "last_seen": sent, "id": text_at(event, "id")}
    try:
        signal = typed_by_people(Signal, {**defaults, **detail})
    except ValidationError:
        return dropped(DropReason.INVALID_SIGNAL)
    if signal.first_seen <= signal.last_seen <= received_at:
        return signal
    last = min(signal.last_seen, received_at)
    return signal.model_copy(update={"first_seen": min(signal.first_seen, last), "last_seen": last})
