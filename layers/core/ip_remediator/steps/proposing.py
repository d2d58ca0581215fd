"""Makes the plan: reserves a block, takes the VPC's lock, and decides whether people must be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.ledger import ACCOUNT, Ledger, PoolExhausted
from ip_remediator.adapters.vpc_lock import VpcLock
from ip_remediator.domain.incidents import Incident, Mode, Step
from ip_remediator.domain.planning import BlockRequirement, CannotPlan, Plan, plan, requirement
from ip_remediator.domain.risks import Severity, highest
from ip_remediator.domain.snapshot import Snapshot


@dataclass(frozen=True)
class Proposer:
    """`excluded`: ranges kept for others; `auto_max_risk`: what mode `auto` may do without asking."""

    incidents: Incidents
    ledger: Ledger
    lock: VpcLock
    pools: Sequence[IPv4Network]
    excluded: Sequence[IPv4Network]
    auto_max_risk: Severity
    approval_minutes: int

    def propose(self, incident_id: str) -> dict[str, Any]:
        """Stores the plan; returns what the state machine branches on.

        `{"decision": "observe"|"ask"|"go", "why", "hash", "block", "zones": [...], "approval_seconds"}`

        Raises:
            CannotPlan: no plan is possible; the message says why.
            VpcLocked: another incident is changing the VPC.
        """
        incident = self.incidents.get(incident_id)
        snapshot = self.incidents.snapshot(incident_id)
        if incident.diagnosis is None:
            raise CannotPlan(f"incident {incident_id} was not diagnosed yet")
        needed = requirement(snapshot, incident.diagnosis, pools=self.pools, excluded=self.excluded)
        if snapshot.vpc:
            self.lock.acquire(snapshot.vpc.id, incident_id)
        try:
            proposal = plan(snapshot, incident.diagnosis, needed, self._reserve(incident, snapshot, needed))
        except CannotPlan:
            self.ledger.release(incident_id)
            raise
        decision, why = self._decide(incident.mode, proposal)
        self.incidents.complete(incident_id, Step.PLAN, f"{proposal.block}: {why}", plan=proposal)
        if decision == "go":
            self.incidents.skip(incident_id, Step.APPROVE, why)
        return {
            "decision": decision,
            "why": why,
            "hash": proposal.hash,
            "block": proposal.block,
            "zones": [subnet.zone for subnet in proposal.subnets],
            "approval_seconds": 60 * self.approval_minutes,
        }

    def _reserve(self, incident: Incident, snapshot: Snapshot, needed: BlockRequirement) -> IPv4Network:
        """The incident's block in the ledger: the one it has already, or the first that fits."""
        taken = [IPv4Network(cidr, strict=False) for cidr in needed.excluded]
        vpc_id = snapshot.vpc.id if snapshot.vpc else ""
        # A CIDR that the VPC has already is a reservation itself: inside it the VPC keeps books of its own.
        scope = vpc_id if needed.source == "existing-cidr" else ACCOUNT
        detail = {"cluster": incident.cluster, "vpc": vpc_id}
        refusals = []
        for pool in needed.pools:
            try:
                return self.ledger.reserve(
                    incident.id, IPv4Network(pool), needed.prefix, taken, scope=scope, detail=detail
                )
            except PoolExhausted as error:
                refusals.append(str(error))
        raise CannotPlan("; ".join(refusals))

    def _decide(self, mode: Mode, proposal: Plan) -> tuple[str, str]:
        if mode is Mode.OBSERVE:
            return "observe", "mode observe: nothing is changed"
        if mode is Mode.APPROVE:
            return "ask", "mode approve: people decide"
        worst = highest(proposal.risks)
        if worst is not None and worst > self.auto_max_risk:
            return "ask", f"mode auto, but a risk is {worst.name.lower()}: people decide"
        return "go", f"mode auto: no risk exceeds {self.auto_max_risk.name.lower()}"
