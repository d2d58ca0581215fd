"""Forks that run side by side, one for each case."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.inline.threads import fork
from tests.faults.report import Result


@dataclass
class Children:
    """`most_seconds`: of processor time; a fork that takes more never ends. `report` takes what came of such a case."""

    at_once: int
    most_seconds: int
    report: Callable[[Result], None]
    _ids: dict[int, str] = field(default_factory=dict)
    _began: float = 0.0

    def forked(self, id_: str) -> bool:
        """Whether this is the fork now, which has no children yet. Waits until there is room for it."""
        while len(self._ids) >= self.at_once:
            self._await_one()
        child = fork()
        if child:
            self._ids[child] = id_
            return False
        resource.setrlimit(resource.RLIMIT_CPU, (self.most_seconds, self.most_seconds + 5))
        self._ids, self._began = {}, _processor_seconds()
        return True

    def seconds(self) -> float:
        """In a fork: the processor time that it has taken."""
        return _processor_seconds() - self._began

    def await_all(self) -> None:
        while self._ids:
            self._await_one()

    def _await_one(self) -> None:
        child, status = os.wait()
        id_ = self._ids.pop(child)
        if status:
            self.report(Result(id_, "VIOLATION", f"it did not end (status {status})", float(self.most_seconds)))


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
