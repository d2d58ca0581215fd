"""ENIConfigs with room that nodes do not select, while the one they select is missing: they lack a label, not
addresses.

Nodes without a label select the ENIConfig `default` (pkg/eniconfig of the VPC CNI, GetNodeSpecificENIConfigName).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.groups import AddressGroup, address_groups
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import ZONE_LABEL, EniConfig
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of, outpost_of_node
from ip_remediator.snapshot.node_room.free_space import free_space
from ip_remediator.snapshot.node_room.limits import all_use_prefixes
from ip_remediator.snapshot.node_room.pools import addresses_of_new_eni
from ip_remediator.snapshot.subnet_owner import other_cluster


def lacking_labels(
    snapshot: Snapshot, missing: Iterable[tuple[str, str | None]]
) -> list[tuple[AddressGroup, list[tuple[EniConfig, Subnet]]]]:
    """Of the groups whose ENIConfig is missing or wrong, as (zone, ENIConfig), those for whose nodes the zone has
    others with room that they could select, with these.

    Where nodes select by the label of their zone, which nobody should change, an ENIConfig of that name is the cure:
    the plan writes it for the subnet that is there.
    """
    keys = set(missing)
    if not keys or snapshot.cni.eni_config_label == ZONE_LABEL:
        return []
    groups = [group for group in address_groups(snapshot) if (group.zone, group.eni_config) in keys]
    pairs = [(group, fitting(snapshot, group)) for group in groups]
    return [(group, configs) for group, configs in pairs if configs]


def fitting(snapshot: Snapshot, group: AddressGroup) -> list[tuple[EniConfig, Subnet]]:
    """Those that no node selects; else the one that all other nodes of the place select, where it is one."""
    return unselected(snapshot, group) or _with_room(snapshot, group, _of_neighbours(snapshot, group))


def unselected(snapshot: Snapshot, group: AddressGroup) -> list[tuple[EniConfig, Subnet]]:
    """Those that no node selects."""
    return _with_room(snapshot, group, _unselected_at(snapshot, group))


def _with_room(
    snapshot: Snapshot, group: AddressGroup, configs: Iterable[tuple[EniConfig, Subnet]]
) -> list[tuple[EniConfig, Subnet]]:
    """Those in whose subnets, at the group's place, each of its nodes can have a new ENI; the roomiest first."""
    need = sum(addresses_of_new_eni(snapshot, node) for node in group.nodes)
    prefixes = all_use_prefixes(snapshot.cni, group.nodes)
    roomy = []
    for config, subnet in configs:
        free = free_space(subnet, prefixes=prefixes).addresses
        if free is not None and free >= need:
            roomy.append((-free, config.name, config, subnet))
    return [(config, subnet) for _, _, config, subnet in sorted(roomy, key=lambda entry: entry[:2])]


def _unselected_at(snapshot: Snapshot, group: AddressGroup) -> Iterator[tuple[EniConfig, Subnet]]:
    """ENIConfigs that no node selects and whose subnet is at the group's place."""
    selected = {node.selected_eni_config for node in snapshot.nodes if node.runs_vpc_cni}
    yield from ((config, subnet) for config, subnet in _at(snapshot, group) if config.name not in selected)


def _of_neighbours(snapshot: Snapshot, group: AddressGroup) -> list[tuple[EniConfig, Subnet]]:
    """Which of several ENIConfigs is right is known only to people: its security groups and routes may be for other
    pods."""
    neighbours = [
        node
        for node in snapshot.nodes_in(group.zone)
        if node.runs_vpc_cni and outpost_of_node(snapshot, node) == group.outpost and node not in group.nodes
    ]
    selected = {node.selected_eni_config for node in neighbours}
    return [pair for pair in _at(snapshot, group) if {pair[0].name} == selected]


def _at(snapshot: Snapshot, group: AddressGroup) -> Iterator[tuple[EniConfig, Subnet]]:
    """ENIConfigs whose subnet is at the group's place, and not another cluster's."""
    for config in snapshot.eni_configs:
        subnet = snapshot.subnet(config.subnet)
        if subnet is None or other_cluster(snapshot.cluster.name, subnet):
            continue
        if subnet.zone == group.zone and outpost_of(snapshot, subnet) == group.outpost:
            yield config, subnet


def describe_unselected(snapshot: Snapshot, group: AddressGroup) -> str:
    """Names them, as the end of a sentence."""
    names = [
        f"ENIConfig {config.name} ({subnet.id}, {counted(subnet.free or 0, 'free address', 'free addresses')})"
        for config, subnet in unselected(snapshot, group)
    ]
    return f", while no node selects {some_of(names)} of {group.zone}" if names else ""
