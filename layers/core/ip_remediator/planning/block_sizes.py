"""The sizes of a block and its subnets: large where addresses cost nothing, small where they are shared.

A subnet and a CIDR cannot be resized, a VPC may have five CIDRs, and an address of 100.64.0.0/10 that no other
network routes costs nothing. So a block is a /16 with a /19 for each zone. Where ranges of 100.64.0.0/10 are routed
between VPCs, they must differ, and there are only 64 such /16. Then a block is as large as the nodes need.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.common.text import some_of
from ip_remediator.planning import sizing
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.taken_ranges import cgnat_of_others

BLOCK_PREFIX, SUBNET_PREFIX = 16, 19


@dataclass(frozen=True)
class Size:
    """Prefix lengths of the block and of each subnet in it."""

    block: int
    subnet: int


def sizes(snapshot: Snapshot, options: PlanningOptions, demand: dict[str, int]) -> list[Size]:
    """The sizes to try, the largest first: the default sizes, then what the nodes need with room for growth, then
    smaller ones down to what the nodes can hold now."""
    needed = as_needed(demand)
    if thrift(snapshot, options):
        return needed
    first = needed[0]
    block, subnet = options.block_prefix or BLOCK_PREFIX, options.subnet_prefix or min(SUBNET_PREFIX, first.subnet)
    lasting = _down_from(block, subnet, zones=len(demand))
    if options.block_prefix or options.subnet_prefix:  # people set the size: nothing larger, however much is needed
        return [*lasting[:1], *(size for size in needed if size.block > block and size.subnet >= subnet)]
    return [*(size for size in lasting if size.block < first.block and size.subnet <= first.subnet), *needed]


def _down_from(block: int, subnet: int, *, zones: int) -> list[Size]:
    """Blocks of that prefix length and smaller, each with a subnet for every zone."""
    shares = (zones - 1).bit_length()
    return [Size(prefix, max(subnet, prefix + shares)) for prefix in range(block, cidrs.SMALLEST_PREFIX + 1 - shares)]


def as_needed(demand: dict[str, int]) -> list[Size]:
    """Sizes from the demand downwards: first without the share for one more zone, then with smaller subnets, down to
    what the nodes can hold now."""
    most = max(demand.values())
    largest = cidrs.subnet_prefix_for(most)
    enough = [
        prefix for prefix in range(largest, cidrs.SMALLEST_PREFIX + 1) if prefix == largest or holds(prefix, most)
    ]
    return [
        Size(cidrs.block_prefix_for(len(demand), prefix, spare_zones=spare), prefix)
        for prefix in enough
        for spare in (1, 0)
    ]


def holds(prefix: int, demand: int) -> bool:
    """Whether a subnet of that prefix length holds what the zone's nodes can hold now. `demand` includes the growth."""
    return cidrs.usable_addresses(IPv4Network((0, prefix))) * sizing.GROWTH >= demand


def thrift(snapshot: Snapshot, options: PlanningOptions) -> str | None:
    """Why addresses are scarce here; None where they cost nothing, or where people set the sizes."""
    if options.block_prefix or options.subnet_prefix:
        return None
    if options.as_needed:
        return "the settings say so"
    if options.ipam_pool:
        return "IPAM shares its pool among others"
    routable = [str(pool) for pool in options.pools if not pool.subnet_of(cidrs.CGNAT)]
    if routable:
        return f"{some_of(routable)} is not of {cidrs.CGNAT}"
    places = _routed(snapshot)
    return f"ranges of {cidrs.CGNAT} are routed between VPCs here ({some_of(places, 2)})" if places else None


def _routed(snapshot: Snapshot) -> list[str]:
    """Where other networks use ranges of 100.64.0.0/10 (peerings, gateways, routes), in the order of the ranges."""
    vpc = snapshot.vpc
    if vpc is None:
        return []
    dropped = {cidr for gateway in vpc.transit_gateways for cidr in gateway.blackholes or ()}
    places = {str(range_.cidr): range_.place for range_ in cgnat_of_others(vpc)}
    return [place for cidr, place in sorted(places.items()) if cidr not in dropped]
