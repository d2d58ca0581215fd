"""Tells open pages that something changed, over server-sent events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# A comment line now and then lets both sides notice a connection that is gone.
HEARTBEAT_SECONDS = 15.0


class Feed:
    """A counter that pages follow; they fetch the state anew when it moves."""

    def __init__(self) -> None:
        self._revision = 0
        self._closed = False
        self._waiting: set[asyncio.Event] = set()

    def publish(self) -> None:
        """Tells the open pages that the workspace has changed."""
        self._revision += 1
        self._wake()

    def close(self) -> None:
        """Ends every stream, so that the server can stop at once."""
        self._closed = True
        self._wake()

    async def stream(self) -> AsyncIterator[str]:
        """The body of `text/event-stream`: the revision now, then each newer one."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            yield f"data: {self._revision}\n\n"
            while not self._closed:
                try:
                    await asyncio.wait_for(changed.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                changed.clear()
                yield f"data: {self._revision}\n\n"
        finally:
            self._waiting.discard(changed)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()
