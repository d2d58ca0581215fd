"""Threads and time of one process: threads take turns, and time passes only when all of them wait.

`install` must run before anything else is imported that makes locks or threads. From then on `threading`, `queue`,
`concurrent.futures` and `asyncio` run on greenlets of one operating-system thread. A wait costs nothing, the order is
always the same, and the process can be forked at any moment with all its threads in it.
"""

from __future__ import annotations

import _threading_local
import asyncio
import ctypes
import heapq
import itertools
import os
import queue
import random
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import time_machine
from greenlet import getcurrent, greenlet

real_sleep, real_monotonic = time.sleep, time.monotonic
_STEP_SECONDS = 1e-6
_IDENTS = itertools.count(1_000_000)
_libc = ctypes.PyDLL(None)


@dataclass(eq=False)
class Process:
    """What threads of one simulated process share. A thread belongs to the process of the thread that started it."""

    name: str
    environment: dict[bytes, bytes]
    alive: bool = True


@dataclass(eq=False)
class _Task:
    switch: Any
    process: Process
    ident: int
    woken: bool = False
    # Counts its waits, so that a timer of an earlier one is known to be late.
    turn: int = 0
    loop: Any = None
    sentinel: Any = None


@dataclass
class Scheduler:
    now: float = 1000.0
    ready: deque[_Task] = field(default_factory=deque)
    timers: list[tuple[float, int, _Task, int]] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)
    # Threads of processes that were killed: never run again, and never freed, which would run their `finally`.
    buried: list[_Task] = field(default_factory=list)

    def begin(self) -> None:
        self.hub = greenlet(self._run)
        environment = dict(os.environ._data)  # type: ignore[attr-defined]
        self.current = _Task(getcurrent(), Process("main", environment), _real_ident())
        started = time.time()
        self._offset = started - self.now
        self._wall = time_machine.travel(started, tick=False)
        self._clock = self._wall.start()

    def wait(self, seconds: float | None) -> bool:
        """Until `wake`, or for so long. Whether it was woken."""
        task = self.current
        task.woken, task.turn = False, task.turn + 1
        if seconds is not None:
            heapq.heappush(self.timers, (self.now + max(seconds, 0.0), next(self.numbers), task, task.turn))
        task.loop = asyncio._get_running_loop()
        self.hub.switch()
        self.current = task
        asyncio._set_running_loop(task.loop)
        return task.woken

    def wake(self, task: _Task) -> None:
        task.woken, task.turn = True, task.turn + 1
        self.ready.append(task)

    def spawn(self, target: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
        task = _Task(None, self.current.process, next(_IDENTS))

        def body() -> None:
            self.current = task
            asyncio._set_running_loop(None)
            try:
                target(*arguments)
            finally:
                if task.sentinel is not None:
                    task.sentinel.release()

        task.switch = greenlet(body, self.hub)
        self.ready.append(task)
        return task.ident

    def _run(self) -> None:
        while True:
            while self.ready:
                task = self.ready.popleft()
                if task.process.alive:
                    task.switch.switch()
                else:
                    self.buried.append(task)
            self._pass_time()

    def _pass_time(self) -> None:
        """To the next moment that a thread waits for."""
        while self.timers:
            moment, _, task, turn = heapq.heappop(self.timers)
            if task.turn != turn:
                continue
            if moment > self.now:
                self.now = moment
                self._clock.move_to(self.now + self._offset)
            task.turn += 1
            self.ready.append(task)
            return
        raise RuntimeError("every thread waits for ever")


scheduler = Scheduler()
_real_ident = threading.get_ident


class Lock:
    """A lock that waiting threads get in the order in which they asked."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[_Task] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._held:
            self._held = True
            return True
        if not blocking:
            return False
        self._waiting.append(scheduler.current)
        if scheduler.wait(None if timeout < 0 else timeout):
            return True
        self._waiting.remove(scheduler.current)
        return False

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        while self._waiting:
            task = self._waiting.popleft()
            if task.process.alive:
                scheduler.wake(task)
                return
        self._held = False

    def locked(self) -> bool:
        return self._held

    def _at_fork_reinit(self) -> None:
        """A fork takes the lock along as it is."""

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_error: object) -> None:
        self.release()


class _Selector(selectors.BaseSelector):
    """An event loop waits for nothing but its own threads: sockets are calls within the process."""

    def __init__(self) -> None:
        self._woken, self._waiting = False, None

    def select(self, timeout: float | None = None) -> list[Any]:
        if not self._woken and (timeout is None or timeout > 0):
            self._waiting = scheduler.current
            scheduler.wait(timeout)
            self._waiting = None
        elif not self._woken:
            # Others have their turn between two steps of a loop, and a step takes some time: a timer may be early by
            # the clock's resolution, and who looks at the clock again would wait for ever.
            scheduler.now += _STEP_SECONDS
            scheduler.ready.append(scheduler.current)
            scheduler.wait(None)
        self._woken = False
        return []

    def wake(self) -> None:
        self._woken = True
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            scheduler.wake(waiting)

    def register(self, *_: Any) -> Any: ...
    def unregister(self, *_: Any) -> Any: ...
    def get_map(self) -> Any:
        return {}


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_Selector())

    def _make_self_pipe(self) -> None: ...
    def _close_self_pipe(self) -> None: ...
    def _write_to_self(self) -> None:
        self._selector.wake()

    def add_signal_handler(self, *_: Any) -> None: ...


class _Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop


def sleep(seconds: float) -> None:
    scheduler.wait(seconds)


def fork() -> int:
    """os.fork without the hooks that end all threads but one: here they live on."""
    loop = asyncio._get_running_loop()
    child = int(_libc.fork())
    # The running loop is remembered together with the process's id.
    asyncio._set_running_loop(loop)
    return child


def _sentinel() -> Lock:
    lock = scheduler.current.sentinel = Lock()
    return lock


def _monotonic() -> float:
    return scheduler.now


def install() -> None:
    scheduler.begin()
    patched: Any = threading
    patched._allocate_lock = patched.Lock = Lock
    patched._CRLock = None
    patched._start_new_thread = scheduler.spawn
    patched._set_sentinel = _sentinel
    patched.get_ident = lambda: scheduler.current.ident
    patched._time = _monotonic
    patched.local = _threading_local.local
    patched._active_limbo_lock = threading.RLock()
    patched._shutdown_locks_lock = Lock()
    _threading_local.RLock = threading.RLock  # type: ignore[attr-defined]
    queue.SimpleQueue = queue._PySimpleQueue  # type: ignore[attr-defined,misc]
    queue.time = _monotonic  # type: ignore[attr-defined]
    time.sleep, time.monotonic, time.perf_counter = sleep, _monotonic, _monotonic
    time.monotonic_ns = lambda: int(scheduler.now * 1e9)
    asyncio.set_event_loop_policy(_Policy())
    os._Environ._data = property(lambda _: scheduler.current.process.environment, lambda *_: None)  # type: ignore[attr-defined]
    random.seed(1)


def run_in(process: Process, name: str, target: Callable[..., Any], *arguments: Any) -> threading.Thread:
    """A thread of another process."""
    own, scheduler.current.process = scheduler.current.process, process
    try:
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        thread.start()
    finally:
        scheduler.current.process = own
    return thread
