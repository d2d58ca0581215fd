"""Event -> Signal: what each event shape says about a cluster.

Whatever arrives was written by others: every parser here accepts any JSON value and answers with a `Signal` or a
counted `Dropped`, never with an exception.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints, ValidationError

from ip_remediator.common.document import Document
from ip_remediator.signals.error_catalogue import Cause, Strength, classify, classify_message

__all__ = [
    "Cause",
    "DropReason",
    "Dropped",
    "Signal",
    "Source",
    "Strength",
    "classify",
    "parse_eventbridge",
]

EXCERPT_CHARACTERS = 500
OWN_SOURCE = "eks-ip-remediator"
OWN_DETAIL_TYPE = "Signal"
# CloudWatch tells of changed configurations, too, with the state in which the alarm is.
_ALARM_DETAIL_TYPE = "CloudWatch Alarm State Change"
# Namespaces whose alarms concern addresses: AWS's Container Insights and the metrics of this project.
ALARM_NAMESPACES = frozenset({"ContainerInsights", "EksIpRemediator"})
# An alarm without the dimension ClusterName (composite, or on other metrics) names its cluster in its name or
# description. (AWS's examples of composite alarms' events show no description.)
ALARM_CLUSTER = re.compile(r"\beks-ip-remediator:cluster=([0-9A-Za-z_-]+)")
# What marks a Kubernetes Event in this project's layout for kubernetes-event-exporter (docs/signals.md).
LAYOUT = "eks-ip-remediator/v1"
# The metric that counts a record: its name, its dimension and the dimension's value.
Tally = tuple[str, str, str]
ZONE_LABEL = "topology.kubernetes.io/zone"
_FIRST_YEAR = 1970


class Source(StrEnum):
    """Where a signal came from."""

    ALARM = "cloudwatch-alarm"
    KUBERNETES_EVENT = "kubernetes-event"
    LOGS = "cloudwatch-logs"
    SWEEP = "sweep"
    MANUAL = "manual"


class DropReason(StrEnum):
    """Why a record became no signal: a fixed vocabulary, so that drops can be counted by it."""

    NOT_AN_EVENT = "not_an_event"
    UNKNOWN_SHAPE = "unknown_shape"
    NOT_IN_ALARM = "not_in_alarm"
    NO_METRIC = "no_metric"
    FOREIGN_NAMESPACE = "foreign_namespace"
    NO_CLUSTER = "no_cluster"
    UNRELATED_REASON = "unrelated_reason"
    INVALID_SIGNAL = "invalid_signal"
    CONTROL_MESSAGE = "control_message"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    UNRELATED_LINE = "unrelated_line"


def _clean(value: object) -> object:
    """One line of printable text: control and format characters (line breaks, bidi overrides) become spaces."""
    if not isinstance(value, str):
        return value
    head = value[: 4 * EXCERPT_CHARACTERS]
    if not head.isprintable():
        head = "".join(" " if unicodedata.category(char).startswith("C") else char for char in head)
    return " ".join(head.split())[:EXCERPT_CHARACTERS]


def _to_utc(moment: datetime) -> datetime:
    """Raises ValueError for what is no time of an observation, such as Go's zero time, or one that UTC has not."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment} is outside the range of UTC times") from error
    if utc.year < _FIRST_YEAR:
        raise ValueError(f"{moment} is no time of an observation")
    return utc


# EKS: 1 to 100 letters, digits, hyphens and underscores, the first one no sign. Kubernetes: DNS-1123 subdomains.
_DNS_NAME = r"[a-z0-9][a-z0-9.-]{0,252}"
_CLUSTER_NAME = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$"
_OBJECT_NAME = rf"^{_DNS_NAME}$"
_POD_NAME = rf"^{_DNS_NAME}/{_DNS_NAME}$"
_IDENTIFIER = r"^[!-~]{1,200}$"
_Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]


class Signal(Document):
    """One observation that a cluster may lack addresses.

    `pod` is "namespace/name"; `excerpt` the words it rests on, printable and at most 500 characters; `id` the same
    for every delivery of the same observation. What is not known is None.
    """

    source: Source
    cluster: Annotated[str, StringConstraints(pattern=_CLUSTER_NAME)]
    cause: Cause
    strength: Strength
    node: Annotated[str, StringConstraints(pattern=_OBJECT_NAME)] | None = None
    zone: Annotated[str, StringConstraints(pattern=_OBJECT_NAME)] | None = None
    pod: Annotated[str, StringConstraints(pattern=_POD_NAME)] | None = None
    first_seen: _Moment
    last_seen: _Moment
    id: Annotated[str, StringConstraints(pattern=_IDENTIFIER)]
    excerpt: Annotated[str, BeforeValidator(_clean)] = ""

    @property
    def tally(self) -> Tally:
        return "Signals", "cause", self.cause.value


class Dropped(Document):
    """A record that says nothing about addresses, with the reason."""

    reason: DropReason

    @property
    def tally(self) -> Tally:
        return "Dropped", "reason", self.reason.value


