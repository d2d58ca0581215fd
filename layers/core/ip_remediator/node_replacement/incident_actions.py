"""The actions of the function `incident`: those of remediation and rollback, and those of a replacement of nodes."""

from __future__ import annotations

from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.common.actor import ActorField
from ip_remediator.common.enums import Outcome
from ip_remediator.node_replacement.workflow import REPLACEMENT, NodeReplacementWorkflow
from ip_remediator.remediation.caught import Caught
from ip_remediator.remediation.change_actions import ConfirmChange, Interrupted, OfChange, add_change_actions
from ip_remediator.remediation.incident_actions import Begin, IncidentWork
from ip_remediator.rollback.incident_actions import ROLLBACK_INCIDENT

INCIDENT: ActionTable[IncidentWork] = ActionTable(ROLLBACK_INCIDENT)


class ReplacementBegun(Result):
    """`nodes`: at most `MOST_AT_ONCE`. `continued`: it goes on with what another execution left in `zones`."""

    incident: str
    nodes: list[str]
    requested_by: ActorField
    confirmed: bool
    confirmation_seconds: int
    continued: bool
    zones: list[str]


class HandOver(OfIncident):
    """`state_machine`: the ARN of the one that `execution` is of."""

    execution: str
    state_machine: str


class HandedOver(Result):
    """`execution`: the ARN of the execution that continues."""

    execution: str


class ReplacementConfirmed(Result):
    """The incident whose replacement was confirmed."""

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


add_change_actions(
    INCIDENT, _workflow, ask="ask_replacement", cancel="cancel_replacement", interrupt="stop_replacement"
)


@INCIDENT.action(Begin, ReplacementBegun, Effect.READS)
def begin_replacement(work: IncidentWork, asked: Begin) -> ReplacementBegun:
    """Takes the incident and the VPC's lock for this execution."""
    return ReplacementBegun(**_workflow(work).begin(asked.input, asked.execution))


@INCIDENT.action(ConfirmChange, ReplacementConfirmed, Effect.READS)
def confirm_replacement(work: IncidentWork, asked: ConfirmChange) -> ReplacementConfirmed:
    """Records who confirmed; nodes are touched only after that."""
    _workflow(work).confirm(asked.incident, asked.by, asked.execution)
    return ReplacementConfirmed(incident=asked.incident)


@INCIDENT.action(HandOver, HandedOver, Effect.READS)
def continue_replacement(work: IncidentWork, asked: HandOver) -> HandedOver:
    """Starts another execution for the nodes that one run cannot take."""
    other = _workflow(work).hand_over(asked.incident, asked.execution, asked.state_machine, work.start)
    return HandedOver(execution=other)


@INCIDENT.action(FinishReplacement, ReplacementFinished, Effect.READS)
def finish_replacement(work: IncidentWork, asked: FinishReplacement) -> ReplacementFinished:
    """Writes the outcome and gives the lock back."""
    done = _workflow(work).finish(asked.incident, asked.outcome, asked.failures, asked.execution)
    return ReplacementFinished(**done)
