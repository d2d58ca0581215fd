"""What incidents wait for people to decide, and in which state they are, for lists and for `latest`."""

from __future__ import annotations

from collections.abc import Iterable

from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.record import Approval, ApprovalState, Incident, Step, StepState
from ip_remediator_cli.errors import BadInput

PLAN, ROLLBACK, NODES = "plan", "rollback", "nodes"


def open_question(incident: Incident) -> tuple[str, Approval] | None:
    """What the open question is about (PLAN, ROLLBACK or NODES), and the question; None if it waits for no answer."""
    for about, approval in zip((PLAN, ROLLBACK, NODES), incident.questions, strict=True):
        if approval and approval.state is ApprovalState.PENDING and utc_now() < approval.expires_at:
            return about, approval
    return None


def state_of(incident: Incident) -> str:
    """For a column: what it waits for, what is under way, or how it ended."""
    question = open_question(incident)
    if question:
        return f"asks: {question[0]}"
    if incident.open:
        return "(open)"
    for step, text in ((Step.ROLLBACK, "rolling back"), (Step.REPLACE_NODES, "replacing nodes")):
        if step in incident.steps and incident.steps[step].state is StepState.RUNNING:
            return text
    return str(incident.outcome)


def only_one_that_asks(incidents: Iterable[Incident]) -> Incident | None:
    """The incident that waits for an answer; None if there is none.

    Raises:
        BadInput: more than one waits, and nobody knows which is meant.
    """
    asking = [(incident, question[0]) for incident in incidents if (question := open_question(incident))]
    if len(asking) > 1:
        named = ", ".join(f"{incident.id} ({about})" for incident, about in asking)
        raise BadInput(f"INCIDENT: {len(asking)} incidents wait for an answer, name one of them: {named}")
    return asking[0][0] if asking else None


def under_way(incident: Incident) -> bool:
    """Whether it is open, or closed and being rolled back, or its nodes are being replaced, or somebody is asked."""
    return incident.open or state_of(incident) != incident.outcome