# Reasons of Kubernetes events that are about addresses; the value is proven by the reason alone.
EVENT_REASONS: Mapping[str, Cause | None] = {
    "FailedCreatePodSandBox": None,
    "IPAMDNoIPs": Cause.SUBNET_FULL,
    "MissingIAMPermissions": Cause.CNI_IAM,
}
# Since it is a public project, the EKS node monitoring agent gives the node condition as reason, and its own reason in
# front of the message (pkg/manager/node_exporter.go of aws/eks-node-monitoring-agent, v1.6); before, the reason alone.
_AGENT_CONDITION = "NetworkingReady"


def parse_eventbridge(event: object, *, received_at: datetime) -> Signal | Dropped:
    """The signal in one EventBridge event, as it stands in the body of an SQS message.

    Understood are CloudWatch alarm state changes, Kubernetes v1 Events in the plain shape of kubernetes-event-exporter
    or in this project's layout (recognised by `detail`, as users choose `source` and `detail-type`), and this project's
    own `Signal` events. `received_at` (aware) stands in for missing times and bounds those in the future.
    """
    detail = at(event, "detail")
    if not isinstance(event, dict) or not isinstance(detail, dict):
        return Dropped(reason=DropReason.NOT_AN_EVENT)
    if event.get("source") == "aws.cloudwatch":
        return _parse_alarm(event, detail, received_at)
    if event.get("source") == OWN_SOURCE:
        return _parse_own(event, detail, received_at)
    if is_kubernetes_event(detail):
        return parse_kubernetes_event(detail, cluster=None, received_at=received_at)
    return Dropped(reason=DropReason.UNKNOWN_SHAPE)


def is_kubernetes_event(document: object) -> bool:
    """A v1 Event, or one in this project's layout."""
    shaped = isinstance(at(document, "involvedObject"), dict) or text_at(document, "format") == LAYOUT
    return shaped and isinstance(at(document, "reason"), str)


def parse_kubernetes_event(document: object, *, cluster: str | None, received_at: datetime) -> Signal | Dropped:
    """The signal in a v1 Event; `cluster` names its cluster where the document's `clusterName` is empty."""
    if text_at(document, "format") == LAYOUT:
        document = _event_of(document)
    message = text_at(document, "message") or ""
    reason = text_at(document, "reason") or ""
    if reason == _AGENT_CONDITION:
        reason, _, message = message.partition(": ")
    if reason not in EVENT_REASONS:
        return Dropped(reason=DropReason.UNRELATED_REASON)
    proven = EVENT_REASONS[reason]
    cause, strength = (proven, Strength.STRONG) if proven else classify_message(message)
    first = _first_time(
        document, ("firstTimestamp",), ("eventTime",), ("metadata", "creationTimestamp"), ("lastTimestamp",)
    )
    last = _first_time(document, ("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",))
    return build(
        source=Source.KUBERNETES_EVENT,
        cluster=text_at(document, "clusterName") or cluster,
        cause=cause,
        strength=strength,
        node=_node_of(document),
        zone=text_at(document, "involvedObject", "labels", ZONE_LABEL),
        pod=_pod_of(document),
        seen=(first, last),
        received_at=received_at,
        # A repeat is folded into the same object (its count grows): no new observation of another pod.
        identity=text_at(document, "metadata", "uid"),
        excerpt=f"{reason}: {message}",
    )


def _event_of(layout: object) -> object:
    """The v1 Event that this project's layout was made of."""
    about = {name: at(layout, name) for name in ("kind", "namespace", "name")}
    return {
        "metadata": {"uid": at(layout, "uid")},
        "involvedObject": {**about, "labels": {ZONE_LABEL: at(layout, "zone")}},
        "source": {"host": at(layout, "node")},
        "clusterName": at(layout, "cluster"),
        "firstTimestamp": at(layout, "firstSeen"),
        "lastTimestamp": at(layout, "lastSeen"),
        "reason": at(layout, "reason"),
        "message": at(layout, "message"),
    }


def _node_of(document: object) -> str | None:
    """The node an Event is about; newer kubelets name it in `reportingInstance`, where others put a pod's name."""
    if text_at(document, "involvedObject", "kind") == "Node":
        return text_at(document, "involvedObject", "name")
    host = text_at(document, "source", "host")
    if host is None and text_at(document, "reportingComponent") == "kubelet":
        return text_at(document, "reportingInstance")
    return host


def _pod_of(document: object) -> str | None:
    if text_at(document, "involvedObject", "kind") != "Pod":
        return None
    namespace, name = text_at(document, "involvedObject", "namespace"), text_at(document, "involvedObject", "name")
    return f"{namespace}/{name}" if namespace and name else None


