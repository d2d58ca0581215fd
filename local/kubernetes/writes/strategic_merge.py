"""Strategic merge patch: Kubernetes' own patch, which merges lists by key.

The rules and the order of list items are those of k8s.io/apimachinery/pkg/util/strategicpatch/patch.go. How a list
merges is a property of its field's Go type (`go_types`), not of its name.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.kinds import go_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.kubernetes.kinds.go_types import GoField

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_BAD_FORMAT = "invalid patch format of {}"


def strategic_merge(live: dict[str, Any], patch: Any, go_type: str | None) -> dict[str, Any]:
    """The patched object; neither argument is changed.

    `go_type` names the Go type of the object (see `go_types`), None for a type without merge keys. Raises ApiError 400
    for directives of the wrong shape and 500, as the real server does, for a list item without its merge key.
    """
    if not isinstance(patch, dict):
        raise errors.bad_request("json: cannot unmarshal the patch into Go value of type map[string]interface {}")
    return _merge_map(copy.deepcopy(live), copy.deepcopy(patch), go_type)


def _merge_map(live: dict[str, Any], patch: dict[str, Any], go_type: str | None) -> dict[str, Any]:
    directive = patch.pop(_DIRECTIVE, None)
    if directive is not None:
        if directive not in ("replace", "delete"):
            raise errors.internal(f"Unknown patch type: {directive}")
        return patch if directive == "replace" else {}
    _retain_keys(live, patch)
    for name in [name for name in patch if name.startswith(_ORDER)]:
        _merge_in_order(live, patch, name, go_type)
    for name, value in patch.items():
        if name.startswith(_DELETE):
            target = name.removeprefix(_DELETE)
            if isinstance(live.get(target), list):
                live[target] = [item for item in live[target] if item not in value]
        elif value is None:
            live.pop(name, None)
        else:
            _merge_field(live, name, value, _field(go_type, name))
    return live


def _merge_field(live: dict[str, Any], name: str, value: Any, field: GoField | None) -> None:
    current = live.get(name)
    replaces = field is not None and "replace" in field.strategies
    if isinstance(value, dict) and isinstance(current, dict) and not replaces:
        live[name] = _merge_map(current, value, _type_inside(field))
    elif isinstance(value, list) and isinstance(current, list):
        live[name] = _merge_list(current, value, field) if _merges(field) else value
    elif isinstance(value, dict) and _DIRECTIVE in value:
        live.pop(name, None)
    else:
        live[name] = _without_directives(value)


def _retain_keys(live: dict[str, Any], patch: dict[str, Any]) -> None:
    """`$retainKeys`: drop the live fields that it does not name, for unions such as `strategy` and volumes."""
    kept = patch.pop(_RETAIN, None)
    if kept is None:
        return
    set_by_patch = {
        name for name, value in patch.items() if value is not None and not name.startswith((_ORDER, _DELETE))
    }
    if not isinstance(kept, list) or not set_by_patch <= set(kept):
        raise errors.bad_request(_BAD_FORMAT.format("retainKeys"))
    for name in live.keys() - set(kept):
        del live[name]


def _merge_in_order(live: dict[str, Any], patch: dict[str, Any], directive: str, go_type: str | None) -> None:
    """Merge a list in the order of `$setElementOrder`, which may name live items that the patch does not change."""
    name = directive.removeprefix(_ORDER)
    order, changes = patch.pop(directive), patch.pop(name, None)
    field, current = _field(go_type, name), live.get(name)
    if not isinstance(order, list) or not _merges(field):
        raise errors.bad_request(_BAD_FORMAT.format("setElementOrder list"))
    if current is None and changes is None:
        return
    identity = _identity(field, [*(current or []), *(changes or []), *order])
    _require_order(changes or [], [identity(item) for item in order], identity, name)
    if current is None:
        merged = _without_directives(changes)
    else:
        merged = _merge_list(copy.deepcopy(current), changes, field) if changes else current
    live[name] = _arrange(merged, order, current or [], identity)


def _require_order(changes: list[Any], order: list[Any], identity: Callable[[Any], Any], name: str) -> None:
    changed = [identity(item) for item in changes if not _is_directive(item)]
    places = [order.index(key) if key in order else -1 for key in changed]
    if -1 in places or places != sorted(places):
        raise errors.internal(f"The order in patch list:\n{changed}\n doesn't match {_ORDER}{name} list:\n{order}\n")


def _merge_list(live: list[Any], patch: list[Any], field: GoField | None) -> list[Any]:
    identity = _identity(field, [*live, *patch])
    if not field or not field.merge_key:
        return _arrange([*live, *(item for item in patch if item not in live)], patch, live, identity)
    for directive in (item[_DIRECTIVE] for item in patch if _DIRECTIVE in item):
        if directive not in ("replace", "delete"):
            raise errors.internal(f"Unknown patch type: {directive}")
    deleted = [identity(item) for item in patch if item.get(_DIRECTIVE) == "delete"]
    kept = [item for item in live if identity(item) not in deleted]
    added = [item for item in patch if _DIRECTIVE not in item]
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return added
    merged = list(kept)
    for item in added:
        # The first match only: a port can be there twice, once for each protocol.
        at = next((at for at, old in enumerate(merged) if identity(old) == identity(item)), None)
        if at is None:
            merged.append(_without_directives(item))
        else:
            merged[at] = _merge_map(merged[at], copy.deepcopy(item), _type_inside(field))
    return _arrange(merged, added, kept, identity)


def _arrange(items: list[Any], order: list[Any], live: list[Any], identity: Callable[[Any], Any]) -> list[Any]:
    """`items` in the order of the patch, with the items that only the server has where they were relative to them.

    `mergeSortedSlice` of patch.go: a server's item goes before the first item of the patch that follows it in the live
    list, so a new item stands before the server's items that come after it.
    """
    ordered, before = [identity(item) for item in order], [identity(item) for item in live]
    patched = sorted(
        (item for item in items if identity(item) in ordered), key=lambda item: ordered.index(identity(item))
    )
    kept = [item for item in items if identity(item) not in ordered]
    arranged: list[Any] = []
    for item in patched:
        key = identity(item)
        if key in before:
            while kept and before.index(identity(kept[0])) < before.index(key):
                arranged.append(kept.pop(0))
        arranged.append(item)
    return arranged + kept


def _identity(field: GoField | None, items: list[Any]) -> Callable[[Any], Any]:
    """The identity of a list's items: their merge key, or the value itself in a list of scalars."""
    key = field.merge_key if field else ""
    if not key:
        return lambda item: item
    for item in items:
        if not isinstance(item, dict) or key not in item:
            if isinstance(item, dict) and item.get(_DIRECTIVE) == "replace":
                continue
            raise errors.internal(f"map: {json.dumps(item)} does not contain declared merge key: {key}")
    return lambda item: item.get(key)


def _field(go_type: str | None, name: str) -> GoField | None:
    return go_types.field(go_type, name) if go_type and go_types.is_struct(go_type) else None


def _merges(field: GoField | None) -> bool:
    return field is not None and "merge" in field.strategies


def _type_inside(field: GoField | None) -> str | None:
    return go_types.item_type(field.type) if field else None


def _without_directives(value: Any) -> Any:
    """A value that the live object does not have yet, without nulls and directives: they have nothing to act on."""
    if isinstance(value, dict):
        return {
            name: _without_directives(item)
            for name, item in value.items()
            if item is not None and not name.startswith("$") and not _is_directive(item)
        }
    if isinstance(value, list):
        return [_without_directives(item) for item in value if not _is_directive(item)]
    return value


def _is_directive(value: Any) -> bool:
    return isinstance(value, dict) and _DIRECTIVE in value
