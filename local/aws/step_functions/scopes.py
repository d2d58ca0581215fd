"""Stops executions and branches: each execution has a scope, and each of its branches has one inside it.

AWS stops the branches of a Parallel state, and the iterations of an inline Map, as soon as one of them fails, and all
of an execution when it ends ("If any branch fails, … the entire Parallel state is considered to have failed and all
its branches are stopped", state-parallel.html). A Lambda function that runs for a stopped branch goes on: nobody reads
its answer.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any


class Stopped(BaseException):
    """The branch or execution that runs in this thread was stopped.

    It is not an Exception, so that the emulator's error handling for tasks does not catch it.
    """


class Scope:
    """An execution's record, or a branch of it with its ``parent``."""

    def __init__(self, execution: dict[str, Any], parent: Scope | None = None) -> None:
        self.execution = execution
        self._stopped = threading.Event()
        self._inner: list[Scope] = []
        self._on_stop: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        if parent is not None:
            parent.adopt(self)

    def adopt(self, inner: Scope) -> None:
        """Stop ``inner`` together with this scope."""
        with self._lock:
            self._inner.append(inner)
            stopped = self._stopped.is_set()
        if stopped:
            inner.stop()

    def stop(self) -> None:
        """Stop everything that runs in this scope. It notices at its next step, or when its pause ends."""
        with self._lock:
            self._stopped.set()
            inner, waiting = list(self._inner), list(self._on_stop)
        for one in inner:
            one.stop()
        for wake in waiting:
            wake()

    def when_stopped(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when the scope is stopped; at once when it is."""
        with self._lock:
            self._on_stop.append(wake)
            stopped = self._stopped.is_set()
        if stopped:
            wake()

    def check(self) -> None:
        """Raise Stopped when the scope was stopped."""
        if self._stopped.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped as soon as the scope is stopped."""
        if self._stopped.wait(seconds):
            raise Stopped


current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("scope", default=None)
"""The scope of this thread; None outside an execution (TestState)."""
