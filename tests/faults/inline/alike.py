"""Which cases need no run of their own, because another case or the run without a fault shows what comes of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ip_remediator.clients.kubernetes.api import KubernetesUnreachable, _refusal
from ip_remediator.common.errors import ServiceUnavailable, Throttled, Transient
from tests.faults.cases import KUBERNETES, KUBERNETES_STATUSES, SLACK, Call, Case, Injection
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
    """One of a function; `twin`: the calls of an earlier one that began with the same event in the same world."""

    number: int
    twin: list[Call]
    calls: list[Call] = field(default_factory=list)

    def twin_of(self, call: Call) -> Call | None:
        """The earlier one's call in the same place."""
        place = len(self.calls) - 1
        if not 0 <= place < len(self.twin):
            return None
        twin = self.twin[place]
        return twin if (twin.service, twin.action) == (call.service, call.action) else None


@dataclass
class Alike:
    """`answers`: what a call with a fault comes to, as earlier cases saw it. `state`: a digest of the world now;
    `messages`: of which messages there are in Slack."""

    answers: Table
    state: Callable[[], str]
    messages: Callable[[], str]
    _begun: dict[str, list[Call]] = field(default_factory=dict)
    _now: dict[str, Invocation] = field(default_factory=dict)
    _numbers: int = 0
    _run_before: set[str] = field(default_factory=set)
    _first: dict[object, str] = field(default_factory=dict)

    def begins(self, function: str, mark: str | None) -> None:
        """An invocation begins; without a `mark`, others run beside it."""
        self._numbers += 1
        invocation = self._now[function] = Invocation(self._numbers, self._begun.get(mark or "", []))
        if mark is not None:
            self._begun.setdefault(mark, invocation.calls)

    def meets(self, call: Call) -> None:
        if call.function in self._now:
            self._now[call.function].calls.append(call)

    def shown(self, case: Case) -> Shown | None:
        """By a case that has begun, or by the run without a fault. None: it is run, and may show others."""
        shown = None
        if len(case.injections) == 1:
            [injection] = case.injections
            shown = (
                self._repeated(injection)
                or self._of_errors(injection)
                or self._killed(injection)
                or self._of_messages(injection)
            )
        self._run_before.add(case.id)
        return shown

    def _repeated(self, injection: Injection) -> Shown | None:
        invocation = self._now.get(injection.call.function)
        twin = invocation and invocation.twin_of(injection.call)
        if not twin:
            return None
        id_ = Injection(twin, injection.fault, injection.lasts).id
        return Shown(Rule.REPEATED, same_as=id_) if id_ in self._run_before else None

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


def answer_of(injection: Injection) -> str:
    """The name under which cases tell what a call with this fault came to."""
    how = "lasting" if injection.lasts else "once"
    return f"{injection.call.service}.{injection.call.action}.{injection.fault}.{how}"
