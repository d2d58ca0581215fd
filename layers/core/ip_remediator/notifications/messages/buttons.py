"""The buttons of a message: green for what is asked, red for what destroys, the rest neutral.

A button's value names the question or the incident and nothing else.
"""

from __future__ import annotations

import hashlib

from ip_remediator.common.enums import Outcome
from ip_remediator.common.slack_actions import SlackAction
from ip_remediator.common.text import counted
from ip_remediator.incidents.record import Approval, Incident, RollbackAssessment, Step
from ip_remediator.incidents.replacement_record import MOST_AT_ONCE
from ip_remediator.notifications.messages import blocks as kit
from ip_remediator.notifications.messages.cause import waiting
from ip_remediator.notifications.messages.planned import action, touches, undoing
from ip_remediator.notifications.messages.replacing import numbers
from ip_remediator.notifications.messages.rolling_back import describe_usage
from ip_remediator.notifications.messages.state import (
    asked,
    cluster_name,
    replacement_asked,
    replacement_offered,
    rollback_asked,
    rollback_offered,
    run_offered,
)
from ip_remediator.notifications.messages.text import cut, words
from ip_remediator.planning.model import Plan
from ip_remediator.risks.model import highest


def buttons(incident: Incident) -> list[kit.Block]:
    """Those of the open question, or the next steps that are possible; and Details, once there is a plan."""
    deciding = _deciding(incident)
    if incident.plan is None:
        return [deciding] if deciding else []
    shown = kit.button(SlackAction.DETAILS, _all_changes(incident.plan), {"incident": incident.id})
    block = deciding or kit.actions(_unique("details", incident.id))
    elements = block["elements"]
    # Rollback stands last, away from the button that was just pressed.
    last = elements[-1:] if elements and elements[-1]["action_id"] == SlackAction.ROLLBACK else []
    first = elements[: len(elements) - len(last)]
    return [{**block, "elements": [*first, shown, *last]}]


def _all_changes(plan: Plan) -> str:
    return f"All {len(plan.changes)} changes" if len(plan.changes) > 1 else "Details"


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
    does = action(plan)
    destroys = plan is not None and bool(plan.leaked_interfaces)
    style: kit.Style = "danger" if destroys else "primary"
    sure = _dialog(incident, f"{does}?", _what_happens(incident, plan), cut(does, kit.MAX_CONFIRM_BUTTON), style=style)
    free = f", and {_block(plan)} is released" if plan and plan.block else ""
    stays = f"Nothing changes: {_still_waiting(incident)}{free}."
    leave = _dialog(incident, "Leave it as it is?", stays, "Leave as it is", style="primary")
    return kit.actions(
        _unique("approval", approval.id),
        kit.button(SlackAction.APPROVE, does, value, sure, style),
        kit.button(SlackAction.REJECT, "Leave as it is", value, leave),
    )


def _what_happens(incident: Incident, plan: Plan | None) -> str:
    """What the click starts, with the numbers. The expected result comes first and is never cut."""
    if plan is None:
        return "The plan is carried out."
    nodes = sum(zone.nodes for zone in incident.diagnosis.zones) if incident.diagnosis else 0
    worst = highest(plan.risks)
    risk = f" {counted(len(plan.risks), 'risk')}, the highest {worst.name.lower()}." if worst else ""
    made = f"{counted(len(plan.changes), 'change')}."
    return f"{_expected(plan)} {made} {touches(plan, nodes).replace('`', '')}.{risk}"


def _expected(plan: Plan) -> str:
    now = f"{counted(plan.heals_now, 'pod')} get an address now" if plan.heals_now != 1 else "1 pod gets an address now"
    nodes = len(plan.replace_nodes)
    rest = f"; the others after {counted(nodes, 'node')} {'is' if nodes == 1 else 'are'} replaced" if nodes else ""
    return f"Expected: {now}{rest}." if plan.heals_now or nodes else f"Expected: {cut(words(plan.expectation), 100)}."


def _still_waiting(incident: Incident) -> str:
    pods = waiting(incident)
    return f"{counted(pods, 'pod')} {'goes' if pods == 1 else 'go'} on waiting" if pods else "its pods go on waiting"


def _offers(incident: Incident) -> kit.Block | None:
    offered = [_replace(incident)] if replacement_offered(incident) else []
    offered += [_run(incident)] if run_offered(incident) else []
    offered += [_rollback(incident)] if rollback_offered(incident) else []
    if not offered:
        return None
    # Each offer has an id of its own: a second click on the same offer is a repeat, one on a later offer is not.
    attempts = [incident.steps[step].at for step in (Step.REPLACE_NODES, Step.ROLLBACK) if step in incident.steps]
    since = max(attempts, default=incident.closed_at or incident.opened_at)
    questions = (incident.rollback_approval, incident.replacement_approval)
    earlier = "".join(question.id for question in questions if question)
    return kit.actions(_unique("rollback", f"{incident.id} {since.isoformat()} {earlier}"), *offered)


def _run(incident: Incident) -> kit.Block:
    """The button for a new run, which asks before it changes anything."""
    label = _run_label(incident)
    text = (
        "A new incident is opened. The cluster is diagnosed again, and a new message asks for your decision before "
        "anything changes."
    )
    sure = _dialog(incident, f"{label}?", text, label, style="primary")
    return kit.button(SlackAction.RUN_AGAIN, label, {"incident": incident.id}, sure, "primary")


