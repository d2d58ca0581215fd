"""How much space a plan asks for. The arithmetic is explained in docs/decisions.md, "Sizing"."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, Cni, Node
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room.eni_subnets import pod_nodes, zone_subnets
from ip_remediator.snapshot.node_room.free_space import FreeSpace, free_space
from ip_remediator.snapshot.node_room.limits import addresses_per_eni, all_use_prefixes, eni_limit
from ip_remediator.snapshot.node_room.pools import addresses_of_new_eni, prefixes_of_new_eni

# Room for the nodes to become this many times as many.
GROWTH = 4
# How long the space shall last where a forecast tells how fast addresses are used up.
LASTS_DAYS = 180
FALLBACK_PODS_PER_NODE = 30
_DAY = 86_400


# Room for growth in a subnet that is there already, beside what nodes hold and what hangs.
MARGIN = 1.25


def held_now(snapshot: Snapshot, zone: str) -> int:
    """Addresses that the zone's nodes hold for pods now, and those that stuck pods wait for."""
    nodes = pod_nodes(snapshot, zone)
    names = {node.name for node in nodes}
    stuck = sum(pod.node in names for pod in snapshot.stuck_pods)
    return stuck + sum(_assigned(snapshot.cni, node) for node in nodes)


def _assigned(cni: Cni, node: Node) -> int:
    """Of all ENIs of the node, prefixes whole; what it can hold where its ENIs are unknown."""
    if not node.interfaces:
        return addresses_of(cni, node)
    return sum(eni.addresses + PREFIX_SIZE * eni.prefixes for eni in node.interfaces)


def present_need(snapshot: Snapshot, zone: str) -> int:
    """What a subnet that is there must have free: as much as is held and hangs now, with some room for growth.

    Pods that run keep their addresses, so this is what the zone needs once its nodes were replaced.
    """
    return max(math.ceil(MARGIN * held_now(snapshot, zone)), urgent_need(snapshot, zone))


def nodes_in_need(snapshot: Snapshot, zone: str) -> list[Node]:
    """The nodes with stuck pods; without any, all nodes of the zone."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    nodes = pod_nodes(snapshot, zone)
    return [node for node in nodes if node.name in hosts] or nodes


def urgent_need(snapshot: Snapshot, zone: str) -> int:
    """What the nodes in need ask for at once: each the addresses of a new ENI."""
    return sum(addresses_of_new_eni(snapshot, node) for node in nodes_in_need(snapshot, zone))


def units_asked(snapshot: Snapshot, zone: str) -> int:
    """Network address units that the hosts of stuck pods ask for at once: of each a further ENI, and its addresses and
    prefixes, each of which is one ("Network Address Usage for your VPC" of the VPC User Guide)."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    return sum(1 + _units_of_new_eni(snapshot, node) for node in pod_nodes(snapshot, zone) if node.name in hosts)


def _units_of_new_eni(snapshot: Snapshot, node: Node) -> int:
    if prefixes := prefixes_of_new_eni(snapshot, node):
        return 1 + prefixes
    return addresses_of_new_eni(snapshot, node)


def room_in(snapshot: Snapshot, subnet: Subnet) -> FreeSpace:
    """The free addresses of a subnet for the nodes of its zone, without those that reservations keep from them."""
    nodes = pod_nodes(snapshot, subnet.zone)
    prefixes = bool(nodes) and all_use_prefixes(snapshot.cni, nodes)
    return free_space(subnet, prefixes=prefixes)


def demand(snapshot: Snapshot, zone: str) -> int:
    """The addresses that a zone's subnet should hold: `GROWTH` times what its nodes can hold now, or what `LASTS_DAYS`
    at the forecast rate need, whichever is more."""
    present = sum(addresses_of(snapshot.cni, node) for node in pod_nodes(snapshot, zone))
    rate = used_a_day(snapshot, zone)
    return max(GROWTH * present, present + round(rate * LASTS_DAYS) if rate else 0)


def addresses_of(cni: Cni, node: Node) -> int:
    """What the node can hold at most: all addresses of all its ENIs. With prefix delegation max-pods can be higher than
    what the ENIs hold as single addresses."""
    on_enis = (eni_limit(cni, node) or 0) * (addresses_per_eni(node) or 0)
    return max(on_enis, node.max_pods or 0) or FALLBACK_PODS_PER_NODE


def used_a_day(snapshot: Snapshot, zone: str) -> float | None:
    """How many addresses of the zone's subnets are used up in a day, by their forecasts; None without a forecast."""
    rates = [_rate(snapshot.taken_at, subnet) for subnet in zone_subnets(snapshot, zone)]
    known_rates = [rate for rate in rates if rate is not None]
    return sum(known_rates) if known_rates else None


def _rate(taken_at: datetime | None, subnet: Subnet) -> float | None:
    """By EC2's own count, reservations included: the forecast is of that count as well."""
    if taken_at is None or subnet.full_at is None or not subnet.free:
        return None
    seconds = (_aware(subnet.full_at) - _aware(taken_at)).total_seconds()
    # Nearer than a day it may be the usual course of the day, which tells nothing about half a year.
    return subnet.free * _DAY / seconds if seconds >= _DAY else None


def _aware(time: datetime) -> datetime:
    """Hand-written documents may leave the offset out."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
