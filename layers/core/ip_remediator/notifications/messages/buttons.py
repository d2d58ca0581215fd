"""The buttons under a message. A value names the question or the incident and nothing else."""

from __future__ import annotations

import hashlib

from ip_remediator.common.text import counted
from ip_remediator.incidents.record import Approval, Incident, RollbackAssessment, Step
from ip_remediator.incidents.replacement_record import MOST_AT_ONCE
from ip_remediator.notifications.messages import blocks as kit
from ip_remediator.notifications.messages.planned import brief, undoing
from ip_remediator.notifications.messages.replacing import numbers
from ip_remediator.notifications.messages.rolling_back import found
from ip_remediator.notifications.messages.state import (
    asked,
    replacement_asked,
    replacement_offered,
    rollback_asked,
    rollback_offered,
)
from ip_remediator.notifications.messages.text import cut, words
from ip_remediator.planning.model import Plan

APPROVE = "approve"
REJECT = "reject"
ROLLBACK = "rollback"
ROLLBACK_CONFIRM = "rollback_confirm"
ROLLBACK_EVICT = "rollback_confirm_evict"
ROLLBACK_CANCEL = "rollback_cancel"
REPLACE = "replace"
REPLACE_CONFIRM = "replace_confirm"
REPLACE_CANCEL = "replace_cancel"
DETAILS = "details"


def buttons(incident: Incident) -> list[kit.Block]:
    """The open question's buttons, or those that start something: Replace while nodes are to be replaced, Rollback
    while there is something to roll back; and Details, once there is a plan."""
    deciding = _deciding(incident)
    if incident.plan is None:
        return [deciding] if deciding else []
    shown = kit.button(DETAILS, "Details", {"incident": incident.id})
    block = deciding or kit.actions(_unique("details", incident.id))
    return [{**block, "elements": [*block["elements"], shown]}]


def _deciding(incident: Incident) -> kit.Block | None:
    question = asked(incident)
    if question:
        return _question(incident, question)
    question = rollback_asked(incident)
    if question and incident.rollback and incident.rollback.assessment:
        return _rollback_question(incident, question, incident.rollback.assessment)
    question = replacement_asked(incident)
    if question:
        return _replacement_question(incident, question)
    return _offers(incident)


def _question(incident: Incident, approval: Approval) -> kit.Block:
    value = {"approval": approval.id}
    plan = incident.plan
    does = _what_happens(incident, plan) if plan else "The plan is carried out."
    free = f", and {_block(plan)} is released" if plan and plan.block else ""
    stays = f"Nothing is changed in {_cluster(incident)}: {_still_waiting(incident)}{free}."
    return kit.actions(
        _unique("approval", approval.id),
        kit.button(APPROVE, "Approve", value, kit.confirm("Approve the plan?", does, "Approve", style="primary")),
        kit.button(REJECT, "Reject", value, kit.confirm("Reject the plan?", stays, "Reject", style="danger")),
    )


def _what_happens(incident: Incident, plan: Plan) -> str:
    """What the click sets going, with the numbers."""
    made = f"{counted(len(plan.changes), 'change')} in {_cluster(incident)}: {brief(plan).replace('`', '')}"
    nodes = sum(zone.nodes for zone in incident.diagnosis.zones) if incident.diagnosis else 0
    if any(change.action == "configure_cni" and not change.by_hand for change in plan.changes):
        made += f"; aws-node restarts on {counted(nodes, 'node')}"
    worst = max((risk.severity for risk in plan.risks), default=None)
    risk = f" {counted(len(plan.risks), 'risk')}, the highest {worst.name.lower()}." if worst else ""
    return f"{made}. Expected: {cut(words(plan.expectation), 60)}.{risk}"


def _still_waiting(incident: Incident) -> str:
    pods = sum(zone.stuck_pods for zone in incident.diagnosis.zones) if incident.diagnosis else 0
    return f"{counted(pods, 'pod')} {'goes' if pods == 1 else 'go'} on waiting" if pods else "its pods go on waiting"


