"""Opens an incident for a run by hand, asks people, closes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.approvals.questions import Approvals
from ip_remediator.common.clock import Clock
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.durations import Durations
from ip_remediator.incidents.record import ApprovalState, AskReason, ChangeMade, Failure, Incident, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.requests import InvalidInput, ManualRun, parsed
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.caught import Caught, failure_of, step_of

# Of the time to answer, how much passes before people are reminded.
_REMINDED_AFTER = 0.75
# People are asked again if the plan changed after their answer: then somebody is available. Three questions of at most
# 20 hours, 1 hour and 1 hour fit into the 24 hours of an execution.
_AGAIN_MINUTES = 60
# What the state machine waits beyond a question's expiry, so that no answer given in time comes too late.
_GRACE_SECONDS = 5


@dataclass(frozen=True)
class Lifecycle:
    """The beginning and the end of an incident's record: policy, outcome, lock, block."""

    table: Any
    ledger: Ledger
    clock: Clock

    @property
    def incidents(self) -> Incidents:
        """The repository on this table."""
        return Incidents(self.table, self.clock)

    def open(self, document: dict[str, Any], region: str, default_mode: Mode, execution: str) -> dict[str, str]:
        """Opens an incident for a run by hand: `{"incident", "cluster"}`.

        Raises:
            InvalidInput, IncidentOpen
        """
        run = parsed(ManualRun, document)
        mode = run.mode or default_mode
        incident = self.incidents.open(run.cluster, region, mode, run.reason, run.request, execution)
        return {"incident": incident, "cluster": run.cluster}

    def ask(self, incident_id: str, task_token: str, minutes: int, why: str, reason: AskReason | None) -> None:
        """Asks people about the plan; the state machine waits on `task_token`. `why`, `reason`: what made it ask."""
        incident = self.incidents.get(incident_id)
        if incident.plan is None:
            raise InvalidInput(f"incident {incident_id} has no plan to approve")
        expires_at = self.clock() + timedelta(minutes=minutes)
        usual = Durations(self.table).usual(incident.plan.strategy)
        self._approvals.ask(
            incident_id, incident.plan.hash, task_token, expires_at, why=why, reason=reason, usual_seconds=usual
        )

    def remind(self, incident_id: str, task_token: str) -> dict[str, Any] | None:
        """Reminds people of the open question; from now on the answer goes to `task_token`.

        Returns the answer, as a click sends it, if one was given between the two waits: nobody else will send it.
        """
        asked = self.incidents.get(incident_id).approval
        if asked is None:
            raise InvalidInput(f"incident {incident_id} has no question to remind of")
        if self._approvals.remind(incident_id, asked, task_token):
            return None
        settled = self.incidents.get(incident_id).approval or asked
        return {
            "approved": settled.state is ApprovalState.APPROVED,
            "by": str(settled.decided_by) if settled.decided_by else None,
            "plan_hash": settled.plan_hash,
        }

    def close(self, incident_id: str, outcome: Outcome, caught: Caught | None) -> dict[str, Any]:
        """Ends the incident; returns the report that is the execution's output and goes onto the event bus.

        A failure is `undone` if no change is left, whoever undid it, and `failed` otherwise.
        """
        incident = self.incidents.get(incident_id)
        made = ChangeLog(self.table, self.clock, incident_id).made()
        standing = [change for change in made if change.kind.outstanding]
        if caught:
            self.incidents.fail(incident_id, step_of(caught.step), failure_of(caught, made))
        self._settle_approval(incident)
        self.release_blocks(incident, standing)
        if outcome in (Outcome.FAILED, Outcome.UNDONE):
            outcome = Outcome.FAILED if made else Outcome.UNDONE
        self._unlock(incident)
        if outcome is Outcome.HEALED and incident.open:
            self._measure(incident)
        self.incidents.close(incident, outcome)
        return _report(incident, outcome, failure_of(caught, made) if caught else None)

    def _measure(self, incident: Incident) -> None:
        """Stores the time from the decision to the verification."""
        planned = incident.steps.get(Step.PLAN)
        began = incident.approval.decided_at if incident.approval else planned.at if planned else None
        if incident.plan and began:
            Durations(self.table).add(incident.plan.strategy, (self.clock() - began).total_seconds())

    def release_blocks(self, incident: Incident, standing: Sequence[ChangeMade] | None = None) -> None:
        """Releases the blocks that nothing in the VPC uses: the incident's own, and those it inherited.

        A CIDR that a later incident keeps stays reserved until that incident is rolled back too. `standing`: the
        changes that are not undone, if the caller has just read them. Safe to repeat.
        """
        if standing is None:
            standing = ChangeLog(self.table, self.clock, incident.id).outstanding()
        if incident.cidr_successor is None and not any(change.kind.in_vpc for change in standing):
            for owner in (incident.id, *incident.inherits):
                self.ledger.release(owner)

    def _unlock(self, incident: Incident) -> None:
        """Releases the lock, also one that was taken for a plan that could not be made."""
        if incident.plan:
            vpc_id = incident.plan.vpc_id
        elif incident.diagnosis and (vpc := snapshot_of(self.incidents, incident.id).vpc):
            vpc_id = vpc.id
        else:
            return
        VpcLock(self.table, self.clock).release(vpc_id, incident.id, execution=incident.execution)

    @property
    def _approvals(self) -> Approvals:
        return Approvals(self.table, self.clock)

    def _settle_approval(self, incident: Incident) -> None:
        """Silence is a rejection: a question still open when the incident closes has expired."""
        approval = incident.approval
        if approval and approval.state is ApprovalState.PENDING:
            expired = approval.model_copy(update={"state": ApprovalState.EXPIRED})
            self.incidents.set_approval(incident.id, expired)


def waits(minutes: int, *, again: bool = False) -> dict[str, int]:
    """How long a question is open, and how long the state machine waits until it reminds people, and then."""
    minutes = min(minutes, _AGAIN_MINUTES) if again else minutes
    before = round(60 * minutes * _REMINDED_AFTER)
    return {
        "approval_minutes": minutes,
        "ask_seconds": before,
        "remind_seconds": 60 * minutes - before + _GRACE_SECONDS,
    }


def _report(incident: Incident, outcome: Outcome, failure: Failure | None) -> dict[str, Any]:
    """Without the plan's details, which the record has; only a dry run, whose purpose they are, gets them."""
    dry_run = incident.request is not None and incident.request.dry_run
    return {
        "incident": incident.id,
        "cluster": incident.cluster,
        "outcome": outcome.value,
        "verdict": incident.diagnosis.verdict.value if incident.diagnosis else None,
        "block": incident.plan.block if incident.plan else None,
        **({"failure": {"error": failure.error, "message": failure.message}} if failure else {}),
        **({"plan": incident.plan.model_dump(mode="json")} if dry_run and incident.plan else {}),
    }
