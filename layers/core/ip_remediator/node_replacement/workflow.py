"""The workflow of a node replacement, as the record shows it: whether it may start, handed over, finished."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from ip_remediator.clients.aws.step_functions import execution_arn
from ip_remediator.common.actor import SOMEBODY
from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import RequestRefused
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import Incident, RollbackState, Step, StepState
from ip_remediator.incidents.replacement_record import MOST_AT_ONCE, Replacement, ReplacementState, summary
from ip_remediator.incidents.requests import InvalidInput, parsed
from ip_remediator.remediation.caught import Caught, failure_of
from ip_remediator.remediation.change_workflow import ChangeRun, ChangeWorkflow, ClosedChange

# Starts an execution of the state machine of this ARN by this name, unless there is one; its ARN.
Start = Callable[[str, str, Mapping[str, Any]], str]


class ReplacementRunning(Exception):
    """Another execution replaces nodes of this incident already, or rolls it back; the message names it."""


class ClusterBusy(RequestRefused):
    """The cluster has an open incident, and its nodes are not touched until that ends. The message names it."""


class ReplacementRun(ChangeRun):
    """The input of the replacement state machine.

    `nodes`: only these; None: all that the incident names, as many as one run takes. `continues`: set by the execution
    that hands its remaining nodes over to this one.
    """

    nodes: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=MOST_AT_ONCE)
    continues: bool = False


REPLACEMENT = ClosedChange[Replacement](
    step=Step.REPLACE_NODES,
    document="replacement",
    question="replacement_approval",
    running=ReplacementState.RUNNING,
    cancelled=ReplacementState.CANCELLED,
    interrupted=ReplacementState.STOPPED,
    blank=lambda now: Replacement(state=ReplacementState.STOPPED, requested_by=SOMEBODY, since=now),
    on_interruption=lambda reasons: {"stopped": reasons},
    keeps_failure=False,
    restarts_cooldown=True,
    taken=ReplacementRunning,
)


class NodeReplacementWorkflow(ChangeWorkflow[Replacement]):
    """Made with `change=REPLACEMENT`."""

    def begin(self, document: dict[str, Any], execution: str) -> dict[str, Any]:
        """Claims the incident for `execution` and takes the VPC's lock.

        Returns `{"incident", "nodes", "requested_by", "confirmed", "confirmation_seconds", "continued", "zones"}`; the
        latter are those in which an execution that is continued left nodes.

        Raises:
            InvalidInput: the input is wrong, or there is nothing to replace.
            ReplacementRunning, ClusterBusy, IncidentNotFound, VpcLocked
        """
        run = parsed(ReplacementRun, document)
        incidents = self.lifecycle.incidents
        incident = incidents.get(run.incident)
        nodes = [] if run.continues else _replaceable(incident, run.nodes)
        if run.continues and incident.change_execution != execution:
            raise InvalidInput("field 'continues': only an execution that hands its nodes over may set it")
        self.claim(incident, execution)
        if busy := incidents.open_incident(incident.cluster):
            raise ClusterBusy(f"cluster {incident.cluster} has an open incident, {busy}: let it end first")
        self.start(incident, run.requested_by, execution)
        zones = [zone for zone, progress in incident.replacements.items() if progress.current] if run.continues else []
        return {
            "incident": run.incident,
            "nodes": nodes,
            "requested_by": run.requested_by,
            "confirmed": run.confirmed,
            "confirmation_seconds": self.confirmation_seconds,
            "continued": run.continues,
            "zones": zones,
        }

    def hand_over(self, incident_id: str, execution: str, state_machine: str, start: Start) -> str:
        """Starts another execution for the remaining nodes and returns its ARN. A repeated call starts no second one.

        The other execution claims the incident before it starts; if it can't be started, this one claims it back.
        """
        incident = self.lifecycle.incidents.get(incident_id)
        name = f"{incident_id[:60]}-{hashlib.sha256(execution.encode()).hexdigest()[:12]}"
        other = execution_arn(state_machine, name)
        if incident.change_execution != other:
            incident = self.own(incident_id, execution)
            self.lifecycle.incidents.claim(incident, other)
        asked_by = self.latest(incident).requested_by.model_dump(mode="json")
        try:
            return start(state_machine, name, {"incident": incident_id, "requested_by": asked_by, "continues": True})
        except Exception:
            self.lifecycle.incidents.claim(self.lifecycle.incidents.get(incident_id), execution)
            raise

    def confirm(self, incident_id: str, by: str | None, execution: str | None = None) -> None:
        """Records that it was confirmed. `by`: who confirmed, None if nobody was asked."""
        incident = self.own(incident_id, execution)
        note = f"confirmed by {by}" if by else "confirmed when it was started"
        self.go_ahead(incident, by, f"{note}: {summary(incident.replacements)}")

    def finish(
        self, incident_id: str, outcome: Outcome, failures: Sequence[Caught], execution: str | None = None
    ) -> dict[str, Any]:
        """Records the end, after every zone ended and the pods were verified: `{"incident", "outcome", "failure"}`.

        `failures`: what stopped a zone, as a Catch saw it, each with its `zone`. `failure` in the answer: the first of
        them, None when there is none.
        """
        incident = self.own(incident_id, execution)
        recorded = [failure_of(caught, ()) for caught in failures]
        reasons = tuple(f"{caught.zone}: {failure.message}" for caught, failure in zip(failures, recorded, strict=True))
        self.lifecycle.incidents.revise(incident, outcome)
        if reasons:
            self.record_interruption(incident, reasons)
        else:
            latest = self.latest(incident).model_copy(update={"state": ReplacementState.DONE, "stopped": ()})
            done = counted(sum(len(zone.nodes) for zone in incident.replacements.values()), "node")
            self.lifecycle.incidents.record_replacement(incident, latest, StepState.DONE, f"{done} replaced")
        self.release(incident)
        first = {"error": recorded[0].error, "cause": "; ".join(reasons)} if recorded else None
        return {"incident": incident_id, "outcome": outcome.value, "failure": first}


def _replaceable(incident: Incident, asked: tuple[str, ...] | None) -> list[str]:
    """The nodes to replace. Raises InvalidInput."""
    _require_closed_and_standing(incident)
    named = incident.verification.nodes_to_replace if incident.verification else ()
    if incident.plan is None or not named:
        raise InvalidInput(f"field 'incident': {incident.id} names no node to replace")
    unknown = [node for node in asked or () if node not in named]
    if unknown:
        raise InvalidInput(
            f"field 'nodes': {some_of(unknown)} need not be replaced for {incident.id}: choose of {', '.join(named)}"
        )
    return list(dict.fromkeys(asked or named))[:MOST_AT_ONCE]


def _require_closed_and_standing(incident: Incident) -> None:
    """New nodes help only while the incident's changes are in place. Raises InvalidInput."""
    if incident.open:
        raise InvalidInput(f"field 'incident': {incident.id} is still being worked on: let it end first")
    rolled_back = incident.rollback is not None and incident.rollback.state is not RollbackState.CANCELLED
    if incident.outcome is Outcome.ROLLED_BACK or rolled_back:
        raise InvalidInput(f"field 'incident': {incident.id} is being rolled back: new nodes would find nothing new")