def _offers(incident: Incident) -> kit.Block | None:
    offered = [_replace(incident)] if replacement_offered(incident) else []
    offered += [_rollback(incident)] if rollback_offered(incident) else []
    if not offered:
        return None
    # Each offer has an id of its own: a second click on the same offer is a repeat, one on a later offer is not.
    attempts = [incident.steps[step].at for step in (Step.REPLACE_NODES, Step.ROLLBACK) if step in incident.steps]
    since = max(attempts, default=incident.closed_at or incident.opened_at)
    questions = (incident.rollback_approval, incident.replacement_approval)
    earlier = "".join(question.id for question in questions if question)
    return kit.actions(_unique("rollback", f"{incident.id} {since.isoformat()} {earlier}"), *offered)


def _rollback(incident: Incident) -> kit.Block:
    healed = len(incident.verification.healed) if incident.verification else 0
    used = f"{counted(healed, 'pod')} got {'an address' if healed == 1 else 'addresses'} of it. " if healed else ""
    sure = kit.confirm(
        "Roll back?",
        f"First it is looked at who uses {_block(incident.plan)} now. {used}"
        "You see the numbers and confirm them before anything is changed.",
        "Look",
        style="primary",
    )
    return kit.button(ROLLBACK, "Rollback", {"incident": incident.id}, sure, "danger")


def _replace(incident: Incident) -> kit.Block:
    found = incident.verification
    nodes = counted(min(len(found.nodes_to_replace), MOST_AT_ONCE) if found else 0, "node")
    waiting = counted(len(found.still_stuck) if found else 0, "pod")
    text = (
        f"{nodes} of {_cluster(incident)} will be drained and ended, and made anew by their owners, for {waiting} that "
        "still wait: in each zone one after the other, as disruption budgets allow. A drained node cannot be had back."
    )
    sure = kit.confirm(f"Replace {nodes}?", text, f"Replace {nodes}", style="danger")
    return kit.button(REPLACE, f"Replace {nodes}", {"incident": incident.id}, sure, "primary")


def _replacement_question(incident: Incident, approval: Approval) -> kit.Block:
    value = {"approval": approval.id}
    left = [node for zone in incident.replacements.values() for node in zone.nodes]
    nodes = counted(len(left), "node")
    text = f"{_cluster(incident)}: {numbers(incident)}. In each zone one after the other, as disruption budgets allow."
    sure = kit.confirm(f"Replace {nodes}?", text, f"Replace {nodes}", style="danger")
    return kit.actions(
        _unique("replacement-question", approval.id),
        kit.button(REPLACE_CONFIRM, f"Replace {nodes}", value, sure, "danger"),
        kit.button(REPLACE_CANCEL, "Cancel", value),
    )


def _rollback_question(incident: Incident, approval: Approval, assessment: RollbackAssessment) -> kit.Block:
    value = {"approval": approval.id}
    numbers = f"{_block(incident.plan)}: {found(assessment)}."
    restored = undoing(incident.plan)
    stay = (
        " No pod is moved: subnets that pods use stay until those are gone and you press Rollback again."
        if assessment.pods
        else ""
    )
    wait = kit.confirm("Roll back?", f"{numbers} {restored}{stay}", "Roll back", style="danger")
    choices = [kit.button(ROLLBACK_CONFIRM, "Roll back, move no pod" if stay else "Roll back", value, wait, "danger")]
    if assessment.pods:
        pods = counted(assessment.pods, "pod")
        text = f"{numbers} {restored} {pods} will be evicted, a few at a time, as their disruption budgets allow."
        evict = kit.confirm(f"Roll back and evict {pods}?", text, f"Evict {pods}", style="danger")
        choices.append(kit.button(ROLLBACK_EVICT, f"Roll back, evict {pods}", value, evict, "danger"))
    return kit.actions(
        _unique("rollback-question", approval.id), *choices, kit.button(ROLLBACK_CANCEL, "Cancel", value)
    )


def _cluster(incident: Incident) -> str:
    return cut(words(incident.cluster), 40)


def _block(plan: Plan | None) -> str:
    return cut(words(plan.space), 20) if plan else "the block"


def _unique(purpose: str, of: str) -> str:
    return f"{purpose}-{hashlib.sha256(of.encode()).hexdigest()[:8]}"
