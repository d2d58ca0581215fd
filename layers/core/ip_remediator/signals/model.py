"""What parsers make of a record: a `Signal`, a signal whose cluster must still be found, or a counted drop."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints

from ip_remediator.common.document import Document, unchecked
from ip_remediator.signals.documents import to_utc
from ip_remediator.signals.error_catalogue import Cause, Strength

EXCERPT_CHARACTERS = 500
# The metric that counts a record: its name, its dimension and the dimension's value.
Tally = tuple[str, str, str]


class Source(StrEnum):
    """Where a signal came from."""

    ALARM = "cloudwatch-alarm"
    KUBERNETES_EVENT = "kubernetes-event"
    LOGS = "cloudwatch-logs"
    AWS_EVENT = "aws-event"
    SWEEP = "sweep"
    MANUAL = "manual"


class Affected(StrEnum):
    """What cannot get its addresses: pods on running nodes, new nodes, or EKS itself in the cluster's subnets."""

    PODS = "pods"
    NODES = "nodes"
    CLUSTER = "cluster"


class Shortage(NamedTuple):
    """Who lacks addresses, in one zone or (None) in whichever."""

    affected: Affected
    zone: str | None = None


class DropReason(StrEnum):
    """Why a record became no signal: a fixed vocabulary, so that drops can be counted by it."""

    NOT_AN_EVENT = "not_an_event"
    UNKNOWN_SHAPE = "unknown_shape"
    NOT_IN_ALARM = "not_in_alarm"
    NO_METRIC = "no_metric"
    FOREIGN_NAMESPACE = "foreign_namespace"
    NO_CLUSTER = "no_cluster"
    UNRELATED_REASON = "unrelated_reason"
    UNRELATED_CALL = "unrelated_call"
    INVALID_SIGNAL = "invalid_signal"
    CONTROL_MESSAGE = "control_message"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    UNRELATED_LINE = "unrelated_line"
    OTHER_PROGRAM = "other_program"
    HARMLESS = "harmless"


def _clean(value: object) -> object:
    """One line of printable text: control and format characters (line breaks, bidi overrides) become spaces."""
    if not isinstance(value, str):
        return value
    if len(value) <= EXCERPT_CHARACTERS and value.isprintable() and "  " not in value:
        return value.strip(" ")
    head = value[: 4 * EXCERPT_CHARACTERS]
    if not head.isprintable():
        head = "".join(" " if unicodedata.category(char).startswith("C") else char for char in head)
        head = " ".join(head.split())
    while "  " in head:
        head = head.replace("  ", " ")
    return head.strip(" ")[:EXCERPT_CHARACTERS]


# EKS: 1 to 100 letters, digits, hyphens and underscores, the first one no sign. Kubernetes: DNS-1123 subdomains.
_DNS_NAME = r"[a-z0-9][a-z0-9.-]{0,252}"
_CLUSTER_NAME = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$"
_OBJECT_NAME = rf"^{_DNS_NAME}$"
_POD_NAME = rf"^{_DNS_NAME}/{_DNS_NAME}$"
_IDENTIFIER = r"^[!-~]{1,200}$"
_matches_cluster = re.compile(_CLUSTER_NAME).fullmatch
_matches_object = re.compile(_OBJECT_NAME).fullmatch
_matches_pod = re.compile(_POD_NAME).fullmatch
_matches_identifier = re.compile(_IDENTIFIER).fullmatch
_Moment = Annotated[AwareDatetime, AfterValidator(to_utc)]


class Place(Document):
    """Where something happened, of a record that names no cluster; the cluster is found by it. `certain`: the record
    itself shows that a cluster is meant (for example because the VPC CNI is the caller), but not which."""

    certain: bool = False
    subnets: tuple[str, ...] = ()
    interface: str | None = None
    auto_scaling_group: str | None = None


