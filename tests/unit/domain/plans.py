"""Plans as they come out when no other incident holds a block."""

from __future__ import annotations

from ipaddress import IPv4Network

from ip_remediator.domain import addressing
from ip_remediator.domain.diagnosis import diagnose
from ip_remediator.domain.planning import Plan, Terms, plan, requirement
from ip_remediator.domain.snapshot import Snapshot


def first_plan(facts: Snapshot, terms: Terms | None = None) -> Plan:
    """The plan with the first block that is free, as the ledger would choose it."""
    wanted = requirement(facts, diagnose(facts), terms)
    if not wanted.needs_block:
        return plan(facts, diagnose(facts), wanted, None)
    taken = [IPv4Network(cidr) for cidr in wanted.excluded]
    block = next(
        block for pool in wanted.pools for block in addressing.free_blocks(IPv4Network(pool), taken, wanted.prefix)
    )
    return plan(facts, diagnose(facts), wanted, block)
