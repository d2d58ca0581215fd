"""Advice to spread pods and nodes over Availability Zones: where some are short of addresses and others have room.

amazon-vpc-cni-k8s#2846; karpenter-provider-aws#5234: what launches nodes takes the cheapest zone, not the emptiest.
What runs in a Local Zone or on an Outpost is there on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ip_remediator.common.text import some_of
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.node_places import is_availability_zone, outpost_of, zones_of_new_nodes, zones_without_nodes
from ip_remediator.snapshot.node_room.free_space import free_addresses

_SHOWN = 4
_WORTH_SPREADING = 16


def advice_to_spread(snapshot: Snapshot, short: Sequence[str], free: Mapping[str, int]) -> Iterator[str]:
    """`short`: the zones that lack addresses in the Region; `free`: those that have, with their number."""
    if not any(is_availability_zone(zone) for zone in short):
        return
    roomy = {zone: f"{number:,} free addresses" for zone, number in free.items() if number >= _WORTH_SPREADING}
    without_nodes = {
        zone: f"{number:,} free addresses and no node yet, though {launching} can launch some there"
        for zone, number, launching in _without_nodes(snapshot)
        if number >= _WORTH_SPREADING
    }
    rooms = [
        f"{zone} has {room}"
        for zone, room in sorted((roomy | without_nodes).items())
        if is_availability_zone(zone) and zone not in short
    ]
    if rooms:
        yield f"{some_of(rooms, _SHOWN)}: to spread pods and nodes over the zones helps (topologySpreadConstraints)"


def _without_nodes(snapshot: Snapshot) -> Iterator[tuple[str, int, str]]:
    """Zones without a node in which some can be launched, what is free in the subnets there, and what launches them.

    With custom networking pods take addresses of the ENIConfigs' subnets, not of these.
    """
    if snapshot.cni.custom_networking:
        return
    empty = zones_without_nodes(snapshot)
    for zone, sources in zones_of_new_nodes(snapshot).items():
        subnets = {id_: snapshot.subnet(id_) for source in sources for id_ in source.subnets}
        homes = [home for home in subnets.values() if home and home.zone == zone and not outpost_of(snapshot, home)]
        number = free_addresses(homes)
        if zone in empty and number is not None:
            yield zone, number, some_of([source.name for source in sources], _SHOWN)
