"""Events as client-go records them: similar ones folded, repeats counted, floods dropped.

The rules are those of client-go's `tools/record/events_cache.go`: an exact repeat only raises `count`; from the tenth
different message about one object and reason within ten minutes on, all go into one event whose message starts with
`(combined from similar events): `; and each object may cause a burst of 25 events, then one every five minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from local.cluster.kube import EVENTS, ApiError, ApiUnreachable, KubeApi
from local.cluster.objects import Obj, timestamp, utc_now

COMBINED_PREFIX = "(combined from similar events): "

_MAX_DIFFERENT_MESSAGES = 10
_SIMILARITY_SECONDS = 600.0
_BURST = 25
_REFILL_SECONDS = 300.0
_MAX_MESSAGE_BYTES = 1024


@dataclass(frozen=True)
class Occurrence:
    """Something that happened to an object. `subject` is its ObjectReference."""

    subject: Obj
    type: str
    reason: str
    message: str

    @property
    def subject_key(self) -> tuple[str, ...]:
        """What identifies the object that the event is about."""
        return tuple(str(self.subject.get(part, "")) for part in ("kind", "namespace", "name", "uid"))


@dataclass(frozen=True)
class Recorded:
    """The event to write. `name` is None the first time; afterwards it names the event to update."""

    message: str
    count: int
    first: datetime
    last: datetime
    name: str | None


@dataclass
class _Similar:
    messages: set[str] = field(default_factory=set)
    last_seen: float = float("-inf")


@dataclass
class _Bucket:
    tokens: float
    refilled: float


class Correlator:
    """Decides how an occurrence is recorded. It keeps state, but takes the time as an argument.

    `now` is in simulated seconds (any origin), `moment` the wall time to put on the event.
    """

    def __init__(self) -> None:
        self._similar: dict[tuple[str, ...], _Similar] = {}
        self._observed: dict[tuple[str, ...], Recorded] = {}
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def correlate(
        self, occurrence: Occurrence, now: float, moment: datetime
    ) -> tuple[tuple[str, ...], Recorded] | None:
        """The event to write and the key under which to report its name; None when it is dropped as spam."""
        key, message = self._fold(occurrence, now)
        previous = self._observed.get(key)
        if previous is None:
            recorded = Recorded(message, 1, moment, moment, None)
        else:
            recorded = replace(previous, message=message, count=previous.count + 1, last=moment)
        self._observed[key] = recorded
        if not self._admit(occurrence.subject_key, now):
            return None
        return key, recorded

    def written(self, key: tuple[str, ...], name: str) -> None:
        """The event of `key` is stored as `name`: repeats update it."""
        self._observed[key] = replace(self._observed[key], name=name)

    def lost(self, key: tuple[str, ...]) -> None:
        """The stored event is gone (they live for an hour): the next repeat starts a new one."""
        self._observed.pop(key, None)

    def _fold(self, occurrence: Occurrence, now: float) -> tuple[tuple[str, ...], str]:
        group = (*occurrence.subject_key, occurrence.type, occurrence.reason)
        similar = self._similar.get(group)
        if similar is None or now - similar.last_seen > _SIMILARITY_SECONDS:
            similar = self._similar[group] = _Similar()
        similar.messages.add(occurrence.message)
        similar.last_seen = now
        if len(similar.messages) < _MAX_DIFFERENT_MESSAGES:
            return (*group, occurrence.message), occurrence.message
        similar.messages.pop()
        return group, COMBINED_PREFIX + occurrence.message

    def _admit(self, subject: tuple[str, ...], now: float) -> bool:
        bucket = self._buckets.setdefault(subject, _Bucket(_BURST, now))
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.refilled) / _REFILL_SECONDS)
        bucket.refilled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


class EventRecorder:
    """Writes events of one component (`kubelet` on a node, `default-scheduler`). Use it from one thread only."""

    def __init__(self, api: KubeApi, component: str, host: str, clock: Callable[[], float]) -> None:
        self._api = api
        self._component = component
        self._host = host
        self._clock = clock
        self._correlator = Correlator()

    def record(self, subject: Obj, event_type: str, reason: str, message: str) -> None:
        """Never raises when the API refuses or does not answer: events are best effort, as in Kubernetes."""
        occurrence = Occurrence(subject, event_type, reason, message[:_MAX_MESSAGE_BYTES])
        decided = self._correlator.correlate(occurrence, self._clock(), utc_now())
        if decided is None:
            return
        key, recorded = decided
        try:
            if recorded.name is None or not self._update(recorded, occurrence):
                self._create(key, recorded, occurrence)
        except (ApiError, ApiUnreachable):
            self._correlator.lost(key)

    def _namespace(self, occurrence: Occurrence) -> str:
        return str(occurrence.subject.get("namespace") or "default")

    def _update(self, recorded: Recorded, occurrence: Occurrence) -> bool:
        change = {"count": recorded.count, "lastTimestamp": timestamp(recorded.last), "message": recorded.message}
        try:
            self._api.patch(EVENTS.path(self._namespace(occurrence), recorded.name), change)
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    def _create(self, key: tuple[str, ...], recorded: Recorded, occurrence: Occurrence) -> None:
        name = f"{occurrence.subject['name']}.{time.time_ns():x}"
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        self._api.create(
            EVENTS,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": self._namespace(occurrence)},
                "involvedObject": occurrence.subject,
                "type": occurrence.type,
                "reason": occurrence.reason,
                "message": recorded.message,
                "source": source,
                "count": recorded.count,
                "firstTimestamp": timestamp(recorded.first),
                "lastTimestamp": timestamp(recorded.last),
                "reportingComponent": self._component,
                "reportingInstance": self._host,
            },
        )
        self._correlator.written(key, name)


def reference_to(obj: Obj, kind: str, api_version: str = "v1") -> Obj:
    """The ObjectReference of an event's subject."""
    metadata = obj["metadata"]
    reference = {
        "kind": kind,
        "apiVersion": api_version,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    if metadata.get("namespace"):
        reference["namespace"] = metadata["namespace"]
    return reference
