"""The buttons under a message. A value names the question or the incident and nothing else."""

from __future__ import annotations

import hashlib

from ip_remediator.domain.incidents import Approval, ApprovalState, Incident, Step
from ip_remediator.domain.messages import blocks as kit
from ip_remediator.domain.messages.state import rollback_offered
from ip_remediator.domain.messages.text import counted, cut, words

APPROVE = "approve"
REJECT = "reject"
ROLLBACK = "rollback"


def buttons(incident: Incident) -> list[kit.Block]:
    """The question's buttons while it is open, or the Rollback button while there is something to roll back."""
    approval = incident.approval
    if incident.open and approval and approval.state == ApprovalState.PENDING:
        return [_question(incident, approval)]
    return [_rollback(incident)] if rollback_offered(incident) else []


def _question(incident: Incident, approval: Approval) -> kit.Block:
    value = {"approval": approval.id}
    cluster = cut(words(incident.cluster), 60)
    yes = kit.confirm("Approve the plan?", f"{_what_happens(incident)} in {cluster}.", "Approve", style="primary")
    no = kit.confirm(
        "Reject the plan?", f"Nothing is changed in {cluster}; its pods keep waiting.", "Reject", style="danger"
    )
    return kit.actions(
        _unique("approval", approval.id),
        kit.button(APPROVE, "Approve", value, yes, "primary"),
        kit.button(REJECT, "Reject", value, no, "danger"),
    )


def _what_happens(incident: Incident) -> str:
    plan = incident.plan
    if plan is None:
        return "The plan is carried out"
    changes = counted(len(plan.changes), "change")
    return f"{changes} will be made with {cut(words(plan.block), 40)} for {cut(words(plan.vpc_id), 40)}"


def _rollback(incident: Incident) -> kit.Block:
    block = cut(words(incident.plan.block), 40) if incident.plan else "the block"
    sure = kit.confirm(
        "Roll back?",
        f"The CNI's settings and ENIConfigs become as they were before; then what was made for {block} is removed. "
        "Pods that use it must leave first: what stands in the way is shown.",
        "Roll back",
        style="danger",
    )
    # Each offer has an id of its own: a second click on the same offer is a repeat, one on a later offer is not.
    attempt = incident.steps.get(Step.ROLLBACK)
    offered = (attempt.at if attempt else incident.closed_at) or incident.opened_at
    return kit.actions(
        _unique("rollback", f"{incident.id} {offered.isoformat()}"),
        kit.button(ROLLBACK, "Rollback", {"incident": incident.id}, sure, "danger"),
    )


def _unique(purpose: str, of: str) -> str:
    return f"{purpose}-{hashlib.sha256(of.encode()).hexdigest()[:8]}"
