"""Sends Warning events to EventBridge, as kubernetes-event-exporter does."""

from __future__ import annotations

import json
import logging
import queue
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.cluster.informer import Informer
from local.cluster.kube import EVENTS
from local.cluster.objects import Obj, parse_timestamp, utc_now

if TYPE_CHECKING:
    from local.cluster.state import ClusterState

MAX_EVENT_AGE_SECONDS = 60.0
_BATCH = 10
_LOG = logging.getLogger(__name__)


class EventExporter:
    """Sends an event when it first appears; repeats, which only raise `count`, are never sent, as in the exporter."""

    def __init__(
        self,
        state: ClusterState,
        events: Any,
        *,
        cluster: str,
        bus: str,
        source: str,
        detail_type: str,
    ) -> None:
        self._state = state
        self._events = events
        self._cluster = cluster
        self._envelope = {"EventBusName": bus, "Source": source, "DetailType": detail_type}
        self._queue: queue.SimpleQueue[Obj] = queue.SimpleQueue()
        self._informer = Informer(state.api, EVENTS)
        self._informer.on_change(self._event_changed)

    def start(self, stop: threading.Event) -> None:
        """Watches Events and puts them on the bus until `stop` is set."""
        threading.Thread(target=self._run, name="event-exporter", daemon=True).start()
        self._informer.start(stop)

    def _event_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is None and new is not None and new.get("type") == "Warning":
            self._queue.put(new)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            self._send([event for event in batch if age_seconds(event, utc_now()) <= MAX_EVENT_AGE_SECONDS])

    def _send(self, events: list[Obj]) -> None:
        if not events:
            return
        entries = [{**self._envelope, "Detail": json.dumps(self._detail(event))} for event in events]
        try:
            answer = self._events.put_events(Entries=entries)
        except (ClientError, BotoCoreError) as error:
            _LOG.warning("%d events not sent: %s", len(entries), error)
            return
        if answer["FailedEntryCount"]:
            _LOG.warning("%d events refused: %s", answer["FailedEntryCount"], answer["Entries"])

    def _detail(self, event: Obj) -> Obj:
        """The v1 Event, its subject enriched with labels, annotations and owners, and the cluster's name."""
        subject = dict(event["involvedObject"])
        pod = (
            self._state.pods.get(f"{subject.get('namespace')}/{subject['name']}") if subject["kind"] == "Pod" else None
        )
        metadata = (pod or {}).get("metadata") or {}
        for field in ("labels", "annotations", "ownerReferences"):
            if metadata.get(field):
                subject[field] = metadata[field]
        subject["deleted"] = subject["kind"] == "Pod" and pod is None
        body = {key: value for key, value in event.items() if key not in ("kind", "apiVersion")}
        body["metadata"] = {k: v for k, v in event["metadata"].items() if k != "managedFields"}
        return {**body, "involvedObject": subject, "clusterName": self._cluster}


def age_seconds(event: Obj, now: datetime) -> float:
    """How long ago the event was last seen."""
    last_seen = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return (now - parse_timestamp(last_seen)).total_seconds()
