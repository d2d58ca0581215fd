"""Where new addresses come from: a CG-NAT CIDR of the VPC, a further CIDR, or an IPAM pool; and how much of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.planning import preconditions, sizing
from ip_remediator.planning.model import Option, Source
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.taken_ranges import taken_ranges


@dataclass(frozen=True)
class AddressSource:
    """A block of length `prefix` in one of `pools`, cut into subnets of `subnet_prefix`; `reason` is for people."""

    source: Source
    reason: str
    pools: tuple[IPv4Network, ...] = ()
    prefix: int = 0
    subnet_prefix: int = 0
    excluded: dict[str, str] = field(default_factory=dict)


def find(snapshot: Snapshot, terms: PlanningOptions, demand: dict[str, int]) -> AddressSource:
    """Space for the zones of `demand`, each of which needs that many addresses.

    Raises:
        CannotPlan: a quota, a pending peering or AWS's table of ranges is in the way.
    """
    found = _find(snapshot, terms, demand)
    return replace(found, reason=found.reason + _too_small(found, max(demand.values())))


def _too_small(space: AddressSource, most: int) -> str:
    """Said where a subnet holds less than the nodes of its zone can hold now."""
    holds = cidrs.usable_addresses(IPv4Network((0, space.subnet_prefix)))
    if holds * sizing.GROWTH >= most:
        return ""
    return f"; a /{space.subnet_prefix} has {holds:,} addresses and a zone's nodes can hold {most // sizing.GROWTH:,}"


def _find(snapshot: Snapshot, terms: PlanningOptions, demand: dict[str, int]) -> AddressSource:
    wanted, *smaller = _sizes(demand)
    if terms.block:
        return _asked_for(snapshot, terms, terms.block, wanted)
    # Rather without a share for a zone to come than one more CIDR.
    as_large = [wanted, *(size for size in smaller if size.subnet == wanted.subnet)]
    own = next((found for size in as_large if (found := _own(snapshot, terms, size))), None)
    if own:
        return own
    try:
        preconditions.require_room_for_cidr(snapshot)
    except CannotPlan:
        less = next((found for size in smaller if (found := _own(snapshot, terms, size))), None)
        if less is None:
            raise
        return replace(less, reason=f"{less.reason} only, and no CIDR can be added")
    return _further_cidr(snapshot, terms, wanted, smaller)


def options(space: AddressSource, terms: PlanningOptions) -> tuple[Option, ...]:
    """The rungs of the ladder that are about blocks."""
    size = f"a /{space.prefix}"
    passed_over = {
        "existing-cidr": f"the VPC has no CIDR of {cidrs.CGNAT} with room for {size}",
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


@dataclass(frozen=True)
class _Size:
    """Prefix lengths of the block and of each subnet in it."""

    block: int
    subnet: int


def _sizes(demand: dict[str, int]) -> list[_Size]:
    """What is wanted, then less and less: first the spare share gives way, then the subnets, down to what the nodes
    can hold now."""
    most = max(demand.values())
    largest = cidrs.subnet_prefix_for(most)
    enough = [
        prefix
        for prefix in range(largest, cidrs.SMALLEST_PREFIX + 1)
        if prefix == largest or cidrs.usable_addresses(IPv4Network((0, prefix))) * sizing.GROWTH >= most
    ]
    return [
        _Size(cidrs.block_prefix_for(len(demand), prefix, spare_zones=spare), prefix)
        for prefix in enough
        for spare in (1, 0)
    ]


def _further_cidr(snapshot: Snapshot, terms: PlanningOptions, wanted: _Size, smaller: list[_Size]) -> AddressSource:
    """The largest size that is free in some pool; where none is, the ledger tells who has the pools."""
    excluded = taken_ranges(snapshot) | _kept(terms)
    if terms.ipam_pool:
        reason = f"a /{wanted.block} of {terms.ipam_pool}, so that IPAM keeps the books"
        return AddressSource("ipam-pool", reason, (), wanted.block, wanted.subnet, excluded)
    pools = _allowed_pools(snapshot, terms.pools)
    taken = [IPv4Network(cidr, strict=False) for cidr in excluded]
    fitting = (size for size in (wanted, *smaller) if _free_in(pools, taken, size.block))
    size = next(fitting, wanted)
    reason = f"a /{size.block} of {pools[0]}, a /{size.subnet} for each zone, costs nothing"
    if size != wanted:
        names = ", ".join(str(pool) for pool in pools)
        reason = f"a /{size.block} with a /{size.subnet} for each zone is the most that is free in {names}"
    return AddressSource("new-cidr", reason, pools, size.block, size.subnet, excluded)


def _free_in(pools: Iterable[IPv4Network], taken: Sequence[IPv4Network], prefix: int) -> bool:
    return any(next(cidrs.free_blocks(pool, taken, prefix), None) for pool in pools)


def _own(snapshot: Snapshot, terms: PlanningOptions, size: _Size) -> AddressSource | None:
    """CG-NAT CIDRs of the VPC that still have room for the block, beside its subnets and ranges kept for others."""
    used = [*terms.excluded, *(IPv4Network(subnet.cidr) for subnet in snapshot.subnets)]
    own = (cidr for cidr in _associated(snapshot) if cidr.subnet_of(cidrs.CGNAT))
    pools = tuple(cidr for cidr in own if _free_in([cidr], used, size.block))
    if not pools:
        return None
    reason = f"{pools[0]} of the VPC has room for a /{size.block}"
    return AddressSource("existing-cidr", reason, pools, size.block, size.subnet, _inside_taken(snapshot, terms))


def _asked_for(snapshot: Snapshot, terms: PlanningOptions, block: IPv4Network, wanted: _Size) -> AddressSource:
    """The block that somebody asked for; its subnets are as much smaller as the planner's would be."""
    subnet_prefix = min(cidrs.SMALLEST_PREFIX, block.prefixlen + wanted.subnet - wanted.block)
    reason = f"this run asks for the block {block}"
    if any(block.subnet_of(cidr) for cidr in _associated(snapshot)):
        taken = _inside_taken(snapshot, terms)
        return AddressSource("existing-cidr", reason, (block,), block.prefixlen, subnet_prefix, taken)
    preconditions.require_room_for_cidr(snapshot)
    taken = taken_ranges(snapshot) | _kept(terms)
    return AddressSource("new-cidr", reason, (block,), block.prefixlen, subnet_prefix, taken)


