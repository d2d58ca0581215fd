"""Where an incident stands, in words: its headline, its steps, and whether a rollback can be offered."""

from __future__ import annotations

from dataclasses import dataclass

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import Approval, ApprovalState, Incident, RollbackState, Step, StepResult, StepState
from ip_remediator.incidents.replacement_record import ReplacementState
from ip_remediator.notifications.messages.text import Line, words

STEP_WORDS = {
    Step.DIAGNOSE: "Diagnose",
    Step.PLAN: "Plan",
    Step.APPROVE: "Approval",
    Step.DELETE_LEAKED_ENIS: "Delete the leaked ENIs",
    Step.ASSOCIATE_CIDR: "Add the CIDR to the VPC",
    Step.CREATE_SUBNETS: "Create the subnets",
    Step.APPLY_ENICONFIGS: "Apply the ENIConfigs",
    Step.CONFIGURE_CNI: "Turn on custom networking",
    Step.VERIFY: "Verify that the pods run",
    Step.UNDO: "Undo what was made",
    Step.REPLACE_NODES: "Replace the nodes",
    Step.ROLLBACK: "Roll back",
}
_MAKING = (Step.ASSOCIATE_CIDR, Step.CREATE_SUBNETS, Step.APPLY_ENICONFIGS, Step.CONFIGURE_CNI)
_SUBNETS = (Step.ASSOCIATE_CIDR, Step.CREATE_SUBNETS)
_CURE = (*_MAKING, Step.VERIFY)
_CURES = {
    "delete-leaked-enis": (Step.DELETE_LEAKED_ENIS, Step.VERIFY),
    "subnet-discovery": (*_SUBNETS, Step.VERIFY),
    "node-group": _SUBNETS,
}
# Outcomes that leave something in place.
_STANDING = (Outcome.HEALED, Outcome.PARTLY, Outcome.PREPARED, Outcome.FAILED)
_MARK_OF = {
    StepState.RUNNING: "running",
    StepState.DONE: "done",
    StepState.FAILED: "failed",
    StepState.SKIPPED: "skipped",
}


@dataclass(frozen=True)
class Headline:
    emoji: str
    words: str


_OUTCOMES = {
    Outcome.HEALED: Headline(":white_check_mark:", "healed"),
    Outcome.PARTLY: Headline(":warning:", "partly healed"),
    Outcome.PREPARED: Headline(":wrench:", "prepared, the rest is yours to run"),
    Outcome.FAILED: Headline(":x:", "failed"),
    Outcome.UNDONE: Headline(":leftwards_arrow_with_hook:", "failed, everything made was removed"),
    Outcome.NOT_CURABLE: Headline(":no_entry:", "more addresses cannot cure this"),
    Outcome.NOT_NEEDED: Headline(":white_check_mark:", "recovered by itself, nothing was changed"),
    Outcome.OBSERVED: Headline(":eyes:", "plan ready, nothing was changed"),
    Outcome.REJECTED: Headline(":no_entry_sign:", "rejected, nothing was changed"),
    Outcome.ROLLED_BACK: Headline(":rewind:", "rolled back"),
}
# The error of a shortage that more addresses would cure, but not here: a quota, a setting, another owner.
NO_PLAN = "CannotPlan"
_ROLLBACKS = {
    RollbackState.ASSESSED: Headline(":rewind:", "roll back? It waits for your confirmation"),
    RollbackState.RUNNING: Headline(":rewind:", "rolling back"),
    RollbackState.PAUSED: Headline(":warning:", "the rollback stopped"),
}
_REPLACEMENTS = {
    ReplacementState.ASSESSED: Headline(":arrows_counterclockwise:", "replace nodes? It waits for your confirmation"),
    ReplacementState.RUNNING: Headline(":arrows_counterclockwise:", "nodes are being replaced"),
    ReplacementState.STOPPED: Headline(":warning:", "the replacement of nodes stopped"),
}


