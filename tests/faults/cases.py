"""Which faults are injected where: every call that a recorded run made to a counterpart, and what can become of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

# A lasting fault meets every such call until the run has ended.
FOR_THE_RUN = 100_000
REMEDIATION, ROLLBACK, WITH_EVICTIONS = "remediation", "rollback", "rollback-evict"
# In this order: a case of the one rollback shows cases of the other.
RUNS = (REMEDIATION, WITH_EVICTIONS, ROLLBACK)
WORLDS = ("new-cidr", "extension", "discovery", "existing-subnets", "leaked-enis")
KUBERNETES, SLACK = "kubernetes", "slack"
_READS = ("Describe", "Get", "List", "Query", "Scan", "Search", "Assume", "get ", "list ", "watch ", "conversations.")
_CODES = {
    "refused": {"ec2": "InvalidParameterValue", "dynamodb": "ValidationException", "eks": "InvalidParameterException"},
    "denied": {"ec2": "UnauthorizedOperation"},
    "throttled": {"ec2": "RequestLimitExceeded"},
}
_ELSE = {"refused": "ValidationException", "denied": "AccessDeniedException", "throttled": "ThrottlingException"}
_STATUSES = {"refused": 400, "denied": 403, "throttled": 400}
KUBERNETES_STATUSES = {"refused": 422, "denied": 403, "throttled": 429, "unavailable": 503}
_SLACK: dict[str, dict[str, Any]] = {
    "refused": {"error": "fatal_error"},
    "denied": {"error": "missing_scope"},
    "throttled": {"status": 429, "retry_after": 1},
    "unavailable": {"status": 503},
    "lost": {"status": 500, "when": "after"},
    "cut": {"drop": True},
    "killed": {"drop": True, "when": "after"},
}
FAULTS = ("refused", "denied", "throttled", "unavailable", "cut", "slow", "lost", "killed")
# What becomes of an answer matters only where the call had an effect. Slack's answers are waited for 3 s at most.
_OF_WRITES = ("lost",)
_SLOW_SECONDS = 16.0  # longer than the functions wait for an answer of AWS


# Function, service and action.
Kind = tuple[str, str, str]


@dataclass(frozen=True, order=True)
class Call:
    """The call of number `index` (from 0) that `function` makes of an operation, in a run in a world."""

    world: str
    run: str
    function: str
    service: str
    action: str
    index: int

    @property
    def kind(self) -> Kind:
        return self.function, self.service, self.action

    @property
    def writes(self) -> bool:
        return not self.action.startswith(_READS)


@dataclass(frozen=True, order=True)
class Injection:
    """A fault at a call: once, or from that call on for as long as the run lasts."""

    call: Call
    fault: str
    lasts: bool

    @property
    def id(self) -> str:
        call = self.call
        how = "lasting" if self.lasts else "once"
        action = call.action.replace(" ", "_")
        return f"{call.world}:{call.run}:{call.function}:{call.service}:{action}:{call.index}:{self.fault}:{how}"

    def document(self, crash: str = "") -> dict[str, Any]:
        """The fault as the local AWS, Kubernetes or Slack takes it. `crash`: the URL that ends the function."""
        times = {"skip": self.call.index, "times": FOR_THE_RUN if self.lasts else 1}
        if self.call.service == SLACK:
            killed = {"crash": crash} if self.fault == "killed" else {}
            return {"method": self.call.action, **times, **_SLACK[self.fault], **killed}
        when = {"lost": "after", "cut": "cut", "slow": "cut", "killed": "killed"}.get(self.fault, "before")
        common = {**times, "when": when, "delay": _SLOW_SECONDS if self.fault == "slow" else 0.0}
        if self.call.service == KUBERNETES:
            status = {"status": KUBERNETES_STATUSES.get(self.fault, 500)}
            killed = {"crash": crash} if self.fault == "killed" else {}
            return {"user": self.call.function, "action": self.call.action, **common, **status, **killed}
        code = _CODES.get(self.fault, {}).get(self.call.service) or _ELSE.get(self.fault, "InternalError")
        return {
            "service": self.call.service,
            "action": self.call.action,
            "principal": self.call.function,
            "error": code,
            "status": _STATUSES.get(self.fault, 500),
            **common,
        }


@dataclass(frozen=True, order=True)
class Case:
    """The faults of one run: one, or a pair."""

    injections: tuple[Injection, ...]

    @property
    def id(self) -> str:
        return "+".join(injection.id for injection in self.injections)

    @property
    def world(self) -> str:
        return self.injections[0].call.world

    @property
    def run(self) -> str:
        return self.injections[0].call.run

    @property
    def lasts(self) -> bool:
        """Whether a fault lasts."""
        return any(injection.lasts for injection in self.injections)


def case_of(id_: str) -> Case:
    """The case of this id. ValueError when it is none."""
    case = Case(tuple(_injection_of(part) for part in id_.split("+")))
    if len({(injection.call.world, injection.call.run) for injection in case.injections}) > 1:
        raise ValueError(f"{id_!r} has faults of different runs")
    return case


def _injection_of(id_: str) -> Injection:
    parts = id_.split(":")
    well_formed = len(parts) == 8 and parts[0] in WORLDS and parts[1] in RUNS
    if not well_formed or parts[6] not in FAULTS or parts[7] not in ("once", "lasting"):
        example = "new-cidr:remediation:NetworkFunction:ec2:CreateSubnet:0:lost:once"
        raise ValueError(f"{id_!r} is no id of a case, such as {example}")
    world, run, function, service, action, index, fault, how = parts
    return Injection(Call(world, run, function, service, action.replace("_", " "), int(index)), fault, how == "lasting")


def injections_of(calls: Iterable[Call]) -> Iterator[Injection]:
    """Every fault at every call. A read changes nothing, so its answer cannot be lost in another way than refused."""
    for call in calls:
        for fault in FAULTS:
            fits = call.service != SLACK or fault in _SLACK
            if fits and (call.writes or fault not in _OF_WRITES):
                yield from (Injection(call, fault, lasts) for lasts in (False, True))


def cases_of(calls: Iterable[Call]) -> list[Case]:
    return [Case((injection,)) for injection in sorted(injections_of(calls))]


def pairs_of(calls: Iterable[Call], count: int, random: Random) -> list[Case]:
    """So many pairs of faults of the same run, no call twice."""
    by_run: dict[tuple[str, str], list[Injection]] = {}
    for injection in sorted(injections_of(calls)):
        by_run.setdefault((injection.call.world, injection.call.run), []).append(injection)
    pairs: set[Case] = set()
    for _ in range(20 * count):
        first, second = random.sample(random.choice(sorted(by_run.values())), 2)
        if first.call != second.call:
            pairs.add(Case(tuple(sorted((first, second)))))
        if len(pairs) >= count:
            break
    return sorted(pairs)
