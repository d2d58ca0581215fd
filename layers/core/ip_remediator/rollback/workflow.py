"""A rollback's course in the record: begun once, put to people, paused with the reason, finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import Field

from ip_remediator.approvals.questions import Approvals
from ip_remediator.common.document import Document
from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import RequestRefused
from ip_remediator.incidents.record import Approval, ApprovalState, Incident, Rollback, RollbackState, Step, StepState
from ip_remediator.incidents.requests import InvalidInput, parsed
from ip_remediator.incidents.timeline import AUTOMATIC
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.planning.model import Plan
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.close import Lifecycle, failure_of


class RollbackRunning(Exception):
    """Another execution is rolling this incident back already, or replaces its nodes; the message names it."""


class RollbackRun(Document):
    """The input of the rollback state machine.

    `confirmed`: nobody is asked, because the person who started it has seen what is at stake. `evict`: pods are moved
    off the block.
    """

    incident: str = Field(min_length=1, max_length=80)
    requested_by: str = Field(default="somebody who started it by hand", min_length=1, max_length=200)
    confirmed: bool = False
    evict: bool = False


@dataclass(frozen=True)
class RollbackWorkflow:
    """`is_running` tells whether an execution, named by its ARN, still runs."""

    lifecycle: Lifecycle
    is_running: Callable[[str], bool]
    minutes: int

    def begin(self, document: dict[str, Any], execution: str) -> dict[str, Any]:
        """Makes `execution` the one that rolls the incident back, and takes the VPC's lock.

        Returns `{"incident", "requested_by", "confirmed", "evict", "confirmation_seconds"}`.

        Raises:
            InvalidInput: the input is wrong, or there is nothing to roll back.
            RollbackRunning, IncidentNotFound, VpcLocked
        """
        run = parsed(RollbackRun, document)
        incident = self.lifecycle.incidents.get(run.incident)
        plan = self._rollable(incident)
        holder = incident.change_execution
        if holder and holder != execution and self.is_running(holder):
            raise RollbackRunning(f"incident {incident.id} is being rolled back, or has nodes replaced, by {holder}")
        if not self.lifecycle.incidents.claim(incident, execution):
            raise RollbackRunning(f"incident {incident.id} is being rolled back already: another run was faster")
        self._lock.acquire(plan.vpc_id, incident.id)
        self.lifecycle.incidents.start(incident.id, Step.ROLLBACK, f"asked for by {run.requested_by}", run.requested_by)
        return {**run.model_dump(), "confirmation_seconds": 60 * self.minutes}

    def ask(self, incident_id: str, task_token: str) -> None:
        """Puts the assessment to people; the state machine waits on `task_token`."""
        incident = self.lifecycle.incidents.get(incident_id)
        expires_at = self.lifecycle.clock() + timedelta(minutes=self.minutes)
        Approvals(self.lifecycle.table, self.lifecycle.clock).ask(
            incident_id, incident.require_plan().hash, task_token, expires_at, shown_as="rollback_approval"
        )

    def confirm(self, incident_id: str, by: str | None, evict: bool) -> dict[str, bool]:
        """Notes that the rollback goes ahead: `{"evict"}`. `by`: who confirmed, None when nobody was asked."""
        incident = self.lifecycle.incidents.get(incident_id)
        note = f"confirmed by {by}" if by else "confirmed when it was started"
        rollback = _rollback(incident).model_copy(update={"state": RollbackState.RUNNING, "evict": evict})
        who = by or rollback.requested_by
        self.lifecycle.incidents.record_rollback(incident_id, rollback, StepState.RUNNING, note, by=who)
        return {"evict": evict}

    def cancel(self, incident_id: str, by: str | None) -> dict[str, str]:
        """Nobody wants it (`by` None: nobody answered): nothing was changed, and it can be asked for again."""
        incident = self.lifecycle.incidents.get(incident_id)
        self._settle(incident)
        note = f"cancelled by {by}" if by else "nobody confirmed it"
        rollback = _rollback(incident).model_copy(update={"state": RollbackState.CANCELLED})
        self.lifecycle.incidents.record_rollback(
            incident_id, rollback, StepState.SKIPPED, f"{note}, nothing was changed", by=by or AUTOMATIC
        )
        self._unlock(incident)
        return {"incident": incident_id, "rollback": note}

    def pause(self, incident_id: str, caught: dict[str, str]) -> dict[str, str]:
        """Records what is in the way and gives the lock back; the next rollback goes on from here."""
        incident = self.lifecycle.incidents.get(incident_id)
        self._settle(incident)
        standing = ChangeLog(self.lifecycle.table, self.lifecycle.clock, incident_id).outstanding()
        failure = failure_of(caught, standing)
        rollback = _rollback(incident).model_copy(update={"state": RollbackState.PAUSED})
        self.lifecycle.incidents.record_rollback(incident_id, rollback, StepState.FAILED, failure.message, failure)
        self._unlock(incident)
        return {"error": failure.error, "cause": failure.message}

    def finish(self, incident_id: str) -> dict[str, Any]:
        """Everything is as before: closes the incident, which gives the block and the lock back.

        Raises:
            RequestRefused: the change log says that something still stands.
        """
        incident = self.lifecycle.incidents.get(incident_id)
        standing = ChangeLog(self.lifecycle.table, self.lifecycle.clock, incident_id).outstanding()
        if standing:
            raise RequestRefused(f"still there: {', '.join(f'{change.kind} {change.target}' for change in standing)}")
        report = self.lifecycle.close(incident_id, Outcome.ROLLED_BACK, None)
        rollback = _rollback(incident).model_copy(update={"state": RollbackState.DONE})
        failure = incident.failure and incident.failure.model_copy(update={"stands": "nothing that was made is left"})
        self.lifecycle.incidents.record_rollback(incident_id, rollback, StepState.DONE, "all is as before", failure)
        return report

    def _rollable(self, incident: Incident) -> Plan:
        """Raises InvalidInput."""
        if incident.open:
            raise InvalidInput(f"field 'incident': {incident.id} is still being worked on: let it end first")
        standing = ChangeLog(self.lifecycle.table, self.lifecycle.clock, incident.id).outstanding()
        interrupted = incident.rollback is not None and incident.outcome is not Outcome.ROLLED_BACK
        if incident.plan is None or not (standing or interrupted):
            raise InvalidInput(f"field 'incident': nothing that {incident.id} made is left: nothing to roll back")
        return incident.plan

    def _settle(self, incident: Incident) -> None:
        """A question that is still open has expired."""
        asked = incident.rollback_approval
        if asked and asked.state is ApprovalState.PENDING:
            expired: Approval = asked.model_copy(update={"state": ApprovalState.EXPIRED})
            self.lifecycle.incidents.set_approval(incident.id, expired, shown_as="rollback_approval")

    def _unlock(self, incident: Incident) -> None:
        if incident.plan:
            self._lock.release(incident.plan.vpc_id, incident.id)

    @property
    def _lock(self) -> VpcLock:
        return VpcLock(self.lifecycle.table, self.lifecycle.clock)


def _rollback(incident: Incident) -> Rollback:
    """The latest one, or what is to be said when it ended before anything was looked at."""
    return incident.rollback or Rollback(state=RollbackState.PAUSED, requested_by="somebody")
