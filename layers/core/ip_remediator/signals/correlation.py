"""Which signals belong together, when they open an incident, and what the incident remembers of them.

The results do not depend on the order in which signals arrive or on how often each is delivered: times are those of
the events, and a signal counts once, by its id. What is stored is bounded, so a storm of signals costs little more
than a few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from pydantic import Field

from ip_remediator.common.document import Document
from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.model import Shortage, Signal, Source, merged

# The kubelet tries a failed sandbox again every 10 to 15 seconds, and ipamd fills an empty pool within a few: a pod
# that still fails after two minutes does not wait for a pool that is just being filled.
PERSISTENT = timedelta(minutes=2)
# More names, ids and signals than people read and decisions need; an item of DynamoDB holds 400 KB.
MAX_NAMES = 200
MAX_COUNTED = 256
MAX_PENDING = 60
# The time of the latest signal is kept to the minute, so that not every repeat becomes a write.
_MOVED = timedelta(minutes=1)


class SignalSummary(Document):
    """Which signals the incident rests on. `pods`, `nodes` and `zones` are distinct ones, 200 each at most; `count`
    is that of distinct observations, which means little, because client-go folds repeats, and ends at 256.

    `counted` are the fingerprints of the observations that were counted.
    """

    count: int = 0
    causes: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    excerpt: str = ""
    counted: tuple[str, ...] = Field(default=(), exclude=True, repr=False)


class Rules(NamedTuple):
    """`weak_needed`: pieces of weak evidence within `window` that open an incident. `cool_down`: how long after an
    incident closed signals of its shortage are taken for stragglers."""

    weak_needed: int
    window: timedelta
    cool_down: timedelta

    @classmethod
    def of(cls, weak_needed: str, window_minutes: str, cool_down_minutes: str) -> Rules:
        """The rules of a function's settings."""
        return cls(int(weak_needed), timedelta(minutes=int(window_minutes)), timedelta(minutes=int(cool_down_minutes)))


def by_cluster(signals: Iterable[Signal]) -> dict[str, tuple[Signal, ...]]:
    """The signals of each cluster in the order of arrival, each observation once.

    Only clusters with a signal that counts are kept. `OTHER` never counts, because a sandbox fails for many reasons
    that have nothing to do with addresses (runtime, image, disk, other CNIs). Such signals are kept as evidence
    only.
    """
    clusters: dict[str, list[Signal]] = {}
    for signal in signals:
        clusters.setdefault(signal.cluster, []).append(signal)
    return {cluster: distinct(observed) for cluster, observed in clusters.items() if any(map(_counts, observed))}


