"""The actions of the function `incident`: those of remediation and rollback, and those of a replacement of nodes."""

from __future__ import annotations

from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.common.enums import Outcome
from ip_remediator.node_replacement.workflow import REPLACEMENT, NodeReplacementWorkflow
from ip_remediator.remediation.caught import Caught
from ip_remediator.remediation.incident_actions import Asked, Begin, IncidentWork
from ip_remediator.rollback.incident_actions import (
    ROLLBACK_INCIDENT,
    AskAboutChange,
    CancelChange,
    Cancelled,
    Interrupt,
    Interrupted,
    OfChange,
)

INCIDENT: ActionTable[IncidentWork] = ActionTable(ROLLBACK_INCIDENT)


class ReplacementBegun(Result):
    """`nodes`: at most `MOST_AT_ONCE`. `continued`: it goes on with what another execution left in `zones`."""

    incident: str
    nodes: list[str]
    requested_by: str
    confirmed: bool
    confirmation_seconds: int
    continued: bool
    zones: list[str]


class HandOver(OfIncident):
    """`state_machine`: the ARN of the one that `execution` is of."""

    execution: str
    state_machine: str


class HandedOver(Result):
    execution: str


class ConfirmReplacement(OfChange):
    """`by`: who confirmed, None when nobody was asked."""

    by: str | None = None


class ReplacementConfirmed(Result):
    incident: str


class FinishReplacement(OfChange):
    """`failures`: what stopped a zone, each with its zone."""

    outcome: Outcome
    failures: list[Caught]


class ReplacementFinished(Result):
    """`failure`: the first one, None when every zone ended well."""

    incident: str
    outcome: Outcome
    failure: Interrupted | None = None


def _workflow(work: IncidentWork) -> NodeReplacementWorkflow:
    return NodeReplacementWorkflow(REPLACEMENT, work.lifecycle, work.is_running, work.minutes)


@INCIDENT.action(Begin, ReplacementBegun, Effect.READS)
def begin_replacement(work: IncidentWork, asked: Begin) -> ReplacementBegun:
    return ReplacementBegun(**_workflow(work).begin(asked.input, asked.execution))


@INCIDENT.action(AskAboutChange, Asked, Effect.READS)
def ask_replacement(work: IncidentWork, asked: AskAboutChange) -> Asked:
    _workflow(work).ask(asked.incident, asked.task_token, asked.execution)
    return Asked()


@INCIDENT.action(ConfirmReplacement, ReplacementConfirmed, Effect.READS)
def confirm_replacement(work: IncidentWork, asked: ConfirmReplacement) -> ReplacementConfirmed:
    _workflow(work).confirm(asked.incident, asked.by, asked.execution)
    return ReplacementConfirmed(incident=asked.incident)


@INCIDENT.action(CancelChange, Cancelled, Effect.READS)
def cancel_replacement(work: IncidentWork, asked: CancelChange) -> Cancelled:
    note = _workflow(work).cancel(asked.incident, asked.by, asked.execution)
    return Cancelled(incident=asked.incident, note=note)


@INCIDENT.action(Interrupt, Interrupted, Effect.READS)
def stop_replacement(work: IncidentWork, asked: Interrupt) -> Interrupted:
    failure = _workflow(work).interrupt(asked.incident, asked.failure, asked.execution)
    return Interrupted(error=failure.error, cause=failure.message)


@INCIDENT.action(HandOver, HandedOver, Effect.READS)
def continue_replacement(work: IncidentWork, asked: HandOver) -> HandedOver:
    other = _workflow(work).hand_over(asked.incident, asked.execution, asked.state_machine, work.start)
    return HandedOver(execution=other)


@INCIDENT.action(FinishReplacement, ReplacementFinished, Effect.READS)
def finish_replacement(work: IncidentWork, asked: FinishReplacement) -> ReplacementFinished:
    done = _workflow(work).finish(asked.incident, asked.outcome, asked.failures, asked.execution)
    return ReplacementFinished(**done)
