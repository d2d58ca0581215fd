"""Opening an incident by hand, asking people, closing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from ip_remediator.adapters.approvals import Approvals
from ip_remediator.adapters.change_log import ChangeLog
from ip_remediator.adapters.clock import Clock
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.ledger import Ledger
from ip_remediator.adapters.vpc_lock import VpcLock
from ip_remediator.domain.document import Document
from ip_remediator.domain.incidents import ApprovalState, ChangeMade, Failure, Incident, Mode, Outcome, Step


class InvalidInput(Exception):
    """The execution's input is wrong; the message names the field and what it may be."""


class ManualRun(Document):
    """What people type into `start-execution`. Unknown fields are refused by name."""

    cluster: str = Field(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*$")
    mode: Mode | None = None
    reason: str = Field(default="started by hand", max_length=300)


class RollbackRun(Document):
    """The input of the rollback state machine."""

    incident: str = Field(min_length=1, max_length=80)
    requested_by: str = Field(default="somebody who started it by hand", max_length=200)


RunT = TypeVar("RunT", bound=Document)


@dataclass(frozen=True)
class Lifecycle:
    table: Any
    ledger: Ledger
    clock: Clock

    @property
    def incidents(self) -> Incidents:
        return Incidents(self.table, self.clock)

    def open(self, document: dict[str, Any], region: str, default_mode: Mode, execution: str) -> dict[str, str]:
        """Opens an incident for a run by hand: `{"incident", "cluster"}`.

        Raises:
            InvalidInput, IncidentOpen
        """
        run = _parsed(ManualRun, document)
        incident = self.incidents.open(run.cluster, region, run.mode or default_mode, run.reason)
        self.incidents.record_execution(incident, execution)
        return {"incident": incident, "cluster": run.cluster}

    def ask(self, incident_id: str, task_token: str, minutes: int) -> None:
        """Puts the plan to people; the state machine waits on `task_token`."""
        incident = self.incidents.get(incident_id)
        if incident.plan is None:
            raise InvalidInput(f"incident {incident_id} has no plan to approve")
        expires_at = self.clock() + timedelta(minutes=minutes)
        Approvals(self.table, self.clock).ask(incident_id, incident.plan.hash, task_token, expires_at)

    def close(self, incident_id: str, outcome: Outcome, caught: dict[str, str] | None) -> dict[str, Any]:
        """Ends the incident; returns the report that goes onto the event bus.

        `caught` is what a Catch saw: `{"step", "error", "cause"}`, and `undo_error`, `undo_cause` when the undo failed.
        """
        incident = self.incidents.get(incident_id)
        standing = ChangeLog(self.table, self.clock, incident_id).made()
        if caught:
            self.incidents.fail(incident_id, Step(caught["step"]), _failure(caught, standing))
        self._settle_approval(incident)
        if not standing:
            self.ledger.release(incident_id)
        if incident.plan:
            VpcLock(self.table, self.clock).release(incident.plan.vpc_id, incident_id)
        self.incidents.close(incident, outcome)
        return _report(incident, outcome)

    def begin_rollback(self, document: dict[str, Any]) -> dict[str, str]:
        """Takes the VPC's lock for the rollback of an incident that is closed: `{"incident"}`.

        Raises:
            InvalidInput: the input is wrong, or there is nothing to roll back.
            IncidentNotFound, VpcLocked
        """
        run = _parsed(RollbackRun, document)
        incident = self.incidents.get(run.incident)
        if incident.open or incident.plan is None:
            state = "is still being worked on" if incident.open else "changed nothing"
            raise InvalidInput(f"field 'incident': {incident.id} {state}: there is nothing to roll back")
        VpcLock(self.table, self.clock).acquire(incident.plan.vpc_id, incident.id)
        self.incidents.start(incident.id, Step.ROLLBACK, f"asked for by {run.requested_by}")
        return {"incident": incident.id}

    def pause_rollback(self, incident_id: str, caught: dict[str, str]) -> dict[str, str]:
        """Records what is in the way of a rollback and gives the lock back; the next one goes on from here."""
        incident = self.incidents.get(incident_id)
        standing = ChangeLog(self.table, self.clock, incident_id).made()
        self.incidents.fail(incident_id, Step.ROLLBACK, _failure(caught, standing))
        if incident.plan:
            VpcLock(self.table, self.clock).release(incident.plan.vpc_id, incident_id)
        return {"incident": incident_id}

    def _settle_approval(self, incident: Incident) -> None:
        """Silence is a rejection: a question still open when the incident closes has expired."""
        approval = incident.approval
        if approval and approval.state is ApprovalState.PENDING:
            expired = approval.model_copy(update={"state": ApprovalState.EXPIRED})
            self.incidents.set_approval(incident.id, expired)


def _failure(caught: dict[str, str], standing: Sequence[ChangeMade]) -> Failure:
    undo = f" The undo failed as well: {_message(caught['undo_cause'])}." if "undo_cause" in caught else ""
    left = ", ".join(f"{change.kind} {change.target}" for change in standing)
    return Failure(
        step=caught["step"],
        error=caught["error"],
        message=_message(caught["cause"]) + undo,
        stands=f"still there: {left}" if left else "nothing that was made is left",
    )


def _message(cause: str) -> str:
    """The exception's message out of a Lambda error's Cause, which is JSON unless Step Functions itself speaks."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause


def _parsed(kind: type[RunT], document: dict[str, Any]) -> RunT:
    """The document as `kind`; an error names the first wrong field and what the input may have."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "input"
        allowed = ", ".join(kind.model_fields)
        raise InvalidInput(f"field {field!r}: {first['msg']} (the input may have: {allowed})") from error


def _report(incident: Incident, outcome: Outcome) -> dict[str, Any]:
    return {
        "incident": incident.id,
        "cluster": incident.cluster,
        "outcome": outcome.value,
        "verdict": incident.diagnosis.verdict.value if incident.diagnosis else None,
        "block": incident.plan.block if incident.plan else None,
    }
