"""A replacement of nodes, its course in the record: begun once, put to people, stopped with the reason, finished."""

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
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import ApprovalState, Incident, RollbackState, Step, StepState
from ip_remediator.incidents.replacement_record import MOST_AT_ONCE, Replacement, ReplacementState, summary
from ip_remediator.incidents.requests import InvalidInput, parsed
from ip_remediator.incidents.timeline import AUTOMATIC
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.remediation.close import Lifecycle, failure_of


class ReplacementRunning(Exception):
    """Another execution replaces nodes of this incident already, or rolls it back; the message names it."""


class ClusterBusy(RequestRefused):
    """The cluster has an open incident: its nodes are left alone until it ends. The message names it."""


class ReplacementRun(Document):
    """The input of the replacement state machine.

    `nodes`: only these; None: all that the incident names, as many as one run takes. `confirmed`: nobody is asked,
    because the person who started it has seen what is at stake.
    """

    incident: str = Field(min_length=1, max_length=80)
    nodes: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=MOST_AT_ONCE)
    requested_by: str = Field(default="somebody who started it by hand", min_length=1, max_length=200)
    confirmed: bool = False


@dataclass(frozen=True)
class NodeReplacementWorkflow:
    """`is_running` tells whether an execution, named by its ARN, still runs."""

    lifecycle: Lifecycle
    is_running: Callable[[str], bool]
    minutes: int

    def begin(self, document: dict[str, Any], execution: str) -> dict[str, Any]:
        """Makes `execution` the one that replaces the incident's nodes, and takes the VPC's lock.

        Returns `{"incident", "nodes", "requested_by", "confirmed", "confirmation_seconds"}`.

        Raises:
            InvalidInput: the input is wrong, or there is nothing to replace.
            ReplacementRunning, ClusterBusy, IncidentNotFound, VpcLocked
        """
        run = parsed(ReplacementRun, document)
        incidents = self.lifecycle.incidents
        incident = incidents.get(run.incident)
        nodes = _replaceable(incident, run.nodes)
        holder = incident.change_execution
        if holder and holder != execution and self.is_running(holder):
            raise ReplacementRunning(f"incident {incident.id} is being changed already by {holder}")
        if not incidents.claim(incident, execution):
            raise ReplacementRunning(f"incident {incident.id} is being changed already: another run was faster")
        if busy := incidents.open_incident(incident.cluster):
            raise ClusterBusy(f"cluster {incident.cluster} has an open incident, {busy}: let it end first")
        self._lock.acquire(incident.require_plan().vpc_id, incident.id)
        incidents.start(incident.id, Step.REPLACE_NODES, f"asked for by {run.requested_by}", run.requested_by)
        asked = {"incident": run.incident, "requested_by": run.requested_by, "confirmed": run.confirmed}
        return {**asked, "nodes": nodes, "confirmation_seconds": 60 * self.minutes}

    def ask(self, incident_id: str, task_token: str) -> None:
        """Puts the assessment to people; the state machine waits on `task_token`."""
        incident = self.lifecycle.incidents.get(incident_id)
        expires_at = self.lifecycle.clock() + timedelta(minutes=self.minutes)
        Approvals(self.lifecycle.table, self.lifecycle.clock).ask(
            incident_id, incident.require_plan().hash, task_token, expires_at, shown_as="replacement_approval"
        )

    def confirm(self, incident_id: str, by: str | None) -> dict[str, str]:
        """Notes that it goes ahead. `by`: who confirmed, None when nobody was asked."""
        incident = self.lifecycle.incidents.get(incident_id)
        note = f"confirmed by {by}" if by else "confirmed when it was started"
        latest = self._latest(incident).model_copy(update={"state": ReplacementState.RUNNING})
        who = by or latest.requested_by
        told = f"{note}: {summary(incident.replacements)}"
        self.lifecycle.incidents.record_replacement(incident_id, latest, StepState.RUNNING, told, by=who)
        return {"confirmed": note}

    def cancel(self, incident_id: str, by: str | None) -> dict[str, str]:
        """Nobody wants it (`by` None: nobody answered): nothing was changed, and it can be asked for again."""
        incident = self.lifecycle.incidents.get(incident_id)
        self._settle(incident)
        note = f"cancelled by {by}" if by else "nobody confirmed it"
        latest = self._latest(incident).model_copy(update={"state": ReplacementState.CANCELLED})
        self.lifecycle.incidents.record_replacement(
            incident_id, latest, StepState.SKIPPED, f"{note}, nothing was changed", by=by or AUTOMATIC
        )
        self._unlock(incident)
        return {"incident": incident_id, "replacement": note}

    def stop(self, incident_id: str, caught: dict[str, str]) -> dict[str, str]:
        """Records what is in the way and gives the lock back; the next replacement goes on from here."""
        incident = self.lifecycle.incidents.get(incident_id)
        self._settle(incident)
        reason = failure_of(caught, ()).message
        self._record_stop(incident, (reason,))
        self._unlock(incident)
        return {"error": caught["error"], "cause": reason}

    def finish(self, incident_id: str, outcome: Outcome, failures: list[dict[str, str]]) -> dict[str, Any]:
        """Every zone has ended and the pods were looked at: `{"incident", "outcome", "failure"}`.

        `failures`: what stopped a zone, as a Catch saw it, each with its `zone`. `failure` in the answer: the first of
        them, None when there is none.
        """
        incident = self.lifecycle.incidents.get(incident_id)
        reasons = tuple(f"{each['zone']}: {failure_of(each, ()).message}" for each in failures)
        self.lifecycle.incidents.revise(incident, outcome)
        if reasons:
            self._record_stop(incident, reasons)
        else:
            latest = self._latest(incident).model_copy(update={"state": ReplacementState.DONE, "stopped": ()})
            done = counted(sum(len(zone.nodes) for zone in incident.replacements.values()), "node")
            self.lifecycle.incidents.record_replacement(incident_id, latest, StepState.DONE, f"{done} replaced")
        self._unlock(incident)
        first = {"error": failures[0]["error"], "cause": "; ".join(reasons)} if failures else None
        return {"incident": incident_id, "outcome": outcome.value, "failure": first}

    def _record_stop(self, incident: Incident, reasons: tuple[str, ...]) -> None:
        latest = self._latest(incident).model_copy(update={"state": ReplacementState.STOPPED, "stopped": reasons})
        note = "; ".join(reasons)
        self.lifecycle.incidents.record_replacement(incident.id, latest, StepState.FAILED, note)

    def _settle(self, incident: Incident) -> None:
        """A question that is still open has expired."""
        asked = incident.replacement_approval
        if asked and asked.state is ApprovalState.PENDING:
            expired = asked.model_copy(update={"state": ApprovalState.EXPIRED})
            self.lifecycle.incidents.set_approval(incident.id, expired, shown_as="replacement_approval")

    def _unlock(self, incident: Incident) -> None:
        self.lifecycle.incidents.restart_cooldown(incident)
        if incident.plan:
            self._lock.release(incident.plan.vpc_id, incident.id)

    @property
    def _lock(self) -> VpcLock:
        return VpcLock(self.lifecycle.table, self.lifecycle.clock)

    def _latest(self, incident: Incident) -> Replacement:
        """Or what is to be said when it ended before anything was looked at."""
        stopped, now = ReplacementState.STOPPED, self.lifecycle.clock()
        return incident.replacement or Replacement(state=stopped, requested_by="somebody", since=now)


def _replaceable(incident: Incident, asked: tuple[str, ...] | None) -> list[str]:
    """The nodes to replace. Raises InvalidInput."""
    if incident.open:
        raise InvalidInput(f"field 'incident': {incident.id} is still being worked on: let it end first")
    rolled_back = incident.rollback is not None and incident.rollback.state is not RollbackState.CANCELLED
    if incident.outcome is Outcome.ROLLED_BACK or rolled_back:
        raise InvalidInput(f"field 'incident': {incident.id} is being rolled back: new nodes would find nothing new")
    named = incident.verification.nodes_to_replace if incident.verification else ()
    if incident.plan is None or not named:
        raise InvalidInput(f"field 'incident': {incident.id} names no node to replace")
    unknown = [node for node in asked or () if node not in named]
    if unknown:
        raise InvalidInput(
            f"field 'nodes': {some_of(unknown)} need not be replaced for {incident.id}: choose of {', '.join(named)}"
        )
    return list(dict.fromkeys(asked or named))[:MOST_AT_ONCE]