def distinct(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Each observation once. A repeat that Kubernetes folded into the same event extends the time it was seen."""
    return merged(signals, attrgetter("id"))


@dataclass(frozen=True)
class Closings:
    """When the cluster's last incident was closed, and by shortage when an incident last answered it.

    `answered`: by what is affected, and by zone where the incident served some zones only. None: a release that knew
    no shortages closed the last incident, so it answered all.
    """

    latest: datetime
    answered: Mapping[Shortage, datetime] | None = None

    def quiet_until(self, signal: Signal, cool_down: timedelta) -> datetime:
        """Up to when the signal is a straggler: nothing from before the last close is news, and what an incident
        answered stays quiet for the cool-down. A signal that names no zone may be about any zone."""
        if self.answered is None:
            return self.latest + cool_down
        closed = (
            moment
            for shortage, moment in self.answered.items()
            if shortage.affected is signal.affected and (not shortage.zone or signal.zone in (None, shortage.zone))
        )
        return max([self.latest, *(moment + cool_down for moment in closed)])


def signals_after_cooldown(signals: Iterable[Signal], closings: Closings | None, rules: Rules) -> tuple[Signal, ...]:
    """The signals that no closed incident explains.

    What was last seen before the end of its shortage's cool-down is a straggler, however strong and whenever it
    arrives: nodes still try their old subnets for a while, and what people rejected goes on. A shortage that lasts is
    seen again. Another shortage (nodes that cannot be launched after pods were healed, or another zone) is news.
    """
    if closings is None:
        return tuple(signals)
    quiet = ((signal, closings.quiet_until(signal, rules.cool_down)) for signal in signals)
    return tuple(
        signal.model_copy(update={"first_seen": max(signal.first_seen, until)})
        for signal, until in quiet
        if signal.last_seen > until
    )


def remember(pending: Iterable[Signal], signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """What is stored while it opens no incident: the latest signals, the oldest first."""
    counting = [signal for signal in distinct([*pending, *signals]) if _counts(signal)]
    return tuple(sorted(counting, key=lambda signal: (signal.last_seen, signal.id))[-MAX_PENDING:])


def should_open_incident(signals: Sequence[Signal], rules: Rules) -> bool:
    """Whether the signals of one cluster open an incident.

    One strong signal does: EC2 or ipamd named a cause. So does a person's. Causes that more addresses do not cure
    (`cni_iam`, `node_limit`, ...) are no exception: pods hang all the same, the diagnosis costs only reads, and its
    refusal tells people what to do instead. Weak signals must add up within the window.
    """
    counting = [signal for signal in signals if _counts(signal)]
    if any(signal.strength is Strength.STRONG or signal.source is Source.MANUAL for signal in counting):
        return True
    ends = {signal.last_seen for signal in counting}
    return any(_evidence(counting, end - rules.window, end) >= rules.weak_needed for end in ends)


def _counts(signal: Signal) -> bool:
    return signal.cause is not Cause.OTHER


def _evidence(signals: Iterable[Signal], start: datetime, end: datetime) -> int:
    """The weak evidence between two times: pods, pods that keep failing, nodes of which no pod is known, an alarm.

    Alarms are one piece together, because those of one cluster look at the same pods. So is a pod, whether exporter,
    log or sweep saw it; but one that fails for longer than a hiccup lasts counts twice. What names neither pod nor node
    (a program that quotes an event) may be about any that is named: it counts where none is.
    """
    within = [signal for signal in signals if start <= signal.last_seen <= end]
    pods = _times_of_pods(within, start)
    persistent = sum(max(times) - min(times) >= PERSISTENT for times in pods.values())
    alarms = any(signal.source is Source.ALARM for signal in within)
    others = [signal for signal in within if signal.source is not Source.ALARM and not signal.pod]
    nodes = {signal.node for signal in others} - {signal.node for signal in within if signal.pod}
    unnamed = nodes == {None} and not pods
    return len(pods) + persistent + len(nodes - {None}) + unnamed + alarms


def _times_of_pods(signals: Iterable[Signal], start: datetime) -> dict[str, list[datetime]]:
    """When each pod was seen failing, from `start` on."""
    times: dict[str, list[datetime]] = {}
    for signal in signals:
        if signal.pod:
            times.setdefault(signal.pod, []).extend((max(signal.first_seen, start), signal.last_seen))
    return times


def summarize(stored: SignalSummary, signals: Sequence[Signal]) -> SignalSummary:
    """`stored`, and what `signals` add to it: `stored` itself when they add nothing."""
    fresh = sorted({_fingerprint(signal) for signal in signals} - set(stored.counted))
    counted = fresh[: MAX_COUNTED - len(stored.counted)]
    first, last = min(signal.first_seen for signal in signals), max(signal.last_seen for signal in signals)
    summary = SignalSummary(
        count=stored.count + len(counted),
        counted=tuple(sorted([*stored.counted, *counted])),
        causes=_names(stored.causes, (cause.value for signal in signals for cause in signal.causes)),
        pods=_names(stored.pods, (signal.pod for signal in signals)),
        nodes=_names(stored.nodes, (signal.node for signal in signals)),
        zones=_names(stored.zones, (signal.zone for signal in signals)),
        first_seen=min(first, stored.first_seen or first),
        last_seen=max(last, stored.last_seen or last),
        excerpt=_excerpt(stored, signals),
    )
    return stored if _adds_nothing(stored, summary) else summary


def _adds_nothing(stored: SignalSummary, summary: SignalSummary) -> bool:
    """Whether only the time of the last signal has changed, and by too little for a write."""
    if stored.last_seen is None or summary.last_seen is None or summary.last_seen - stored.last_seen >= _MOVED:
        return False
    return summary.model_copy(update={"last_seen": stored.last_seen}) == stored


def _fingerprint(signal: Signal) -> str:
    """Short, because ids may have 200 characters; 48 bits keep 256 of them apart."""
    return hashlib.sha256(signal.id.encode()).hexdigest()[:12]


def _names(stored: Sequence[str], names: Iterable[str | None]) -> tuple[str, ...]:
    fresh = sorted({name for name in names if name} - set(stored))
    return tuple(sorted([*stored, *fresh[: max(0, MAX_NAMES - len(stored))]]))


def _excerpt(stored: SignalSummary, signals: Sequence[Signal]) -> str:
    """The words that people see: those that prove most, and of these the first that arrived."""
    proven = (s.excerpt for s in signals if s.strength is Strength.STRONG and s.cause.value not in stored.causes)
    return next(proven, None) or stored.excerpt or next((s.excerpt for s in signals if s.excerpt), "")
