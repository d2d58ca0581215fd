"""Reads JSON from outside: every function takes any JSON value and never raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

_FIRST_YEAR = 1970
# Times as numbers: seconds (of this century), milliseconds or nanoseconds since 1970, told apart by their size.
_SECONDS_FROM, _MILLISECONDS_FROM, _NANOSECONDS_FROM = 1e9, 1e11, 1e17


def at(document: object, *path: str) -> object:
    """The value at `path`, or None where the document has another shape."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def text_at(document: object, *path: str) -> str | None:
    """The text at `path`; empty text and other types count as absent."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document if isinstance(document, str) and document else None


def first_text(document: object, *keys: str) -> str | None:
    """The text under the first of `keys` that has one."""
    if not isinstance(document, dict):
        return None
    for key in keys:
        value = document.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def mapping_at(document: object, *path: str) -> Mapping[str, object]:
    """The object at `path`; an empty one where there is none."""
    value = at(document, *path)
    return value if isinstance(value, dict) else {}


def list_at(document: object, *path: str) -> list[object]:
    """The list at `path`; an empty one where there is none."""
    value = at(document, *path)
    return value if isinstance(value, list) else []


_decode = json.JSONDecoder().raw_decode
_JSON_SPACES = " \t\n\r"


def json_value(text: str) -> object:
    """The object or list in a JSON text; None for any other text."""
    text = text.strip(_JSON_SPACES)
    if not text.startswith(("{", "[")):
        return None
    try:
        value, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None


def to_utc(moment: datetime) -> datetime:
    """The time in UTC. Raises ValueError for a value that is no time of an observation, such as Go's zero time, or that
    UTC cannot express."""
    if moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(f"{moment} is outside the range of UTC times") from error
    if moment.year < _FIRST_YEAR:
        raise ValueError(f"{moment} is no time of an observation")
    return moment


def time_of(value: object) -> datetime | None:
    """The time in an ISO 8601 text (one without an offset is UTC) or a number since 1970."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is UTC and moment.year >= _FIRST_YEAR:
                return moment
            return to_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= _SECONDS_FROM:
        return _since_1970(value)
    return None


def _since_1970(number: float) -> datetime | None:
    try:
        if number >= _NANOSECONDS_FROM:
            number /= 1e9
        elif number >= _MILLISECONDS_FROM:
            number /= 1e3
        return datetime.fromtimestamp(number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def time_under(document: object, *keys: str) -> datetime | None:
    """The time under the first of `keys` that has one."""
    if isinstance(document, dict):
        for key in keys:
            if moment := time_of(document.get(key)):
                return moment
    return None