def _run_label(incident: Incident) -> str:
    match incident.outcome:
        case Outcome.OBSERVED:
            return "Run this plan"
        case Outcome.REJECTED:
            return "Ask again"
        case Outcome.ROLLED_BACK:
            return "Start again"
        case _:
            return "Retry"


def _rollback(incident: Incident) -> kit.Block:
    """Neutral, because the click only checks; the question that follows has the red button."""
    healed = len(incident.verification.healed) if incident.verification else 0
    used = f"{counted(healed, 'pod')} got {'an address' if healed == 1 else 'addresses'} of it. " if healed else ""
    sure = _dialog(
        incident,
        "Roll back?",
        f"We first check what is using {_block(incident.plan)}. {used}"
        "Nothing changes until you have seen the result and confirmed.",
        "Check",
        style="primary",
    )
    return kit.button(SlackAction.ROLLBACK, "Roll back…", {"incident": incident.id}, sure)


def _replace(incident: Incident) -> kit.Block:
    verification = incident.verification
    number = min(len(verification.nodes_to_replace), MOST_AT_ONCE) if verification else 0
    pods = len(verification.still_stuck) if verification else 0
    nodes, waits = counted(number, "node"), "still waits" if pods == 1 else "still wait"
    text = (
        f"{nodes} will be drained, terminated and recreated by their node group or Karpenter, for "
        f"{counted(pods, 'pod')} that {waits}: one at a time per zone, as disruption budgets allow. "
        "This can't be undone."
    )
    sure = _dialog(incident, f"Replace {nodes}?", text, f"Replace {nodes}", style="danger")
    return kit.button(SlackAction.REPLACE, f"Replace {nodes}", {"incident": incident.id}, sure, "danger")


def _replacement_question(incident: Incident, approval: Approval) -> kit.Block:
    value = {"approval": approval.id}
    nodes = counted(sum(len(zone.nodes) for zone in incident.replacements.values()), "node")
    text = f"{numbers(incident)}. One at a time per zone, as disruption budgets allow. This can't be undone."
    sure = _dialog(incident, f"Replace {nodes}?", text, f"Replace {nodes}", style="danger")
    return kit.actions(
        _unique("replacement-question", approval.id),
        kit.button(SlackAction.REPLACE_CANCEL, "Keep the nodes", value),
        kit.button(SlackAction.REPLACE_CONFIRM, f"Replace {nodes}", value, sure, "danger"),
    )


def _rollback_question(incident: Incident, approval: Approval, assessment: RollbackAssessment) -> kit.Block:
    """The choice that keeps everything comes first; red is what moves pods or deletes at once."""
    value = {"approval": approval.id}
    numbers_found = f"{_block(incident.plan)}: {describe_usage(assessment)}."
    restored = undoing(incident.plan, assessment.standing)
    choices = [kit.button(SlackAction.ROLLBACK_CANCEL, "Keep it", value)]
    if not assessment.pods:
        now = _dialog(incident, "Roll back?", f"{numbers_found} {restored}".strip(), "Roll back", style="danger")
        choices.append(kit.button(SlackAction.ROLLBACK_CONFIRM, "Roll back", value, now, "danger"))
        return kit.actions(_unique("rollback-question", approval.id), *choices)
    pods = counted(assessment.pods, "pod")
    stay = (
        f"{numbers_found} {restored} No pod is moved, so it pauses at once: the subnets stay until their pods are gone "
        "and you roll back again."
    )
    wait = _dialog(incident, "Roll back without moving pods?", stay, "Roll back", style="danger")
    text = f"{_hang(assessment)} {pods} will be evicted, as disruption budgets allow. {numbers_found} {restored}"
    evict = _dialog(incident, f"Roll back and evict {pods}?", text.strip(), f"Evict {pods}", style="danger")
    choices.append(kit.button(SlackAction.ROLLBACK_CONFIRM, "Roll back, move no pod", value, wait))
    choices.append(kit.button(SlackAction.ROLLBACK_EVICT, f"Roll back, evict {pods}", value, evict, "danger"))
    return kit.actions(_unique("rollback-question", approval.id), *choices)


def _hang(assessment: RollbackAssessment) -> str:
    """How many evicted pods will have no address, as far as it was counted."""
    free = assessment.free_elsewhere
    if free is None or free >= assessment.pods:
        return ""
    hang = counted(assessment.pods - free, "pod")
    return f"{hang} will have no address again ({counted(free, 'free address', 'free addresses')} elsewhere)."


def _dialog(incident: Incident, title: str, text: str, yes: str, *, style: kit.Style) -> kit.Block:
    """The confirmation of a button. It covers the message on a phone, so it names the cluster itself."""
    return kit.confirm(f"{cluster_name(incident, 40)}: {title}", text, yes, style=style)


def _block(plan: Plan | None) -> str:
    return cut(words(plan.space), 20) if plan else "the block"


def _unique(purpose: str, of: str) -> str:
    return f"{purpose}-{hashlib.sha256(of.encode()).hexdigest()[:8]}"
