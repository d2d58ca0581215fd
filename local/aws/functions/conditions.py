"""Functions that cannot be invoked: inactive ones, whose VPC connection is gone, connecting ones, and throttled ones.

POST   /_local/functions  {"function": "Diagnose", "state": "Inactive", "restore_seconds": 2, "restorable": true}
                          {"function": "Diagnose", "state": "Connecting", "times": 3}
                          {"function": "Diagnose", "state": "Throttled", "times": 3}
GET    /_local/functions  the conditions that hold         DELETE /_local/functions  none any more

``function`` is a part of the function's name. Inactive: the first invocation fails and starts the restoration, further
ones fail until ``restore_seconds`` have passed ("Lambda function states", functions-states.html); unless it is
``restorable``, its subnet has no address for it and it stays inactive. Connecting (its network interface is not ready)
and Throttled: the next ``times`` invocations fail, all of them when it is 0.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from local.aws.functions.refusals import FUNCTION_FULL, NO_ADDRESS, NO_INTERFACE, NOT_READY, PENDING, Refusal

INACTIVE, CONNECTING, THROTTLED = "Inactive", "Connecting", "Throttled"
FIELDS: dict[str, dict[str, Any]] = {
    INACTIVE: {"restore_seconds": 1.0, "restorable": True},
    CONNECTING: {"times": 0},
    THROTTLED: {"times": 0},
}


class BadConditionError(ValueError):
    """A condition's document is invalid; the message names the field and the remedy."""


@dataclass
class Condition:
    """Why functions whose name has ``function`` in it cannot be invoked."""

    function: str
    state: str
    times: int = 0
    restore_seconds: float = 1.0
    restorable: bool = True
    # When a restoration that has begun ends, in seconds of time.monotonic().
    restored_at: float | None = None

    def matches(self, name: str) -> bool:
        """Whether the condition is for the function of that name."""
        return self.function in name


class FunctionConditions:
    """The conditions of one server's functions. Safe for use by several threads."""

    def __init__(self) -> None:
        self._conditions: list[Condition] = []
        self._lock = threading.Lock()

    def add(self, document: Any) -> None:
        """BadConditionError when the document is not understood."""
        condition = parse(document)
        with self._lock:
            self._conditions.append(condition)

    def document(self) -> list[dict[str, Any]]:
        """The conditions that are in force, as JSON documents."""
        with self._lock:
            self._end_restored()
            return [
                {name: value for name, value in asdict(one).items() if name != "restored_at"}
                for one in self._conditions
            ]

    def clear(self) -> None:
        """Removes all conditions."""
        with self._lock:
            self._conditions.clear()

    def refusal(self, name: str) -> Refusal | None:
        """The error for an invocation of the function; None when it can run. Each call counts as an invocation."""
        with self._lock:
            self._end_restored()
            for one in self._conditions:
                if one.matches(name):
                    return self._inactive(one) if one.state == INACTIVE else self._counted(one)
        return None

    def configuration(self, name: str) -> dict[str, str]:
        """Fields of a function's configuration that differ from those of an active function."""
        with self._lock:
            self._end_restored()
            inactive = next((one for one in self._conditions if one.matches(name) and one.state == INACTIVE), None)
        if inactive is None:
            return {}
        if inactive.restored_at is None:
            return {"State": INACTIVE, "StateReasonCode": "Idle", "StateReason": "The function has been idle."}
        if time.monotonic() < inactive.restored_at:
            return {
                "State": "Pending",
                "StateReasonCode": "Restoring",
                "StateReason": "The function is being restored.",
            }
        return {"State": INACTIVE, "StateReasonCode": "SubnetOutOfIPAddresses", "StateReason": NO_ADDRESS.message}

    def _counted(self, one: Condition) -> Refusal:
        if one.times == 1:
            self._conditions.remove(one)
        elif one.times > 1:
            one.times -= 1
        return FUNCTION_FULL if one.state == THROTTLED else NO_INTERFACE

    @staticmethod
    def _inactive(one: Condition) -> Refusal:
        if one.restored_at is None:
            one.restored_at = time.monotonic() + one.restore_seconds
            return NOT_READY
        return PENDING if time.monotonic() < one.restored_at else NO_ADDRESS

    def _end_restored(self) -> None:
        now = time.monotonic()
        self._conditions = [
            one
            for one in self._conditions
            if not (one.restorable and one.restored_at is not None and one.restored_at <= now)
        ]


def parse(document: Any) -> Condition:
    """Parse a condition. BadConditionError when a field is missing, unknown or of the wrong type."""
    if not isinstance(document, dict) or not isinstance(document.get("function"), str) or not document["function"]:
        raise BadConditionError('function is missing: give a part of its name, as in {"function": "Diagnose"}')
    state = document.get("state")
    if state not in FIELDS:
        raise BadConditionError(f"state must be {INACTIVE}, {CONNECTING} or {THROTTLED}")
    allowed_fields = FIELDS[state]
    further = {name: value for name, value in document.items() if name not in ("function", "state")}
    for name, value in further.items():
        if name not in allowed_fields:
            raise BadConditionError(
                f"{name} is not a field of state {state}; its fields are {', '.join(allowed_fields)}"
            )
        if (
            isinstance(allowed_fields[name], bool) is not isinstance(value, bool)
            or not isinstance(value, (int, float))
            or value < 0
        ):
            raise BadConditionError(
                f"{name} must be of the kind of its default {allowed_fields[name]!r}, and not negative"
            )
    return Condition(document["function"], state, **further)
