"""What Kubernetes' Go types say about a field beyond OpenAPI: its protobuf number, pointer or not, how lists merge.

The data in types.json comes from the struct tags of k8s.io/api (written by `python -m scripts.kubernetes_types`).
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DATA = Path(__file__).with_name("types.json")


@dataclass(frozen=True)
class GoField:
    """One field of a struct.

    `name` is the JSON name; "" for an embedded struct, whose fields are the outer struct's own.
    `type` is a scalar (`string`, `int`, `bool`, `bytes`), a type with a JSON form of its own (`Time`, `Quantity`, …)
    or `group/version.Type`; `*`, `[]` and `map[]` in front stand for a pointer, a list, a map with string keys.
    """

    number: int
    name: str
    type: str
    strategies: frozenset[str] = frozenset()
    merge_key: str = ""


@functools.cache
def _data() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads(_DATA.read_text())
    return loaded


def type_of(api_version: str, kind: str) -> str | None:
    """The Go type of a kind; None for a kind that is not in k8s.io/api (custom resources, their definitions)."""
    return _data()["kinds"].get(f"{api_version}/{kind}")


def is_struct(type_name: str) -> bool:
    """Whether the Go type is a struct of the API, and not a scalar, a list or a map."""
    return type_name in _data()["types"]


@functools.cache
def fields(type_name: str) -> tuple[GoField, ...]:
    """The fields of a Go struct, in the order of its declaration."""
    return tuple(
        GoField(
            number, name, go_type, frozenset(merge[0].split(",")) if merge else frozenset(), merge[1] if merge else ""
        )
        for number, name, go_type, *merge in _data()["types"][type_name]
    )


@functools.cache
def field(type_name: str, name: str) -> GoField | None:
    """The field with a JSON name, those of embedded structs included; None when the type has no such field."""
    for candidate in fields(type_name):
        if candidate.name == name:
            return candidate
        if not candidate.name and (inner := field(candidate.type.lstrip("*"), name)):
            return inner
    return None


def item_type(go_type: str) -> str:
    """The element type of a list, map or pointer."""
    for prefix in ("*", "[]", "map[]"):
        go_type = go_type.removeprefix(prefix)
    return go_type
