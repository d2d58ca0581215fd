"""One run as a tree: wherever a fault could meet a call, the world is forked, and the fork goes on with the fault."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.cases import (
    FOR_THE_RUN,
    KUBERNETES,
    ROLLBACK,
    SLACK,
    WITH_EVICTIONS,
    Call,
    Case,
    Injection,
    Kind,
)
from tests.faults.inline import answers, state
from tests.faults.inline.alike import TELLS, Alike, EvictsLater, Shown, Table, answer_of
from tests.faults.inline.children import Children
from tests.faults.inline.servers import InlineServers
from tests.faults.report import JOINED, Planned, Result, Rule
from tests.faults.world import FUNCTIONS

# No case computes that long; one that does never ends.
_MOST_SECONDS = 240
# Of so many cases that are like another one, one is played to its end all the same.
_CHECKED_OF = 100
# These ask whether pods may be evicted, which is all that differs between the two rollbacks; and a mark of the moment
# when the first of them began.
_ASKS_WHETHER_TO_EVICT = ("move_pods", "finish_rollback")
_EVICTIONS = "evictions"


@dataclass(frozen=True)
class Met:
    """A run without a fault: its calls, what came of it, and a mark of everything whenever a function began or ended
    and no other ran, with how many calls there had been."""

    calls: tuple[Call, ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    came: str = ""

    def document(self) -> dict[str, Any]:
        return {"calls": [vars(call) for call in self.calls], "marks": self.marks, "came": self.came}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Met:
        return cls(tuple(Call(**call) for call in document["calls"]), document["marks"], document["came"])

    def kinds_after(self, mark: str) -> set[Kind] | None:
        """Which calls are made after a mark; None: it is none of this run."""
        if mark not in self.marks:
            return None
        return {call.kind for call in self.calls[self.marks[mark] :]}


def send(out: int, message: Planned | Result | Met) -> None:
    """One line in a pipe, whole however many tell."""
    document = message.document() if isinstance(message, Met) else vars(message)
    os.write(out, json.dumps([type(message).__name__, document]).encode() + b"\n")


@dataclass(frozen=True)
class Tables:
    """What the cases of a set-up know of each other: where they went on from, what they left standing; and what the
    cases of all set-ups know: what calls with a fault came to."""

    folder: Path
    world: str

    def of(self, kind: str) -> Table:
        return self._table(self.world, kind)

    @property
    def answers(self) -> Table:
        return self._table("answers")

    def _table(self, *parts: str) -> Table:
        folder = self.folder.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return Table(folder)


@dataclass
class Forks:
    """`wanted`: the cases that begin at a call. `undisturbed`: the same run without a fault. `at_once`: forks that run
    side by side."""

    servers: InlineServers
    world: str
    run: str
    wanted: Callable[[Call], Iterable[Case]]
    undisturbed: Met
    at_once: int
    out: int
    tables: Tables
    counts: Counter[Kind] = field(default_factory=Counter)
    # Of the trunk its calls, of a case those since it began; and the marks passed, with how many calls there had been.
    calls: list[Call] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    # The case that this process plays; the trunk plays none.
    case: Case | None = None
    followed: bool = False
    # Of a case that is played on to check a rule: what the rule says, an outcome or another case's id.
    expected: str = ""
    _while_pending: set[str] = field(default_factory=set)
    _watching: bool = False

    def __post_init__(self) -> None:
        self.children = Children(self.at_once, _MOST_SECONDS, partial(send, self.out))
        self._alike = Alike(
            self.tables.answers,
            lambda: state.of(self.servers),
            lambda: state.of_slack(self.servers, texts=False),
        )
        self._evicts_later = EvictsLater(self.tables.of(_EVICTIONS))

    @contextmanager
    def watched(self) -> Iterator[None]:
        self.watch()
        try:
            yield
            self._passes("end", None)
        finally:
            self.end()

    def watch(self) -> None:
        """Sees every call from now on, before it has any effect."""
        self._watching = True
        faults = self.servers.control._faults
        record = faults.record

        def recorded(operation: Any) -> Any:
            self.met(operation.principal, operation.service, operation.action)
            return record(operation)

        faults.record = recorded
        self.servers.kubernetes.faults.calls = _Calls(lambda call: self.met(call["user"], KUBERNETES, call["action"]))
        strike = self.servers.slack.faults.strike

        def struck(method: str) -> Any:
            self.met("NotifyFunction", SLACK, method)
            return strike(method)

        self.servers.slack.faults.strike = struck
        self._functions().watch(self._function_begins, self._function_ends, self._people_are_told)

    def end(self) -> None:
        """The run is over: nothing is injected any more."""
        self._watching = False
        self._functions().unwatch()
        self.servers.control._faults.pending.clear()
        self.servers.kubernetes.faults.pending.clear()
        self.servers.slack.faults.clear()

    @staticmethod
    def _functions() -> Any:
        from tests.faults.inline import functions  # noqa: PLC0415 - the emulators read the environment

        return functions

    def met(self, caller: str, service: str, action: str) -> None:
        function = next((name for name in FUNCTIONS if name in caller), None)
        if function is None or not self._watching:
            return
        kind = (function, service, action)
        call = Call(self.world, self.run, *kind, self.counts[kind])
        self.calls.append(call)
        if self.case is None:
            self._alike.meets(call)
            for case in self.wanted(call):
                shown = self._alike.shown(case) or self._before_evictions(case)
                if shown and not _is_checked(case.id):
                    send(self.out, Result(case.id, shown.came, "", 0.0, shown.same_as, shown.rule))
                elif self._forked(case):
                    self.expected = (shown.same_as or self.undisturbed.came) if shown else ""
                    break
        self.counts[kind] += 1

    def _function_begins(self, name: str, event: Any, alone: bool) -> None:
        function = next((one for one in FUNCTIONS if one.removesuffix("Function").lower() in name), name)
        if event.get("action") in _ASKS_WHETHER_TO_EVICT:
            self.marks.setdefault(_EVICTIONS, len(self.calls))
        if alone:
            self._passes(name, event)
        if self.case is None:
            self._alike.begins(function)

    def _function_ends(self, name: str, event_and_answer: Any, alone: bool) -> None:
        if alone:
            self._passes(f"{name} ends", event_and_answer)

    def _passes(self, name: str, about: Any) -> None:
        """A world that is what it was at this point of the run without a fault, or of another case, goes on as that one
        did."""
        text = f"{name} {state.decisive(json.dumps(about, sort_keys=True))}"
        plain = _mark(text, state.of(self.servers))
        if self.case is None:
            self.marks.setdefault(plain, len(self.calls))
            if state.all_told():
                self.marks.setdefault(_mark(plain, state.of_slack(self.servers, texts=True)), len(self.calls))
            return
        pending = self._pending() if name != "end" else []
        if name == "end" or self._meets_who_tells():
            # Every word of Slack counts, once all is told.
            if not pending and state.all_told():
                self._passes_without(_mark(plain, state.of_slack(self.servers, texts=True)))
        elif pending:
            self._passes_with_pending(plain, pending)
        else:
            self._passes_without(plain)

    def _before_evictions(self, case: Case) -> Shown | None:
        if self.run != ROLLBACK or _EVICTIONS in self.marks or len(case.injections) > 1:
            return None
        return self._evicts_later.shown(case.injections[0], self.undisturbed.kinds_after(_EVICTIONS) or set())

    def _meets_who_tells(self) -> bool:
        assert self.case is not None
        return any(one.call.function == TELLS for one in self.case.injections)

    def _people_are_told(self, event: Any, answer: Any) -> None:
        """What people are told follows from the record as it is then, and from which messages there are; nothing else
        follows from what they are told. So two cases in which only that was disturbed go on alike once the same change
        of the record was answered in the same way, and Slack shows the same. While a fault lasts there, it matters only
        whether there is a message: its words are written anew afterwards."""
        about = state.decisive(json.dumps([state.change_of(event["Records"][-1]), answer], default=str))
        pending = self._pending() if self.case else []
        mark = _mark("told", about, state.of_slack(self.servers, texts=not pending), *self._to_come(pending))
        if self.case is None:
            self.marks.setdefault(mark, len(self.calls))
        elif all(one.call.function == TELLS for one in self.case.injections):
            if mark in self.undisturbed.marks:
                self._is_like("", Rule.TOLD, "")
            self._compare(mark, "", Rule.TOLD)

    def _passes_with_pending(self, plain: str, pending: list[Any]) -> None:
        """A fault that would meet no further call is as good as none."""
        self.marks.setdefault(plain, len(self.calls))
        self._while_pending.add(plain)
        later = self._later(plain)
        if later is not None and not later.kinds & self._kinds_to_meet():
            self._is_like(later.id, Rule.MEETS_NONE, plain)
        self._compare(_mark(plain, state.tries(), *self._to_come(pending)), plain)

    def _passes_without(self, mark: str) -> None:
        self.marks.setdefault(mark, len(self.calls))
        if mark in self.undisturbed.marks:
            self._is_like("", Rule.BECAME, mark)
        self._compare(mark, mark)

    def _compare(self, mark: str, plain: str, rule: Rule = Rule.BECAME) -> None:
        assert self.case is not None
        first = self.tables.of(f"joins-{self.run}").first(mark, self.case.id)
        if first != self.case.id:
            self._is_like(first, rule, plain)

    def _is_like(self, other: str, rule: Rule, mark: str) -> None:
        """Ends the case as `other` does, or as the run without a fault. One of many is played on: it must come to the
        same."""
        assert self.case is not None
        if self.expected:
            return
        if _is_checked(self.case.id):
            self.expected = other or self.undisturbed.came
            return
        if mark:
            self._remember(mark)
        self.report("" if other else JOINED, "", same_as=other, rule=rule)

    def _later(self, mark: str) -> Later | None:
        """What came after a mark in a run that its faults disturbed no more; None: no such run is known."""
        kinds, passed, first = set[Kind](), set[str](), None
        while mark not in passed:
            passed.add(mark)
            undisturbed = self.undisturbed.kinds_after(mark)
            if undisturbed is not None:
                return Later(first or "", kinds | undisturbed)
            text = self.tables.of(f"later-{self.run}").read(mark)
            if text is None:
                return None
            id_, mark, calls = json.loads(text)
            first = first or id_
            kinds |= {tuple(kind) for kind in calls}
            if not mark:
                return Later(first, kinds)
        return None

    def _remember(self, joined: str) -> None:
        """Tells other cases which calls came after each mark that this one passed; `joined`: the mark at which it went
        on as another one."""
        assert self.case is not None
        met = self._kinds_to_meet()
        table = self.tables.of(f"later-{self.run}")
        for mark, count in self.marks.items():
            kinds = {call.kind for call in self.calls[count:]}
            if mark != joined and not (mark in self._while_pending and kinds & met):
                table.write(mark, json.dumps([self.case.id, joined, sorted(kinds)]))

    def _kinds_to_meet(self) -> set[Kind]:
        assert self.case is not None
        return {injection.call.kind for injection in self.case.injections}

    def _pending(self) -> list[Any]:
        """The faults still to come."""
        pending = (self.servers.control._faults, self.servers.kubernetes.faults, self.servers.slack.faults)
        return [fault for faults in pending for fault in faults.pending]

    def _to_come(self, pending: list[Any]) -> list[str]:
        """The faults still to come. Of one that lasts only the error counts that it comes to, where that is known."""
        if self.case is not None and len(pending) == len(self.case.injections) == 1 and self.case.lasts:
            [injection] = self.case.injections
            error = self._alike.outcome_seen(injection)
            if error is not None:
                return [*injection.call.kind, error]
        return [*map(_lasting, pending)]

    def is_new_standing(self) -> bool:
        """Whether no case has left the same standing yet: only then it is tried what follows."""
        if self.case is None:
            return False
        new = self.tables.of("standings").first(state.standing(self.servers), self.case.id) == self.case.id
        self.followed |= new
        return new

    def _forked(self, case: Case) -> bool:
        """True in the fork."""
        if not self.children.forked(case.id):
            return False
        self.case, self.calls, self.marks = case, [], {}
        for injection in case.injections:
            self._inject(injection)
        answers.watch(self._answered)
        return True

    def _answered(self, service: str, operation: str, outcome: str) -> None:
        """A call of botocore's met the fault and has come to an end."""
        assert self.case is not None
        injection = self.case.injections[0]
        if self._watching and (service, operation) == (injection.call.service, injection.call.action):
            self.tables.answers.first(answer_of(injection), outcome)

    def _inject(self, injection: Injection) -> None:
        from local.aws.faults import parse_fault  # noqa: PLC0415 - the emulators read the environment
        from local.kubernetes.faults import Fault as OfKubernetes  # noqa: PLC0415
        from local.slack.faults import Fault as OfSlack  # noqa: PLC0415

        call = injection.call
        name = f"eks-ip-remediator-{call.function.removesuffix('Function').lower()}"
        document = injection.document(f"{self.servers.aws_url}/_local/crash?function={name}")
        document["skip"] = max(0, call.index - self.counts[call.function, call.service, call.action])
        if call.service == KUBERNETES:
            self.servers.kubernetes.faults.pending.append(OfKubernetes.model_validate(document))
        elif call.service == SLACK:
            self.servers.slack.faults.add(OfSlack.model_validate(document))
        else:
            self.servers.control._faults.pending.append(parse_fault(document))

    def report(self, came: str, why: str, same_as: str = "", rule: str = "") -> None:
        """What came of this fork's case; the fork ends here."""
        assert self.case is not None
        if not rule:
            self._remember("")
        if self.run == WITH_EVICTIONS and not why and _EVICTIONS not in self.marks:
            self._evicts_later.ended(self.case.id, same_as or (JOINED if came == JOINED else self.case.id))
        seconds = self.children.seconds()
        send(self.out, Result(self.case.id, came, why, seconds, same_as, rule, self.followed, self.expected))
        os._exit(0)


class _Calls(deque[Any]):
    def __init__(self, met: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(maxlen=20_000)
        self._met = met

    def append(self, call: dict[str, Any]) -> None:
        self._met(call)
        super().append(call)


@dataclass(frozen=True)
class Later:
    """`id`: the case that showed it, empty for the run without a fault. `kinds`: the calls that were made."""

    id: str
    kinds: set[Kind]


def _mark(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:24]


def _is_checked(id_: str) -> bool:
    return int(hashlib.sha256(id_.encode()).hexdigest()[:8], 16) % _CHECKED_OF == 0


def _lasting(fault: Any) -> str:
    """A fault still to come; of one that lasts, not how often it has struck."""
    fields = dict(vars(fault))
    fields["times"] = fields["times"] if fields["times"] < FOR_THE_RUN / 2 else "lasting"
    return json.dumps(fields, sort_keys=True, default=str)
