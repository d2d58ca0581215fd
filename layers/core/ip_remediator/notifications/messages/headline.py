"""The headline: the problem, and where the incident stands or what is asked."""

from __future__ import annotations

from dataclasses import dataclass

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.text import counted
from ip_remediator.incidents.record import ApprovalState, Incident, RollbackState, Step, StepState
from ip_remediator.incidents.replacement_record import NodeState, ReplacementState
from ip_remediator.notifications.messages.cause import problem
from ip_remediator.notifications.messages.planned import action
from ip_remediator.notifications.messages.state import (
    NO_PLAN,
    anything_made,
    asked,
    replacement_asked,
    running_step,
    state_of,
)


@dataclass(frozen=True)
class Headline:
    """The first line of a message: an emoji shortcode, and the words after the cluster's name."""

    emoji: str
    words: str


_OUTCOMES = {
    Outcome.PREPARED: Headline(":wrench:", "prepared, manual steps remain"),
    Outcome.FAILED: Headline(":x:", "failed, and some of its changes are still in place"),
    Outcome.UNDONE: Headline(":leftwards_arrow_with_hook:", "failed, all changes were undone"),
    Outcome.NOT_CURABLE: Headline(":no_entry:", "more addresses cannot cure this"),
    Outcome.NOT_NEEDED: Headline(":white_check_mark:", "recovered by itself, nothing was changed"),
    Outcome.OBSERVED: Headline(":eyes:", "plan ready, nothing was changed"),
    Outcome.REJECTED: Headline(":no_entry_sign:", "left as it is, nothing was changed"),
    Outcome.ROLLED_BACK: Headline(":rewind:", "rolled back"),
}
_ROLLBACKS = {
    RollbackState.ASSESSED: Headline(":rewind:", "Roll back? It waits for your confirmation"),
    RollbackState.RUNNING: Headline(":rewind:", "rolling back"),
    RollbackState.PAUSED: Headline(":warning:", "the rollback stopped"),
}
_REPLACEMENTS = {
    ReplacementState.ASSESSED: Headline(":arrows_counterclockwise:", "Replace nodes? It waits for your confirmation"),
    ReplacementState.RUNNING: Headline(":arrows_counterclockwise:", "nodes are being replaced"),
    ReplacementState.STOPPED: Headline(":warning:", "the replacement of nodes stopped"),
}


def headline(incident: Incident) -> Headline:
    """The state in one phrase."""
    if incident.outcome is None:
        return _open_headline(incident)
    return _changed_since(incident) or _ended(incident, incident.outcome)


def _ended(incident: Incident, outcome: Outcome) -> Headline:
    """How the remediation ended."""
    verification = incident.verification
    if outcome is Outcome.HEALED and incident.plan and incident.plan.recipients:
        words = "EKS has other subnets" if incident.plan.for_cluster else "nodes can be launched again"
        return Headline(":white_check_mark:", f"healed, {words}")
    if outcome is Outcome.HEALED:
        return Headline(":white_check_mark:", f"healed{_running(len(verification.healed) if verification else 0)}")
    if outcome is Outcome.PARTLY:
        return _partly_healed(len(verification.still_stuck) if verification else 0)
    return _ended_before_any_change(incident, outcome) or _OUTCOMES[outcome]


def _ended_before_any_change(incident: Incident, outcome: Outcome) -> Headline | None:
    """The endings whose reason is more specific than their outcome; None for all others."""
    approval = incident.approval
    if outcome is Outcome.REJECTED and approval and approval.state is ApprovalState.EXPIRED:
        return Headline(":alarm_clock:", "nobody answered, nothing was changed")
    if outcome is Outcome.NOT_CURABLE and incident.failure and incident.failure.error == NO_PLAN:
        return Headline(":no_entry:", "cannot be cured automatically, nothing was changed")
    if outcome is Outcome.UNDONE and not anything_made(incident):
        return Headline(":x:", "failed before anything was changed")
    return None


def _partly_healed(stuck: int) -> Headline:
    rest = f", {counted(stuck, 'pod')} still {'has' if stuck == 1 else 'have'} no address" if stuck else ""
    return Headline(":warning:", f"partly healed{rest}")


def _running(pods: int) -> str:
    return f", {counted(pods, 'pod')} {'is' if pods == 1 else 'are'} running" if pods else ""


def _changed_since(incident: Incident) -> Headline | None:
    """The state of a rollback or node replacement of the closed incident; None if there is none."""
    if incident.outcome is Outcome.ROLLED_BACK:
        return None
    if incident.rollback:
        return _ROLLBACKS.get(incident.rollback.state) or _replacement_headline(incident)
    rollback = state_of(incident, Step.ROLLBACK)
    if rollback is StepState.RUNNING:
        return Headline(":mag:", "rollback asked for, checking what uses the subnets")
    if rollback is StepState.FAILED:
        return _ROLLBACKS[RollbackState.PAUSED]
    return _replacement_headline(incident)


def _replacement_headline(incident: Incident) -> Headline | None:
    """None where it is over and done, or none was asked for."""
    step = state_of(incident, Step.REPLACE_NODES)
    if incident.replacement and step is not None:
        return _recorded_replacement(incident, incident.replacement.state, step)
    if step == StepState.RUNNING:
        return Headline(":mag:", "replacement of nodes asked for, checking which can be replaced")
    return _REPLACEMENTS[ReplacementState.STOPPED] if step == StepState.FAILED else None


def _recorded_replacement(incident: Incident, state: ReplacementState, step: StepState) -> Headline | None:
    """Of a replacement whose assessment is in the record; None where it is over and done."""
    nodes = [node for zone in incident.replacements.values() for node in zone.nodes]
    if state is ReplacementState.RUNNING and nodes:
        done = sum(node.state is NodeState.REPLACED for node in nodes)
        return Headline(
            ":arrows_counterclockwise:", f"nodes are being replaced, {done} of {counted(len(nodes), 'node')} done"
        )
    confirmed = step == StepState.RUNNING and state is ReplacementState.ASSESSED
    if confirmed and replacement_asked(incident) is None:
        return _REPLACEMENTS[ReplacementState.RUNNING]
    return _REPLACEMENTS.get(state)


def _open_headline(incident: Incident) -> Headline:
    problem_text = problem(incident)
    if incident.failure:
        return Headline(":x:", f"{problem_text}; the remedy failed, cleaning up")
    question = asked(incident)
    if question and incident.plan:
        emoji = ":alarm_clock:" if question.reminded_at else ":rotating_light:"
        return Headline(emoji, f"{problem_text}. {action(incident.plan)}?")
    if incident.diagnosis is None:
        return Headline(":mag:", f"{problem_text}, looking for the cause")
    if incident.plan is None:
        return Headline(":mag:", f"{problem_text}, planning")
    return Headline(":hourglass_flowing_sand:", f"{problem_text}, {_progress(incident)}")


def _progress(incident: Incident) -> str:
    approval = incident.approval
    if running_step(incident) is Step.VERIFY:
        return "remedy is in place, checking the pods"
    if Step.APPROVE in incident.steps or anything_made(incident):
        return "carrying out the plan"
    if approval and approval.state is ApprovalState.APPROVED:
        return "approved, checking once more before anything changes"
    if incident.mode is Mode.APPROVE:
        return "plan ready, about to ask for approval"
    return "plan ready"
