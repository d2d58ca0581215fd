"""What becomes of a cluster's signals: they join its open incident, add up until they open one, or are stragglers.

    CLUSTER#<cluster>   SIGNALS   `signals`: what is known while it opens no incident; `revision`; gone after a day

Invocations that work on one cluster at the same time see each other: each write is conditional on the revision that
was read, and whoever comes second looks again. What teaches nothing new is not written: in a storm the writes stay as
few as the names that are kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Item, Records
from ip_remediator.common.enums import Mode
from ip_remediator.common.errors import ServiceUnavailable
from ip_remediator.incidents.cooldown import closings_of, cooldown_key
from ip_remediator.incidents.opening import IncidentOpener, marker_key, meta_key, stale
from ip_remediator.incidents.signal_attributes import attributes_of, summary_of
from ip_remediator.signals.correlation import (
    Closings,
    Rules,
    SignalSummary,
    remember,
    should_open_incident,
    signals_after_cooldown,
    summarize,
)
from ip_remediator.signals.error_catalogue import Strength
from ip_remediator.signals.events import Signal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock

# Ten invocations at most work at the same time (MaximumConcurrency); each of them can lose to all others, twice.
_ATTEMPTS = 20
_LONGEST_PAUSE = 0.1  # seconds
_KEPT = timedelta(days=1)
_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class Joined:
    """What became of a cluster's signals: the incident that they joined or opened, None while they are not enough.

    `start`: the incident is open and has no execution yet.
    """

    incident_id: str | None
    opened: bool = False
    start: bool = False


class SignalWindow:
    """Raises the errors of `common.errors`."""

    def __init__(
        self,
        table: Table,
        clock: Clock,
        rules: Rules,
        region: str,
        mode: Mode,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._records = Records(table)
        self._incidents = IncidentOpener(table, clock)
        self._clock, self._rules, self._region, self._mode, self._sleep = clock, rules, region, mode, sleep

    def join(self, signals: Sequence[Signal]) -> Joined:
        """Adds signals of ONE cluster, of whatever time and delivered however often, to what is known of it."""
        cluster = signals[0].cluster
        for _ in range(_ATTEMPTS):
            try:
                return self._join(cluster, signals)
            except ConditionFailed:
                self._sleep(_RANDOM.uniform(0, _LONGEST_PAUSE))
        raise ServiceUnavailable(f"signals of cluster {cluster} were written by others {_ATTEMPTS} times in a row")

    def _join(self, cluster: str, signals: Sequence[Signal]) -> Joined:
        marker = self._records.get(**marker_key(cluster)) or {}
        if self._is_open(marker) or self._is_left_alone(marker):
            return self._add(str(marker["incident_id"]), signals)
        closings = closings_of(marker, self._records.get(**cooldown_key(cluster)) if marker else None)
        fresh = signals_after_cooldown(signals, closings, self._rules)
        if not fresh:
            return self._add(str(marker["incident_id"]), signals)
        if late := _others(signals, fresh):
            self._add(str(marker["incident_id"]), late)
        window = self._records.get(**_window(cluster)) or {}
        if (self._records.get(**marker_key(cluster)) or {}) != marker:
            # Whoever opened an incident meanwhile has emptied the window before we read it.
            raise ConditionFailed(f"an incident of cluster {cluster} was opened or closed")
        return self._remember_or_open(marker, window, fresh, closings)

    def _is_open(self, marker: Item) -> bool:
        """Whether the cluster has an incident that signals join, whenever they were seen."""
        return "incident_id" in marker and "closed_at" not in marker and not stale(marker, self._clock())

    def _is_left_alone(self, marker: Item) -> bool:
        """Whether people rolled the last incident back so recently that its pods, which hang again, open no
        other one."""
        return str(marker.get("left_alone_until", "")) > self._clock().isoformat()

    def _add(self, incident: str, signals: Sequence[Signal]) -> Joined:
        item = self._records.get(**meta_key(incident)) or {}
        stored = summary_of(item)
        summary = summarize(stored, signals)
        if summary is not stored:
            self._write_summary(incident, item, summary)
        return Joined(incident, start="execution" not in item and "outcome" not in item)

    def _write_summary(self, incident: str, item: Item, summary: SignalSummary) -> None:
        revision = int(item.get("signal_revision", 0))
        attributes = {**attributes_of(summary), "signal_revision": revision + 1}
        values = {f":{name}": value for name, value in attributes.items()} | {":seen": revision}
        expression = "SET " + ", ".join(f"{name} = :{name}" for name in attributes)
        unchanged = "signal_revision = :seen" if revision else "attribute_not_exists(signal_revision)"
        if not revision:
            del values[":seen"]
        self._records.update(meta_key(incident), expression, values, f"attribute_exists(pk) AND {unchanged}")

    def _remember_or_open(
        self, marker: Item, window: Item, fresh: Sequence[Signal], closings: Closings | None
    ) -> Joined:
        cluster = fresh[0].cluster
        stored = tuple(Signal.model_validate_json(str(text)) for text in window.get("signals", ()))
        pending = remember(signals_after_cooldown(stored, closings, self._rules), fresh)
        if should_open_incident(pending, self._rules):
            everything = [*pending, *(signal for signal in fresh if signal not in pending)]
            incident = self._incidents.open_for(
                cluster,
                self._region,
                self._mode,
                _reason(everything),
                attributes_of(summarize(SignalSummary(), everything)),
                self._writing(cluster, window, ()),
                str(marker["incident_id"]) if "left_alone_until" in marker else None,
            )
            return Joined(incident, opened=True, start=True)
        if pending != stored:
            self._records.transact([self._writing(cluster, window, pending)])
        return Joined(None)

    def _writing(self, cluster: str, window: Item, pending: Iterable[Signal]) -> Item:
        """The write of the window. It is emptied and not deleted when an incident opens, so that a writer that read it
        before fails its condition."""
        revision = int(window.get("revision", 0))
        item = {
            **_window(cluster),
            "revision": revision + 1,
            "signals": [signal.model_dump_json() for signal in pending],
            "ttl": int((self._clock() + _KEPT).timestamp()),
        }
        if not revision:
            return self._records.putting(item, "attribute_not_exists(pk)")
        return self._records.putting(item, "revision = :seen", {":seen": revision})


def _others(signals: Sequence[Signal], fresh: Iterable[Signal]) -> list[Signal]:
    """The signals that are not among the `fresh` ones."""
    fresh_ids = {signal.id for signal in fresh}
    return [signal for signal in signals if signal.id not in fresh_ids]


def _reason(signals: Sequence[Signal]) -> str:
    telling = next((signal for signal in signals if signal.strength is Strength.STRONG), signals[0])
    return f"{telling.source}: {telling.cause}"


def _window(cluster: str) -> dict[str, str]:
    return {"pk": f"CLUSTER#{cluster}", "sk": "SIGNALS"}
