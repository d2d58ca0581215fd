"""One run as a tree: wherever a fault could meet a call, the world is forked, and the fork goes on with the fault."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.cases import FOR_THE_RUN, KUBERNETES, SLACK, Call, Case, Injection
from tests.faults.inline import answers, state
from tests.faults.inline.alike import Alike, Table, answer_of
from tests.faults.inline.servers import InlineServers
from tests.faults.inline.threads import fork
from tests.faults.report import JOINED, Planned, Result, Rule
from tests.faults.world import FUNCTIONS

# No case computes that long; one that does never ends.
_MOST_SECONDS = 240
Kind = tuple[str, str, str]


@dataclass(frozen=True)
class Met:
    """A run without a fault: its calls, and a digest of everything whenever a function began and no other ran."""

    calls: tuple[Call, ...] = ()
    begun: frozenset[str] = frozenset()

    def document(self) -> dict[str, Any]:
        return {"calls": [vars(call) for call in self.calls], "begun": sorted(self.begun)}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Met:
        return cls(tuple(Call(**call) for call in document["calls"]), frozenset(document["begun"]))


def send(out: int, message: Planned | Result | Met) -> None:
    """One line in a pipe, whole however many tell."""
    document = message.document() if isinstance(message, Met) else vars(message)
    os.write(out, json.dumps([type(message).__name__, document]).encode() + b"\n")


@dataclass(frozen=True)
class Tables:
    """What the cases of a set-up know of each other: where they went on from, what they left standing, what calls with
    a fault came to."""

    folder: Path

    def of(self, kind: str) -> Table:
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        return Table(folder)


@dataclass
class Forks:
    """`wanted`: the cases that begin at a call. `undisturbed`: the same run without a fault. `at_once`: forks that run
    side by side."""

    servers: InlineServers
    world: str
    run: str
    wanted: Callable[[Call], Sequence[Case]]
    undisturbed: Met
    at_once: int
    out: int
    tables: Tables
    counts: Counter[Kind] = field(default_factory=Counter)
    calls: list[Call] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    # The case that this process plays; the trunk plays none.
    case: Case | None = None
    followed: bool = False
    _watching: bool = False
    _children: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._alike = Alike(self.tables.of("answers"), lambda: state.of(self.servers))

    @contextmanager
    def watched(self) -> Iterator[None]:
        self.watch()
        try:
            yield
            self._joins("end", None)
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
        self._functions().watch(self._function_begins)

    def end(self) -> None:
        """The run is over: nothing is injected any more."""
        self._watching = False
        self._functions().watch(None)
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
        if self.case is None:
            self.calls.append(call)
            self._alike.meets(call)
            for case in self.wanted(call):
                shown = self._alike.shown(case)
                if shown:
                    send(self.out, Result(case.id, shown.came, "", 0.0, shown.same_as, shown.rule))
                elif self._forked(case):
                    break
        self.counts[kind] += 1

    def _function_begins(self, name: str, event: Any, alone: bool) -> None:
        function = next((one for one in FUNCTIONS if one.removesuffix("Function").lower() in name), name)
        if self.case is not None:
            if alone:
                self._joins(name, event)
            return
        self._alike.begins(function, self._joins(name, event) if alone else None)

    def _joins(self, name: str, event: Any) -> str:
        """A world that is what it was at this point of the run without a fault, or of another case, goes on as that one
        did. Of the trunk, which goes on, the mark of this point."""
        about = f"{name} {json.dumps(event, sort_keys=True)}"
        if self.case is None:
            mark = self._mark(about)
            self.begun |= {mark, self._mark(about, slack=True)} if state.all_told() else {mark}
            return mark
        pending = self._pending() if name != "end" else ""
        slack = name == "end" or any(one.call.function == "NotifyFunction" for one in self.case.injections)
        if slack and not state.all_told():
            return ""
        if not pending and self._mark(about, slack=slack) in self.undisturbed.begun:
            self.report(JOINED, "")
        mark = self._mark(f"{about} {pending}", slack=slack, tries=bool(pending))
        first = self.tables.of(f"joins-{self.run}").first(mark, self.case.id)
        if first != self.case.id:
            self.report("", "", same_as=first)
        return mark

    def _mark(self, about: str, *, slack: bool = False, tries: bool = False) -> str:
        text = f"{about} {state.of(self.servers, tries=tries, slack=slack)}"
        return hashlib.sha256(state.by_chance(text).encode()).hexdigest()[:24]

    def _pending(self) -> str:
        """The faults still to come; of one that lasts, not how often it has struck."""
        pending = (self.servers.control._faults, self.servers.kubernetes.faults, self.servers.slack.faults)
        return " ".join(_lasting(fault) for faults in pending for fault in faults.pending)

    def is_new_standing(self) -> bool:
        """Whether no case has left the same standing yet: only then it is tried what follows."""
        assert self.case is not None
        new = self.tables.of("standings").first(state.standing(self.servers), self.case.id) == self.case.id
        self.followed |= new
        return new

    def _forked(self, case: Case) -> bool:
        """True in the fork."""
        while len(self._children) >= self.at_once:
            self._await_one()
        child = fork()
        if child:
            self._children[child] = case.id
            return False
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS + 5))
        self.case, self._children, self.began = case, {}, _processor_seconds()
        for injection in case.injections:
            self._inject(injection)
        answers.watch(self._answered)
        return True

    def _answered(self, service: str, operation: str, outcome: str) -> None:
        """A call of botocore's met the fault and has come to an end."""
        assert self.case is not None
        injection = self.case.injections[0]
        if self._watching and (service, operation) == (injection.call.service, injection.call.action):
            self.tables.of("answers").first(answer_of(injection), outcome)

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

    def report(self, came: str, why: str, same_as: str = "") -> None:
        """What came of this fork's case; the fork ends here."""
        assert self.case is not None
        rule = Rule.BECAME if same_as or came == JOINED else ""
        seconds = _processor_seconds() - self.began
        send(self.out, Result(self.case.id, came, why, seconds, same_as, rule, self.followed))
        os._exit(0)

    def await_all(self) -> None:
        while self._children:
            self._await_one()

    def _await_one(self) -> None:
        child, status = os.wait()
        id_ = self._children.pop(child)
        if status:
            send(self.out, Result(id_, "VIOLATION", f"it did not end (status {status})", float(_MOST_SECONDS)))


class _Calls(deque[Any]):
    def __init__(self, met: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(maxlen=20_000)
        self._met = met

    def append(self, call: dict[str, Any]) -> None:
        self._met(call)
        super().append(call)


def _lasting(fault: Any) -> str:
    fields = dict(vars(fault))
    fields["times"] = fields["times"] if fields["times"] < FOR_THE_RUN / 2 else "lasting"
    return json.dumps(fields, sort_keys=True, default=str)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
