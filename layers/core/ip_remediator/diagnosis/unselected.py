"""ENIConfigs that no node selects, though they name subnets with room: a label is missing, not addresses.

Nodes without a label select the ENIConfig `default` (pkg/eniconfig of the VPC CNI, GetNodeSpecificENIConfigName).
"""

from __future__ import annotations

from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.groups import AddressGroup
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import EniConfig
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of
from ip_remediator.snapshot.node_room.free_space import free_space
from ip_remediator.snapshot.node_room.limits import uses_prefixes
from ip_remediator.snapshot.node_room.pools import addresses_of_new_eni


def unselected(snapshot: Snapshot, group: AddressGroup) -> list[tuple[EniConfig, Subnet]]:
    """Those in whose subnets, at the group's place, each of its nodes can have a new ENI; the roomiest first."""
    selected = {node.selected_eni_config for node in snapshot.nodes if node.runs_vpc_cni}
    need = sum(addresses_of_new_eni(snapshot, node) for node in group.nodes)
    prefixes = all(uses_prefixes(snapshot.cni, node) for node in group.nodes)
    found = []
    for config in snapshot.eni_configs:
        subnet = snapshot.subnet(config.subnet)
        if (
            subnet is None
            or config.name in selected
            or subnet.zone != group.zone
            or outpost_of(snapshot, subnet) != group.outpost
        ):
            continue
        free = free_space(subnet, prefixes=prefixes).addresses
        if free is not None and free >= need:
            found.append((free, config, subnet))
    return [(config, subnet) for _, config, subnet in sorted(found, key=lambda one: (-one[0], one[1].name))]


def told_unselected(snapshot: Snapshot, group: AddressGroup) -> str:
    """Names them, as the end of a sentence."""
    known = [
        f"ENIConfig {config.name} ({subnet.id}, {counted(subnet.free or 0, 'free address', 'free addresses')})"
        for config, subnet in unselected(snapshot, group)
    ]
    return f", while no node selects {some_of(known)} of {group.zone}" if known else ""