def headline(incident: Incident) -> Headline:
    """The state in one phrase."""
    if incident.outcome is None:
        return _open_headline(incident)
    if incident.outcome == Outcome.REJECTED and _approval(incident) == ApprovalState.EXPIRED:
        return Headline(":alarm_clock:", "nobody answered, nothing was changed")
    if incident.outcome == Outcome.NOT_CURABLE and incident.failure and incident.failure.error == NO_PLAN:
        return Headline(":no_entry:", "cannot be cured automatically, nothing was changed")
    if incident.outcome == Outcome.UNDONE and incident.plan and incident.plan.leaked_interfaces:
        return Headline(":x:", "failed, nothing was changed")
    outcome = _OUTCOMES[incident.outcome]
    if incident.outcome == Outcome.ROLLED_BACK:
        return outcome
    if incident.rollback:
        return _ROLLBACKS.get(incident.rollback.state) or _replacement_headline(incident) or outcome
    rollback = _state(incident, Step.ROLLBACK)
    if rollback == StepState.RUNNING:
        return Headline(":mag:", "a rollback was asked for, looking who uses the subnets")
    if rollback == StepState.FAILED:
        return _ROLLBACKS[RollbackState.PAUSED]
    return _replacement_headline(incident) or outcome


def _replacement_headline(incident: Incident) -> Headline | None:
    """None where it is over and done, or none was asked for."""
    step = _state(incident, Step.REPLACE_NODES)
    if incident.replacement and step is not None:
        confirmed = step == StepState.RUNNING and incident.replacement.state is ReplacementState.ASSESSED
        if confirmed and replacement_asked(incident) is None:
            return _REPLACEMENTS[ReplacementState.RUNNING]
        return _REPLACEMENTS.get(incident.replacement.state)
    if step == StepState.RUNNING:
        return Headline(":mag:", "nodes are to be replaced, looking who can")
    return _REPLACEMENTS[ReplacementState.STOPPED] if step == StepState.FAILED else None


def _open_headline(incident: Incident) -> Headline:
    if incident.failure:
        return Headline(":x:", "failed, cleaning up")
    question = asked(incident)
    if question:
        emoji, soon = (":alarm_clock:", ", expires soon") if question.reminded_at else (":raised_hand:", "")
        return Headline(emoji, f"waits for approval{soon}")
    if incident.diagnosis is None:
        return Headline(":mag:", "pods cannot get an address, looking for the cause")
    if incident.plan is None:
        return Headline(":mag:", "pods cannot get an address, planning")
    if _running_step(incident) == Step.VERIFY:
        return Headline(":hourglass_flowing_sand:", "remedied, checking the pods")
    return Headline(":hourglass_flowing_sand:", "being remedied")


def step_lines(incident: Incident) -> list[Line]:
    """Every step that happened, is happening, or (while the incident is open) is still to come."""
    lines = []
    running = _running_step(incident)
    for step in Step:
        result = incident.steps.get(step)
        if result and not _told_above(incident, step, result):
            lines.append(Line(STEP_WORDS[step] + _note(incident, result), _mark(incident, step, result.state)))
        elif result:
            continue
        elif step == running:
            lines.append(Line(STEP_WORDS[step], "running"))
        elif running and step in _expected(incident) and list(Step).index(step) > list(Step).index(running):
            lines.append(Line(STEP_WORDS[step], "open"))
    return lines


def _told_above(incident: Incident, step: Step, result: StepResult) -> bool:
    """Cause, plan and decision have lines of their own once there are any; the rollback has a paragraph."""
    told = {
        Step.DIAGNOSE: incident.diagnosis is not None,
        Step.PLAN: incident.plan is not None,
        Step.APPROVE: incident.approval is not None,
        Step.REPLACE_NODES: incident.replacement is not None,
        Step.ROLLBACK: incident.rollback is not None,
    }
    return result.state != StepState.FAILED and told.get(step, False)


