"""How long the subnets of a plan last, with the arithmetic."""

from __future__ import annotations

from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.common.text import counted
from ip_remediator.planning import sizing
from ip_remediator.planning.model import PlannedSubnet
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.node_room.eni_subnets import pod_nodes

_YEAR = 365
# From here on a fraction of the number of nodes says nothing.
_EXACT = 10


def lifetime(snapshot: Snapshot, subnets: tuple[PlannedSubnet, ...]) -> str:
    """In words, of the zone whose subnet is full first; empty where the plan has no subnets."""
    if not subnets:
        return ""
    lives = [_of_zone(snapshot, subnet) for subnet in subnets]
    return min(lives)[1]


def _of_zone(snapshot: Snapshot, subnet: PlannedSubnet) -> tuple[float, str]:
    """(days or times until it is full, the sentence)."""
    present = snapshot.subnet(subnet.id)
    room = sizing.room_in(snapshot, present).addresses if present else None
    if room is None:
        room = cidrs.usable_addresses(IPv4Network(subnet.cidr))
    in_use = sizing.held_now(snapshot, subnet.zone)
    most = sum(sizing.addresses_of(snapshot.cni, node) for node in pod_nodes(snapshot, subnet.zone))
    rate = sizing.used_a_day(snapshot, subnet.zone)
    start = f"{subnet.cidr} in {subnet.zone} has room for {room:,} addresses; the zone's nodes hold {in_use:,} now"
    if rate:
        days = max(0, room - in_use) / rate
        return days, f"{start} and use up {rate:.1f} more a day: it lasts {_told_days(days)}"
    times = room / most if most else float("inf")
    if not most:
        return times, f"{start}"
    so_many = f"{times:,.1f}" if times < _EXACT else f"{times:,.0f}"
    ready = f"and can hold {most:,}: it lasts until there are {so_many} times as many nodes"
    return times, f"{start} {ready} (how fast addresses are used up is not known)"


def _told_days(days: float) -> str:
    return counted(round(days), "day") if days < 2 * _YEAR else f"{days / _YEAR:.0f} years"
