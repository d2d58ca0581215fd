"""Which cases need no run of their own, because another case or the run without a fault shows what comes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ip_remediator.clients.kubernetes.api import KubernetesUnreachable, _refusal
from ip_remediator.common.errors import ServiceUnavailable, Throttled, Transient
from tests.faults.cases import (
    KUBERNETES,
    KUBERNETES_STATUSES,
    SLACK,
    WITH_EVICTIONS,
    Call,
    Case,
    Injection,
    Kind,
)
from tests.faults.inline.answers import RETURNED
from tests.faults.report import JOINED, Rule

TELLS = "NotifyFunction"
# Of these the caller notices nothing but the error: no effect, no long wait. One wait of 16 seconds is not long.
_ERRORS = ("refused", "denied", "throttled", "unavailable", "cut")
_WAITS = "slow"
# The product's code treats these alike, but where it looks whether a change of EC2 was surely refused.
_TRANSIENT = (Throttled.__name__, ServiceUnavailable.__name__)
_NO_ANSWER = (ServiceUnavailable.__name__, Transient.__name__)


@dataclass(frozen=True)
class Shown:
    """`came`: as without the fault; otherwise the case is as `same_as`."""

    rule: Rule
    came: str = ""
    same_as: str = ""


@dataclass(frozen=True)
class Table:
    """A folder of names, each with the case that was there first: shared by all processes."""

    folder: Path

    def first(self, name: str, id_: str) -> str:
        """The case that gave this name first: `id_` itself when there was none."""
        path = self.folder / name
        try:
            path.symlink_to(id_)
        except FileExistsError:
            return str(path.readlink())
        return id_

    def write(self, name: str, text: str) -> None:
        """A text under a name that has none yet."""
        own = self.folder / f"{name}.{os.getpid()}"
        own.write_text(text)
        with suppress(FileExistsError):
            (self.folder / name).hardlink_to(own)
        own.unlink()

    def read(self, name: str) -> str | None:
        """The text under a name."""
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            return None

    def get(self, name: str) -> str | None:
        try:
            return str((self.folder / name).readlink())
        except FileNotFoundError:
            return None


@dataclass
class Invocation:
    """One of a function, with the calls that it has made."""

    number: int
    calls: list[Call] = field(default_factory=list)


@dataclass
class Alike:
    """`answers`: what a call with a fault comes to, as earlier cases saw it. `state`: a digest of the world now;
    `messages`: of which messages there are in Slack."""

    answers: Table
    state: Callable[[], str]
    messages: Callable[[], str]
    _now: dict[str, Invocation] = field(default_factory=dict)
    _numbers: int = 0
    _run_before: set[str] = field(default_factory=set)
    _first: dict[object, str] = field(default_factory=dict)

    def begins(self, function: str) -> None:
        """An invocation begins."""
        self._numbers += 1
        self._now[function] = Invocation(self._numbers)

    def meets(self, call: Call) -> None:
        if call.function in self._now:
            self._now[call.function].calls.append(call)

    def shown(self, case: Case) -> Shown | None:
        """By a case that has begun, or by the run without a fault. None: it is run, and may show others."""
        shown = None
        if len(case.injections) == 1:
            [injection] = case.injections
            shown = self._of_errors(injection) or self._killed(injection) or self._of_messages(injection)
        self._run_before.add(case.id)
        return shown

    def _of_errors(self, injection: Injection) -> Shown | None:
        outcome = self.outcome_seen(injection)
        if outcome == RETURNED and not injection.lasts:
            return Shown(Rule.ASKED_AGAIN, JOINED)
        # Of a write some code looks at the very answer, unless there may have been none.
        if outcome is None or (injection.call.writes and outcome not in _NO_ANSWER):
            return None
        first = self._first.setdefault((injection.call, injection.lasts, outcome), injection.id)
        return Shown(Rule.SAME_ERROR, same_as=first) if first != injection.id else None

    def outcome_seen(self, injection: Injection) -> str | None:
        """What the function's code sees of a fault that has no effect; None where that is not known (yet)."""
        call, fault = injection.call, injection.fault
        if fault not in _ERRORS and (injection.lasts or fault != _WAITS):
            return None
        if call.service == KUBERNETES:
            if fault not in KUBERNETES_STATUSES:
                return KubernetesUnreachable.__name__
            return type(_refusal("", call.action, KUBERNETES_STATUSES[fault], b"{}")).__name__
        if call.service == SLACK:
            return None
        outcome = self.answers.get(answer_of(injection))
        alike = outcome in _TRANSIENT and not (call.writes and call.service == "ec2")
        return Transient.__name__ if alike else outcome

    def _killed(self, injection: Injection) -> Shown | None:
        """After a read: as after an earlier read of the invocation, or after the write right before it, when nothing
        has changed since."""
        call = injection.call
        if injection.fault != "killed" or call.writes or call.function not in self._now or call.function == TELLS:
            return None
        invocation = self._now[call.function]
        which = (call.service, call.action) if injection.lasts else None
        key = ("killed", invocation.number, self.state(), which)
        before = invocation.calls[-2] if len(invocation.calls) > 1 else call
        after_it = Injection(before, injection.fault, injection.lasts).id
        shows = before.writes and not injection.lasts and after_it in self._run_before
        first = self._first.setdefault(key, after_it if shows else injection.id)
        return Shown(Rule.KILLED, same_as=first) if first != injection.id else None

    def _of_messages(self, injection: Injection) -> Shown | None:
        """While a fault lasts at what tells people, nobody is told; afterwards they are told of the record as it is
        then. It matters only which messages there were when it began."""
        call = injection.call
        if call.function != TELLS or not injection.lasts:
            return None
        key = ("untold", call.service, call.action, injection.fault, self.messages())
        first = self._first.setdefault(key, injection.id)
        return Shown(Rule.UNTOLD, same_as=first) if first != injection.id else None


@dataclass(frozen=True)
class EvictsLater:
    """The rollback without evictions does the same as the one with evictions until something asks whether pods may be
    evicted. `table`: of each case of the other one that ended before that, as which case it did, or `JOINED`."""

    table: Table

    def ended(self, id_: str, as_which: str) -> None:
        """A case of the rollback with evictions, its own id where it was run to its end."""
        self.table.write(_file(id_), as_which)

    def shown(self, injection: Injection, later: Collection[Kind]) -> Shown | None:
        """`later`: what the rollback without evictions calls once that was asked."""
        if injection.call.function == TELLS:
            return None  # people read how pods are moved
        other = Injection(replace(injection.call, run=WITH_EVICTIONS), injection.fault, injection.lasts)
        end = self._end_of(other.id)
        if end is None or (end == JOINED and injection.lasts and injection.call.kind in later):
            return None
        return Shown(Rule.EVICTS_LATER, JOINED) if end == JOINED else Shown(Rule.EVICTS_LATER, same_as=end)

    def _end_of(self, id_: str) -> str | None:
        end, passed = self.table.read(_file(id_)), {id_}
        while end not in (None, JOINED, *passed):
            passed.add(end)
            end = self.table.read(_file(end))
        return end


def _file(id_: str) -> str:
    return id_.replace("/", "_")


def answer_of(injection: Injection) -> str:
    """The name under which cases tell what a call with this fault came to. A fault gives all calls of a service the
    same answer, and the SDK tries them all alike."""
    how = "lasting" if injection.lasts else "once"
    return f"{injection.call.service}.{injection.fault}.{how}"
