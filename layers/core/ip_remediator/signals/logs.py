"""CloudWatch Logs subscription records -> signals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import attrgetter

from ip_remediator.signals import aws_events, log_lines
from ip_remediator.signals.documents import at, first_text, text_at, time_of
from ip_remediator.signals.kubernetes_events import KubernetesEvent, event_in
from ip_remediator.signals.kubernetes_events import signal_of as signal_of_event
from ip_remediator.signals.log_groups import LogGroups, Origin, origin_of
from ip_remediator.signals.model import Dropped, DropReason, ParsedRecord, Signal, dropped, merged
from ip_remediator.signals.unwrap import (
    MAX_CONTAINERS,
    MAX_INFLATED_BYTES,
    Envelope,
    cluster_in,
    find,
    inflate,
    json_in,
)

__all__ = ["MAX_CONTAINERS", "MAX_INFLATED_BYTES", "fold", "parse_batch", "parse_logs"]

_NO_GROUPS = LogGroups()


def parse_logs(
    payload: object, *, received_at: datetime, groups: LogGroups = _NO_GROUPS, cluster: str | None = None
) -> Iterator[ParsedRecord]:
    """A signal or a drop for every log event of one subscription payload `{"awslogs": {"data": base64(gzip(JSON))}}`.

    A payload that cannot be read, is too large or is a control message gives a single drop. `cluster` is that of
    lines whose group and words name none.
    """
    data = text_at(payload, "awslogs", "data")
    batch = inflate(data) if data is not None else dropped(DropReason.NOT_AN_EVENT)
    if isinstance(batch, Dropped):
        yield batch
    else:
        yield from parse_batch(batch, received_at=received_at, groups=groups, cluster=cluster)


def parse_batch(
    batch: object, *, received_at: datetime, groups: LogGroups = _NO_GROUPS, cluster: str | None = None
) -> Iterator[ParsedRecord]:
    """The same for the payload's JSON: `{"messageType", "logGroup", "logStream", "logEvents": [...]}`."""
    if text_at(batch, "messageType") == "CONTROL_MESSAGE":
        yield dropped(DropReason.CONTROL_MESSAGE)
        return
    events = at(batch, "logEvents")
    if not isinstance(events, list):
        yield dropped(DropReason.UNKNOWN_SHAPE)
        return
    origin = origin_of(text_at(batch, "logGroup") or "", text_at(batch, "logStream") or "", groups)
    for event in events:
        yield parse_line(event, origin, received_at, cluster)


def parse_line(event: object, origin: Origin, received_at: datetime, cluster: str | None = None) -> ParsedRecord:
    """One log event `{"id", "timestamp", "message"}`; `cluster` is that of a line whose group and words name none."""
    if not isinstance(event, dict):
        event = {}
    raw = first_text(event, "message") or ""
    record = log_lines.record_in(raw)
    if log_lines.may_hold_event(raw) and (exported := exported_event(record or json_in(raw), origin.cluster)):
        exported_one, envelope = exported
        return signal_of_event(exported_one, cluster=envelope.cluster or cluster, received_at=received_at)
    if isinstance(record, dict) and aws_events.is_call(record):
        return aws_events.signal_of_call(record, first_text(event, "id"), received_at)
    return log_lines.signal_of(
        log_lines.line_of(raw, record, origin),
        # A line may name another cluster: the group's takes precedence.
        cluster=origin.cluster or (cluster_in(record) if isinstance(record, dict) else None) or cluster,
        moment=time_of(event.get("timestamp")),
        identity=first_text(event, "id"),
        received_at=received_at,
    )


def exported_event(record: object, cluster: str | None) -> tuple[KubernetesEvent, Envelope] | None:
    """The Kubernetes Event that some exporter wrote to its log, however it and the shipper wrapped it."""
    if not isinstance(record, dict):
        return None
    return next(find(record, _recognise_event, Envelope(cluster=cluster)), None)


def _recognise_event(document: object, envelope: Envelope) -> tuple[KubernetesEvent, Envelope] | None:
    event = event_in(document) if isinstance(document, dict) else None
    return (event, envelope) if event else None


def fold(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """One signal for all lines that say the same of the same pod or node, seen from the first to the last of them.

    A subscription delivers again what it delivered, so the first line's id identifies them all.
    """
    return merged(signals, attrgetter("cluster", "source", "cause", "strength", "affected", "node", "pod"))
