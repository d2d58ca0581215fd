"""The workflow of a rollback, as the record shows it: whether it may start, and how it ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ip_remediator.common.actor import SOMEBODY
from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import RequestRefused
from ip_remediator.incidents.record import Incident, Rollback, RollbackState, Step, StepState
from ip_remediator.incidents.requests import InvalidInput, parsed
from ip_remediator.remediation.change_workflow import ChangeRun, ChangeWorkflow, ClosedChange

# How long signals open no incident after a rollback that moved pods.
LEFT_ALONE = timedelta(hours=24)


class RollbackRunning(Exception):
    """Another execution already rolls this incident back or replaces its nodes; the message names it."""


class RollbackRun(ChangeRun):
    """The input of the rollback state machine. `evict`: pods are moved off the block."""

    evict: bool = False


ROLLBACK = ClosedChange[Rollback](
    step=Step.ROLLBACK,
    document="rollback",
    question="rollback_approval",
    running=RollbackState.RUNNING,
    cancelled=RollbackState.CANCELLED,
    interrupted=RollbackState.PAUSED,
    blank=lambda _: Rollback(state=RollbackState.PAUSED, requested_by=SOMEBODY),
    on_interruption=lambda _: {},
    keeps_failure=True,
    restarts_cooldown=False,
    taken=RollbackRunning,
)


class RollbackWorkflow(ChangeWorkflow[Rollback]):
    """Made with `change=ROLLBACK`."""

    def begin(self, document: dict[str, Any], execution: str) -> dict[str, Any]:
        """Claims the incident for `execution` and takes the VPC's lock.

        Returns `{"incident", "requested_by", "confirmed", "evict", "confirmation_seconds"}`.

        Raises:
            InvalidInput: the input is wrong, or there is nothing to roll back.
            RollbackRunning, IncidentNotFound, VpcLocked
        """
        run = parsed(RollbackRun, document)
        incident = self.lifecycle.incidents.get(run.incident)
        self._check(incident)
        self.claim(incident, execution)
        self.start(incident, run.requested_by, execution)
        return {**run.model_dump(), "confirmation_seconds": self.confirmation_seconds}

    def confirm(self, incident_id: str, by: str | None, evict: bool, execution: str | None = None) -> None:
        """Records that the rollback was confirmed. `by`: who confirmed, None if nobody was asked."""
        note = f"confirmed by {by}" if by else "confirmed when it was started"
        self.go_ahead(self.own(incident_id, execution), by, note, evict=evict)

    def finish(self, incident_id: str, execution: str | None = None) -> dict[str, Any]:
        """Closes the incident after everything was undone, which releases the block and the lock.

        Raises:
            RequestRefused: the change log has changes that were not undone.
            RollbackRunning
        """
        incident = self.own(incident_id, execution)
        outstanding = self.outstanding(incident_id)
        if outstanding:
            raise RequestRefused(f"still there: {', '.join(str(change) for change in outstanding)}")
        report = self.lifecycle.close(incident_id, Outcome.ROLLED_BACK, None)
        # The lock is the rollback's own: `close` gives back that of the remediation only.
        self.release(incident)
        until = self._leave_moved_pods_alone(incident)
        rollback = self.latest(incident).model_copy(update={"state": RollbackState.DONE, "left_alone_until": until})
        failure = incident.failure and incident.failure.model_copy(
            update={"outstanding": "nothing that was made is left"}
        )
        self.lifecycle.incidents.record_rollback(
            incident, rollback, StepState.DONE, "everything that it made is undone", failure
        )
        return report

    def _leave_moved_pods_alone(self, incident: Incident) -> datetime | None:
        """Pods that were moved off the block may have no address again. People wanted that: their signals open no
        incident, which in mode auto would make everything again. None: no pod was moved."""
        rollback = self.latest(incident)
        if not (rollback.evict and rollback.assessment and rollback.assessment.pods):
            return None
        until = self.lifecycle.clock() + LEFT_ALONE
        self.lifecycle.incidents.leave_alone(incident, until)
        return until

    def _check(self, incident: Incident) -> None:
        """Raises InvalidInput where there is nothing to roll back."""
        if incident.open:
            raise InvalidInput(f"field 'incident': {incident.id} is still being worked on: let it end first")
        interrupted = incident.rollback is not None and incident.outcome is not Outcome.ROLLED_BACK
        if incident.plan is None or not (self.outstanding(incident.id) or interrupted):
            raise InvalidInput(f"field 'incident': nothing that {incident.id} made is left: nothing to roll back")
