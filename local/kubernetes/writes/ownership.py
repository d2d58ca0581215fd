"""Field ownership: `metadata.managedFields` and the paths in it.

A path is a tuple of the elements that `fieldsV1` uses as keys: `f:<field>`, `k:{"<key>":<value>}` for an item of a
keyed list and `v:<value>` for an item of a set. Only leaves and list items are owned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.kubernetes.kinds import schema as schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from local.kubernetes.kinds.resources import Resource

Path = tuple[str, ...]
ITEM = object()  # the value of a list item's own path: it is there
SET = ("",)

# List types of the built-in kinds by field name: the `+listType=map` keys of Kubernetes' types. Lists that are not
# here are atomic. Unlike strategic merge, server-side apply keys ports by protocol too.
APPLY_KEYS: dict[str, tuple[str, ...]] = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "finalizers": SET,
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
ATOMIC_MAPS = frozenset(
    [
        "selector",
        "labelSelector",
        "namespaceSelector",
        "nodeSelector",
        "fieldRef",
        "configMapKeyRef",
        "secretKeyRef",
        "resourceFieldRef",
        "involvedObject",
        "roleRef",
        "openAPIV3Schema",
    ]
)
_KEY_DEFAULTS = {"protocol": "TCP"}
# Only the server writes these, so nobody owns them.
_SERVER_METADATA = frozenset(
    [
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ]
)


@dataclass
class Entry:
    """One manager's fields, as one item of `metadata.managedFields`."""

    manager: str
    operation: str  # "Apply" or "Update"
    api_version: str
    subresource: str = ""
    time: str = ""
    paths: set[Path] = field(default_factory=set)

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the entry in `managedFields`."""
        return (self.manager, self.operation, self.subresource)

    def to_json(self) -> dict[str, Any]:
        """The entry as `managedFields` has it."""
        entry: dict[str, Any] = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": _to_fields(self.paths),
        }
        return {**entry, "subresource": self.subresource} if self.subresource else entry


def entries(obj: dict[str, Any] | None) -> list[Entry]:
    """The entries of a live object; changing them does not change the object."""
    managed = (obj or {"metadata": {}})["metadata"].get("managedFields") or ()
    return [
        Entry(
            item["manager"],
            item["operation"],
            item["apiVersion"],
            item.get("subresource", ""),
            item["time"],
            set(_from_fields(item.get("fieldsV1") or {}, ())),
        )
        for item in managed
    ]


def entry_of(candidates: list[Entry], like: Entry) -> Entry:
    """The entry with the same manager, operation and subresource, added when there is none."""
    for entry in candidates:
        if entry.key == like.key:
            return entry
    candidates.append(like)
    return like


def _to_fields(paths: set[Path]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        if path[-1].startswith("k:"):
            node["."] = {}
    return tree


def _from_fields(tree: dict[str, Any], path: Path) -> Iterator[Path]:
    if path and (not tree or "." in tree):
        yield path
    for element, subtree in tree.items():
        if element != ".":
            yield from _from_fields(subtree, (*path, element))


def list_keys(name: str, schema: dict[str, Any] | None, items: Sequence[Any]) -> tuple[str, ...] | None:
    """What identifies the items of a list: its key fields, SET, or None for an atomic list.

    `schema` is the list's own schema for custom resources, None for fields of built-in types.
    """
    if schema is not None:
        kind = schema.get("x-kubernetes-list-type")
        if kind == "map":
            return tuple(schema["x-kubernetes-list-map-keys"])
        return SET if kind == "set" else None
    keys = APPLY_KEYS.get(name)
    if name == "ports":
        service = any(isinstance(item, dict) and "port" in item for item in items)
        keys = ("port", "protocol") if service else ("containerPort", "protocol")
    if keys in (None, SET):
        return keys
    return keys if all(isinstance(item, dict) for item in items) else None


def item_element(item: Any, keys: tuple[str, ...]) -> str:
    """The path element of a list item: `v:` with its value in a set, `k:` with its keys in a map list."""
    if keys == SET:
        return "v:" + json.dumps(item)
    identity = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in keys}
    return "k:" + json.dumps(identity, sort_keys=True, separators=(",", ":"))


def is_atomic(name: str, schema: dict[str, Any] | None) -> bool:
    """Whether the map is owned as a whole, by its schema or, without one, by its name."""
    if schema is not None:
        return schema.get("x-kubernetes-map-type") == "atomic"
    return name in ATOMIC_MAPS


def custom_schema(resource: Resource) -> dict[str, Any] | None:
    """The schema with a custom resource's list types; None for built-in kinds, whose list types go by field name."""
    return resource.schema if resource.custom else None


def descend(schema: dict[str, Any] | None, name: str, *, root: bool) -> dict[str, Any] | None:
    """The schema below a field; metadata is a built-in type in every kind."""
    if schema is None or (root and name == "metadata"):
        return None
    return schemas.child(schema, name) or {}


def field_values(obj: dict[str, Any] | None, resource: Resource, skip: frozenset[str] = frozenset()) -> dict[Path, Any]:
    """Every path that can be owned with its value; `skip` names root fields to leave out."""
    values: dict[Path, Any] = {}
    schema = custom_schema(resource)
    for name, value in (obj or {}).items():
        if name in ("apiVersion", "kind") or name in skip:
            continue
        owned = value
        if name == "metadata":
            owned = {key: item for key, item in value.items() if key not in _SERVER_METADATA}
            if not owned:
                continue
        _collect(values, (f"f:{name}",), name, owned, descend(schema, name, root=True))
    return values


def _collect(values: dict[Path, Any], path: Path, name: str, value: Any, schema: dict[str, Any] | None) -> None:
    if isinstance(value, dict) and value and not is_atomic(name, schema):
        for key, item in value.items():
            _collect(values, (*path, f"f:{key}"), key, item, descend(schema, key, root=False))
        return
    keys = list_keys(name, schema, value) if isinstance(value, list) and value else None
    if keys is None:
        values[path] = value
        return
    items = (schema.get("items") or {}) if schema is not None else None
    for item in value:
        at = (*path, item_element(item, keys))
        values[at] = ITEM
        if keys != SET:
            for key, part in item.items():
                _collect(values, (*at, f"f:{key}"), key, part, descend(items, key, root=False))


def record_update(
    old: dict[str, Any] | None, new: dict[str, Any], resource: Resource, updater: Entry
) -> list[dict[str, Any]]:
    """`managedFields` after `updater` (an "Update" entry without paths) turned `old` into `new`."""
    before, after = field_values(old, resource), field_values(new, resource)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    lost = changed | (before.keys() - after.keys())
    recorded = entries(old)
    for entry in recorded:
        entry.paths -= lost
    if changed:
        own = entry_of(recorded, updater)
        own.paths |= changed
        own.time = updater.time
    return [entry.to_json() for entry in recorded if entry.paths]


def keys_of(element: str) -> tuple[str, ...]:
    """The key fields of a `k:` element."""
    return tuple(json.loads(element[2:]))