def _inside_taken(snapshot: Snapshot, terms: PlanningOptions) -> dict[str, str]:
    """What is taken inside a CIDR that the VPC has."""
    return {subnet.cidr: f"subnet {subnet.id}" for subnet in snapshot.subnets} | _kept(terms)


def _kept(terms: PlanningOptions) -> dict[str, str]:
    return {str(network): "range excluded by the settings" for network in terms.excluded}


def _associated(snapshot: Snapshot) -> list[IPv4Network]:
    cidrs = snapshot.vpc.cidrs if snapshot.vpc else ()
    return [IPv4Network(cidr.cidr) for cidr in cidrs if cidr.state == "associated"]


def _allowed_pools(snapshot: Snapshot, pools: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """The pools that AWS's association table allows beside the VPC's CIDRs (198.19.0.0/16 often is not)."""
    present = [IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs] if snapshot.vpc else []
    barred = cidrs.barred_ranges(present)
    allowed = tuple(pool for pool in pools if not any(pool.subnet_of(network) for network in barred))
    if not allowed:
        names = ", ".join(str(pool) for pool in pools) or "(none is configured)"
        raise CannotPlan(
            f"AWS allows none of the pools {names} in a VPC of {present[0] if present else '?'}: name "
            f"{cidrs.CGNAT}, which every VPC may have"
        )
    return allowed
