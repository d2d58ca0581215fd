"""Plans as they come out when no other incident holds a block."""

from __future__ import annotations

from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.build_plan import plan
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.requirements import requirement
from ip_remediator.snapshot.model import Snapshot


def first_plan(facts: Snapshot, options: PlanningOptions | None = None) -> Plan:
    """The plan with the first block that is free, as the ledger would choose it."""
    wanted = requirement(facts, diagnose(facts), options)
    if not wanted.needs_block:
        return plan(facts, diagnose(facts), wanted, None)
    taken = [IPv4Network(cidr) for cidr in wanted.excluded]
    block = next(block for pool in wanted.pools for block in cidrs.free_blocks(IPv4Network(pool), taken, wanted.prefix))
    return plan(facts, diagnose(facts), wanted, block)
