"""Finds what a document is about inside whatever envelopes it came in, by structure and in one place.

Envelopes: lists of any kind (Kubernetes lists, batches of SQS, Kinesis and Firehose, OTLP), SNS, Lambda's record of a
failed invocation, watch frames, exporters' wrappers; objects, and JSON in texts. A document is bounded in depth and in
the number of its objects that are looked at, because others wrote it.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from ip_remediator.signals.documents import at, first_text, json_value, list_at, mapping_at, text_at
from ip_remediator.signals.model import DropReason, cluster_name, dropped

# CloudWatch Logs sends at most some MiB per batch; what inflates further is a bomb, and Lambda's memory is bounded.
MAX_INFLATED_BYTES = 16 * 1024 * 1024
# In memory an empty object takes twenty times its text: 16 MiB of them would be more than Lambda gives, and minutes of
# work. PutLogEvents takes 10,000 log events; this leaves each of them ten objects or arrays, quoted ones included.
MAX_CONTAINERS = 100_000
MAX_DEPTH = 12
MAX_VISITED = 50_000
_GZIP = 31
_GZIP_MAGIC = b"\x1f\x8b"


class Envelope(NamedTuple):
    """What the envelopes around a record say: its cluster, an id that is the same for every delivery, and of OTLP the
    resource that many records share."""

    cluster: str | None = None
    identity: str | None = None
    resource: Mapping[str, object] | None = None


_BARE = Envelope()
_Record = TypeVar("_Record")
Recognise = Callable[[Mapping[str, object], Envelope], "_Record | None"]


def inflate(data: str) -> object:
    """The JSON in base64 and gzip; `Dropped` where it is none or too large."""
    inflater = zlib.decompressobj(_GZIP)
    try:
        text = inflater.decompress(binascii.a2b_base64(data, strict_mode=True), MAX_INFLATED_BYTES)
        if not inflater.eof and len(text) >= MAX_INFLATED_BYTES:
            return dropped(DropReason.TOO_LARGE)
        if len(text) > MAX_CONTAINERS and text.count(b"{") + text.count(b"[") > MAX_CONTAINERS:
            return dropped(DropReason.TOO_LARGE)
        return json.loads(text)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return dropped(DropReason.UNREADABLE)


def find(document: object, recognise: Recognise[_Record], envelope: Envelope = _BARE) -> Iterator[_Record]:
    """What `recognise` makes of the objects in `document`: of a list all of them, of an object the first one. The
    content of a recognised object is not searched."""
    if not isinstance(document, dict):
        return _Search(recognise).search(document, envelope, MAX_DEPTH)
    # Mostly the document itself is it.
    record = recognise(document, envelope)
    return iter((record,)) if record is not None else _Search(recognise).inside(document, envelope, MAX_DEPTH)


class _Search(Generic[_Record]):
    def __init__(self, recognise: Recognise[_Record]) -> None:
        self._recognise = recognise
        self._budget = MAX_VISITED

    def search(self, value: object, envelope: Envelope, depth: int) -> Iterator[_Record]:
        if isinstance(value, str):
            value = json_in(value)
        elif isinstance(value, dict) and "kvlistValue" in value:
            value = plain_value(value)
        if depth == 0 or self._budget <= 0 or not isinstance(value, dict | list):
            return
        self._budget -= 1
        if isinstance(value, list):
            for inner in value:
                yield from self.search(inner, envelope, depth - 1)
            return
        if envelope.resource is not None and "body" in value:
            value = {"resource": envelope.resource, **value}
        record = self._recognise(value, envelope)
        if record is not None:
            yield record
            return
        yield from self.inside(value, envelope, depth)

    def inside(self, value: Mapping[str, object], envelope: Envelope, depth: int) -> Iterator[_Record]:
        envelope = _with_names_of(value, envelope)
        for inner in value.values():
            if isinstance(inner, dict | list | str):
                records = self.search(inner, envelope, depth - 1)
                first = next(records, None)
                if first is not None:
                    yield first
                    yield from records
                    return


# A logger's or container runtime's prefix before JSON is no longer.
_PREFIX = 200


def json_in(text: str) -> object:
    """A JSON text, also after a logger's prefix, or one in base64 as Kinesis and Firehose carry it, also compressed."""
    if text[:1] not in _FIRST_SIGNS:
        start = text.find('{"', 0, _PREFIX)
        return json_value(text[start:].rstrip()) if start > 0 else None
    if text[0] in "{[ \n\t":
        return json_value(text)
    # base64 of '{"' and of gzip's first bytes
    if text.startswith(("eyJ", "ewo", "ewog", "W3")):
        try:
            return json_value(base64.b64decode(text, validate=True).decode())
        except (binascii.Error, ValueError):
            return None
    return inflate(text) if text.startswith("H4sI") else None


