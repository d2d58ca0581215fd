"""Groups nodes that take pod addresses from the same subnets: by the ENIConfig they select, or by discovery.

A node takes pod addresses from the subnet of the ENIConfig that its own labels select (pkg/eniconfig of the VPC CNI,
MyENIConfig), so a zone may be short for some of its nodes and well for others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.node_places import outpost_of_node
from ip_remediator.snapshot.node_room.eni_subnets import next_eni_subnets, pod_nodes, zones_of
from ip_remediator.snapshot.node_room.free_space import free_addresses
from ip_remediator.snapshot.node_room.limits import all_use_prefixes


@dataclass(frozen=True)
class AddressGroup:
    """Nodes of one place that take their next ENIs from the same `subnets`. `eni_config`: the one that they select,
    where custom networking is on."""

    zone: str
    outpost: str | None
    eni_config: str | None
    subnets: tuple[str, ...]
    nodes: tuple[Node, ...]

    @property
    def label(self) -> str:
        """Its name for people."""
        return f"ENIConfig {self.eni_config}" if self.eni_config else ", ".join(self.subnets) or "no subnet"


def free_for(snapshot: Snapshot, group: AddressGroup) -> int | None:
    """The free addresses of the group's subnets, as its nodes take them; None where they were not read."""
    prefixes = all_use_prefixes(snapshot.cni, group.nodes)
    return free_addresses((snapshot.subnet(id_) for id_ in group.subnets), prefixes=prefixes)


def address_groups(snapshot: Snapshot) -> list[AddressGroup]:
    """Every node that the VPC CNI serves, by zone, Outpost and where its next ENI comes from."""
    return [group for zone in zones_of(snapshot) for group in groups_of(snapshot, zone, pod_nodes(snapshot, zone))]


def groups_of(snapshot: Snapshot, zone: str, nodes: Iterable[Node]) -> list[AddressGroup]:
    """The zone's nodes, grouped by the subnets of their next ENI: the nodes of a group share its free addresses."""
    custom = snapshot.cni.custom_networking
    members: dict[tuple[str, str, tuple[str, ...]], list[Node]] = {}
    for node in nodes:
        name = node.selected_eni_config if custom else ""
        subnets = tuple(sorted(next_eni_subnets(snapshot, node)))
        members.setdefault((outpost_of_node(snapshot, node) or "", name, subnets), []).append(node)
    return [
        AddressGroup(zone, outpost or None, name or None, subnets, tuple(group_nodes))
        for (outpost, name, subnets), group_nodes in sorted(members.items())
    ]
