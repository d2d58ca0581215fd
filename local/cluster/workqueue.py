"""A queue of keys to reconcile, without duplicates and with delays, and one worker thread for each queue."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable

from local.cluster.kube import ApiError, ApiUnreachable

_LOG = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 0.05
_LAST_RETRY_SECONDS = 5.0


class WorkQueue:
    """Keys with the moment they are due; adding a waiting key again can only bring it forward."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        self._closed = False

    def add(self, key: str, after: float = 0.0) -> None:
        """`after` is in real seconds."""
        moment = time.monotonic() + after
        with self._changed:
            if self._due.get(key, float("inf")) <= moment:
                return
            self._due[key] = moment
            heapq.heappush(self._heap, (moment, key))
            self._changed.notify()

    def close(self) -> None:
        """Ends the queue: whoever waits for work gets none."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> str | None:
        """The next key once it is due; None when the queue was closed."""
        with self._changed:
            while not self._closed:
                self._discard_superseded()
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    _, key = heapq.heappop(self._heap)
                    del self._due[key]
                    return key
                self._changed.wait(wait)
        return None

    def _discard_superseded(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)


class Worker:
    """Runs `reconcile(key)` for each key. A number that it returns is the delay until the next run (real seconds).

    An API error is retried with back-off: the object is looked at again as it is then, so a conflict or an object
    that is gone needs no special care in `reconcile`.
    """

    def __init__(self, name: str, reconcile: Callable[[str], float | None]) -> None:
        self.name = name
        self.queue = WorkQueue()
        self._reconcile = reconcile
        self._failures: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end after its current key."""
        self.queue.close()

    def join(self, timeout: float) -> None:
        """Waits for the end of the thread, `timeout` seconds at most."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while (key := self.queue.take()) is not None:
            try:
                again = self._reconcile(key)
            except (ApiError, ApiUnreachable) as error:
                self._retry(key, error)
            except Exception:
                _LOG.exception("%s: reconciling %s failed", self.name, key)
                self._retry(key, None)
            else:
                self._failures.pop(key, None)
                if again is not None:
                    self.queue.add(key, again)

    def _retry(self, key: str, error: Exception | None) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if error is not None and failures > 3:
            _LOG.warning("%s: %s: %s (attempt %d)", self.name, key, error, failures)
        self.queue.add(key, min(_FIRST_RETRY_SECONDS * 2 ** min(failures, 10), _LAST_RETRY_SECONDS))
