"""The three patches that compute a new object from the live one: JSON, merge and strategic merge."""

from __future__ import annotations

import copy
import json
from typing import Any

from local.kubernetes import errors

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

# Lists which a strategic merge patch merges by key, by field name: the `patchMergeKey` tags of Kubernetes' types.
# What is not named here (args, taints, tolerations, rules, ...) is replaced as a whole.
MERGE_KEYS = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "secrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
# `ports` is keyed by containerPort in containers and by port in services.
PORT_KEYS = ("containerPort", "port")
# Lists of plain values which are merged as sets.
MERGED_SETS = frozenset({"finalizers"})
_DIRECTIVES = ("$patch", "$retainKeys")


def merge_patch(live: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = copy.deepcopy(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(live: Any, operations: Any) -> Any:
    """RFC 6902; a failed test or a missing path is a 422, as the real server has it."""
    if not isinstance(operations, list):
        kind = "object" if isinstance(operations, dict) else type(operations).__name__
        raise errors.bad_request(f"json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")
    document = copy.deepcopy(live)
    for operation in operations:
        try:
            document = _json_operation(document, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError):
            raise errors.unprocessable_patch() from None
    return document


def _json_operation(document: Any, operation: dict[str, Any]) -> Any:
    kind, path = operation["op"], _pointer(operation["path"])
    if kind in ("move", "copy"):
        source = _pointer(operation["from"])
        value = copy.deepcopy(_look_up(document, source))
        if kind == "move":
            _remove(document, source)
        return _add(document, path, value)
    if kind == "test":
        if _look_up(document, path) != operation["value"]:
            raise ValueError("test failed")
        return document
    if kind == "remove":
        _remove(document, path)
        return document
    if kind not in ("add", "replace"):
        raise ValueError(kind)
    if kind == "replace" and path:
        _remove(document, path)
    return _add(document, path, copy.deepcopy(operation["value"]))


def _pointer(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise ValueError(path)
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _look_up(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _remove(document: Any, path: list[str]) -> None:
    parent = _look_up(document, path[:-1])
    if isinstance(parent, list):
        parent.pop(int(path[-1]))
    else:
        del parent[path[-1]]


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _look_up(document, path[:-1])
    if isinstance(parent, list):
        index = len(parent) if path[-1] == "-" else int(path[-1])
        if not 0 <= index <= len(parent):
            raise IndexError(index)
        parent.insert(index, value)
    else:
        parent[path[-1]] = value
    return document


def strategic_merge(live: Any, patch: Any, field: str = "") -> Any:
    """Kubernetes' own patch: maps are merged, lists by key where the field has one, else replaced.

    Directives: `$patch: delete|replace|merge`, `$retainKeys`, `$setElementOrder/<list>`,
    `$deleteFromPrimitiveList/<list>`; null removes a field.
    """
    if isinstance(patch, dict):
        return _merge_map(live, patch)
    if isinstance(patch, list):
        key = _merge_key(field, patch)
        if key is not None:
            return _merge_list(live if isinstance(live, list) else [], patch, key)
        if field in MERGED_SETS:
            kept = list(live or [])
            return kept + [value for value in patch if value not in kept]
    return copy.deepcopy(patch)


def _merge_map(live: Any, patch: dict[str, Any]) -> dict[str, Any] | None:
    """The merged map; None when the patch deletes it."""
    if patch.get("$patch") == "replace":
        return {name: copy.deepcopy(value) for name, value in patch.items() if name not in _DIRECTIVES}
    if patch.get("$patch") == "delete":
        return None
    merged: dict[str, Any] = copy.deepcopy(live) if isinstance(live, dict) else {}
    if "$retainKeys" in patch:
        merged = {name: value for name, value in merged.items() if name in patch["$retainKeys"]}
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            target = name.partition("/")[2]
            merged[target] = [item for item in merged.get(target) or [] if item not in value]
        elif not name.startswith("$"):
            _merge_field(merged, name, value)
    for name, order in patch.items():
        target = name.removeprefix("$setElementOrder/")
        if target != name and isinstance(merged.get(target), list):
            merged[target] = _ordered(merged[target], order, target)
    return merged


def _merge_field(merged: dict[str, Any], name: str, value: Any) -> None:
    result = None if value is None else strategic_merge(merged.get(name), value, name)
    if result is None:
        merged.pop(name, None)
    else:
        merged[name] = result


def _merge_key(field: str, items: list[Any]) -> str | None:
    if not all(isinstance(item, dict) for item in items):
        return None
    if field == "ports":
        return next((key for key in PORT_KEYS if any(key in item for item in items)), PORT_KEYS[0])
    return MERGE_KEYS.get(field)


def _merge_list(live: list[Any], patch: list[dict[str, Any]], key: str) -> list[Any]:
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if "$patch" not in item]
    merged = copy.deepcopy(live)
    for item in patch:
        if key not in item:
            raise errors.internal(f"map: {json.dumps(item)} does not contain declared merge key: {key}")
        index = next((i for i, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if index is not None:
                merged.pop(index)
        elif index is None:
            merged.append(_merge_map({}, item))
        else:
            merged[index] = _merge_map(merged[index], item)
    return merged


def _ordered(items: list[Any], order: list[Any], field: str) -> list[Any]:
    """Items in the order the patch wants; those it does not name keep their place at the end."""
    keyed = [item for item in order if isinstance(item, dict)]
    key = _merge_key(field, keyed) if keyed else None
    ranks = [item.get(key) for item in keyed] if key else order

    def rank(item: Any) -> int:
        value = item.get(key) if key and isinstance(item, dict) else item
        return ranks.index(value) if value in ranks else len(ranks)

    return sorted(items, key=rank)
