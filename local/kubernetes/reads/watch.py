"""WATCH: the changes since a resourceVersion, as a stream of JSON lines."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors, parameters
from local.kubernetes.reads import selectors
from local.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.store import Event, Store, Stored

BOOKMARK_SECONDS = 30.0
# The real server picks a random time between 30 and 60 minutes.
DEFAULT_TIMEOUT_SECONDS = 1800.0


@dataclass(frozen=True)
class Watch:
    """One watch request. `render` encodes an object the way the client asked for (plain or as a Table)."""

    store: Store
    resource: Resource
    namespace: str
    query: Mapping[str, str]
    render: Callable[[Stored], bytes]
    is_closing: Callable[[], bool]

    def start(self) -> int:
        """The version to start from, 0 for "from now". Raises ApiError for a version that is not a number."""
        text = self.query.get("resourceVersion") or "0"
        if not text.isdigit():
            raise errors.internal(
                f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
            )
        selectors.select(self.resource, self.query.get("labelSelector", ""), self.query.get("fieldSelector", ""))
        self._seconds()
        return int(text)

    def _seconds(self) -> float:
        """How long it lasts. Raises ApiError for a number that is not whole."""
        text = self.query.get("timeoutSeconds")
        return parameters.integer(text) if text else DEFAULT_TIMEOUT_SECONDS

    async def stream(self) -> AsyncIterator[bytes]:
        """The events of the watch, one line of JSON each, until its timeout or until the server closes."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._seconds()
        bookmarks = parameters.is_set(self.query, "allowWatchBookmarks")
        version = self.start()
        if not self.store.is_served(self.resource):
            return
        if version == 0 or parameters.is_set(self.query, "sendInitialEvents"):
            version = self.store.version
            yield b"".join(self._initial(version))
        bookmarked = version
        bookmark_at = loop.time() + BOOKMARK_SECONDS
        while loop.time() < ends and not self.is_closing() and self.store.is_served(self.resource):
            log = self.store.log(self.resource)
            try:
                events = log.since(version)
            except errors.ApiError as error:
                yield self._line("ERROR", encode(error.status()))
                return
            if events:
                version = events[-1].version
                yield b"".join(self._lines(events))
            elif bookmarks and loop.time() >= bookmark_at:
                bookmark_at = loop.time() + BOOKMARK_SECONDS
                if self.store.version != bookmarked:
                    version = bookmarked = self.store.version
                    yield self._bookmark(version)
            else:
                await log.wait(min(ends, bookmark_at if bookmarks else ends) - loop.time())
        if bookmarks and not self.is_closing() and self.store.is_served(self.resource):
            yield self._bookmark(version)

    def _initial(self, version: int) -> Iterator[bytes]:
        matches = self._matcher()
        for stored in self.store.all(self.resource, self.namespace):
            if matches(stored.obj):
                yield self._line("ADDED", self.render(stored))
        if parameters.is_set(self.query, "sendInitialEvents"):
            yield self._bookmark(version, {"k8s.io/initial-events-end": "true"})

    def _matcher(self) -> Callable[[dict[str, Any]], bool]:
        selected = selectors.select(
            self.resource, self.query.get("labelSelector", ""), self.query.get("fieldSelector", "")
        )
        namespace = self.namespace
        if not namespace:
            return selected
        return lambda obj: obj["metadata"].get("namespace") == namespace and selected(obj)

    def _lines(self, events: list[Event]) -> Iterator[bytes]:
        """An object that starts to match the selectors is ADDED for this watch; one that stops is DELETED."""
        matches = self._matcher()
        for event in events:
            was = event.old is not None and matches(event.old.obj)
            now = event.type != "DELETED" and matches(event.new.obj)
            if was or now:
                kind = "MODIFIED" if was and now else "ADDED" if now else "DELETED"
                yield self._line(kind, self.render(event.new))

    def _bookmark(self, version: int, annotations: dict[str, str] | None = None) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        kind = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return self._line("BOOKMARK", encode({**kind, "metadata": metadata}))

    @staticmethod
    def _line(kind: str, obj: bytes) -> bytes:
        return b'{"type":"' + kind.encode() + b'","object":' + obj + b"}\n"
