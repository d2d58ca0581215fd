"""What the function `incident` does in a rollback."""

from __future__ import annotations

from ip_remediator.common.actions import ActionTable, Effect, Result
from ip_remediator.common.actor import ActorField
from ip_remediator.remediation.change_actions import ConfirmChange, OfChange, add_change_actions
from ip_remediator.remediation.incident_actions import REMEDIATION_INCIDENT, Begin, IncidentWork, Report
from ip_remediator.rollback.workflow import ROLLBACK, RollbackWorkflow

ROLLBACK_INCIDENT: ActionTable[IncidentWork] = ActionTable(REMEDIATION_INCIDENT)


class RollbackBegun(Result):
    """`confirmation_seconds`: how long people have to confirm."""

    incident: str
    requested_by: ActorField
    confirmed: bool
    evict: bool
    confirmation_seconds: int


class ConfirmRollback(ConfirmChange):
    """`evict`: whether people chose to evict pods."""

    evict: bool


class Confirmed(Result):
    """`evict`: whether pods are evicted."""

    evict: bool


def _workflow(work: IncidentWork) -> RollbackWorkflow:
    return RollbackWorkflow(ROLLBACK, work.lifecycle, work.is_running, work.minutes)


add_change_actions(
    ROLLBACK_INCIDENT, _workflow, ask="ask_rollback", cancel="cancel_rollback", interrupt="pause_rollback"
)


@ROLLBACK_INCIDENT.action(Begin, RollbackBegun, Effect.READS)
def begin_rollback(work: IncidentWork, asked: Begin) -> RollbackBegun:
    """Takes the incident and the VPC's lock for this execution."""
    return RollbackBegun(**_workflow(work).begin(asked.input, asked.execution))


@ROLLBACK_INCIDENT.action(ConfirmRollback, Confirmed, Effect.READS)
def confirm_rollback(work: IncidentWork, asked: ConfirmRollback) -> Confirmed:
    """Records who confirmed; nothing is changed before that."""
    _workflow(work).confirm(asked.incident, asked.by, asked.evict, asked.execution)
    return Confirmed(evict=asked.evict)


@ROLLBACK_INCIDENT.action(OfChange, Report, Effect.READS)
def finish_rollback(work: IncidentWork, asked: OfChange) -> Report:
    """Writes the outcome and gives lock and block back."""
    return Report(**_workflow(work).finish(asked.incident, asked.execution))
