"""Where nodes of the cluster are, and where they can appear: zones, Outposts, and the subnets that launch them.

An Outpost's subnet has the name of the zone that the Outpost is homed to, and is another place: an ENI of a subnet in
the Region cannot be attached to an instance there (EKS User Guide, "Deploy Amazon EKS on-premises with AWS Outposts").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ip_remediator.common.text import some_of
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.model_vpc import Subnet

_LOCAL_GATEWAY = "lgw-"
# "us-west-2a", and not the Local Zone us-west-2-lax-1a or the Wavelength Zone us-east-1-wl1-bos-wlz-1 (EC2 User Guide,
# "Regions and Zones").
_AVAILABILITY_ZONE = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+[a-z]")


@dataclass(frozen=True)
class NodeSource:
    """What starts nodes, in words ("node group workers"), and the ids of the subnets it starts them in."""

    name: str
    subnets: tuple[str, ...]


def is_availability_zone(zone: str) -> bool:
    """Whether the zone is one of the Region's own: what runs in a Local or Wavelength Zone is there on purpose."""
    return _AVAILABILITY_ZONE.fullmatch(zone) is not None


def node_sources(snapshot: Snapshot) -> tuple[NodeSource, ...]:
    """Managed node groups, Auto Scaling groups and Karpenter's NodeClasses, at any size, zero included."""
    cluster = snapshot.cluster
    return (
        *(NodeSource(f"node group {group.name}", group.subnets) for group in cluster.node_groups),
        *(NodeSource(f"Auto Scaling group {group.name}", group.subnets) for group in cluster.auto_scaling_groups or ()),
        *(NodeSource(f"EC2NodeClass {class_.name}", class_.subnets) for class_ in cluster.node_classes or ()),
    )


def zones_of_new_nodes(snapshot: Snapshot) -> dict[str, tuple[NodeSource, ...]]:
    """The zones of the Region in which a node can be launched, each with what launches it."""
    sources: dict[str, list[NodeSource]] = {}
    for source in node_sources(snapshot):
        subnets = [subnet for id_ in source.subnets if (subnet := snapshot.subnet(id_))]
        for zone in sorted({subnet.zone for subnet in subnets if not outpost_of(snapshot, subnet)}):
            sources.setdefault(zone, []).append(source)
    return {zone: tuple(launching) for zone, launching in sorted(sources.items())}


def unread_sources(snapshot: Snapshot) -> tuple[str, ...]:
    """The launchers of nodes, or their subnets, that were not read: where they launch nodes is unknown."""
    cluster = snapshot.cluster
    provisioners = {node.provisioner for node in snapshot.nodes if node.runs_vpc_cni}
    unread = [f"node group {name}" for name in _unread_node_groups(snapshot)]
    if cluster.node_classes is None and (cluster.karpenter or "karpenter" in provisioners):
        unread.append("Karpenter's EC2NodeClasses")
    if cluster.auto_scaling_groups is None and "self-managed" in provisioners:
        unread.append("Auto Scaling groups of self-managed nodes")
    if None in provisioners and not node_sources(snapshot):
        unread.append("what launches nodes")
    return (*unread, *_sources_without_subnets(snapshot))


def _unread_node_groups(snapshot: Snapshot) -> list[str]:
    """Names of node groups that nodes have and EKS did not list."""
    listed = {group.name for group in snapshot.cluster.node_groups}
    return sorted({node.group or "(unnamed)" for node in snapshot.nodes if node.provisioner == "managed"} - listed)


def _sources_without_subnets(snapshot: Snapshot) -> Iterator[str]:
    """Launchers without a known subnet: older documents have none, or the snapshot does not have the subnet."""
    for source in node_sources(snapshot):
        missing = [id_ for id_ in source.subnets if snapshot.subnet(id_) is None]
        if missing:
            yield f"{some_of(missing, 3)} of {source.name}"
        elif not source.subnets:
            yield f"the subnets of {source.name}"


def zones_without_nodes(snapshot: Snapshot) -> tuple[str, ...]:
    """Zones of the Region in which the VPC has subnets and the cluster has no node."""
    inhabited = {node.zone for node in snapshot.nodes}
    return tuple(sorted({s.zone for s in snapshot.subnets if not outpost_of(snapshot, s)} - inhabited))


def outpost_of(snapshot: Snapshot, subnet: Subnet) -> str | None:
    """The Outpost that the subnet lies on; a route to a local gateway gives it away as well."""
    if subnet.outpost_arn:
        return subnet.outpost_arn
    routes = snapshot.vpc.routes if snapshot.vpc else ()
    gateways = (
        route.target
        for route in routes
        if route.target.startswith(_LOCAL_GATEWAY) and route.route_table == subnet.route_table
    )
    return next((f"the Outpost of local gateway {gateway}" for gateway in gateways), None)


def outpost_of_node(snapshot: Snapshot, node: Node) -> str | None:
    """The Outpost on which the node runs, by itself or by its subnet; None: in the Region."""
    if node.outpost_arn:
        return node.outpost_arn
    home = snapshot.subnet(node.primary_subnet)
    return outpost_of(snapshot, home) if home else None


def node_subnets(snapshot: Snapshot) -> tuple[Subnet, ...]:
    """The subnets in which nodes have their primary ENIs, and those in which new nodes are launched."""
    ids = {node.primary_subnet for node in snapshot.nodes} | {
        id_ for source in node_sources(snapshot) for id_ in source.subnets
    }
    return tuple(sorted((subnet for subnet in snapshot.subnets if subnet.id in ids), key=lambda subnet: subnet.id))


def launched_in(snapshot: Snapshot, subnet: Subnet) -> str:
    """Who starts nodes in the subnet, in words."""
    names = [source.name for source in node_sources(snapshot) if subnet.id in source.subnets]
    return some_of(names, 3) or "its nodes"


def model_subnet(snapshot: Snapshot, zone: str) -> Subnet | None:
    """The subnet whose route table and network ACL a new one of the zone gets: the one with most of the zone's nodes,
    else one in which nodes can be launched. Never one on an Outpost."""
    homes = [node.primary_subnet for node in snapshot.nodes if node.zone == zone and node.primary_subnet]
    by_use = sorted(set(homes), key=lambda id_: (-homes.count(id_), id_))
    return next((subnet for subnet in _subnets_with_layout(snapshot, zone, by_use)), None)


def _subnets_with_layout(snapshot: Snapshot, zone: str, by_use: list[str]) -> Iterator[Subnet]:
    launching = [subnet.id for subnet in node_subnets(snapshot)]
    for id_ in (*by_use, *launching):
        subnet = snapshot.subnet(id_)
        if subnet and subnet.zone == zone and not outpost_of(snapshot, subnet):
            yield subnet
