"""Where new addresses come from: a CG-NAT CIDR of the VPC, a secondary CIDR, or an IPAM pool; and how much of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.planning import block_sizes, preconditions, sizing
from ip_remediator.planning.block_sizes import Size
from ip_remediator.planning.model import Option, Source
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.space import own_space
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.taken_ranges import taken_ranges


@dataclass(frozen=True)
class AddressSource:
    """A block of length `prefix` in one of `pools`, cut into subnets of `subnet_prefix`; `reason` is for people.

    `smaller` are the sizes to try where no pool has that, the largest first. `pieces` stand for the block where each
    zone gets a range of its own, in several places.
    """

    source: Source
    reason: str
    pools: tuple[IPv4Network, ...] = ()
    prefix: int = 0
    subnet_prefix: int = 0
    smaller: tuple[Size, ...] = ()
    pieces: dict[str, IPv4Network] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)


def find(snapshot: Snapshot, options: PlanningOptions, demand: dict[str, int]) -> AddressSource:
    """Space for the zones of `demand`, by zone the addresses that it needs.

    Raises:
        CannotPlan: a quota, a pending peering or AWS's table of allowed ranges prevents it.
    """
    source = _find(snapshot, options, demand)
    return replace(source, reason=source.reason + _too_small(source, max(demand.values())))


def _too_small(source: AddressSource, most: int) -> str:
    """A note for a subnet that holds less than the nodes of its zone can hold now."""
    if source.pieces or block_sizes.holds(source.subnet_prefix, most):
        return ""
    usable = cidrs.usable_addresses(IPv4Network((0, source.subnet_prefix)))
    return f"; a /{source.subnet_prefix} has {usable:,} addresses and a zone's nodes can hold {most // sizing.GROWTH:,}"


def _find(snapshot: Snapshot, options: PlanningOptions, demand: dict[str, int]) -> AddressSource:
    wanted = block_sizes.sizes(snapshot, options, demand)
    if options.block:
        return _asked_for(snapshot, options, options.block, block_sizes.as_needed(demand)[0])
    if own := _own(snapshot, options, demand, wanted):
        return own
    try:
        preconditions.require_room_for_cidr(snapshot)
        if not snapshot.quotas.applied:
            preconditions.require_room_for_cidr(_with_quotas_read(snapshot))
    except CannotPlan:
        split = own_space.pieces(snapshot, options, demand)
        if split is not None:
            return _in_pieces(snapshot, options, split, " only, and no CIDR can be added")
        preconditions.require_room_for_cidr(snapshot)
    return _further_cidr(snapshot, options, wanted)


def _with_quotas_read(snapshot: Snapshot) -> Snapshot:
    """The snapshot with AWS's default quotas taken as certain: space in the VPC's own CIDRs is then used first, while
    it lasts."""
    return snapshot.model_copy(update={"quotas": snapshot.quotas.model_copy(update={"applied": True})})


def options(space: AddressSource, options: PlanningOptions) -> tuple[Option, ...]:
    """The options of a plan that are about blocks: existing-cidr, new-cidr and ipam-pool."""
    size = f"a /{space.prefix}" if space.prefix else "the pieces"
    passed_over = {
        "existing-cidr": f"the VPC has no CIDR of {cidrs.CGNAT} with room for {size}",
        "new-cidr": "not needed",
        "ipam-pool": "not needed" if options.ipam_pool else "no IPAM pool is configured (IpamPoolId)",
    }
    if space.source == "existing-subnets":
        passed_over["existing-cidr"] = "not needed"
    elif options.block:
        passed_over = dict.fromkeys(passed_over, f"this run asks for the block {options.block}")
    elif space.source == "ipam-pool":
        passed_over["new-cidr"] = f"CIDRs come from the IPAM pool {options.ipam_pool}, not from the configured pools"
    reasons = passed_over | {space.source: space.reason}
    return tuple(Option(option=name, taken=name == space.source, reason=reasons[name]) for name in passed_over)


def _further_cidr(snapshot: Snapshot, options: PlanningOptions, wanted: list[Size]) -> AddressSource:
    """The largest size that is free in some pool; smaller ones where the ledger has no room for that."""
    excluded = taken_ranges(snapshot) | _kept(options)
    first, *smaller = wanted
    if options.ipam_pool:
        reason = f"a /{first.block} of {options.ipam_pool}, so that IPAM keeps the books"
        return AddressSource("ipam-pool", reason, (), first.block, first.subnet, excluded=excluded)
    pools = _allowed_pools(snapshot, options.pools)
    taken = [IPv4Network(cidr, strict=False) for cidr in excluded]
    size = next((size for size in wanted if _free_in(pools, taken, size.block)), first)
    reason = f"a /{size.block} of {pools[0]} with a /{size.subnet} for each zone: {_why_this_size(snapshot, options)}"
    if size != first:
        names = ", ".join(str(pool) for pool in pools)
        reason = f"a /{size.block} with a /{size.subnet} for each zone is the most that is free in {names}"
    smaller_sizes = tuple(smaller[wanted.index(size) :])
    return AddressSource("new-cidr", reason, pools, size.block, size.subnet, smaller_sizes, excluded=excluded)


def _why_this_size(snapshot: Snapshot, options: PlanningOptions) -> str:
    if options.block_prefix or options.subnet_prefix:
        return "the size that was chosen"
    scarce = block_sizes.thrift(snapshot, options)
    if scarce:
        return f"no larger than needed, for {scarce}"
    return "it costs nothing, and neither a CIDR nor a subnet can be made larger later"


def _free_in(pools: Iterable[IPv4Network], taken: Sequence[IPv4Network], prefix: int) -> bool:
    return any(next(cidrs.free_blocks(pool, taken, prefix), None) for pool in pools)


def _own(
    snapshot: Snapshot, options: PlanningOptions, demand: dict[str, int], wanted: list[Size]
) -> AddressSource | None:
    """Space in a CG-NAT CIDR of the VPC. Before another CIDR is added, a block without a share for one more zone is
    used, and then pieces in several places."""
    needed = block_sizes.as_needed(demand)[0]
    for subnet in sorted({size.subnet for size in wanted if size.subnet <= needed.subnet}):
        without_spare = Size(cidrs.block_prefix_for(len(demand), subnet, spare_zones=0), subnet)
        larger = subnet < needed.subnet
        for size in [without_spare] if larger else [needed, without_spare]:
            pools = own_space.blocks_for(snapshot, options, size)
            if pools and not (larger and not own_space.leaves_half(snapshot, options, size)):
                reason = f"{pools[0]} of the VPC has room for a /{size.block}, a /{size.subnet} for each zone"
                inside = _inside_taken(snapshot, options)
                return AddressSource("existing-cidr", reason, pools, size.block, size.subnet, excluded=inside)
    split = own_space.whole_pieces(snapshot, options, demand)
    return _in_pieces(snapshot, options, split, "") if split else None


def _in_pieces(snapshot: Snapshot, options: PlanningOptions, pieces: dict[str, IPv4Network], why: str) -> AddressSource:
    """A range for each zone, as one block where the ranges fill one; the plan says how much space stays unused."""
    inside = _inside_taken(snapshot, options)
    homes = {cidr for cidr in own_space.own_cidrs(snapshot) if any(piece.subnet_of(cidr) for piece in pieces.values())}
    free = own_space.free_space(own_space.own_cidrs(snapshot), [*own_space.used(snapshot, options), *pieces.values()])
    unused = f"; {free:,} addresses of the VPC's CG-NAT CIDRs stay free" if free else ""
    block = own_space.as_one_block(pieces)
    names = " and ".join(str(home) for home in sorted(homes))
    if block:
        prefix = next(iter(pieces.values())).prefixlen
        reason = f"{names} of the VPC has room for a /{block.prefixlen}{why}{unused}"
        return AddressSource("existing-cidr", reason, (block,), block.prefixlen, prefix, excluded=inside)
    places = ", ".join(f"{piece} in {zone}" for zone, piece in pieces.items())
    reason = f"{names} of the VPC have room in several places{why}: {places}{unused}"
    return AddressSource("existing-cidr", reason, pieces=pieces, excluded=inside)


def _asked_for(snapshot: Snapshot, options: PlanningOptions, block: IPv4Network, wanted: Size) -> AddressSource:
    """The block that a person asked for; its subnets have the planner's proportion to it."""
    subnet_prefix = min(cidrs.SMALLEST_PREFIX, block.prefixlen + wanted.subnet - wanted.block)
    reason = f"this run asks for the block {block}"
    if any(block.subnet_of(cidr) for cidr in _associated(snapshot)):
        taken = _inside_taken(snapshot, options)
        return AddressSource("existing-cidr", reason, (block,), block.prefixlen, subnet_prefix, excluded=taken)
    preconditions.require_room_for_cidr(snapshot)
    taken = taken_ranges(snapshot) | _kept(options)
    return AddressSource("new-cidr", reason, (block,), block.prefixlen, subnet_prefix, excluded=taken)


def _inside_taken(snapshot: Snapshot, options: PlanningOptions) -> dict[str, str]:
    """What is taken inside a CIDR that the VPC has."""
    return {subnet.cidr: f"subnet {subnet.id}" for subnet in snapshot.subnets} | _kept(options)


def _kept(options: PlanningOptions) -> dict[str, str]:
    return {str(network): "range excluded by the settings" for network in options.excluded}


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
