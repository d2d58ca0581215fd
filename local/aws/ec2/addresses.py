"""Which addresses of a subnet are free: pure functions of a network and what is taken in it.

AWS keeps the first four and the last address of every subnet (subnet-sizing.html in the Amazon VPC user guide).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

PREFIX_LENGTH = 28
PREFIX_SIZE = 16
RESERVED_AT_START = 4


class NoSpaceError(Exception):
    """The subnet cannot give what was asked for."""


def reserved(subnet: IPv4Network) -> set[int]:
    """The five addresses that AWS keeps, as integers."""
    first = int(subnet.network_address)
    return {*range(first, first + RESERVED_AT_START), int(subnet.broadcast_address)}


def integers(networks: Iterable[IPv4Network]) -> set[int]:
    """Every address of ``networks``, as integers."""
    return {value for one in networks for value in range(int(one.network_address), int(one.broadcast_address) + 1)}


def available(subnet: IPv4Network, taken: Collection[int]) -> int:
    """AvailableIpAddressCount: the size less the reserved five and ``taken`` (addresses of the subnet)."""
    return subnet.num_addresses - len(reserved(subnet) | set(taken))


def pick_addresses(subnet: IPv4Network, taken: Collection[int], count: int) -> list[IPv4Address]:
    """The ``count`` lowest free addresses. NoSpaceError when there are fewer."""
    closed = reserved(subnet) | set(taken)
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    picked: list[IPv4Address] = []
    for value in range(first, last + 1):
        if len(picked) == count:
            break
        if value not in closed:
            picked.append(IPv4Address(value))
    if len(picked) < count:
        raise NoSpaceError
    return picked


def pick_prefixes(
    subnet: IPv4Network, taken: Collection[int], prefix_reservations: Sequence[IPv4Network], count: int
) -> list[IPv4Network]:
    """The ``count`` lowest wholly free /28 blocks, those in prefix reservations first. NoSpaceError if fewer."""
    closed = reserved(subnet) | set(taken)
    blocks = [block for block in subnet.subnets(new_prefix=PREFIX_LENGTH) if _wholly_free(block, closed)]
    blocks.sort(key=lambda block: (not any(block.subnet_of(one) for one in prefix_reservations), block))
    if len(blocks) < count:
        raise NoSpaceError
    return blocks[:count]


def _wholly_free(block: IPv4Network, closed: set[int]) -> bool:
    first = int(block.network_address)
    return closed.isdisjoint(range(first, first + PREFIX_SIZE))
