"""How many executions of Lambda functions may run at the same time, by the account's quota and by functions' reserves.

A function with a reserve (ReservedConcurrentExecutions) may use that and no more. All others share what the reserves
leave of the quota, and at least 100 must be left. Source: Lambda Developer Guide, "Understanding Lambda function
scaling", "Configuring reserved concurrency for a function"; API reference, PutFunctionConcurrency. An account whose
quota is lower, such as the 10 of new accounts, can reserve nothing: public reports of the refusal's text end in "[10]".
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from local.aws.functions.refusals import ACCOUNT_FULL, FUNCTION_FULL, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.aws.switches import Switches

KEPT_UNRESERVED = 100
TOO_LITTLE_LEFT = (
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
    "minimum value of [{}]."
)
# Account and Region: a quota is of both.
Scope = tuple[str, str]


class Concurrency:
    """Counts the executions that run. Safe for use by several threads."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._running: Counter[tuple[Scope, str]] = Counter()
        self._lock = threading.Lock()

    def begin(self, scope: Scope, function: str, reserves: Mapping[str, int]) -> Refusal | None:
        """Counts a further execution of the function; the refusal when there is no room for it.

        Args:
            reserves: of every function of the scope that has one, by name.
        """
        with self._lock:
            if function in reserves:
                if self._running[scope, function] >= reserves[function]:
                    return FUNCTION_FULL
            elif self._unreserved(scope, reserves) >= self._quota - sum(reserves.values()):
                return ACCOUNT_FULL
            self._running[scope, function] += 1
            return None

    def end(self, scope: Scope, function: str) -> None:
        """An execution that ``begin`` counted has ended."""
        with self._lock:
            self._running[scope, function] -= 1

    def too_little_left(self, function: str, reserve: int, reserves: Mapping[str, int]) -> str:
        """Why the function can't have that reserve; "" when it can."""
        kept = min(KEPT_UNRESERVED, self._quota)
        of_others = sum(number for name, number in reserves.items() if name != function)
        return TOO_LITTLE_LEFT.format(kept) if self._quota - of_others - reserve < kept else ""

    @property
    def _quota(self) -> int:
        return self._switches.function_concurrency

    def _unreserved(self, scope: Scope, reserves: Mapping[str, int]) -> int:
        return sum(number for (where, name), number in self._running.items() if where == scope and name not in reserves)


def reserves_of(functions: Mapping[str, Any]) -> dict[str, int]:
    """The reserves of MiniStack's functions, by name."""
    reserves = {name: function.get("concurrency") for name, function in functions.items()}
    return {name: int(number) for name, number in reserves.items() if number is not None}
