"""A local copy of one resource, kept fresh by list and watch, with handlers told of each change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

from local.cluster.kube import ApiError, ApiUnreachable, KubeApi, Resource
from local.cluster.objects import Obj, key_of

Handler = Callable[[Obj | None, Obj | None], None]
"""Called with (old, new): old is None for an object just seen, new is None for one that is gone."""

_LOG = logging.getLogger(__name__)
_WATCH_SECONDS = 300
_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 2.0


class Informer:
    """Objects of one resource by `namespace/name`. Documents handed out are shared: treat them as read-only."""

    def __init__(self, api: KubeApi, resource: Resource) -> None:
        self.resource = resource
        self._api = api
        self._objects: dict[str, Obj] = {}
        self._handlers: list[Handler] = []
        self._lock = threading.RLock()
        self._synced = threading.Event()

    def on_change(self, handler: Handler) -> None:
        """Calls `handler(old, new)` for each change; `old` or `new` is None for an object that appears or
        disappears."""
        self._handlers.append(handler)

    def get(self, key: str) -> Obj | None:
        """The object with that key (`namespace/name`), as last seen; None if there is none."""
        with self._lock:
            return self._objects.get(key)

    def all(self) -> list[Obj]:
        """All objects as last seen."""
        with self._lock:
            return list(self._objects.values())

    def start(self, stop: threading.Event) -> None:
        """Lists and watches in a thread until `stop` is set."""
        name = f"watch-{self.resource.plural}"
        threading.Thread(target=self._run, args=(stop,), name=name, daemon=True).start()

    def wait_synced(self, timeout: float) -> bool:
        """Waits until the first list was read; False after `timeout` seconds."""
        return self._synced.wait(timeout)

    def observe(self, obj: Obj) -> None:
        """Take in the answer to one of our own writes, so that the next reconcile already sees it."""
        self._store(obj)

    def forget(self, key: str) -> None:
        """Drop an object that the API server reports as gone."""
        self._drop(key, None)

    def _run(self, stop: threading.Event) -> None:
        delay = _FIRST_RETRY_SECONDS
        while not stop.is_set():
            try:
                version = self._list()
                delay = _FIRST_RETRY_SECONDS
                self._synced.set()
                self._follow(version, stop)
            except ApiError as error:
                # 404: not served (yet), such as a custom resource before its definition. 410: our version is too old.
                if error.status not in (404, 410):
                    _LOG.warning("cannot watch %s: %s", self.resource.plural, error)
            except ApiUnreachable as error:
                _LOG.info("API server unreachable while watching %s: %s", self.resource.plural, error)
            stop.wait(delay)
            delay = min(delay * 2, _LAST_RETRY_SECONDS)

    def _list(self) -> str:
        listing = self._api.get(self.resource.path())
        fresh = {key_of(item): item for item in listing["items"]}
        with self._lock:
            gone = [key for key in self._objects if key not in fresh]
        for key in gone:
            self._drop(key, None)
        for item in fresh.values():
            self._store(item)
        return str(listing["metadata"]["resourceVersion"])

    def _follow(self, version: str, stop: threading.Event) -> None:
        while not stop.is_set():
            for event in self._api.watch(self.resource.path(), version, _WATCH_SECONDS):
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(int(status.get("code", 500)), str(status.get("reason")), str(status.get("message")))
                version = str(event["object"]["metadata"]["resourceVersion"])
                self._take(event)

    def _take(self, event: Obj) -> None:
        if event["type"] in ("ADDED", "MODIFIED"):
            self._store(event["object"])
        elif event["type"] == "DELETED":
            self._drop(key_of(event["object"]), event["object"])

    def _store(self, obj: Obj) -> None:
        key = key_of(obj)
        with self._lock:
            old = self._objects.get(key)
            if old is not None and _version(obj) <= _version(old):
                return
            self._objects[key] = obj
        self._notify(old, obj)

    def _drop(self, key: str, last: Obj | None) -> None:
        with self._lock:
            old = self._objects.get(key)
            # A late DELETED of an object must not remove a newer one of the same name.
            if old is None or (last is not None and _version(last) < _version(old)):
                return
            del self._objects[key]
        self._notify(old, None)

    def _notify(self, old: Obj | None, new: Obj | None) -> None:
        for handler in self._handlers:
            handler(old, new)


def _version(obj: Obj) -> int:
    return int(obj["metadata"]["resourceVersion"])


def owned_by(informer: Informer, uid: str) -> Iterator[Obj]:
    """Objects whose controller is `uid`."""
    for obj in informer.all():
        for reference in obj["metadata"].get("ownerReferences") or []:
            if reference.get("controller") and reference["uid"] == uid:
                yield obj
