"""The workflow of a change of a closed incident: started once, confirmed by people, interrupted or finished.

A
rollback and a replacement of nodes share it; a `ClosedChange` describes their differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import Field

from ip_remediator.approvals.questions import Approvals
from ip_remediator.common.actor import STARTED_BY_HAND, Actor, ActorField
from ip_remediator.common.document import Document
from ip_remediator.incidents.record import ApprovalState, ChangeMade, Failure, Incident, Step, StepState
from ip_remediator.incidents.repository import Superseded
from ip_remediator.incidents.timeline import AUTOMATIC
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.caught import Caught, failure_of
from ip_remediator.remediation.close import Lifecycle

DocumentT = TypeVar("DocumentT", bound=Document)


class ChangeRun(Document):
    """The input of a state machine that changes a closed incident.

    `confirmed`: nobody is asked, because the person who started it has seen what is at stake.
    """

    incident: str = Field(min_length=1, max_length=80)
    requested_by: ActorField = STARTED_BY_HAND
    confirmed: bool = False


@dataclass(frozen=True)
class ClosedChange(Generic[DocumentT]):
    """The differences between the kinds of change.

    `document`, `question`: the attributes of the record that hold its latest one and the question about it. `blank`:
    the document to be stored where it ended before anything was looked at. `on_interruption`: what of a failure the
    document keeps. `keeps_failure`: the record's failure tells what interrupted it. `restarts_cooldown`: what pods
    signal when it ends belongs to the incident.
    """

    step: Step
    document: str
    question: str
    running: StrEnum
    cancelled: StrEnum
    interrupted: StrEnum
    blank: Callable[[datetime], DocumentT]
    on_interruption: Callable[[tuple[str, ...]], dict[str, object]]
    keeps_failure: bool
    restarts_cooldown: bool
    taken: type[Exception]


@dataclass(frozen=True)
class ChangeWorkflow(Generic[DocumentT]):
    """`is_running` tells whether an execution, named by its ARN, still runs; `minutes`: how long a question is open.

    Every method that writes first checks that `execution` is the one that changes the incident, so that a late
    execution never touches another one's record, question or lock. None: an execution that started before state
    machines sent it.
    """

    change: ClosedChange[DocumentT]
    lifecycle: Lifecycle
    is_running: Callable[[str], bool]
    minutes: int

    @property
    def confirmation_seconds(self) -> int:
        """How long people have to confirm."""
        return 60 * self.minutes

    def claim(self, incident: Incident, execution: str) -> None:
        """Claims the incident for `execution`. Safe to repeat.

        Raises:
            the change's `taken`: another execution changes it, and runs.
        """
        holder = incident.change_execution
        if holder and holder != execution and self.is_running(holder):
            raise self.change.taken(f"incident {incident.id} is being rolled back, or has nodes replaced, by {holder}")
        if not self.lifecycle.incidents.claim(incident, execution):
            raise self.change.taken(f"incident {incident.id} is being changed already: another run was faster")

    def start(self, incident: Incident, requested_by: Actor, execution: str) -> None:
        """Takes the VPC's lock and records that the change is running.

        Raises:
            VpcLocked
        """
        self._lock.acquire(incident.require_plan().vpc_id, incident.id, execution)
        note = f"asked for by {requested_by}"
        self.lifecycle.incidents.start(incident.id, self.change.step, note, str(requested_by))

    def ask(self, incident_id: str, task_token: str, execution: str | None = None) -> None:
        """Asks people to confirm the assessment; the state machine waits on `task_token`."""
        incident = self.own(incident_id, execution)
        expires_at = self.lifecycle.clock() + timedelta(minutes=self.minutes)
        Approvals(self.lifecycle.table, self.lifecycle.clock).ask(
            incident_id, incident.require_plan().hash, task_token, expires_at, shown_as=self.change.question
        )

    def own(self, incident_id: str, execution: str | None) -> Incident:
        """The incident, which `execution` changes.

        Raises:
            the change's `taken`: another execution does.
        """
        incident = self.lifecycle.incidents.get(incident_id)
        if not _owns(incident, execution):
            raise self.change.taken(f"incident {incident_id} is being changed by {incident.change_execution}")
        return incident

    def go_ahead(self, incident: Incident, by: str | None, note: str, **update: object) -> None:
        """Records that it was confirmed. `by`: who confirmed, None if nobody was asked."""
        self._record(incident, self.change.running, StepState.RUNNING, note, by or self._requested_by(incident), update)

    def cancel(self, incident_id: str, by: str | None, execution: str | None = None) -> str:
        """Records that it was cancelled (`by` None: nobody answered). Nothing was changed, and it can be started again.

        Returns the note of the record.
        """
        incident = self.own(incident_id, execution)
        self.settle(incident)
        note = f"cancelled by {by}" if by else "nobody confirmed it"
        self._record(
            incident, self.change.cancelled, StepState.SKIPPED, f"{note}, nothing was changed", by or AUTOMATIC
        )
        self.release(incident)
        return note

    def interrupt(self, incident_id: str | None, caught: Caught, execution: str | None = None) -> Failure:
        """Records what prevents the change and releases the lock; the next run continues from here.

        An execution that had not claimed the incident, or that a later one follows, records and releases nothing.
        """
        incident = self.lifecycle.incidents.get(incident_id) if incident_id else None
        if incident is None or not _owns(incident, execution):
            return failure_of(caught, ())
        self.settle(incident)
        failure = failure_of(caught, self.outstanding(incident.id) if self.change.keeps_failure else ())
        with suppress(Superseded):
            self.record_interruption(incident, (failure.message,), failure if self.change.keeps_failure else None)
            self.release(incident)
        return failure

    def record_interruption(self, incident: Incident, reasons: tuple[str, ...], failure: Failure | None = None) -> None:
        """Records that the change stopped, with the reasons for people and, where there is one, the failure."""
        update = self.change.on_interruption(reasons)
        documents: dict[str, Document] = {"failure": failure} if failure else {}
        note = "; ".join(reasons)
        self._record(incident, self.change.interrupted, StepState.FAILED, note, AUTOMATIC, update, documents)

    def settle(self, incident: Incident) -> None:
        """A question that is still open has expired."""
        asked = getattr(incident, self.change.question)
        if asked and asked.state is ApprovalState.PENDING:
            expired = asked.model_copy(update={"state": ApprovalState.EXPIRED})
            self.lifecycle.incidents.set_approval(incident.id, expired, shown_as=self.change.question)

    def release(self, incident: Incident) -> None:
        """Gives the VPC's lock back, unless a later execution has taken it since `incident` was read."""
        if self.change.restarts_cooldown:
            self.lifecycle.incidents.restart_cooldown(incident)
        if incident.plan:
            self._lock.release(incident.plan.vpc_id, incident.id, execution=incident.change_execution)

    def outstanding(self, incident_id: str) -> Sequence[ChangeMade]:
        """The changes of the incident that still stand."""
        return ChangeLog(self.lifecycle.table, self.lifecycle.clock, incident_id).outstanding()

    def latest(self, incident: Incident) -> DocumentT:
        """The stored document, or a blank one if the change ended before it was assessed."""
        stored: DocumentT | None = getattr(incident, self.change.document)
        return stored or self.change.blank(self.lifecycle.clock())

    def _requested_by(self, incident: Incident) -> str:
        return str(getattr(self.latest(incident), "requested_by", AUTOMATIC))

    def _record(
        self,
        incident: Incident,
        state: StrEnum,
        step_state: StepState,
        note: str,
        by: str,
        update: dict[str, object] | None = None,
        documents: dict[str, Document] | None = None,
    ) -> None:
        changed = self.latest(incident).model_copy(update={"state": state, **(update or {})})
        stored: dict[str, Document] = {self.change.document: changed, **(documents or {})}
        self.lifecycle.incidents.record_change(incident, self.change.step, step_state, note, stored, by)

    @property
    def _lock(self) -> VpcLock:
        return VpcLock(self.lifecycle.table, self.lifecycle.clock)


def _owns(incident: Incident, execution: str | None) -> bool:
    return execution is None or incident.change_execution == execution
