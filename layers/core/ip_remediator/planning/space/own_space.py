"""Free space of the CG-NAT CIDRs that the VPC has: one block for all zones, or pieces in several places.

A further shortage uses the CIDR that is there, also one that another cluster's incident added. It takes at most half
of the free space while that is more than the nodes need, so that something is left for the next one. Subnets need
not lie in one block: where none fits, each zone gets a piece in any of these CIDRs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, collapse_addresses

from ip_remediator.common import cidr as cidrs
from ip_remediator.planning.block_sizes import Size, holds
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.snapshot.model import Snapshot


def own_cidrs(snapshot: Snapshot) -> list[IPv4Network]:
    """The CG-NAT CIDRs of the VPC."""
    cidrs_of_vpc = snapshot.vpc.cidrs if snapshot.vpc else ()
    associated = (IPv4Network(cidr.cidr) for cidr in cidrs_of_vpc if cidr.state == "associated")
    return [cidr for cidr in associated if cidr.subnet_of(cidrs.CGNAT)]


def used(snapshot: Snapshot, options: PlanningOptions) -> list[IPv4Network]:
    """What the VPC's subnets and the settings keep of them."""
    return [*options.excluded, *(IPv4Network(subnet.cidr) for subnet in snapshot.subnets)]


def free_space(pools: Sequence[IPv4Network], taken: Sequence[IPv4Network]) -> int:
    """How many addresses of `pools` overlap nothing in `taken`."""
    return sum(pool.num_addresses - _occupied(pool, taken) for pool in pools)


def _occupied(pool: IPv4Network, taken: Sequence[IPv4Network]) -> int:
    inside = [network if network.subnet_of(pool) else pool for network in taken if network.overlaps(pool)]
    return sum(network.num_addresses for network in collapse_addresses(inside))


def blocks_for(snapshot: Snapshot, options: PlanningOptions, size: Size) -> tuple[IPv4Network, ...]:
    """The CIDRs with room for a block of that size."""
    taken = used(snapshot, options)
    return tuple(
        pool for pool in own_cidrs(snapshot) if next(cidrs.free_blocks(pool, taken, size.block), None) is not None
    )


def leaves_half(snapshot: Snapshot, options: PlanningOptions, size: Size) -> bool:
    """Whether a block of that size leaves as much free as it takes."""
    free = free_space(own_cidrs(snapshot), used(snapshot, options))
    return 2 * IPv4Network((0, size.block)).num_addresses <= free


def pieces(
    snapshot: Snapshot,
    options: PlanningOptions,
    demand: dict[str, int],
    *,
    pools: Sequence[IPv4Network] | None = None,
    largest: int = cidrs.LARGEST_PREFIX,
) -> dict[str, IPv4Network] | None:
    """A piece for each zone, as large as its demand, up to a /`largest`; None if a zone gets too little for its nodes.
    `pools`: the CIDRs to take them from instead of those of CG-NAT.

    If not every zone can have its full size, the largest sizes are reduced first.
    """
    for cap in range(largest, cidrs.SMALLEST_PREFIX + 1):
        placed = _placed(snapshot, options, demand, cap, pools=pools)
        if placed is not None:
            return placed
    return None


def whole_pieces(snapshot: Snapshot, options: PlanningOptions, demand: dict[str, int]) -> dict[str, IPv4Network] | None:
    """The same, but every zone gets its full size."""
    return _placed(snapshot, options, demand, cidrs.LARGEST_PREFIX, whole=True)


def _placed(
    snapshot: Snapshot,
    options: PlanningOptions,
    demand: dict[str, int],
    cap: int,
    *,
    whole: bool = False,
    pools: Sequence[IPv4Network] | None = None,
) -> dict[str, IPv4Network] | None:
    """The pieces, for the zone with the largest demand first; no piece is larger than a /`cap`."""
    taken = used(snapshot, options)
    placed: dict[str, IPv4Network] = {}
    for zone in sorted(demand, key=lambda zone: (-demand[zone], zone)):
        full = cidrs.subnet_prefix_for(demand[zone])
        wanted = max(cap, full)
        narrowest = wanted if whole else cidrs.SMALLEST_PREFIX
        piece = next(_candidates(own_cidrs(snapshot) if pools is None else pools, taken, wanted, narrowest), None)
        if piece is None or (piece.prefixlen > full and not holds(piece.prefixlen, demand[zone])):
            return None
        placed[zone] = piece
        taken.append(piece)
    return {zone: placed[zone] for zone in demand}


def _candidates(
    pools: Sequence[IPv4Network], taken: Sequence[IPv4Network], largest: int, smallest: int
) -> Iterator[IPv4Network]:
    for prefix in range(largest, smallest + 1):
        for pool in pools:
            yield from cidrs.free_blocks(pool, taken, prefix)


def as_one_block(pieces_by_zone: dict[str, IPv4Network]) -> IPv4Network | None:
    """The block that the pieces fill, if they are equal, contiguous, and as many as the block has; else None."""
    networks = sorted(pieces_by_zone.values())
    prefix = networks[0].prefixlen
    if any(network.prefixlen != prefix for network in networks):
        return None
    block = networks[0].supernet(new_prefix=prefix - (len(networks) - 1).bit_length())
    return block if list(block.subnets(new_prefix=prefix)) == networks else None
