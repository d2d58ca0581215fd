"""Server-side apply: merge what a manager declares, refuse what others own, drop what it no longer declares."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.writes import ownership
from local.kubernetes.writes.ownership import ITEM, SET, Entry, Path

if TYPE_CHECKING:
    from local.kubernetes.kinds.resources import Resource


def apply(
    live: dict[str, Any] | None, applied: dict[str, Any], resource: Resource, manager: Entry, *, force: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The merged object and its managedFields.

    Raises ApiError 409 with one `FieldManagerConflict` cause per field that another manager owns with another value,
    unless `force` takes the fields over.
    """
    skip = _reset_fields(resource, manager.subresource)
    declared = ownership.field_values(applied, resource, skip)
    current = ownership.field_values(live, resource)
    entries = ownership.entries(live)
    own = ownership.entry_of(entries, manager)
    others = [entry for entry in entries if entry is not own]
    conflicts = [
        (entry, path)
        for entry in others
        for path in sorted(entry.paths)
        if path in declared and declared[path] is not ITEM and declared[path] != current.get(path)
    ]
    if conflicts and not force:
        raise _conflict(conflicts, manager.api_version)
    for entry, path in conflicts:
        entry.paths.discard(path)
    kept_by_others = {kept for entry in others for path in entry.paths for kept in _kept_with(path)}
    merged = copy.deepcopy(live) if live is not None else {}
    # Whole list items first: without its key fields an item cannot be found any more.
    for path in sorted(own.paths - declared.keys() - kept_by_others, key=len):
        _remove(merged, path)
    body = {name: value for name, value in applied.items() if name not in skip}
    merged = _merge(merged, body, "", ownership.custom_schema(resource), root=True)
    if own.paths != declared.keys():
        own.time = manager.time
    own.paths = set(declared)
    return merged, [entry.to_json() for entry in entries if entry.paths]


def _kept_with(path: Path) -> set[Path]:
    """What stays while somebody owns `path`: the fields around it, but no list item, which goes with its own owner."""
    around = {path[:length] for length in range(1, len(path)) if path[length - 1].startswith("f:")}
    return {path, *around}


def _reset_fields(resource: Resource, subresource: str) -> frozenset[str]:
    """The root fields that an apply to this endpoint neither sets nor owns."""
    if subresource == "status":
        return frozenset({"spec"})
    return frozenset({"status"}) if "status" in resource.subresources else frozenset()


def _conflict(conflicts: list[tuple[Entry, Path]], api_version: str) -> errors.ApiError:
    causes = []
    for entry, path in conflicts:
        using = f" using {entry.api_version}" if entry.operation == "Update" or entry.api_version != api_version else ""
        subresource = f' with subresource "{entry.subresource}"' if entry.subresource else ""
        message = f'conflict with "{entry.manager}"{subresource}{using}'
        causes.append({"reason": "FieldManagerConflict", "message": message, "field": _dotted(path)})
    plural = "s" if len(causes) > 1 else ""
    listed = [f"{cause['message']}: {cause['field']}" for cause in causes]
    text = listed[0] if not plural else "\n" + "\n".join(f"- {line}" for line in listed)
    message = f"Apply failed with {len(causes)} conflict{plural}:{'' if plural else ' '}{text}"
    return errors.ApiError(409, "Conflict", message, {"causes": causes})


def _dotted(path: Path) -> str:
    """`.spec.containers[name="c"].image`"""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "v":
            text += f"[={rest}]"
        else:
            pairs = rest[1:-1].replace('":', "=").replace(',"', ",").lstrip('"')
            text += f"[{pairs}]"
    return text


def _merge(live: Any, applied: Any, name: str, schema: dict[str, Any] | None, *, root: bool = False) -> Any:
    if isinstance(applied, dict) and (root or not ownership.is_atomic(name, schema)):
        merged = dict(live) if isinstance(live, dict) else {}
        for key, value in applied.items():
            below = ownership.descend(schema, key, root=root)
            merged[key] = _merge(merged.get(key), value, key, below)
        return merged
    if isinstance(applied, list) and isinstance(live, list):
        keys = ownership.list_keys(name, schema, [*live, *applied])
        if keys is not None:
            return _merge_items(live, applied, keys, schema)
    return copy.deepcopy(applied)


def _merge_items(
    live: list[Any], applied: list[Any], keys: tuple[str, ...], schema: dict[str, Any] | None
) -> list[Any]:
    merged = {ownership.item_element(item, keys): item for item in live}
    items = (schema.get("items") or {}) if schema is not None else None
    for item in applied:
        element = ownership.item_element(item, keys)
        merged[element] = item if keys == SET else _merge(merged.get(element), item, "", items)
    return list(merged.values())


def _remove(obj: dict[str, Any], path: Path) -> None:
    """Remove one leaf or item, and the maps and lists that it leaves empty."""
    parents: list[tuple[Any, Any]] = []
    node: Any = obj
    for element in path:
        key = _key_in(node, element)
        if key is None:
            return
        parents.append((node, key))
        node = node[key]
    for parent, key in reversed(parents):
        del parent[key]
        if parent:
            return


def _key_in(node: Any, element: str) -> Any:
    """The dict key or list index that a path element stands for; None when it is not there."""
    if element.startswith("f:"):
        name = element[2:]
        return name if isinstance(node, dict) and name in node else None
    if not isinstance(node, list):
        return None
    for index, item in enumerate(node):
        if element.startswith("v:"):
            element_key = ownership.item_element(item, SET)
        else:
            element_key = ownership.item_element(item, ownership.keys_of(element))
        if element_key == element:
            return index
    return None
