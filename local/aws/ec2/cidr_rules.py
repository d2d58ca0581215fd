"""Which IPv4 CIDRs can be added to a VPC, as pure functions.

Source: "CIDR block association restrictions" in the Amazon VPC user guide (vpc-cidr-blocks.html).
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 28

PRIVATE_10 = IPv4Network("10.0.0.0/8")
PRIVATE_172 = IPv4Network("172.16.0.0/12")
PRIVATE_192 = IPv4Network("192.168.0.0/16")
RFC_1918 = (PRIVATE_10, PRIVATE_172, PRIVATE_192)
BENCHMARK = IPv4Network("198.19.0.0/16")
LINK_LOCAL = IPv4Network("169.254.0.0/16")
# Never routable in a VPC: "this network", loopback, link-local, multicast and reserved.
NEVER = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("127.0.0.0/8"),
    LINK_LOCAL,
    IPv4Network("224.0.0.0/4"),
    IPv4Network("240.0.0.0/4"),
)


def well_sized(network: IPv4Network) -> bool:
    """Whether ``network`` is a /16 to /28, the sizes AWS takes for VPC CIDRs and subnets."""
    return LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX


def private_range(network: IPv4Network) -> IPv4Network | None:
    """The RFC 1918 range that holds ``network``, None for public and 100.64.0.0/10 addresses."""
    return next((private for private in RFC_1918 if network.subnet_of(private)), None)


def restricted(existing: Sequence[IPv4Network], new: IPv4Network) -> bool:
    """Whether the association table forbids ``new`` to a VPC that has ``existing``, its primary CIDR first.

    The rows of the table are chosen by the range of the primary CIDR; only the 10.0.0.0/15 rule asks for "any".
    """
    if any(new.overlaps(bad) for bad in NEVER):
        return True
    home, target = private_range(existing[0]), private_range(new)
    if new.overlaps(BENCHMARK):
        return not existing[0].overlaps(BENCHMARK)
    if target not in (None, home):
        return True
    if target == PRIVATE_10 and any(one.subnet_of(IPv4Network("10.0.0.0/15")) for one in existing):
        return new.subnet_of(IPv4Network("10.0.0.0/16"))
    return target == PRIVATE_172 and new.subnet_of(IPv4Network("172.31.0.0/16"))


def overlapping(networks: Iterable[IPv4Network], new: IPv4Network) -> IPv4Network | None:
    """The first of ``networks`` that shares an address with ``new``."""
    return next((network for network in networks if network.overlaps(new)), None)


def contained_destination(destinations: Sequence[str], new: IPv4Network) -> str | None:
    """The first route destination that ``new`` equals or contains."""
    return next((one for one in destinations if IPv4Network(one, strict=False).subnet_of(new)), None)