# Of JSON; of "{", "[" and gzip's first bytes in base64.
_FIRST_SIGNS = frozenset("{[ \n\teWH")
_CLUSTER_KEYS = (
    "clusterName",
    "cluster_name",
    "cluster",
    "ClusterName",
    "k8s.cluster.name",
    "kube_cluster_name",
    "resource_arn",  # logs that AWS delivers for EKS Auto Mode
)


def plain_value(value: object, depth: int = MAX_DEPTH) -> object:
    """A value of OTLP as JSON means it: {"kvlistValue": {"values": [{"key", "value"}]}} is an object, and so on."""
    if not isinstance(value, dict) or depth == 0:
        return value
    if "kvlistValue" in value:
        pairs = list_at(value, "kvlistValue", "values")
        return {key: plain_value(at(pair, "value"), depth - 1) for pair in pairs if (key := text_at(pair, "key"))}
    if "arrayValue" in value:
        return [plain_value(inner, depth - 1) for inner in list_at(value, "arrayValue", "values")]
    return next((value[kind] for kind in _OTLP_VALUES if kind in value), value)


_OTLP_VALUES = ("stringValue", "intValue", "boolValue", "doubleValue")
_CLUSTER_PARTS = (("resource",), ("resource", "attributes"), ("attributes",), ("kubernetes",), ("labels",), ("fields",))
_IDENTITY_KEYS = ("MessageId", "messageId", "id", "eventID", "recordId")


def _with_names_of(value: Mapping[str, object], envelope: Envelope) -> Envelope:
    """Both envelopes as one: the inner one names the cluster better, the outer one the delivery."""
    cluster = cluster_in(value)
    identity = envelope.identity or first_text(value, *_IDENTITY_KEYS)
    resource = mapping_at(value, "resource") if "scopeLogs" in value else envelope.resource
    if cluster is None and identity is envelope.identity and resource is envelope.resource:
        return envelope
    return Envelope(cluster or envelope.cluster, identity, resource)


def cluster_in(value: Mapping[str, object]) -> str | None:
    """The cluster that an envelope names itself, or in one of the parts in which tools do."""
    cluster = cluster_name(first_text(value, *_CLUSTER_KEYS))
    for path in _CLUSTER_PARTS if cluster is None else ():
        if path[0] in value:
            cluster = cluster or cluster_name(first_text(mapping_at(value, *path), *_CLUSTER_KEYS))
    if cluster is None and "resource" in value:
        cluster = _cluster_in_otlp(mapping_at(value, "resource").get("attributes"))
    if cluster is None and "orchestrator" in value:  # Elastic's Common Schema
        cluster = cluster_name(text_at(value, "orchestrator", "cluster", "name"))
    return cluster


def _cluster_in_otlp(attributes: object) -> str | None:
    for entry in attributes[:100] if isinstance(attributes, list) else ():
        if text_at(entry, "key") in _CLUSTER_KEYS:
            return cluster_name(text_at(entry, "value", "stringValue"))
    return None
