"""Following an incident's record while the deployed functions work on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.record import ApprovalState, Incident
from ip_remediator.incidents.repository import Incidents
from local.stack.stack import Stack

_POLL_SECONDS = 0.1
T = TypeVar("T")


class TooSlow(Exception):
    """Something did not happen in time; the message says what."""


def incidents_of(stack: Stack) -> Incidents:
    """The deployed table, read with the stack's own credentials."""
    resource: Any = stack.servers.session.resource("dynamodb", endpoint_url=stack.servers.aws_url)
    return Incidents(resource.Table(stack.outputs["IncidentsTableName"]), utc_now)


def await_value(subject: str, read: Callable[[], T | None], seconds: float) -> T:
    """Polls until `read` gives something. Raises TooSlow."""
    deadline = time.monotonic() + seconds
    while (value := read()) is None:
        if time.monotonic() > deadline:
            raise TooSlow(f"not within {seconds:.0f} s: {subject}")
        time.sleep(_POLL_SECONDS)
    return value


def follow(incidents: Incidents, incident_id: str, seconds: float) -> Iterator[tuple[str, Incident]]:
    """A line for every step as it finishes, until the incident is closed.

    `seconds` are the stack's own: while people are asked the clock stands still; their answer starts it again.

    Raises:
        TooSlow
    """
    deadline = time.monotonic() + seconds
    printed: dict[str, str] = {}
    while True:
        incident = incidents.get(incident_id)
        for step, result in sorted(incident.steps.items(), key=lambda item: item[1].at):
            if printed.get(step) != result.state:
                printed[step] = result.state
                yield (
                    f"{step.value.replace('_', ' ')}: {result.state}" + (f" - {result.note}" if result.note else ""),
                    incident,
                )
        approval = incident.approval
        if approval and printed.get("approval") != approval.state:
            printed["approval"] = approval.state
            by = f" by {approval.decided_by}" if approval.decided_by else ""
            yield f"approval: {approval.state}{by}", incident
        if not incident.open:
            return
        if approval is not None and approval.state is ApprovalState.PENDING:
            deadline = time.monotonic() + seconds
        if time.monotonic() > deadline:
            raise TooSlow(f"incident {incident_id} is not closed after {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
