"""Makes the plan: reserves a block, takes the VPC's lock, and decides whether people must be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Any

from ip_remediator.adapters.clock import Clock
from ip_remediator.adapters.daily_limit import DailyLimit
from ip_remediator.adapters.errors import NotFound, RequestRefused
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.ipam import Ipam
from ip_remediator.adapters.ledger import ACCOUNT, BlockTaken, Ledger, PoolExhausted, Reservation
from ip_remediator.adapters.vpc_lock import VpcLock
from ip_remediator.domain.incidents import Incident, Policy, RunRequest, Step
from ip_remediator.domain.planning import BlockRequirement, CannotPlan, Plan, Terms, plan
from ip_remediator.domain.policy import Action, Allowance, Decision, decide
from ip_remediator.domain.requests import InvalidInput, required
from ip_remediator.domain.snapshot import Snapshot

# A plan that changes after each approval is put to people this often.
MAX_QUESTIONS = 3
# How many blocks of an IPAM pool other incidents may hold before we give up.
_PREVIEWS = 20


@dataclass(frozen=True)
class Approved:
    """A plan that people approved, by its hash, and how many plans of the incident were put to them until now."""

    plan_hash: str
    by: str
    questions: int


@dataclass(frozen=True)
class Proposer:
    """`terms`: the stack's. `ipam`: where blocks come from when the terms name a pool of it."""

    incidents: Incidents
    ledger: Ledger
    lock: VpcLock
    limit: DailyLimit
    terms: Terms
    ipam: Ipam
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
        self.incidents.complete(incident_id, Step.PLAN, f"{proposal.space}: {decision.why}", plan=proposal)
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
        needed = required(snapshot, incident.diagnosis, request, self._terms(incident))
        if snapshot.vpc:
            self.lock.acquire(snapshot.vpc.id, incident.id)
        try:
            return plan(snapshot, incident.diagnosis, needed, self._block(incident, snapshot, needed, request))
        except CannotPlan:
            self.ledger.release(incident.id)
            raise

    def _terms(self, incident: Incident) -> Terms:
        """The stack's terms, with the strategy that the cluster's tag names."""
        tagged = incident.policy.strategy if incident.policy else None
        return replace(self.terms, strategy=tagged) if tagged else self.terms

    def _block(
        self, incident: Incident, snapshot: Snapshot, needed: BlockRequirement, request: RunRequest
    ) -> IPv4Network | None:
        """The incident's block in the ledger: the one it has already if that still fits, or another that does."""
        taken = [IPv4Network(cidr, strict=False) for cidr in needed.excluded]
        vpc_id = snapshot.vpc.id if snapshot.vpc else ""
        # A CIDR that the VPC has already is a reservation itself: inside it the VPC keeps books of its own.
        scope = vpc_id if needed.source == "existing-cidr" else ACCOUNT
        books = _Books(self.ledger, incident.id, scope, {"cluster": incident.cluster, "vpc": vpc_id})
        held = self.ledger.reservation_of(incident.id)
        if held and not (needed.needs_block and _fits(held, needed, taken, scope)):
            self.ledger.release(incident.id)
        if not needed.needs_block:
            return None
        if needed.ipam_pool:
            return self._of_ipam(books, needed.ipam_pool, needed.prefix, taken)
        return _reserve(books, needed, taken, exactly=request.block is not None)

    def _of_ipam(self, books: _Books, pool: str, prefix: int, taken: list[IPv4Network]) -> IPv4Network:
        """What the pool would give next, unless another incident counts on the same: then the next after that."""
        disallowed = list(taken)
        for _ in range(_PREVIEWS):
            try:
                block = self.ipam.preview(pool, prefix, disallowed)
            except (NotFound, RequestRefused) as error:
                raise CannotPlan(f"the IPAM pool {pool} gives no /{prefix}: {error}") from error
            held = books.ledger.reservation_of(books.owner)
            if held and held.block != block:
                books.ledger.release(books.owner)
            try:
                return books.exactly(block)
            except BlockTaken:
                disallowed.append(block)
        raise CannotPlan(f"other incidents hold the next {_PREVIEWS} blocks of the IPAM pool {pool}")

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


@dataclass(frozen=True)
class _Books:
    """The ledger, as one incident writes to it."""

    ledger: Ledger
    owner: str
    scope: str
    detail: dict[str, str]

    def exactly(self, block: IPv4Network) -> IPv4Network:
        return self.ledger.reserve_exactly(self.owner, block, scope=self.scope, detail=self.detail)


def _reserve(books: _Books, needed: BlockRequirement, taken: Sequence[IPv4Network], *, exactly: bool) -> IPv4Network:
    refusals = []
    for pool in (IPv4Network(pool) for pool in needed.pools):
        try:
            if exactly:
                return books.exactly(pool)
            return books.ledger.reserve(books.owner, pool, needed.prefix, taken, scope=books.scope, detail=books.detail)
        except BlockTaken as error:
            raise InvalidInput(f"field 'block': {error}") from error
        except PoolExhausted as error:
            refusals.append(str(error))
    raise CannotPlan("; ".join(refusals))


def _fits(held: Reservation, needed: BlockRequirement, taken: Sequence[IPv4Network], scope: str) -> bool:
    """Whether a block reserved for an earlier plan serves this one. Of an IPAM pool, the next preview tells."""
    inside = needed.ipam_pool is not None or any(held.block.subnet_of(IPv4Network(pool)) for pool in needed.pools)
    return (
        held.scope == scope
        and held.block.prefixlen == needed.prefix
        and inside
        and not any(held.block.overlaps(network) for network in taken)
    )
