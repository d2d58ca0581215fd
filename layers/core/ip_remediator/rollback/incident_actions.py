"""What the function `incident` does in a rollback."""

from __future__ import annotations

from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Request, Result
from ip_remediator.remediation.caught import Caught
from ip_remediator.remediation.incident_actions import REMEDIATION_INCIDENT, Asked, Begin, IncidentWork, Report
from ip_remediator.rollback.workflow import ROLLBACK, RollbackWorkflow

ROLLBACK_INCIDENT: ActionTable[IncidentWork] = ActionTable(REMEDIATION_INCIDENT)


class RollbackBegun(Result):
    incident: str
    requested_by: str
    confirmed: bool
    evict: bool
    confirmation_seconds: int


class OfChange(OfIncident):
    """`execution`: the ARN of the one that changes the incident."""

    execution: str | None = None


class AskAboutChange(OfChange):
    task_token: str


class ConfirmRollback(OfChange):
    """`by`: who confirmed, None when nobody was asked."""

    by: str | None = None
    evict: bool


class Confirmed(Result):
    evict: bool


class CancelChange(OfChange):
    """`by`: who cancelled, None when nobody answered."""

    by: str | None = None


class Cancelled(Result):
    """`note`: what the record says."""

    incident: str
    note: str


class Interrupt(Request):
    """`incident`: None when not even the execution's input named one."""

    incident: str | None = None
    execution: str | None = None
    failure: Caught


class Interrupted(Result):
    error: str
    cause: str


def _workflow(work: IncidentWork) -> RollbackWorkflow:
    return RollbackWorkflow(ROLLBACK, work.lifecycle, work.is_running, work.minutes)


@ROLLBACK_INCIDENT.action(Begin, RollbackBegun, Effect.READS)
def begin_rollback(work: IncidentWork, asked: Begin) -> RollbackBegun:
    return RollbackBegun(**_workflow(work).begin(asked.input, asked.execution))


@ROLLBACK_INCIDENT.action(AskAboutChange, Asked, Effect.READS)
def ask_rollback(work: IncidentWork, asked: AskAboutChange) -> Asked:
    _workflow(work).ask(asked.incident, asked.task_token, asked.execution)
    return Asked()


@ROLLBACK_INCIDENT.action(ConfirmRollback, Confirmed, Effect.READS)
def confirm_rollback(work: IncidentWork, asked: ConfirmRollback) -> Confirmed:
    _workflow(work).confirm(asked.incident, asked.by, asked.evict, asked.execution)
    return Confirmed(evict=asked.evict)


@ROLLBACK_INCIDENT.action(CancelChange, Cancelled, Effect.READS)
def cancel_rollback(work: IncidentWork, asked: CancelChange) -> Cancelled:
    note = _workflow(work).cancel(asked.incident, asked.by, asked.execution)
    return Cancelled(incident=asked.incident, note=note)


@ROLLBACK_INCIDENT.action(Interrupt, Interrupted, Effect.READS)
def pause_rollback(work: IncidentWork, asked: Interrupt) -> Interrupted:
    failure = _workflow(work).interrupt(asked.incident, asked.failure, asked.execution)
    return Interrupted(error=failure.error, cause=failure.message)


@ROLLBACK_INCIDENT.action(OfChange, Report, Effect.READS)
def finish_rollback(work: IncidentWork, asked: OfChange) -> Report:
    return Report(**_workflow(work).finish(asked.incident, asked.execution))
