"""A JSON document as YAML, as people know manifests.

Only what JSON has: the core layer of the functions carries no YAML library, and a block of mappings and lists with
JSON's scalars is YAML already (https://yaml.org/spec/1.2.2/#12-overview-of-yaml, "JSON Syntax").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

# Texts that no YAML parser takes for anything but a text, so they need no quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def as_yaml(document: Any) -> str:
    """The document, two spaces a level."""
    return "\n".join(_lines(document))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from _member(f"{_scalar(str(key))}:", member)
    elif isinstance(value, list | tuple) and value:
        for member in value:
            first, *rest = _lines(member)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _member(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict | list | tuple) and value:
        yield key
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{key} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return "".join(_printable(letter) for letter in json.dumps(value, ensure_ascii=False))


def _printable(letter: str) -> str:
    """YAML knows no pairs of surrogates, as which JSON writes what is beyond 16 bits."""
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
