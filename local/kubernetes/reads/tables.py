"""What `kubectl get` asks for: a server-side Table instead of the objects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local.kubernetes.reads.columns import BUILT_IN, DEFAULT, Cell, Columns, age, object_name
from local.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.store import Stored


def encode_table(resource: Resource, items: Sequence[Stored], metadata: dict[str, Any], include: str) -> bytes:
    """A meta.k8s.io/v1 Table; `include` is the request's includeObject (None, Metadata or Object)."""
    columns = _columns(resource)
    definitions = [
        {
            "name": name.rstrip("+"),
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 1 if name.endswith("+") else 0,
        }
        for name in columns
    ]
    rows = []
    for stored in items:
        row: dict[str, Any] = {"cells": [cell(stored.obj) for cell in columns.values()]}
        if include != "None":
            row["object"] = stored.obj if include == "Object" else _metadata_only(stored.obj)
        rows.append(row)
    table = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return encode({**table, "columnDefinitions": definitions, "rows": rows})


def _metadata_only(obj: dict[str, Any]) -> dict[str, Any]:
    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {**kind, "metadata": obj["metadata"]}


def _columns(resource: Resource) -> Columns:
    if not resource.custom:
        return BUILT_IN.get(resource, DEFAULT)
    if not resource.printer_columns:
        return DEFAULT
    columns: Columns = {"Name": object_name}
    for column in resource.printer_columns:
        header = column.name + ("+" if column.priority else "")
        columns[header] = _custom_cell(column.json_path, column.type)
    return columns


def _custom_cell(json_path: str, kind: str) -> Callable[[dict[str, Any]], Cell]:
    def cell(obj: dict[str, Any]) -> Cell:
        value = json_path_value(obj, json_path)
        if value is None:
            return None
        if kind == "date":
            return age(str(value))
        return value if isinstance(value, str | int) else encode(value).decode()

    return cell


def json_path_value(obj: Any, path: str) -> Any:
    """The JSONPath of printer columns: fields, indexes and one-condition filters; the first match or None."""
    for name, index, key, wanted in re.findall(
        r"\.([\w-]+)|\[(\d+|\*)\]|\[\?\(@\.(\w+)\s*==\s*[\"']([^\"']*)[\"']\)\]", path
    ):
        if name:
            obj = obj.get(name) if isinstance(obj, dict) else None
        elif not isinstance(obj, list):
            return None
        elif index:
            position = 0 if index == "*" else int(index)
            obj = obj[position] if position < len(obj) else None
        else:
            obj = next((item for item in obj if str(item.get(key)) == wanted), None)
    return obj
