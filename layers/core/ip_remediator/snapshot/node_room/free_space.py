"""The addresses that nodes can get from a subnet: EC2's count of free addresses includes reserved ones.

VPC User Guide, "Subnet CIDR reservations": AWS assigns none of a reservation's addresses by itself; one of type prefix
gives prefixes only, an explicit one only what is asked for by name. The CNI asks for no address by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from ip_remediator.common.cidr import RESERVED_PER_SUBNET
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE
from ip_remediator.snapshot.model_vpc import Subnet, SubnetReservation


@dataclass(frozen=True)
class FreeSpace:
    """Free addresses and /28 prefixes: `addresses` surely, `most_addresses` perhaps; None: not known.

    `reserved` are the reservations that make the difference.
    """

    addresses: int | None
    most_addresses: int | None
    prefixes: int | None
    most_prefixes: int | None
    reserved: tuple[SubnetReservation, ...] = ()


def free_space(subnet: Subnet, *, prefixes: bool) -> FreeSpace:
    """The addresses that nodes can get from the subnet; `prefixes`: they take prefixes.

    How much of what a reservation holds is in use is not known: between nothing and all of it.
    """
    barred = tuple(reservation for reservation in subnet.reservations if reservation.kind == "explicit" or not prefixes)
    reserved_addresses = sum(_size(reservation.cidr) for reservation in barred)
    if not barred or subnet.free is None:
        return FreeSpace(subnet.free, subnet.free, subnet.free_prefixes, subnet.free_prefixes, barred)
    outside = max(0, _size(subnet.cidr) - RESERVED_PER_SUBNET - reserved_addresses)
    whole, most = subnet.free_prefixes, -(-outside // PREFIX_SIZE)
    return FreeSpace(
        addresses=max(0, subnet.free - reserved_addresses),
        most_addresses=min(subnet.free, outside),
        prefixes=None if whole is None else max(0, whole - reserved_addresses // PREFIX_SIZE),
        most_prefixes=None if whole is None else min(whole, most),
        reserved=barred,
    )


def least_prefixes(subnet: Subnet) -> int | None:
    """How many /28 are free for sure where nobody counted them: each used address can spoil one, and the addresses that
    AWS reserves spoil the first and the last. None: not known."""
    if subnet.free_prefixes is not None or subnet.free is None:
        return subnet.free_prefixes
    used = _size(subnet.cidr) - RESERVED_PER_SUBNET - subnet.free
    return max(0, _size(subnet.cidr) // PREFIX_SIZE - 2 - max(0, used))


def _size(cidr: str) -> int:
    """How many addresses a range has; none, where a hand-written document has something else there."""
    try:
        return IPv4Network(cidr, strict=False).num_addresses
    except ValueError:
        return 0


def free_addresses(subnets: Iterable[Subnet | None], *, prefixes: bool = False) -> int | None:
    """The sum of the addresses that are certainly available; None if there is no subnet, or one is unknown."""
    counts = [free_space(subnet, prefixes=prefixes).addresses if subnet else None for subnet in subnets]
    known_counts = [count for count in counts if count is not None]
    return sum(known_counts) if counts and len(known_counts) == len(counts) else None


def lasting(subnets: Iterable[Subnet]) -> Subnet | None:
    """The one of `subnets` that will be full last; None unless all of them will be full."""
    candidates = list(subnets)
    dated = [(subnet.full_at, subnet.id, subnet) for subnet in candidates if subnet.full_at]
    return max(dated)[-1] if dated and len(dated) == len(candidates) else None
