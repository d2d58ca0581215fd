"""Which faults are injected where: every AWS call that a recorded run made, and what can become of a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# A lasting fault meets every such call until the run has ended.
FOR_THE_RUN = 100_000
RUNS = ("remediation", "rollback")
# Reads are repeated as long as something is waited for: the first one of its kind stands for all.
_WRITES_BY_INDEX = 3
_READS = ("Describe", "Get", "List", "Query", "Scan", "Search", "Assume")
_CODES = {
    "refused": {"ec2": "InvalidParameterValue", "dynamodb": "ValidationException", "eks": "InvalidParameterException"},
    "denied": {"ec2": "UnauthorizedOperation"},
    "throttled": {"ec2": "RequestLimitExceeded"},
}
_ELSE = {"refused": "ValidationException", "denied": "AccessDeniedException", "throttled": "ThrottlingException"}
FAULTS = ("refused", "denied", "throttled", "unavailable", "lost")


@dataclass(frozen=True, order=True)
class Call:
    """The call of number `index` (from 0) that `function` makes of an operation in a run."""

    run: str
    function: str
    service: str
    action: str
    index: int

    @property
    def writes(self) -> bool:
        return not self.action.startswith(_READS)


@dataclass(frozen=True, order=True)
class Case:
    """A fault at a call: once, or from that call on for as long as the run lasts."""

    call: Call
    fault: str
    lasts: bool

    @property
    def id(self) -> str:
        call = self.call
        how = "lasting" if self.lasts else "once"
        return f"{call.run}:{call.function}:{call.service}:{call.action}:{call.index}:{self.fault}:{how}"

    def document(self) -> dict[str, Any]:
        """The fault as `local/aws/faults.py` takes it."""
        service = self.call.service
        code = _CODES.get(self.fault, {}).get(service) or _ELSE.get(self.fault, "InternalError")
        return {
            "service": service,
            "action": self.call.action,
            "principal": self.call.function,
            "skip": self.call.index,
            "times": FOR_THE_RUN if self.lasts else 1,
            "error": code,
            "status": {"refused": 400, "denied": 403, "throttled": 400}.get(self.fault, 500),
            "when": "after" if self.fault == "lost" else "before",
        }


def case_of(id_: str) -> Case:
    """The case of this id. ValueError when it is none."""
    parts = id_.split(":")
    if len(parts) != 7 or parts[0] not in RUNS or parts[5] not in FAULTS or parts[6] not in ("once", "lasting"):
        raise ValueError(
            f"{id_!r} is no id of a case, such as remediation:NetworkFunction:ec2:CreateSubnet:0:lost:once"
        )
    run, function, service, action, index, fault, how = parts
    return Case(Call(run, function, service, action, int(index)), fault, how == "lasting")


def calls_of(run: str, recorded: Iterable[dict[str, Any]], functions: Iterable[str]) -> list[Call]:
    """The calls of the functions of a run, each numbered among those of its kind."""
    known = tuple(functions)
    seen: Counter[tuple[str, str, str]] = Counter()
    result = []
    for call in recorded:
        function = next((name for name in known if name in call["principal"]), None)
        if function is None:
            continue
        kind = (function, call["service"], call["action"])
        result.append(Call(run, *kind, seen[kind]))
        seen[kind] += 1
    return sorted({call for call in result if call.index < (_WRITES_BY_INDEX if call.writes else 1)})


def cases_of(calls: Iterable[Call]) -> Iterator[Case]:
    """Every fault at every call. A read changes nothing, so its answer cannot be lost in another way than refused."""
    for call in calls:
        for fault in FAULTS:
            if call.writes or fault != "lost":
                yield from (Case(call, fault, lasts) for lasts in (False, True))