def _note(incident: Incident, result: StepResult) -> str:
    """Why a step was skipped or goes on. What a finished one made is in the plan, a failure has a place of its own."""
    told_below = result.state == StepState.FAILED and incident.failure is not None
    wanted = result.state != StepState.DONE and not told_below
    return f": {words(result.note)}" if result.note and wanted else ""


def _mark(incident: Incident, step: Step, state: StepState) -> str:
    gone = incident.outcome in (Outcome.UNDONE, Outcome.ROLLED_BACK)
    return "undone" if gone and step in _MAKING and state == StepState.DONE else _MARK_OF[state]


def _running_step(incident: Incident) -> Step | None:
    """The first step after the last recorded one, while nothing failed; the record notes only what ended."""
    if not incident.open or incident.failure:
        return None
    if any(result.state in (StepState.RUNNING, StepState.FAILED) for result in incident.steps.values()):
        return next((step for step, result in incident.steps.items() if result.state == StepState.RUNNING), None)
    path = _expected(incident)
    ended = max((path.index(step) for step in incident.steps if step in path), default=-1)
    return next(iter(path[ended + 1 :]), None)


def _expected(incident: Incident) -> tuple[Step, ...]:
    """The steps that mode and plan lead through. Auto mode asks only when a risk is too high: then there is an
    approval."""
    if incident.mode == Mode.OBSERVE:
        return (Step.DIAGNOSE, Step.PLAN)
    cure = _CURES.get(incident.plan.strategy, _CURE) if incident.plan else _CURE
    if incident.mode == Mode.AUTO and incident.approval is None and Step.APPROVE not in incident.steps:
        return (Step.DIAGNOSE, Step.PLAN, *cure)
    return (Step.DIAGNOSE, Step.PLAN, Step.APPROVE, *cure)


def asked(incident: Incident) -> Approval | None:
    """The open question about the plan."""
    approval = incident.approval
    return approval if incident.open and approval and approval.state == ApprovalState.PENDING else None


def rollback_asked(incident: Incident) -> Approval | None:
    """The open question about a rollback."""
    assessed = incident.rollback is not None and incident.rollback.state == RollbackState.ASSESSED
    approval = incident.rollback_approval
    return approval if assessed and approval and approval.state == ApprovalState.PENDING else None


def rollback_offered(incident: Incident) -> bool:
    """Something was made, it still stands, and no rollback is under way."""
    made = any(_state(incident, step) in (StepState.DONE, StepState.RUNNING, StepState.FAILED) for step in _MAKING)
    if replacement_under_way(incident):
        return False
    if incident.rollback:
        free = incident.rollback.state in (RollbackState.CANCELLED, RollbackState.PAUSED)
    else:
        free = _state(incident, Step.ROLLBACK) in (None, StepState.FAILED)
    return made and free and incident.outcome in _STANDING


def replacement_asked(incident: Incident) -> Approval | None:
    """The open question about the nodes."""
    assessed = incident.replacement is not None and incident.replacement.state is ReplacementState.ASSESSED
    approval = incident.replacement_approval
    return approval if assessed and approval and approval.state == ApprovalState.PENDING else None


def replacement_offered(incident: Incident) -> bool:
    """Nodes are named that only their replacement helps, and nothing is under way."""
    named = incident.verification is not None and bool(incident.verification.nodes_to_replace)
    back = incident.rollback.state if incident.rollback else _state(incident, Step.ROLLBACK)
    rolled_back = back not in (None, RollbackState.CANCELLED)
    ended = incident.outcome in (Outcome.HEALED, Outcome.PARTLY, Outcome.FAILED)
    return named and ended and not rolled_back and not replacement_under_way(incident)


def replacement_under_way(incident: Incident) -> bool:
    """Nodes are being replaced, or it is asked whether to."""
    return _state(incident, Step.REPLACE_NODES) == StepState.RUNNING


def _state(incident: Incident, step: Step) -> StepState | None:
    result = incident.steps.get(step)
    return result.state if result else None


def _approval(incident: Incident) -> ApprovalState | None:
    return incident.approval.state if incident.approval else None
