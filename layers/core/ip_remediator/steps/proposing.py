"""Makes the plan: reserves a block, takes the VPC's lock, and decides whether people must be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from ip_remediator.adapters.clock import Clock
from ip_remediator.adapters.daily_limit import DailyLimit
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.ledger import ACCOUNT, BlockTaken, Ledger, PoolExhausted, Reservation
from ip_remediator.adapters.vpc_lock import VpcLock
from ip_remediator.domain.incidents import Incident, Policy, RunRequest, Step
from ip_remediator.domain.planning import BlockRequirement, CannotPlan, Plan, plan, requirement
from ip_remediator.domain.policy import Action, Allowance, Decision, decide
from ip_remediator.domain.requests import InvalidInput, narrowed
from ip_remediator.domain.snapshot import Snapshot

# A plan that changes after each approval is put to people this often.
MAX_QUESTIONS = 3


@dataclass(frozen=True)
class Approved:
    """A plan that people approved, by its hash, and how many plans of the incident were put to them until now."""

    plan_hash: str
    by: str
    questions: int


@dataclass(frozen=True)
class Proposer:
    """`excluded`: ranges kept for others."""

    incidents: Incidents
    ledger: Ledger
    lock: VpcLock
    limit: DailyLimit
    pools: Sequence[IPv4Network]
    excluded: Sequence[IPv4Network]
    clock: Clock

    def propose(self, incident_id: str, approved: Approved | None = None) -> dict[str, Any]:
        """Stores the plan; returns what the state machine branches on.

        `{"decision": "observe"|"ask"|"go", "why", "hash", "block", "strategy", "prepares_only", "zones": [...]}`. After
        an approval it is made again from fresh facts, and goes ahead if it is still the approved one.

        Raises:
            CannotPlan: no plan is possible; the message says why.
            InvalidInput: what the run by hand asks for is not possible.
            VpcLocked: another incident is changing the VPC.
        """
        incident = self.incidents.get(incident_id)
        proposal = self._plan(incident)
        decision = self._decide(incident, proposal, approved)
        self.incidents.complete(incident_id, Step.PLAN, f"{proposal.block}: {decision.why}", plan=proposal)
        if decision.action is Action.GO and not approved:
            self.incidents.skip(incident_id, Step.APPROVE, decision.why)
        elif decision.action is Action.GO:
            self.incidents.complete(incident_id, Step.APPROVE, decision.why)
        return {
            "decision": decision.action.value,
            "why": decision.why,
            "hash": proposal.hash,
            "block": proposal.block,
            "strategy": proposal.strategy,
            "prepares_only": proposal.prepares_only,
            "zones": [subnet.zone for subnet in proposal.subnets],
        }

    def _plan(self, incident: Incident) -> Plan:
        snapshot = self.incidents.snapshot(incident.id)
        if incident.diagnosis is None:
            raise CannotPlan(f"incident {incident.id} was not diagnosed yet")
        request = incident.request or RunRequest()
        needed = requirement(snapshot, incident.diagnosis, pools=self.pools, excluded=self.excluded)
        needed = narrowed(needed, request, snapshot, self.excluded)
        if snapshot.vpc:
            self.lock.acquire(snapshot.vpc.id, incident.id)
        try:
            block = self._reserve(incident, snapshot, needed, exactly=request.block is not None)
            return plan(snapshot, incident.diagnosis, needed, block)
        except CannotPlan:
            self.ledger.release(incident.id)
            raise

    def _reserve(
        self, incident: Incident, snapshot: Snapshot, needed: BlockRequirement, *, exactly: bool
    ) -> IPv4Network:
        """The incident's block in the ledger: the one it has already if that still fits, or the first that does."""
        taken = [IPv4Network(cidr, strict=False) for cidr in needed.excluded]
        vpc_id = snapshot.vpc.id if snapshot.vpc else ""
        # A CIDR that the VPC has already is a reservation itself: inside it the VPC keeps books of its own.
        scope = vpc_id if needed.source == "existing-cidr" else ACCOUNT
        detail = {"cluster": incident.cluster, "vpc": vpc_id}
        held = self.ledger.reservation_of(incident.id)
        if held and not _fits(held, needed, taken, scope):
            self.ledger.release(incident.id)
        refusals = []
        for pool in (IPv4Network(pool) for pool in needed.pools):
            try:
                if exactly:
                    return self.ledger.reserve_exactly(incident.id, pool, scope=scope, detail=detail)
                return self.ledger.reserve(incident.id, pool, needed.prefix, taken, scope=scope, detail=detail)
            except BlockTaken as error:
                raise InvalidInput(f"field 'block': {error}") from error
            except PoolExhausted as error:
                refusals.append(str(error))
        raise CannotPlan("; ".join(refusals))

    def _decide(self, incident: Incident, proposal: Plan, approved: Approved | None) -> Decision:
        if incident.request and incident.request.dry_run:
            return Decision(Action.OBSERVE, "dry run: nothing is changed")
        policy = incident.policy or Policy(mode=incident.mode)
        allowance = self.limit.allowance(proposal.vpc_id, incident.id)
        decision = decide(policy, proposal.risks, allowance, self.clock())
        if approved:
            return decision if decision.action is Action.OBSERVE else _after_approval(proposal, approved)
        if decision.action is Action.GO and not self.limit.use(proposal.vpc_id, incident.id):
            used_up = Allowance(allowance.per_day, allowance.per_day)  # by others, since it was read
            return decide(policy, proposal.risks, used_up, self.clock())
        return decision


def _after_approval(proposal: Plan, approved: Approved) -> Decision:
    if proposal.hash == approved.plan_hash:
        return Decision(Action.GO, f"approved by {approved.by}")
    if approved.questions >= MAX_QUESTIONS:
        return Decision(
            Action.OBSERVE,
            f"the world changed after each of {approved.questions} approvals: nothing is changed, start again later",
        )
    return Decision(
        Action.ASK, f"the world changed since {approved.by} approved another plan: this one needs an answer of its own"
    )


def _fits(held: Reservation, needed: BlockRequirement, taken: Sequence[IPv4Network], scope: str) -> bool:
    """Whether a block reserved for an earlier plan serves this one."""
    return (
        held.scope == scope
        and held.block.prefixlen == needed.prefix
        and any(held.block.subnet_of(IPv4Network(pool)) for pool in needed.pools)
        and not any(held.block.overlaps(network) for network in taken)
    )
