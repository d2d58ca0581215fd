"""LIST: selection, consistent paging, and a response made of objects that are encoded already."""

from __future__ import annotations

import base64
import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors, parameters
from local.kubernetes.reads import selectors
from local.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.store import Store, Stored

# How many lists can be paged through at the same time. The next page of an older one gets a 410.
_OPEN_LISTS = 128
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter."
)


@dataclass(frozen=True)
class Page:
    """One page of a list, with the list's `metadata`."""

    items: Sequence[Stored]
    metadata: dict[str, Any]


@dataclass(frozen=True)
class _Rest:
    """The rest of a list, as it was when its first page was read."""

    items: Sequence[Stored]
    version: str
    selected: bool


class Lists:
    """Reads lists page by page; every page shows the state of the first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rests: OrderedDict[str, _Rest] = OrderedDict()

    def page(self, resource: Resource, namespace: str, query: Mapping[str, str]) -> Page:
        """One page by the query's labelSelector, fieldSelector, limit, continue and resourceVersion."""
        limit = parameters.integer(query.get("limit") or "0")
        rest = self._resume(query["continue"]) if query.get("continue") else self._start(resource, namespace, query)
        metadata: dict[str, Any] = {"resourceVersion": rest.version}
        if not limit or len(rest.items) <= limit:
            return Page(rest.items, metadata)
        items, remaining = rest.items[:limit], rest.items[limit:]
        metadata["continue"] = self._remember(_Rest(remaining, rest.version, rest.selected))
        if not rest.selected:
            metadata["remainingItemCount"] = len(remaining)
        return Page(items, metadata)

    def _start(self, resource: Resource, namespace: str, query: Mapping[str, str]) -> _Rest:
        wanted = query.get("resourceVersion") or "0"
        if parameters.integer(wanted) > self._store.version:
            raise _version_too_large(wanted, self._store.version)
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        items = self._store.all(resource, namespace)
        if labels or fields:
            matches = selectors.select(resource, labels, fields)
            items = [stored for stored in items if matches(stored.obj)]
        return _Rest(items, str(self._store.version), bool(labels or fields))

    def _remember(self, rest: _Rest) -> str:
        name = secrets.token_urlsafe(12)
        self._rests[name] = rest
        while len(self._rests) > _OPEN_LISTS:
            self._rests.popitem(last=False)
        token = json.dumps({"v": "meta.k8s.io/v1", "rv": int(rest.version), "start": name})
        return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")

    def _resume(self, token: str) -> _Rest:
        try:
            name = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))["start"]
        except (ValueError, KeyError, TypeError) as error:
            raise errors.bad_request(f"invalid continue token: continue key is not valid: {error}") from None
        if name not in self._rests:
            raise errors.expired(_EXPIRED)
        return self._rests[name]


def encode_list(resource: Resource, page: Page) -> bytes:
    """The list object; items of built-in kinds come without apiVersion and kind, as from the real server."""
    head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": page.metadata}
    items = b",".join(stored.encoded_item for stored in page.items)
    return encode(head)[:-1] + b',"items":[' + items + b"]}"


def _version_too_large(wanted: str, current: int) -> errors.ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return errors.ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})
