"""Builds the plan: reserves a block, takes the VPC's lock, and decides whether to ask people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ip_remediator.address_ledger.allocate import Blocks
from ip_remediator.approvals.daily_limit import DailyLimit
from ip_remediator.approvals.policy import Allowance, Decision, NextAction, decide
from ip_remediator.common.clock import Clock
from ip_remediator.incidents.record import AskReason, Incident, Policy, RunRequest, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.planning.build_plan import plan
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import instead
from ip_remediator.remediation.requests import required

# How often people are asked about one incident, if the plan changes after each approval.
MAX_QUESTIONS = 3


@dataclass(frozen=True)
class Approved:
    """A plan that people approved, by its hash, and how many plans of the incident were put to them until now."""

    plan_hash: str
    by: str
    questions: int


@dataclass(frozen=True)
class Proposer:
    """`options`: the stack's."""

    incidents: Incidents
    blocks: Blocks
    lock: VpcLock
    limit: DailyLimit
    options: PlanningOptions
    clock: Clock

    def propose(
        self, incident_id: str, approved: Approved | None = None, execution: str | None = None
    ) -> dict[str, Any]:
        """Stores the plan; returns what the state machine branches on.

        `{"decision": "observe"|"ask"|"go", "why", "reason", "hash", "block", "strategy", "prepares_only",
        "zones": [...]}`. After an approval the plan is made again from fresh facts, and goes ahead if it is still the
        approved one.

        Raises:
            CannotPlan: no plan is possible; the message says why.
            InvalidInput: what the run by hand asks for is not possible.
            VpcLocked: another incident is changing the VPC.
        """
        incident = self.incidents.get(incident_id)
        proposal = self._plan(incident, execution)
        decision = self._decide(incident, proposal, approved)
        self.incidents.complete(incident_id, Step.PLAN, f"{proposal.space}: {decision.why}", plan=proposal)
        if decision.action is NextAction.GO and not approved:
            self.incidents.skip(incident_id, Step.APPROVE, decision.why)
        elif decision.action is NextAction.GO:
            self.incidents.complete(incident_id, Step.APPROVE, decision.why)
        return {
            "decision": decision.action.value,
            "why": decision.why,
            "reason": decision.reason,
            "hash": proposal.hash,
            "block": proposal.block,
            "strategy": proposal.strategy,
            "prepares_only": proposal.prepares_only,
            "zones": [subnet.zone for subnet in proposal.subnets],
        }

    def _plan(self, incident: Incident, execution: str | None) -> Plan:
        snapshot = snapshot_of(self.incidents, incident.id)
        if incident.diagnosis is None:
            raise CannotPlan(f"incident {incident.id} was not diagnosed yet")
        request = incident.request or RunRequest()
        needed = required(snapshot, incident.diagnosis, request, self._options(incident))
        vpc_id = snapshot.vpc.id if snapshot.vpc else ""
        if vpc_id:
            self.lock.acquire(vpc_id, incident.id, execution)
        try:
            block = self.blocks.take(incident, vpc_id, needed, exactly=request.block is not None)
            return plan(snapshot, incident.diagnosis, needed, block)
        except CannotPlan as refusal:
            self.blocks.release(incident)
            refusal.alternatives = tuple(instead(snapshot, incident.diagnosis))
            raise

    def _options(self, incident: Incident) -> PlanningOptions:
        """The stack's options, with the strategy that the cluster's tag names."""
        tagged = incident.policy.strategy if incident.policy else None
        return replace(self.options, strategy=tagged) if tagged else self.options

    def _decide(self, incident: Incident, proposal: Plan, approved: Approved | None) -> Decision:
        if incident.request and incident.request.dry_run:
            return Decision(NextAction.OBSERVE, "dry run: nothing is changed")
        policy = incident.policy or Policy(mode=incident.mode)
        allowance = self.limit.allowance(proposal.vpc_id, incident.id)
        decision = decide(policy, proposal.risks, allowance, self.clock(), incident.after_rollback)
        if approved:
            return decision if decision.action is NextAction.OBSERVE else _after_approval(proposal, approved)
        if decision.action is NextAction.GO and not self.limit.use(proposal.vpc_id, incident.id):
            used_up = Allowance(allowance.per_day, allowance.per_day)  # by others, since it was read
            return decide(policy, proposal.risks, used_up, self.clock())
        return decision


def _after_approval(proposal: Plan, approved: Approved) -> Decision:
    if proposal.hash == approved.plan_hash:
        return Decision(NextAction.GO, f"approved by {approved.by}")
    if approved.questions >= MAX_QUESTIONS:
        return Decision(
            NextAction.OBSERVE,
            f"the plan changed after each of {approved.questions} approvals: nothing is changed, start again later",
        )
    return Decision(
        NextAction.ASK,
        f"the facts changed since {approved.by} approved another plan: this one needs an answer of its own",
        AskReason.PLAN_CHANGED,
    )
