"""Where new addresses come from: a CG-NAT CIDR of the VPC, a further CIDR, or an IPAM pool; and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from ip_remediator.domain import addressing, refusals
from ip_remediator.domain.exclusions import taken_ranges
from ip_remediator.domain.planning import sizing
from ip_remediator.domain.planning.documents import Option, Source
from ip_remediator.domain.planning.terms import Terms
from ip_remediator.domain.refusals import CannotPlan
from ip_remediator.domain.snapshot import Snapshot


@dataclass(frozen=True)
class Space:
    """A block of length `prefix` in one of `pools`, cut into subnets of `subnet_prefix`; `reason` is for people."""

    source: Source
    reason: str
    pools: tuple[IPv4Network, ...] = ()
    prefix: int = 0
    subnet_prefix: int = 0
    excluded: dict[str, str] = field(default_factory=dict)


def find(snapshot: Snapshot, terms: Terms, demand: dict[str, int]) -> Space:
    """Space for the zones of `demand`, each of which needs that many addresses.

    Raises:
        CannotPlan: a quota, a pending peering or AWS's table of ranges is in the way.
    """
    subnet_prefix = addressing.subnet_prefix_for(max(demand.values()))
    prefix = addressing.block_prefix_for(len(demand), subnet_prefix)
    if terms.block:
        return _asked_for(snapshot, terms, terms.block, subnet_prefix - prefix)
    own = _own(snapshot, terms, prefix, subnet_prefix)
    if own:
        return own
    try:
        refusals.where_aws_adds_no_cidr(snapshot)
    except CannotPlan:
        smaller = _smaller(snapshot, terms, subnet_prefix, demand)
        if smaller is None:
            raise
        return smaller
    return _further_cidr(snapshot, terms, prefix, subnet_prefix)


def options(space: Space, terms: Terms) -> tuple[Option, ...]:
    """The rungs of the ladder that are about blocks."""
    size = f"a /{space.prefix}"
    passed_over = {
        "existing-cidr": f"the VPC has no CIDR of {addressing.CGNAT} with room for {size}",
        "new-cidr": "not needed",
        "ipam-pool": "not needed" if terms.ipam_pool else "no IPAM pool is configured (IpamPoolId)",
    }
    if space.source == "existing-subnets":
        passed_over["existing-cidr"] = "not needed"
    elif terms.block:
        passed_over = dict.fromkeys(passed_over, f"this run asks for the block {terms.block}")
    elif space.source == "ipam-pool":
        passed_over["new-cidr"] = f"CIDRs come from the IPAM pool {terms.ipam_pool}, not from the configured pools"
    reasons = passed_over | {space.source: space.reason}
    return tuple(Option(option=name, taken=name == space.source, reason=reasons[name]) for name in passed_over)


def _further_cidr(snapshot: Snapshot, terms: Terms, prefix: int, subnet_prefix: int) -> Space:
    excluded = taken_ranges(snapshot) | _kept(terms)
    if terms.ipam_pool:
        reason = f"a /{prefix} of {terms.ipam_pool}, so that IPAM keeps the books"
        return Space("ipam-pool", reason, (), prefix, subnet_prefix, excluded)
    pools = _allowed_pools(snapshot, terms.pools)
    reason = f"a /{prefix} of {pools[0]}, a /{subnet_prefix} for each zone, costs nothing and lasts"
    return Space("new-cidr", reason, pools, prefix, subnet_prefix, excluded)


def _smaller(snapshot: Snapshot, terms: Terms, subnet_prefix: int, demand: dict[str, int]) -> Space | None:
    """Where AWS adds no CIDR: the most that a CG-NAT CIDR of the VPC still has room for, if its subnets hold at least
    what the nodes can hold now. First the spare share gives way, then the subnets."""
    for smaller in range(subnet_prefix, addressing.SMALLEST_PREFIX + 1):
        holds = addressing.usable_addresses(IPv4Network((0, smaller)))
        if smaller > subnet_prefix and holds * sizing.GROWTH < max(demand.values()):
            return None
        for spare in (1, 0):
            prefix = addressing.block_prefix_for(len(demand), smaller, spare_zones=spare)
            own = _own(snapshot, terms, prefix, smaller, " only, and no CIDR can be added")
            if own:
                return own
    return None


def _own(snapshot: Snapshot, terms: Terms, prefix: int, subnet_prefix: int, note: str = "") -> Space | None:
    """CG-NAT CIDRs of the VPC that still have room for the block, beside its subnets and ranges kept for others."""
    used = [*terms.excluded, *(IPv4Network(subnet.cidr) for subnet in snapshot.subnets)]
    pools = tuple(
        cidr
        for cidr in _associated(snapshot)
        if cidr.subnet_of(addressing.CGNAT) and next(addressing.free_blocks(cidr, used, prefix), None)
    )
    if not pools:
        return None
    reason = f"{pools[0]} of the VPC has room for a /{prefix}{note}"
    return Space("existing-cidr", reason, pools, prefix, subnet_prefix, _inside_taken(snapshot, terms))


def _asked_for(snapshot: Snapshot, terms: Terms, block: IPv4Network, larger_by: int) -> Space:
    """The block that somebody asked for; its subnets are as much smaller as the planner's would be."""
    subnet_prefix = min(addressing.SMALLEST_PREFIX, block.prefixlen + larger_by)
    reason = f"this run asks for the block {block}"
    if any(block.subnet_of(cidr) for cidr in _associated(snapshot)):
        taken = _inside_taken(snapshot, terms)
        return Space("existing-cidr", reason, (block,), block.prefixlen, subnet_prefix, taken)
    refusals.where_aws_adds_no_cidr(snapshot)
    taken = taken_ranges(snapshot) | _kept(terms)
    return Space("new-cidr", reason, (block,), block.prefixlen, subnet_prefix, taken)


def _inside_taken(snapshot: Snapshot, terms: Terms) -> dict[str, str]:
    """What is taken inside a CIDR that the VPC has."""
    return {subnet.cidr: f"subnet {subnet.id}" for subnet in snapshot.subnets} | _kept(terms)


def _kept(terms: Terms) -> dict[str, str]:
    return {str(network): "range excluded by the settings" for network in terms.excluded}


def _associated(snapshot: Snapshot) -> list[IPv4Network]:
    cidrs = snapshot.vpc.cidrs if snapshot.vpc else ()
    return [IPv4Network(cidr.cidr) for cidr in cidrs if cidr.state == "associated"]


def _allowed_pools(snapshot: Snapshot, pools: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """The pools that AWS's association table allows beside the VPC's CIDRs (198.19.0.0/16 often is not)."""
    present = [IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs] if snapshot.vpc else []
    barred = addressing.barred_ranges(present)
    allowed = tuple(pool for pool in pools if not any(pool.subnet_of(network) for network in barred))
    if not allowed:
        names = ", ".join(str(pool) for pool in pools) or "(none is configured)"
        raise CannotPlan(f"AWS allows none of the pools {names} in a VPC of {present[0] if present else '?'}")
    return allowed
