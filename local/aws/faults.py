"""Errors that tests inject, and the calls that the local AWS has recorded.

POST   /_local/faults  {"service": "ec2", "action": "CreateSubnet", "error": "RequestLimitExceeded", "times": 2,
                        "when": "before", "status": 503, "message": "...", "principal": "ProvisionRole",
                        "skip": 3}
GET    /_local/faults  the faults still to come          DELETE /_local/faults  none any more
GET    /_local/calls?service=ec2&action=CreateSubnet     DELETE /_local/calls   forget them
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.aws.operations import Operation

ANY = "*"
WHEN = ("before", "after", "cut", "killed")
CALLS_KEPT = 100_000

# HTTP statuses of errors that are not client errors of status 400 (Common errors of the AWS APIs).
STATUSES = {
    "RequestLimitExceeded": 503,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "ServerException": 500,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "ResourceNotFoundException": 404,
}


class BadFaultError(ValueError):
    """A fault's document is invalid; the message names the field and the remedy."""


@dataclass(frozen=True)
class Fault:
    """An error to inject into the next ``times`` matching calls; the SDK's own retries count as calls.

    ``skip`` matching calls pass first. ``when`` "before": the call is refused with ``error`` and has no effect.
    "after": it takes effect and the caller gets HTTP 500 instead of the answer, which is how a lost answer looks.
    "cut": it has no effect, and the connection ends without an answer; "killed": it takes effect, and the calling
    function's process ends before it has the answer. ``delay``: seconds that the call waits first.
    """

    service: str
    action: str
    error: str = "InternalError"
    times: int = 1
    when: str = "before"
    status: int = 400
    message: str = "injected by a test"
    principal: str = ""
    skip: int = 0
    delay: float = 0.0

    def matches(self, operation: Operation) -> bool:
        """Whether the call is one of those meant; ``principal`` is a part of the caller's ARN."""
        return (
            self.service in (ANY, operation.service)
            and self.action in (ANY, operation.action)
            and self.principal in operation.principal
        )


def parse_fault(document: Any) -> Fault:
    """Parse a fault. BadFaultError when a field is missing, unknown or of the wrong type."""
    if not isinstance(document, dict):
        raise BadFaultError('a fault is a JSON object such as {"service": "ec2", "action": "CreateSubnet"}')
    fields = Fault.__dataclass_fields__
    for name in document:
        if name not in fields:
            raise BadFaultError(f"{name} is not a field of a fault; its fields are {', '.join(fields)}")
    for name in ("service", "action"):
        if not isinstance(document.get(name), str) or not document[name]:
            raise BadFaultError(f'{name} is missing: give it as in "ec2" and "CreateSubnet", or "*" for any')
    if document.get("when", "before") not in WHEN:
        raise BadFaultError(
            'when must be "before" (no effect), "after" (takes effect, answer lost), "cut" (no effect, no answer) or '
            '"killed" (takes effect, the calling function is killed)'
        )
    for name, least in (("times", 1), ("skip", 0)):
        number = document.get(name, least)
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise BadFaultError(f"{name} must be a whole number from {least} on")
    error = document.get("error", "InternalError")
    return Fault(**{"status": STATUSES.get(error, 400), **document})


@dataclass
class Call:
    """One recorded call: ``status`` is the HTTP status of its answer, None while it runs."""

    service: str
    action: str
    principal: str
    time: str
    status: int | None = None


@dataclass
class Faults:
    """The faults still to come and the calls so far of one server."""

    pending: list[Fault] = field(default_factory=list)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))

    def take(self, operation: Operation) -> Fault | None:
        """The first fault that is meant for this call, one of its times used up."""
        for index, fault in enumerate(self.pending):
            if fault.matches(operation):
                if fault.skip:
                    self.pending[index] = replace(fault, skip=fault.skip - 1)
                    continue
                if fault.times > 1:
                    self.pending[index] = replace(fault, times=fault.times - 1)
                else:
                    del self.pending[index]
                return fault
        return None

    def record(self, operation: Operation) -> Call:
        """Remember a call; the caller fills in the status."""
        call = Call(operation.service, operation.action, operation.principal, datetime.now(UTC).isoformat())
        self.calls.append(call)
        return call

    def recorded(self, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
        """Calls whose service and action are those of ``wanted``, oldest first."""
        calls = [asdict(call) for call in list(self.calls)]
        return [call for call in calls if all(call.get(name) == value for name, value in wanted.items())]
