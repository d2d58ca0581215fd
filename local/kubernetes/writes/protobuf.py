"""Requests in Kubernetes' protobuf encoding, which kubectl and helm send without negotiation.

The answer is JSON, which those clients accept. No library decodes these messages: their schema says too little. Go
writes every field that is no pointer, set or not, so that a zero means "not set" unless the field is a pointer; and
some types (times, quantities, `IntOrString`) have a JSON form of their own (k8s.io/apimachinery).
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.kinds import go_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _BYTES = 0, 2
# `runtime.Unknown`, the envelope: 1 is its TypeMeta (1 apiVersion, 2 kind), 2 the encoded object.
_TYPE_META, _RAW = 1, 2

_ZEROS: tuple[Any, ...] = ("", 0, False, [], {})
_Wire = int | bytes


def decode(body: bytes) -> dict[str, Any]:
    """The object in an envelope, as its JSON form.

    Raises ApiError 400 for bytes that are no such message, 415 for a kind that has no protobuf form (custom resources).
    """
    if not body.startswith(_MAGIC):
        raise errors.bad_request("provided data does not appear to be a protobuf message, expected prefix k8s")
    try:
        envelope = _last(body[len(_MAGIC) :])
        names = _last(_as_bytes(envelope.get(_TYPE_META, b"")))
        api_version, kind = (_as_bytes(names.get(number, b"")).decode() for number in (1, 2))
        # DeleteOptions and the like are the same in every group that they are sent to.
        type_name = go_types.type_of(api_version, kind) or go_types.type_of("v1", kind)
        if type_name is None:
            raise errors.ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        return {"apiVersion": api_version, "kind": kind, **_struct(_as_bytes(envelope.get(_RAW, b"")), type_name)}
    except (IndexError, ValueError, TypeError) as error:
        raise errors.bad_request(f"cannot decode the protobuf message: {error}") from None


def _struct(data: bytes, type_name: str) -> dict[str, Any]:
    sent: dict[int, list[_Wire]] = {}
    for number, value in _fields(data):
        sent.setdefault(number, []).append(value)
    decoded: dict[str, Any] = {}
    for field in go_types.fields(type_name):
        values = sent.get(field.number)
        if values is None:
            continue
        value = _field(values, field.type)
        if not field.name:
            decoded |= value
        elif value is not None and (field.type.startswith("*") or value not in _ZEROS):
            decoded[field.name] = value
    return decoded


def _field(values: list[_Wire], go_type: str) -> Any:
    if go_type.startswith("[]"):
        return [_value(value, go_type[2:]) for value in values]
    if go_type.startswith("map[]"):
        entries = (_last(_as_bytes(value)) for value in values)
        return {
            _as_bytes(entry.get(1, b"")).decode(): _value(entry.get(2, b""), go_type.removeprefix("map[]"))
            for entry in entries
        }
    return _value(values[-1], go_type.removeprefix("*"))


def _value(value: _Wire, go_type: str) -> Any:
    if go_type == "bool":
        return bool(value)
    if go_type == "int":
        return _signed(value)
    data = _as_bytes(value)
    if go_type == "string":
        return data.decode()
    if go_type == "bytes":
        return base64.b64encode(data).decode()
    if go_type in _JSON_FORMS:
        return _JSON_FORMS[go_type](_last(data))
    decoded = _struct(data, go_type)
    # A named list that is a message of its own (`ExtraValue`).
    return decoded.get("[]", []) if go_types.fields(go_type)[0].name == "[]" else decoded


def _signed(value: _Wire) -> int:
    number = int(value)
    return number - (1 << 64) if number >= 1 << 63 else number


def _as_bytes(value: _Wire) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"a number ({value}) in the place of a message or a string")
    return value


def _time(parts: dict[int, _Wire], precision: str = "seconds") -> str | None:
    """`Timestamp`: seconds and nanoseconds; an empty message is the zero time, which is null in JSON."""
    if not parts:
        return None
    seconds, nanos = int(parts.get(1, 0)), int(parts.get(2, 0))
    moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(seconds=seconds, microseconds=nanos // 1000)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def _json(parts: dict[int, _Wire]) -> Any:
    raw = _as_bytes(parts.get(1, b""))
    return json.loads(raw) if raw else None


def _int_or_string(parts: dict[int, _Wire]) -> int | str:
    return _as_bytes(parts.get(3, b"")).decode() if parts.get(1) else _signed(parts.get(2, 0))


_JSON_FORMS: dict[str, Callable[[dict[int, _Wire]], Any]] = {
    "Time": _time,
    "MicroTime": lambda parts: _time(parts, "microseconds"),
    "Duration": lambda parts: f"{int(parts.get(1, 0)) / 1e9:g}s",
    "Quantity": lambda parts: _as_bytes(parts.get(1, b"")).decode() or "0",
    "IntOrString": _int_or_string,
    "RawExtension": _json,
    "FieldsV1": _json,
    "Unknown": lambda parts: json.loads(_as_bytes(parts.get(_RAW, b"null"))),
}


def _last(data: bytes) -> dict[int, _Wire]:
    """A message by field number; of a number that repeats, the last value counts, as protobuf has it."""
    return dict(_fields(data))


def _fields(data: bytes) -> Iterator[tuple[int, _Wire]]:
    """Field numbers with their varint or length-delimited values; Kubernetes' types use no others."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire_type = tag & 7
        value, at = _varint(data, at)
        if wire_type == _VARINT:
            yield tag >> 3, value
        elif wire_type == _BYTES and at + value <= len(data):
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
