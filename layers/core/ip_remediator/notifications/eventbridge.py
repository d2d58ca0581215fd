"""Entries of the timeline onto an EventBridge bus, as they were written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.incidents.timeline import EVENT_SOURCE, Entry, StageEvent
from ip_remediator.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html: 10 entries, 256 KB in all. One of
# ours is below 8 KB, because its texts are cut.
_ENTRIES_PER_CALL = 10
_PAUSES_SECONDS = (0.2, 0.8)


class EventsNotPut(Exception):
    """EventBridge did not accept some entries after all retries. The message has the error codes."""


class Announcer:
    """`cluster_of` gives the cluster's name of an incident."""

    def __init__(self, events: EventBridgeClient, bus: str, cluster_of: Callable[[str], str]) -> None:
        self._events = events
        self._bus = bus
        self._cluster_of = cluster_of

    def announce(self, entries: Sequence[tuple[str, Entry]]) -> None:
        """Puts one event for each entry of an incident, in their order.

        Raises:
            EventsNotPut, and the errors of `common.errors`: some may be on the bus nevertheless. Announcing them
            again gives the same events with the same ids.
        """
        waiting = iter([self._event(incident, entry) for incident, entry in entries])
        while batch := list(islice(waiting, _ENTRIES_PER_CALL)):
            self._put(batch)
        logger.info("announced", extra={"events": len(entries)})

    def _event(self, incident: str, entry: Entry) -> PutEventsRequestEntryTypeDef:
        event = StageEvent(**entry.model_dump(), incident=incident, cluster=self._cluster_of(incident))
        return {
            "EventBusName": self._bus,
            "Source": EVENT_SOURCE,
            "DetailType": event.detail_type,
            "Time": event.at,
            "Detail": json.dumps(event.model_dump(mode="json", exclude_none=True), ensure_ascii=False),
        }

    def _put(self, batch: list[PutEventsRequestEntryTypeDef]) -> None:
        """Puts the batch, and again what EventBridge refused of it: PutEvents takes entries one by one."""
        for pause in (*_PAUSES_SECONDS, None):
            with aws_call("PutEvents"):
                results = self._events.put_events(Entries=batch)["Entries"]
            refused = [(entry, result) for entry, result in zip(batch, results, strict=True) if "ErrorCode" in result]
            if not refused:
                return
            batch = [entry for entry, _ in refused]
            if pause is None:
                codes = sorted({str(result["ErrorCode"]) for _, result in refused})
                raise EventsNotPut(f"{len(refused)} events are not on bus {self._bus}: {', '.join(codes)}")
            time.sleep(pause)
