"""CIDR arithmetic: which CIDRs AWS accepts in a VPC, where a free block is, how a block is split over zones.

Sources: "VPC CIDR blocks" of the Amazon VPC User Guide (association restrictions, sizes), and "Subnet CIDR blocks"
(the first four addresses and the last one are reserved).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

CGNAT = IPv4Network("100.64.0.0/10")
LARGEST_PREFIX = 16
SMALLEST_PREFIX = 28
RESERVED_PER_SUBNET = 5

_TEN = IPv4Network("10.0.0.0/8")
_TEN_FIRST_TWO = IPv4Network("10.0.0.0/15")
_TEN_FIRST = IPv4Network("10.0.0.0/16")
_ONE_SEVEN_TWO = IPv4Network("172.16.0.0/12")
_DEFAULT_VPC = IPv4Network("172.31.0.0/16")
_ONE_NINE_TWO = IPv4Network("192.168.0.0/16")
_BENCHMARK = IPv4Network("198.19.0.0/16")
_LINK_LOCAL = IPv4Network("169.254.0.0/16")
_RFC1918 = (_TEN, _ONE_SEVEN_TWO, _ONE_NINE_TWO)


class CannotSplit(ValueError):
    """The block is too small for the zones."""


@lru_cache(maxsize=50_000)
def network(cidr: str) -> IPv4Network | None:
    """The IPv4 range; None for what is none, such as an IPv6 one."""
    try:
        return IPv4Network(cidr.strip(), strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None


def networks(cidrs: Iterable[str]) -> list[IPv4Network]:
    """Those of the texts that are IPv4 networks; others are left out."""
    return [range_ for cidr in cidrs if (range_ := network(cidr))]


def usable_addresses(network: IPv4Network) -> int:
    """Addresses of a subnet that ENIs can get: AWS reserves five."""
    return network.num_addresses - RESERVED_PER_SUBNET


def association_refusal(existing: Sequence[IPv4Network], new: IPv4Network) -> str | None:
    """Why AWS would refuse `new` as a secondary CIDR beside `existing`, or None when it may be added.

    `existing` are the VPC's CIDRs, the primary one first, as EC2 lists them: the table of restricted ranges depends on
    the range that the primary CIDR lies in. Covers size, overlap and that table; routes and
    peerings are exclusions of `free_blocks`.
    """
    if not LARGEST_PREFIX <= new.prefixlen <= SMALLEST_PREFIX:
        return f"{new} is not between a /{LARGEST_PREFIX} and a /{SMALLEST_PREFIX}"
    overlapping = next((network for network in existing if network.overlaps(new)), None)
    if overlapping:
        return f"{new} overlaps {overlapping}, which the VPC already has"
    if new.subnet_of(_LINK_LOCAL):
        return f"{new} lies in {_LINK_LOCAL}, the link-local range"
    barred = next((network for network in barred_ranges(existing) if new.subnet_of(network)), None)
    return f"{new} lies in {barred}, which AWS does not allow in a VPC of {existing[0]}" if barred else None


def barred_ranges(existing: Sequence[IPv4Network]) -> list[IPv4Network]:
    """The ranges from which a VPC with these CIDRs may add no block, by that table."""
    if not existing:
        return []
    primary = existing[0]
    if primary.subnet_of(_BENCHMARK):
        return [*_RFC1918]
    home = next((private for private in _RFC1918 if primary.subnet_of(private)), None)
    barred = [*(private for private in _RFC1918 if private != home), _BENCHMARK]
    if home == _ONE_SEVEN_TWO:
        barred.append(_DEFAULT_VPC)
    # Only this rule of the table asks for any of the VPC's CIDRs, not just the primary.
    if home == _TEN and any(network.subnet_of(_TEN_FIRST_TWO) for network in existing):
        barred.append(_TEN_FIRST)
    return barred


def free_blocks(pool: IPv4Network, taken: Iterable[IPv4Network], prefix: int) -> Iterator[IPv4Network]:
    """Aligned blocks of length `prefix` inside `pool` that overlap nothing in `taken`, lowest address first.

    Runs through the gaps, not through all candidates: a /28 in a nearly full /10 is found without 262,144 checks.
    """
    if prefix < pool.prefixlen:
        return
    size = 1 << (32 - prefix)
    cursor = int(pool.network_address)
    end = int(pool.broadcast_address) + 1
    obstacles = sorted(
        (int(network.network_address), int(network.broadcast_address) + 1)
        for network in taken
        if network.overlaps(pool)
    )
    for start, stop in [*obstacles, (end, end)]:
        while (aligned := -(-cursor // size) * size) + size <= min(start, end):
            yield IPv4Network((aligned, prefix))
            cursor = aligned + size
        cursor = max(cursor, stop)


def subnet_prefix_for(addresses: int, *, largest: int = 18, smallest: int = 24) -> int:
    """The longest prefix whose subnet serves `addresses`, kept between /`largest` and /`smallest`.

    Nothing below a /24 is planned: a smaller subnet saves no money and is the next incident.
    """
    needed = max(1, addresses) + RESERVED_PER_SUBNET
    prefix = 32 - (needed - 1).bit_length()
    return min(smallest, max(largest, prefix))


def block_prefix_for(zones: int, subnet_prefix: int, *, spare_zones: int = 1) -> int:
    """The prefix of a block that holds a subnet for each zone and for `spare_zones` to come.

    Never shorter than /16, AWS's largest CIDR: with many zones, first the spare share is dropped, then the subnets get
    smaller.
    """
    doublings = (max(1, zones + spare_zones) - 1).bit_length()
    return max(LARGEST_PREFIX, subnet_prefix - doublings)


def split_over_zones(block: IPv4Network, zones: Sequence[str], subnet_prefix: int) -> dict[str, IPv4Network]:
    """One subnet of `block` for each zone, in the zones' order.

    A subnet is made smaller when the block cannot hold all of them at `subnet_prefix`.

    Raises:
        CannotSplit: the block has no room for a /28 per zone.
    """
    needed = block.prefixlen + (max(1, len(zones)) - 1).bit_length()
    prefix = max(subnet_prefix, needed)
    if prefix > SMALLEST_PREFIX:
        raise CannotSplit(f"{block} cannot be split into {len(zones)} subnets of at least a /{SMALLEST_PREFIX}")
    return dict(zip(zones, block.subnets(new_prefix=prefix), strict=False))