class _Observation(Document):
    """One observation that a cluster may lack addresses.

    `pod` is "namespace/name"; `excerpt` the words it rests on, printable and at most 500 characters; `id` the same
    for every delivery of the same observation. What is not known is None.
    """

    source: Source
    cause: Cause
    strength: Strength
    node: Annotated[str, StringConstraints(pattern=_OBJECT_NAME)] | None = None
    zone: Annotated[str, StringConstraints(pattern=_OBJECT_NAME)] | None = None
    pod: Annotated[str, StringConstraints(pattern=_POD_NAME)] | None = None
    first_seen: _Moment
    last_seen: _Moment
    id: Annotated[str, StringConstraints(pattern=_IDENTIFIER)]
    excerpt: Annotated[str, BeforeValidator(_clean)] = ""
    affected: Affected = Affected.PODS

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The cause, and beside it the one that says what is affected, unless that is pods."""
        return (self.cause, *_CAUSES_OF_AFFECTED[self.affected])


_CAUSES_OF_AFFECTED: dict[Affected, tuple[Cause, ...]] = {
    Affected.PODS: (),
    Affected.NODES: (Cause.NODE_LAUNCH,),
    Affected.CLUSTER: (Cause.CLUSTER_SUBNETS,),
}


class Signal(_Observation):
    """An observation whose cluster is known."""

    cluster: Annotated[str, StringConstraints(pattern=_CLUSTER_NAME)]

    @property
    def tally(self) -> Tally:
        """Metric, dimension and its value, under which the signal is counted."""
        return "Signals", "cause", self.cause.value


class UnplacedSignal(_Observation):
    """An observation that names no cluster, but a `place` by which the cluster can be found."""

    cluster: None = None
    place: Place

    @property
    def tally(self) -> Tally:
        """Metric, dimension and its value, under which the signal is counted."""
        return "Signals", "cause", self.cause.value

    def in_cluster(self, cluster: str | None) -> Signal | Dropped:
        """The signal of `cluster`; a drop where that is no name that EKS allows."""
        if cluster is None or not _matches_cluster(cluster):
            return dropped(DropReason.NO_CLUSTER)
        return Signal(**self.model_dump(exclude={"cluster", "place"}), cluster=cluster)


class Dropped(Document):
    """A record that says nothing about addresses, with the reason."""

    reason: DropReason

    @property
    def tally(self) -> Tally:
        """Metric, dimension and its value, under which the drop is counted."""
        return "Dropped", "reason", self.reason.value


@cache
def dropped(reason: DropReason) -> Dropped:
    """The drop for `reason`. Nearly all lines of a log are dropped, so each drop is made once."""
    return Dropped(reason=reason)


ParsedRecord = Signal | UnplacedSignal | Dropped


def merged(signals: Iterable[Signal], key: Callable[[Signal], Hashable]) -> tuple[Signal, ...]:
    """The first signal of each `key`, seen from the first to the last time that any signal of that key was."""
    groups: dict[Hashable, list[Signal]] = {}
    for signal in signals:
        groups.setdefault(key(signal), []).append(signal)
    return tuple(_span(group) if len(group) > 1 else group[0] for group in groups.values())


def _span(signals: Sequence[Signal]) -> Signal:
    first, last = min(signal.first_seen for signal in signals), max(signal.last_seen for signal in signals)
    return signals[0].model_copy(update={"first_seen": first, "last_seen": last})


def cluster_name(value: object) -> str | None:
    """`value` where it is a name that EKS allows for a cluster; also the name in an ARN of an EKS cluster."""
    if not isinstance(value, str):
        return None
    if value.startswith("arn:"):
        _, _, value = value.partition(":cluster/") if ":eks:" in value else ("", "", "")
    return value if _matches_cluster(value) else None


def build(
    *,
    source: Source,
    cluster: str | None,
    cause: Cause,
    strength: Strength,
    times: tuple[datetime | None, datetime | None],
    received_at: datetime,
    identity: str | None,
    excerpt: str,
    node: str | None = None,
    zone: str | None = None,
    pod: str | None = None,
    affected: Affected = Affected.PODS,
    place: Place | None = None,
) -> ParsedRecord:
    """A signal of what a parser read.

    Without a cluster: an `UnplacedSignal` when the record says where it happened, else `Dropped`. A name that breaks
    Kubernetes' rules is left out rather than trusted; nothing was seen after it was received; without an identity of
    its own the signal is identified by its content.
    """
    named = cluster_name(cluster)
    if named is None and place is None:
        return dropped(DropReason.NO_CLUSTER)
    last = min(times[1] or times[0] or received_at, received_at)
    first = min(times[0] or last, last)
    if identity is None or not _matches_identifier(identity):
        content = f"{source}|{named}|{cause}|{node}|{pod}|{first}|{excerpt}"
        identity = hashlib.sha256(content.encode(errors="replace")).hexdigest()[:32]
    facts: dict[str, Any] = {
        "source": source,
        "cause": cause,
        "strength": strength,
        "node": _where_allowed(node, _matches_object),
        "zone": _where_allowed(zone, _matches_object),
        "pod": _where_allowed(pod, _matches_pod),
        "first_seen": first,
        "last_seen": last,
        "id": identity,
        "excerpt": _clean(excerpt),
        "affected": affected,
        "cluster": named,
    }
    if named is not None:
        return unchecked(Signal, facts)
    return unchecked(UnplacedSignal, facts | {"place": place})


def _where_allowed(name: str | None, matches: Callable[[str], object]) -> str | None:
    return name if name and matches(name) else None
