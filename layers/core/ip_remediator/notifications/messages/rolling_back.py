"""A rollback for the message: the assessment, the question, the progress."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.common.enums import Outcome
from ip_remediator.common.text import counted
from ip_remediator.incidents.change_record import ChangeKind
from ip_remediator.incidents.record import Incident, Rollback, RollbackAssessment, RollbackState, Step
from ip_remediator.notifications.messages.planned import undone
from ip_remediator.notifications.messages.state import rollback_asked
from ip_remediator.notifications.messages.text import Line, Part, code, items, moment, names, person, words

_TITLES = {
    RollbackState.ASSESSED: "Rollback",
    RollbackState.RUNNING: "Rolling back",
    RollbackState.CANCELLED: "Rollback cancelled, nothing was changed",
    RollbackState.PAUSED: "Rollback paused",
    RollbackState.DONE: "Rolled back",
}


def rollback_shown(incident: Incident) -> bool:
    """Whether the message shows a rollback instead of the result that it reverts."""
    if incident.rollback is None:
        return incident.outcome == Outcome.ROLLED_BACK
    return incident.rollback.state is not RollbackState.CANCELLED


def rollback(incident: Incident) -> Part:
    """The latest rollback; no lines where none was asked for."""
    latest = incident.rollback
    if latest is None:
        return Part("Rollback", [])
    if incident.outcome == Outcome.ROLLED_BACK:
        latest = latest.model_copy(update={"state": RollbackState.DONE})
    return Part(_TITLES[latest.state], list(_lines(incident, latest)), limit=1500)


def standing_before(latest: Rollback | None) -> tuple[ChangeKind, ...] | None:
    """The kinds of changes that were in place when the rollback was assessed; None: not recorded."""
    return latest.assessment.standing if latest and latest.assessment else None


def describe_usage(assessment: RollbackAssessment) -> str:
    """3 pods have addresses of it, on 2 ENIs."""
    pods = "no pod has an address" if not assessment.pods else counted(assessment.pods, "pod")
    have_address = "" if not assessment.pods else " has an address" if assessment.pods == 1 else " have addresses"
    return f"{pods}{have_address} of its subnets, which hold {counted(assessment.interfaces, 'ENI')}"


def _lines(incident: Incident, latest: Rollback) -> Iterator[Line]:
    block = code(incident.plan.space) if incident.plan else "the block"
    yield Line(f"by {person(latest.requested_by)}", "none", label="Asked for")
    if latest.state is RollbackState.DONE:
        yield from _answered(incident, latest)
        if latest.successor:
            kept = f"its subnets deleted; incident {code(latest.successor)} keeps what it needs"
            yield Line(kept, "done")
        else:
            yield Line(undone(incident.plan, standing_before(latest)), "done")
        yield from _left_alone(latest)
        return
    yield from _assessed(latest, block)
    question = rollback_asked(incident)
    if question:
        silence = f"by {moment(question.expires_at)}, nothing is changed"
        yield Line(silence, "none", label="If nobody answers")
    else:
        yield from _answered(incident, latest)
    if latest.state is RollbackState.RUNNING:
        yield Line(f"{_pace(latest)}{_progress(incident)}", "running")


def _left_alone(latest: Rollback) -> Iterator[Line]:
    if latest.left_alone_until:
        yield Line(
            f"until {moment(latest.left_alone_until)}: pods that hang again start no new run. Start one by hand, "
            "or wait: after that you are asked, in mode auto as well",
            "none",
            label="Left alone",
        )


def _answered(incident: Incident, latest: Rollback) -> Iterator[Line]:
    """Who decided. A question about an earlier rollback says nothing about one that was confirmed by its start."""
    answer = incident.rollback_approval
    earlier = answer is None or (latest.assessment is not None and answer.asked_at < latest.assessment.at)
    if answer and answer.decided_by and not earlier:
        label = "Cancelled" if latest.state is RollbackState.CANCELLED else "Confirmed"
        when = answer.decided_at or answer.expires_at
        yield Line(f"by {person(answer.decided_by)}, {moment(when)}", "none", label=label)
    elif earlier and latest.state is RollbackState.RUNNING:
        yield Line("when it was started", "none", label="Confirmed")


def _assessed(latest: Rollback, block: str) -> Iterator[Line]:
    assessment = latest.assessment
    if assessment is None:
        yield Line(f"Checking what is using {block}; nothing has changed yet", "running")
        return
    yield Line(f"{block}: {describe_usage(assessment)}", "none", label="Found")
    if assessment.pods:
        rest = assessment.pods - len(assessment.pod_names[:5])
        named = names(assessment.pod_names[:5]) or "their names are not recorded"
        yield Line(named + (f" and {rest} more" if assessment.pod_names and rest > 0 else ""))
    yield from items((words(reason) for reason in assessment.in_the_way), shown=5, mark="failed")
    yield from items((words(note) for note in assessment.notes), shown=5)


def _pace(latest: Rollback) -> str:
    if latest.evict:
        return "pods are evicted, as their disruption budgets allow; the subnets are deleted when the ENIs are gone"
    if latest.assessment and latest.assessment.pods:
        return "no pod is moved: the subnets stay while pods have addresses in them"
    return "the subnets are deleted when the ENIs are gone"


def _progress(incident: Incident) -> str:
    """How many have moved or left so far."""
    progress = incident.progress
    if progress is None or progress.step is not Step.ROLLBACK:
        return ""
    verb = "moved" if progress.unit == "pod" else "gone"
    return f": {progress.done} of {counted(progress.total, progress.unit)} {verb} so far"
