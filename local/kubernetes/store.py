"""Objects, one monotonic resourceVersion, and the log that watches read."""

from __future__ import annotations

import asyncio
import bisect
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from local.journal import Change, Journal
from local.kubernetes import errors
from local.kubernetes.kinds import resources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.kubernetes.kinds.resources import Resource

# Events kept for each resource. A watch for older ones gets a 410 and lists again, as with the real server.
LOG_LIMIT = 10_000
Key = tuple[str, str]  # namespace ("" at cluster scope), name
_REVISION = "revision"


@dataclass(frozen=True)
class Stored:
    """One version of one object; never changed once stored, so it is encoded once."""

    obj: dict[str, Any]
    typed: bool  # built-in kinds leave apiVersion and kind out of lists, custom resources do not

    @cached_property
    def encoded(self) -> bytes:
        """The object as JSON, made once."""
        return encode(self.obj)

    @cached_property
    def encoded_item(self) -> bytes:
        """The object as an item of a list: without `apiVersion` and `kind` for built-in kinds."""
        if not self.typed:
            return self.encoded
        return encode({name: value for name, value in self.obj.items() if name not in ("apiVersion", "kind")})


@dataclass(frozen=True)
class Event:
    """One change of one object, at the resource version `version`."""

    version: int
    type: str  # ADDED, MODIFIED, DELETED
    new: Stored
    old: Stored | None


class EventLog:
    """The last events of one resource, and a way to wait for the next."""

    def __init__(self, version: int) -> None:
        self._events: list[Event] = []
        self._forgotten = version
        self._changed = asyncio.Event()

    def append(self, event: Event) -> None:
        """Records a change and wakes the watches. Only the latest changes are kept."""
        self._events.append(event)
        if len(self._events) > 2 * LOG_LIMIT:
            self._forgotten = self._events[LOG_LIMIT - 1].version
            del self._events[:LOG_LIMIT]
        self.wake()

    def wake(self) -> None:
        """Wakes all waiting watches."""
        self._changed.set()
        self._changed = asyncio.Event()

    def since(self, version: int) -> list[Event]:
        """The events after `version`. Raises ApiError 410 if some of them are no longer kept."""
        if version < self._forgotten:
            raise errors.expired(f"too old resource version: {version} ({self._forgotten})")
        return self._events[bisect.bisect_right(self._events, version, key=lambda event: event.version) :]

    async def wait(self, seconds: float) -> None:
        """Return at the next event, or after `seconds`."""
        try:
            await asyncio.wait_for(self._changed.wait(), max(seconds, 0))
        except TimeoutError:
            return


class Store:
    """Every object by resource, namespace and name. No rules live here.

    The journal is what etcd is to the real server: a change is in it before anybody can read it here, and a store that
    is made of a journal goes on with its objects and its resourceVersion. The events before are forgotten, as with a
    real server's new watch cache (watch_cache.go of k8s.io/apiserver: the oldest event that it can deliver is the one
    after its list).
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal or Journal(None)
        self.version = int(self._journal.read(_REVISION).get(_REVISION, b"1"))
        self._resources: dict[tuple[str, str, str], Resource] = {}
        self._objects: dict[Resource, dict[Key, Stored]] = {}
        self._logs: dict[Resource, EventLog] = {}
        for resource in resources.BUILT_IN:
            self.serve(resource)

    def serve(self, resource: Resource) -> None:
        """Serve a new resource, or a known one with new properties; its objects stay."""
        key = (resource.group, resource.version, resource.plural)
        previous = self._resources.get(key)
        self._resources[key] = resource
        self._objects[resource] = self._objects.pop(previous, {}) if previous else self._stored(resource)
        self._logs[resource] = self._logs.pop(previous) if previous else EventLog(self.version)

    def withdraw(self, resource: Resource) -> None:
        """Stops serving a resource and drops its objects: its CustomResourceDefinition was deleted."""
        del self._resources[(resource.group, resource.version, resource.plural)]
        del self._objects[resource]
        self._logs.pop(resource).wake()

    def resource(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource of that plural name; None if it is not served."""
        return self._resources.get((group, version, plural))

    def served(self) -> list[Resource]:
        """All resources that are served."""
        return list(self._resources.values())

    def log(self, resource: Resource) -> EventLog:
        """The changes of a resource. Raises KeyError if it is not served."""
        return self._logs[resource]

    def is_served(self, resource: Resource) -> bool:
        """Whether the resource is served."""
        return resource in self._logs

    def wake_all(self) -> None:
        """Wakes the watches of all resources."""
        for log in self._logs.values():
            log.wake()

    def find(self, resource: Resource, namespace: str, name: str) -> Stored | None:
        """The object, or None."""
        return self._objects[resource].get((namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        """The object. Raises ApiError 404."""
        stored = self.find(resource, namespace, name)
        if stored is None:
            raise errors.not_found(resource, name)
        return stored

    def all(self, resource: Resource, namespace: str = "") -> list[Stored]:
        """Objects sorted by namespace and name; of every namespace when none is given."""
        return [
            stored
            for key, stored in sorted(self._objects[resource].items(), key=lambda item: item[0])
            if not namespace or key[0] == namespace
        ]

    def objects(self, resource: Resource, namespace: str = "") -> Iterator[dict[str, Any]]:
        """Like `all`, unsorted and without a copy: for look-ups inside one request."""
        for key, stored in self._objects[resource].items():
            if not namespace or key[0] == namespace:
                yield stored.obj

    def put(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        """Store a new version of an object, which gets the next resourceVersion."""
        key = object_key(obj)
        old = self._objects[resource].get(key)
        stored = self._next(resource, obj)
        self._record(resource, key, stored)
        self._objects[resource][key] = stored
        kind = "MODIFIED" if old else "ADDED"
        self._logs[resource].append(Event(self.version, kind, stored, old))
        return stored

    def remove(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        """Remove an object; watches see its last state `obj` with a new resourceVersion."""
        key = object_key(obj)
        old = self._objects[resource][key]
        stored = self._next(resource, obj)
        self._record(resource, key, None)
        del self._objects[resource][key]
        self._logs[resource].append(Event(self.version, "DELETED", stored, old))
        return stored

    def _next(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        return Stored({**obj, "metadata": metadata}, typed=not resource.custom)

    def _record(self, resource: Resource, key: Key, stored: Stored | None) -> None:
        if self._journal.remembers:
            document = stored.encoded if stored else None
            change = Change(_collection(resource), "/".join(key), document)
            self._journal.write(change, Change(_REVISION, _REVISION, str(self.version).encode()))

    def _stored(self, resource: Resource) -> dict[Key, Stored]:
        objects = map(json.loads, self._journal.read(_collection(resource)).values())
        return {object_key(obj): Stored(obj, typed=not resource.custom) for obj in objects}


def _collection(resource: Resource) -> str:
    return f"{resource.api_version}/{resource.plural}"


def object_key(obj: dict[str, Any]) -> Key:
    """The namespace (empty for cluster-scoped objects) and the name."""
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
