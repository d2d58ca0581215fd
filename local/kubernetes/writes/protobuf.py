"""Requests in Kubernetes' protobuf encoding, for the few kinds that kubectl sends that way.

kubectl's typed clients (auth can-i, drain) post protobuf without asking first; they take JSON as an answer. Field
numbers are those of the `generated.proto` files of k8s.io/api and k8s.io/apimachinery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.kubernetes import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

# Message shapes: field number -> (JSON name, type). A type is "string", "int", "bool", "strings" (repeated),
# "bytes" or the shape of a message.
_Shape = dict[int, tuple[str, Any]]
_TYPE_META: _Shape = {1: ("apiVersion", "string"), 2: ("kind", "string")}
_UNKNOWN: _Shape = {1: ("typeMeta", _TYPE_META), 2: ("raw", "bytes")}
_METADATA: _Shape = {1: ("name", "string"), 2: ("generateName", "string"), 3: ("namespace", "string")}
_PRECONDITIONS: _Shape = {1: ("uid", "string"), 2: ("resourceVersion", "string")}
_DELETE_OPTIONS: _Shape = {
    1: ("gracePeriodSeconds", "int"),
    2: ("preconditions", _PRECONDITIONS),
    3: ("orphanDependents", "bool"),
    4: ("propagationPolicy", "string"),
    5: ("dryRun", "strings"),
}
_RESOURCE_ATTRIBUTES: _Shape = {
    1: ("namespace", "string"),
    2: ("verb", "string"),
    3: ("group", "string"),
    4: ("version", "string"),
    5: ("resource", "string"),
    6: ("subresource", "string"),
    7: ("name", "string"),
}
_PATH_ATTRIBUTES: _Shape = {1: ("path", "string"), 2: ("verb", "string")}
_ACCESS_SPEC: _Shape = {
    1: ("resourceAttributes", _RESOURCE_ATTRIBUTES),
    2: ("nonResourceAttributes", _PATH_ATTRIBUTES),
}
_KINDS: Mapping[str, _Shape] = {
    "DeleteOptions": _DELETE_OPTIONS,
    "Eviction": {1: ("metadata", _METADATA), 2: ("deleteOptions", _DELETE_OPTIONS)},
    "SelfSubjectAccessReview": {1: ("metadata", _METADATA), 2: ("spec", _ACCESS_SPEC)},
    "SelfSubjectRulesReview": {1: ("metadata", _METADATA), 2: ("spec", {1: ("namespace", "string")})},
    "SelfSubjectReview": {1: ("metadata", _METADATA)},
}


def decode(body: bytes) -> dict[str, Any]:
    """The object in a `runtime.Unknown` envelope; ApiError 415 for a kind that is not known here, 400 for garbage."""
    if not body.startswith(_MAGIC):
        raise errors.bad_request("provided data does not appear to be a protobuf message, expected prefix k8s")
    try:
        envelope = _message(body[len(_MAGIC) :], _UNKNOWN)
        kind = envelope.get("typeMeta", {})
        shape = _KINDS.get(kind.get("kind", ""))
        if shape is None:
            raise errors.ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        return {**kind, **_message(envelope.get("raw", b""), shape)}
    except (IndexError, UnicodeDecodeError) as error:
        raise errors.bad_request(f"cannot decode the protobuf message: {error}") from None


def _message(data: bytes, shape: _Shape) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        name, kind = shape.get(number, ("", None))
        if kind == "strings" and isinstance(value, bytes):
            found.setdefault(name, []).append(value.decode())
        elif isinstance(kind, dict) and isinstance(value, bytes):
            found[name] = _message(value, kind)
        elif kind is not None:
            found[name] = _scalar(value, kind)
    # Go writes every string of a message, set or not; to be unset is all that "" can mean.
    return {name: value for name, value in found.items() if value != ""}


def _scalar(value: int | bytes, kind: str) -> Any:
    if isinstance(value, bytes):
        return value if kind == "bytes" else value.decode()
    if kind == "bool":
        return bool(value)
    return value - (1 << 64) if value >= 1 << 63 else value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers with their varint or length-delimited values."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire_type = tag & 7
        value, at = _varint(data, at)
        if wire_type == 0:
            yield tag >> 3, value
        elif wire_type == 2 and at + value <= len(data):
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            raise IndexError(f"unexpected wire type {wire_type} at byte {at}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
