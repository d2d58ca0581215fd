"""The state of an incident: its steps, its open questions, and the actions that can be offered."""

from __future__ import annotations

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.text import counted
from ip_remediator.incidents.record import (
    Approval,
    ApprovalState,
    Failure,
    Incident,
    RollbackState,
    Step,
    StepResult,
    StepState,
)
from ip_remediator.incidents.replacement_record import ReplacementState
from ip_remediator.notifications.messages.text import Line, cut, words
from ip_remediator.planning.model import Plan

STEP_WORDS = {
    Step.DIAGNOSE: "Diagnose",
    Step.PLAN: "Plan",
    Step.APPROVE: "Approval",
    Step.DELETE_LEAKED_ENIS: "Delete the leaked ENIs",
    Step.ASSOCIATE_CIDR: "Add the CIDR to the VPC",
    Step.CREATE_SUBNETS: "Create the subnets",
    Step.GIVE_SUBNETS: "Give the subnets away",
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
# Of the remediation itself: what comes after it has failures of its own.
_CURE_STEPS = tuple(step for step in Step if step not in (Step.UNDO, Step.REPLACE_NODES, Step.ROLLBACK))
_CURES = {
    "delete-leaked-enis": (Step.DELETE_LEAKED_ENIS, Step.VERIFY),
    "reclaim-warm": (Step.CONFIGURE_CNI, Step.VERIFY),
    "subnet-discovery": (*_SUBNETS, Step.VERIFY),
    "node-group": _SUBNETS,
    "cluster-subnets": (*_SUBNETS, Step.GIVE_SUBNETS, Step.VERIFY),
}
# Outcomes that leave something in place.
_STANDING = (Outcome.HEALED, Outcome.PARTLY, Outcome.PREPARED, Outcome.FAILED)
# Outcomes after which another run may do better. A kill switch or a cluster that recovered asks for none.
_AGAIN = (
    Outcome.OBSERVED,
    Outcome.REJECTED,
    Outcome.UNDONE,
    Outcome.FAILED,
    Outcome.PARTLY,
    Outcome.NOT_CURABLE,
    Outcome.ROLLED_BACK,
)
_MARK_OF = {
    StepState.RUNNING: "running",
    StepState.DONE: "done",
    StepState.FAILED: "failed",
    StepState.SKIPPED: "skipped",
}
# The error of a shortage that more addresses would cure, but not here: a quota, a setting, another owner.
NO_PLAN = "CannotPlan"


def step_lines(incident: Incident) -> list[Line]:
    """Every step that happened, is happening, or (while the incident is open) is still to come."""
    lines = []
    running = running_step(incident)
    for step in Step:
        result = incident.steps.get(step)
        if result and not _has_own_line(incident, step, result):
            lines.append(_happened(incident, step, result))
        elif result:
            continue
        elif step == running:
            lines.append(Line(_words_of(incident, step), "running"))
        elif running and step in _expected(incident) and list(Step).index(step) > list(Step).index(running):
            lines.append(Line(_name_of(incident, step), "open"))
    return lines


def _happened(incident: Incident, step: Step, result: StepResult) -> Line:
    verification = incident.verification
    if step is Step.VERIFY and result.state is StepState.DONE and verification and verification.still_stuck:
        healed, stuck = len(verification.healed), len(verification.still_stuck)
        return Line(f"{_name_of(incident, step)}: {healed} of {healed + stuck} do", "failed")
    return Line(_name_of(incident, step) + _note(incident, result), _mark(incident, step, result.state))


def _words_of(incident: Incident, step: Step) -> str:
    approved = incident.approval is not None and incident.approval.state is ApprovalState.APPROVED
    if step is Step.APPROVE and approved:
        return "Check once more that the approved plan still fits"
    progress = incident.progress
    if progress and progress.step is step:
        return f"{_name_of(incident, step)}: {progress.done} of {counted(progress.total, progress.unit)} so far"
    return _name_of(incident, step)


def _name_of(incident: Incident, step: Step) -> str:
    """The step in words. Where subnets are not for pods alone, it is not pods that prove the cure."""
    plan = incident.plan
    if step is Step.CONFIGURE_CNI and plan and plan.strategy == "reclaim-warm":
        return "Lower the warm targets"
    if step is Step.VERIFY and plan and plan.recipients:
        return "Verify that EKS has the subnets" if plan.for_cluster else "Verify that nodes can be launched"
    return STEP_WORDS[step]


def _has_own_line(incident: Incident, step: Step, result: StepResult) -> bool:
    """Cause, plan and decision have lines of their own once there are any; the rollback has a paragraph."""
    has_own_lines = {
        Step.DIAGNOSE: incident.diagnosis is not None,
        Step.PLAN: incident.plan is not None,
        Step.APPROVE: incident.approval is not None or result.state is StepState.SKIPPED,
        Step.REPLACE_NODES: incident.replacement is not None,
        Step.ROLLBACK: incident.rollback is not None,
    }
    return result.state != StepState.FAILED and has_own_lines.get(step, False)


def _note(incident: Incident, result: StepResult) -> str:
    """Why a step was skipped or is still running. The plan shows what finished steps made; failures are shown
    separately."""
    shown_below = result.state == StepState.FAILED and incident.failure is not None
    shown = result.state != StepState.DONE and not shown_below
    return f": {words(result.note)}" if result.note and shown else ""


def _mark(incident: Incident, step: Step, state: StepState) -> str:
    gone = incident.outcome in (Outcome.UNDONE, Outcome.ROLLED_BACK)
    return "undone" if gone and step in _MAKING and state == StepState.DONE else _MARK_OF[state]


def running_step(incident: Incident) -> Step | None:
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
    cure = _cure(incident.plan) if incident.plan else _CURE
    if incident.mode == Mode.AUTO and incident.approval is None and Step.APPROVE not in incident.steps:
        return (Step.DIAGNOSE, Step.PLAN, *cure)
    return (Step.DIAGNOSE, Step.PLAN, Step.APPROVE, *cure)


def _cure(plan: Plan) -> tuple[Step, ...]:
    """The strategy node-group ends with the subnets, unless they are given to what launches nodes."""
    return _CURES.get("cluster-subnets" if plan.recipients else plan.strategy, _CURE)


def cluster_name(incident: Incident, most: int = 60) -> str:
    """The cluster's name in at most so many characters, for what has several clusters beside it."""
    return cut(words(incident.cluster), most)


def failed_step(incident: Incident, failure: Failure) -> str:
    """The step that failed, in the words of the list of steps. A remediation's failure names the state of its execution
    instead, and the record has the step that failed with it."""
    if failure.step in STEP_WORDS:
        return STEP_WORDS[Step(failure.step)]
    failed = [step for step in _CURE_STEPS if state_of(incident, step) is StepState.FAILED]
    return _name_of(incident, failed[-1]) if failed else words(failure.step)


def anything_made(incident: Incident) -> bool:
    """Whether a step that changes something was at least tried."""
    tried = (StepState.DONE, StepState.RUNNING, StepState.FAILED)
    return any(state_of(incident, step) in tried for step in _MAKING)


def current_failure(incident: Incident) -> Failure | None:
    """The recorded failure, unless it is over: that of a rollback ends when the next attempt begins."""
    failure = incident.failure
    if failure is None or incident.outcome is Outcome.ROLLED_BACK:
        return None
    over = failure.step == Step.ROLLBACK and state_of(incident, Step.ROLLBACK) is not StepState.FAILED
    return None if over else failure


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
    if replacement_under_way(incident):
        return False
    if incident.rollback:
        free = incident.rollback.state in (RollbackState.CANCELLED, RollbackState.PAUSED)
    else:
        free = state_of(incident, Step.ROLLBACK) in (None, StepState.FAILED)
    return anything_made(incident) and free and incident.outcome in _STANDING


def replacement_asked(incident: Incident) -> Approval | None:
    """The open question about the nodes."""
    assessed = incident.replacement is not None and incident.replacement.state is ReplacementState.ASSESSED
    approval = incident.replacement_approval
    return approval if assessed and approval and approval.state == ApprovalState.PENDING else None


def replacement_offered(incident: Incident) -> bool:
    """Whether there are nodes that must be replaced, and no change is in progress."""
    named = incident.verification is not None and bool(incident.verification.nodes_to_replace)
    back = incident.rollback.state if incident.rollback else state_of(incident, Step.ROLLBACK)
    rolled_back = back not in (None, RollbackState.CANCELLED)
    ended = incident.outcome in (Outcome.HEALED, Outcome.PARTLY, Outcome.FAILED)
    return named and ended and not rolled_back and not replacement_under_way(incident)


def replacement_under_way(incident: Incident) -> bool:
    """Whether nodes are being replaced, or people are being asked about it."""
    return state_of(incident, Step.REPLACE_NODES) == StepState.RUNNING


def run_offered(incident: Incident) -> bool:
    """Whether a new run is worth offering: the incident ended without a cure, and nothing of it is under way."""
    stopped = incident.policy is not None and incident.policy.kill_switch
    busy = replacement_under_way(incident) or state_of(incident, Step.ROLLBACK) is StepState.RUNNING
    return incident.outcome in _AGAIN and not stopped and not busy and not replacement_offered(incident)


def state_of(incident: Incident, step: Step) -> StepState | None:
    """The state of a step; None if it has not begun."""
    result = incident.steps.get(step)
    return result.state if result else None
