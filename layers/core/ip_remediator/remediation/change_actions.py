"""The actions that every change of a closed incident has: it is put to people, cancelled, or interrupted.

A rollback and a replacement of nodes add them to their tables with `add_change_actions`, each under its own names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Request, Result
from ip_remediator.remediation.caught import Caught
from ip_remediator.remediation.change_workflow import ChangeWorkflow
from ip_remediator.remediation.incident_actions import Asked, IncidentWork


class OfChange(OfIncident):
    """`execution`: the ARN of the one that changes the incident."""

    execution: str | None = None


class AskAboutChange(OfChange):
    """`task_token`: what resumes the execution when the question is answered."""

    task_token: str


class ConfirmChange(OfChange):
    """`by`: who confirmed, None when nobody was asked."""

    by: str | None = None


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
    """The error that interrupted the change, as the execution's last state reports it."""

    error: str
    cause: str


def add_change_actions(
    table: ActionTable[IncidentWork],
    workflow: Callable[[IncidentWork], ChangeWorkflow[Any]],
    *,
    ask: str,
    cancel: str,
    interrupt: str,
) -> None:
    """Adds the three actions to `table`, under the names `ask`, `cancel` and `interrupt`."""

    @table.action(AskAboutChange, Asked, Effect.READS, name=ask)
    def _ask(work: IncidentWork, asked: AskAboutChange) -> Asked:
        workflow(work).ask(asked.incident, asked.task_token, asked.execution)
        return Asked()

    @table.action(CancelChange, Cancelled, Effect.READS, name=cancel)
    def _cancel(work: IncidentWork, asked: CancelChange) -> Cancelled:
        note = workflow(work).cancel(asked.incident, asked.by, asked.execution)
        return Cancelled(incident=asked.incident, note=note)

    @table.action(Interrupt, Interrupted, Effect.READS, name=interrupt)
    def _interrupt(work: IncidentWork, asked: Interrupt) -> Interrupted:
        failure = workflow(work).interrupt(asked.incident, asked.failure, asked.execution)
        return Interrupted(error=failure.error, cause=failure.message)
