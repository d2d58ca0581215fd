"""The watchdog's rules: whether an execution works on an incident, and what an ended execution left behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from ip_remediator.common.document import Document
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, RollbackState, Step, StepState
from ip_remediator.signals.causes import Cause

# An incident is opened before its execution starts, by another call of the same invocation.
_STARTING = timedelta(minutes=2)
# The longest Timeout of a function that a state machine invokes (template.yaml), and some seconds.
_LONGEST_FUNCTION = timedelta(seconds=200)
# Changes that a rollback or a node replacement makes only while it runs.
_TEMPORARY = (ChangeKind.CORDON, ChangeKind.WARM_TARGETS)
_COURSE = (Step.DIAGNOSE, Step.PLAN, Step.ASSOCIATE_CIDR, Step.CREATE_SUBNETS, Step.APPLY_ENICONFIGS)
_COURSE_AFTER = (Step.CONFIGURE_CNI, Step.VERIFY)


# Others used it up after the plan had seen room in it.
QUOTA_REACHED = "QuotaReached"
# Errors of steps that met something else than they had made or read, or that waited in vain for what others may keep
# from coming; a fault of ours has others.
_OF_OTHERS = frozenset(
    {
        QUOTA_REACHED,
        "ClusterNotFound",
        "KubernetesUnreachable",
        "NotFound",
        "NotYet",
        "RequestRefused",
        "RollbackBlocked",
        "SettingsOverwritten",
    }
)


class Looked(StrEnum):
    """What the watchdog found. Of `left`, something could not be given back yet, or it is not known yet who stopped
    it: it is tried again."""

    WORKING = "working"
    STARTING = "starting"
    STARTED = "started"
    SETTLED = "settled"
    LEFT = "left"


class Ending(Document):
    """How an execution ended: its status, and the error and cause that Step Functions keeps, if any."""

    execution: str
    status: str
    error: str | None = None
    cause: str | None = None
    stopped_at: datetime | None = None

    def may_still_write(self, now: datetime) -> bool:
        """Whether a function may still record something: one that was running when its execution was stopped
        runs on."""
        cut_off = self.status in ("ABORTED", "TIMED_OUT")
        return cut_off and self.stopped_at is not None and now < self.stopped_at + _LONGEST_FUNCTION

    @property
    def summary(self) -> str:
        """For people. Whoever stopped an execution may have said why; that is its cause."""
        verb = {"ABORTED": "was stopped", "TIMED_OUT": "ran out of time", "FAILED": "failed"}
        reason = ": ".join(part for part in (self.error, self.cause) if part)
        name = self.execution.rpartition(":")[2]
        return f"execution {name} {verb.get(self.status, 'ended')} before it had recorded its end" + (
            f": {reason}" if reason else ""
        )


def is_starting(incident: Incident, now: datetime) -> bool:
    """Whether the incident is so young that its execution may not be recorded yet."""
    return now < incident.opened_at + _STARTING


def leaves_nodes_waiting(incident: Incident) -> bool:
    """Whether pods have addresses now, and nodes that are missing lack them, as the facts or a signal said: the next
    run is theirs. Pods that still hang come first in any run, so only a healed incident has a next one; and that one
    has none."""
    plan, diagnosis = incident.plan, incident.diagnosis
    if incident.outcome is not Outcome.HEALED or incident.follows or plan is None or diagnosis is None:
        return False
    reported = diagnosis.curable and Cause.NODE_LAUNCH.value in incident.signals.causes
    return reported or bool(plan.nodes_next)


def temporary(made: Sequence[ChangeMade]) -> list[ChangeMade]:
    """Cordons and lowered warm targets: they are reverted however an execution ended."""
    return [change for change in made if change.kind in _TEMPORARY]


def interrupted_change(incident: Incident) -> Step | None:
    """The rollback or replacement whose record says that it is under way; None when none is."""
    for step in (Step.ROLLBACK, Step.REPLACE_NODES):
        result = incident.steps.get(step)
        if result is not None and result.state is StepState.RUNNING:
            return step
    return None


def maybe_stopped_by_others(incident: Incident) -> datetime | None:
    """When the incident, or its rollback, stopped for something that others may have changed; None if it did not."""
    failed = [result.at for result in incident.steps.values() if result.state is StepState.FAILED]
    failure, rollback = incident.failure, incident.rollback
    paused = rollback is not None and rollback.state is RollbackState.PAUSED
    in_the_way = paused and rollback is not None and rollback.assessment and rollback.assessment.in_the_way
    met_others = failure is not None and failure.error in _OF_OTHERS
    ended = not incident.open and incident.outcome is not Outcome.ROLLED_BACK
    return max(failed, default=incident.closed_at) if ended and (met_others or in_the_way) else None


def step_under_way(incident: Incident) -> Step:
    """The step of a remediation that its execution was at, as far as the record knows it."""
    if incident.plan is not None and incident.approval is not None and incident.approval.decided_at is None:
        return Step.APPROVE
    for step in (*_COURSE, *_COURSE_AFTER):
        result = incident.steps.get(step)
        if result is None or result.state in (StepState.RUNNING, StepState.FAILED):
            return step
    return Step.VERIFY
