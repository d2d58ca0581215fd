"""CloudWatch Logs subscription records -> signals.

Understood are the lines of Container Insights' `dataplane` group (kubelet journal records and whatever aws-node
writes to stdout, as JSON of Fluent Bit) and, in any group, exported Kubernetes Events. Nearly all log lines are about
something else, so here, unlike in events, unknown words count only in lines of the CNI or about a pod sandbox.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from operator import attrgetter

from ip_remediator.signals.error_catalogue import Cause, classify_message
from ip_remediator.signals.events import (
    Dropped,
    DropReason,
    Signal,
    Source,
    at,
    build,
    is_kubernetes_event,
    merged,
    parse_eventbridge,
    parse_kubernetes_event,
    text_at,
)

# CloudWatch Logs sends at most some MiB per batch; what inflates further is a bomb, and Lambda's memory is bounded.
MAX_INFLATED_BYTES = 16 * 1024 * 1024
# In memory an empty object takes twenty times its text: 16 MiB of them would be more than Lambda gives, and minutes of
# work. PutLogEvents takes 10,000 log events; this leaves each of them ten objects or arrays, quoted ones included.
MAX_CONTAINERS = 100_000
_LOG_GROUP = re.compile(r"^/aws/containerinsights/([^/]+)/")
# Container Insights' Fluent Bit names a stream after the node and the tag. Lines of aws-node have the node only there.
_LOG_STREAM = re.compile(r"^([a-z0-9.-]{1,253}?)-(?:application|dataplane)\.")
_KUBELET_POD = re.compile(r'\bpod="([a-z0-9.-]{1,253}/[a-z0-9.-]{1,253})"')
_OF_THE_CNI = re.compile(r"aws-cni|PodSandbox")
_GZIP = 31


def parse_message(document: object, *, received_at: datetime) -> Iterator[Signal | Dropped]:
    """What a message of the queue says: an EventBridge event, or a payload of CloudWatch Logs that Lambda gave up.

    The latter is Lambda's record of a failed invocation, with what it was invoked with in `requestPayload`.
    """
    payload = at(document, "requestPayload")
    if at(payload, "awslogs") is not None:
        yield from parse_logs(payload, received_at=received_at)
    else:
        yield parse_eventbridge(document, received_at=received_at)


def parse_logs(payload: object, *, received_at: datetime) -> Iterator[Signal | Dropped]:
    """A signal or a drop for every log event of one subscription payload `{"awslogs": {"data": base64(gzip(JSON))}}`.

    A payload that cannot be read, is too large or is a control message gives a single drop.
    """
    batch = _inflate(text_at(payload, "awslogs", "data"))
    if isinstance(batch, Dropped):
        yield batch
        return
    if text_at(batch, "messageType") == "CONTROL_MESSAGE":
        yield Dropped(reason=DropReason.CONTROL_MESSAGE)
        return
    events = at(batch, "logEvents")
    if not isinstance(events, list):
        yield Dropped(reason=DropReason.UNKNOWN_SHAPE)
        return
    group = _LOG_GROUP.match(text_at(batch, "logGroup") or "")
    cluster = group.group(1) if group else None
    stream = _LOG_STREAM.match(text_at(batch, "logStream") or "") if group else None
    for event in events:
        yield _parse_line(event, cluster, stream.group(1) if stream else None, received_at)


def fold(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """One signal for all lines that say the same of the same pod or node, seen from the first to the last of them.

    A subscription delivers again what it delivered, so the first line's id identifies them all.
    """
    return merged(signals, attrgetter("cluster", "source", "cause", "strength", "node", "pod"))


def _inflate(data: str | None) -> object:
    if data is None:
        return Dropped(reason=DropReason.NOT_AN_EVENT)
    inflater = zlib.decompressobj(_GZIP)
    try:
        text = inflater.decompress(base64.b64decode(data, validate=True), MAX_INFLATED_BYTES)
        if not inflater.eof and len(text) >= MAX_INFLATED_BYTES:
            return Dropped(reason=DropReason.TOO_LARGE)
        if text.count(b"{") + text.count(b"[") > MAX_CONTAINERS:
            return Dropped(reason=DropReason.TOO_LARGE)
        return json.loads(text)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return Dropped(reason=DropReason.UNREADABLE)


def _parse_line(event: object, cluster: str | None, node: str | None, received_at: datetime) -> Signal | Dropped:
    """`node`: the one that the log stream is named after, for lines that name none."""
    line = text_at(event, "message") or ""
    record = _json_object(line)
    # What a container wrote as JSON is a text in Fluent Bit's record, or read by it.
    written = _json_object(text_at(record, "log") or "") or at(record, "log_processed")
    for event_like in (record, written):
        if is_kubernetes_event(event_like):
            return parse_kubernetes_event(event_like, cluster=cluster, received_at=received_at)
    message = text_at(record, "message") or text_at(record, "log") or line
    cause, strength = classify_message(message)
    if cause is Cause.OTHER and not _OF_THE_CNI.search(message):
        return Dropped(reason=DropReason.UNRELATED_LINE)
    pod = _KUBELET_POD.search(message)
    moment = _moment(at(event, "timestamp"))
    return build(
        source=Source.LOGS,
        cluster=cluster,
        cause=cause,
        strength=strength,
        node=text_at(record, "hostname") or text_at(record, "kubernetes", "host") or node,
        zone=text_at(record, "az"),
        pod=pod.group(1) if pod else None,
        seen=(moment, moment),
        received_at=received_at,
        identity=text_at(event, "id"),
        excerpt=text_at(written, "msg") or message,  # ipamd's own words
    )


def _json_object(line: str) -> object:
    """The record in a JSON line; None for plain text, which is as good."""
    try:
        return json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        return None


def _moment(timestamp: object) -> datetime | None:
    """The time of a log event: milliseconds since 1970."""
    if not isinstance(timestamp, int | float) or timestamp < 0:
        return None
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