def _parse_alarm(event: object, detail: object, received_at: datetime) -> Signal | Dropped:
    """An alarm names no cause: pods wait or addresses run low, the facts must tell the rest."""
    if text_at(event, "detail-type") not in (_ALARM_DETAIL_TYPE, None):
        return Dropped(reason=DropReason.UNKNOWN_SHAPE)
    if text_at(detail, "state", "value") != "ALARM":
        return Dropped(reason=DropReason.NOT_IN_ALARM)
    metrics = list(_metrics(detail))
    ours = [metric for metric in metrics if text_at(metric, "namespace") in ALARM_NAMESPACES]
    words = (text_at(detail, "configuration", "description"), text_at(detail, "alarmName"))
    named = ALARM_CLUSTER.search(" ".join(filter(None, words)))
    if not ours and not named:
        return Dropped(reason=DropReason.FOREIGN_NAMESPACE if metrics else DropReason.NO_METRIC)
    clusters = (
        {named.group(1)}
        if named
        else {name for metric in ours if (name := text_at(metric, "dimensions", "ClusterName"))}
    )
    nodes = {name for metric in ours if (name := text_at(metric, "dimensions", "NodeName"))}
    changed = _first_time(event, ("detail", "state", "timestamp"), ("time",))
    return build(
        source=Source.ALARM,
        cluster=clusters.pop() if len(clusters) == 1 else None,
        cause=Cause.NO_ADDRESS,
        strength=Strength.WEAK,
        node=nodes.pop() if len(nodes) == 1 else None,
        seen=(changed, changed),
        received_at=received_at,
        identity=text_at(event, "id"),
        excerpt=": ".join(filter(None, (text_at(detail, "alarmName"), text_at(detail, "state", "reason")))),
    )


def _metrics(detail: object) -> Iterator[object]:
    """The metrics an alarm looks at. Composite alarms have none; the expressions of metric math are passed over."""
    entries = at(detail, "configuration", "metrics")
    for entry in entries if isinstance(entries, list) else ():
        metric = at(entry, "metricStat", "metric")
        if isinstance(metric, dict):
            yield metric


def _parse_own(event: object, detail: Mapping[str, object], received_at: datetime) -> Signal | Dropped:
    """Our own event carries a `Signal` document; times and id may be left to the envelope."""
    if text_at(event, "detail-type") != OWN_DETAIL_TYPE:
        return Dropped(reason=DropReason.UNKNOWN_SHAPE)
    sent = _first_time(event, ("time",)) or received_at
    defaults = {"first_seen": sent, "last_seen": sent, "id": text_at(event, "id")}
    try:
        signal = Signal.model_validate({**defaults, **detail})
    except ValidationError:
        return Dropped(reason=DropReason.INVALID_SIGNAL)
    last = min(signal.last_seen, received_at)
    return signal.model_copy(update={"first_seen": min(signal.first_seen, last), "last_seen": last})


def merged(signals: Iterable[Signal], key: Callable[[Signal], Hashable]) -> tuple[Signal, ...]:
    """The first signal of each `key`, seen from the first to the last time that any signal of that key was."""
    groups: dict[Hashable, list[Signal]] = {}
    for signal in signals:
        groups.setdefault(key(signal), []).append(signal)
    return tuple(_span(group) if len(group) > 1 else group[0] for group in groups.values())


def _span(signals: Sequence[Signal]) -> Signal:
    first, last = min(signal.first_seen for signal in signals), max(signal.last_seen for signal in signals)
    return signals[0].model_copy(update={"first_seen": first, "last_seen": last})


def build(
    *,
    source: Source,
    cluster: str | None,
    cause: Cause,
    strength: Strength,
    seen: tuple[datetime | None, datetime | None],
    received_at: datetime,
    identity: str | None,
    excerpt: str,
    node: str | None = None,
    zone: str | None = None,
    pod: str | None = None,
) -> Signal | Dropped:
    """A signal of what a parser found, or `Dropped` when nothing names the cluster.

    A name that breaks Kubernetes' rules is left out rather than trusted; nothing was seen after it was received;
    without an identity of its own the signal is identified by its content.
    """
    known = _fitting(_CLUSTER_NAME, cluster)
    if known is None:
        return Dropped(reason=DropReason.NO_CLUSTER)
    last = min(seen[1] or seen[0] or received_at, received_at)
    first = min(seen[0] or last, last)
    content = f"{source}|{known}|{cause}|{node}|{pod}|{first}|{excerpt}"
    return Signal(
        source=source,
        cluster=known,
        cause=cause,
        strength=strength,
        node=_fitting(_OBJECT_NAME, node),
        zone=_fitting(_OBJECT_NAME, zone),
        pod=_fitting(_POD_NAME, pod),
        first_seen=first,
        last_seen=last,
        id=_fitting(_IDENTIFIER, identity) or hashlib.sha256(content.encode(errors="replace")).hexdigest()[:32],
        excerpt=excerpt,
    )


def _fitting(pattern: str, value: str | None) -> str | None:
    return value if value is not None and re.fullmatch(pattern, value) else None


def at(document: object, *path: str) -> object:
    """What stands at `path`, or None where the document has another shape."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def text_at(document: object, *path: str) -> str | None:
    """The text at `path`; empty text and other types count as absent."""
    value = at(document, *path)
    return value if isinstance(value, str) and value else None


def _first_time(document: object, *paths: tuple[str, ...]) -> datetime | None:
    """The first of `paths` that holds an ISO 8601 time; one without an offset is UTC."""
    for path in paths:
        try:
            moment = datetime.fromisoformat(text_at(document, *path) or "")
            return _to_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except ValueError:
            continue
    return None
