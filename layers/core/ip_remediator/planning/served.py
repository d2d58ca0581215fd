"""Which zones and ENIConfigs a plan serves: only those that are short.

A node takes pod addresses from the ENIConfig that it selects. So only ENIConfigs whose subnet is short get another
subnet; the others keep subnet, route table and network ACL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.groups import AddressGroup
from ip_remediator.diagnosis.model import CURABLE, Diagnosis, GroupDiagnosis
from ip_remediator.diagnosis.unselected import lacking_labels
from ip_remediator.planning import sizing
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import ENI_CONFIG_LABEL_DEF
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of_node
from ip_remediator.snapshot.node_room.eni_subnets import eni_configs_of

_SHOWN = 3


@dataclass(frozen=True)
class Layout:
    """What decides the path of pods' traffic: a new subnet gets it from the subnet that it replaces."""

    route_table: str | None
    network_acl: str | None


def short_groups(snapshot: Snapshot, diagnosis: Diagnosis) -> list[GroupDiagnosis]:
    """The groups that further addresses, or an ENIConfig for them, cure; not those that only lack a label."""
    labelled = {(group.zone, group.eni_config) for group, _ in _lacking_labels(snapshot, diagnosis)}
    return [
        group
        for group in diagnosis.groups
        if group.verdict in CURABLE and (group.zone, group.eni_config) not in labelled
    ]


def zones_short_in_the_region(snapshot: Snapshot, diagnosis: Diagnosis) -> list[str]:
    """The zones in which further addresses help some node in need: on an Outpost no subnet of the Region does."""
    short = {group.zone for group in short_groups(snapshot, diagnosis)}
    return [
        zone.zone
        for zone in diagnosis.zones
        if zone.zone in short
        and any(not outpost_of_node(snapshot, node) for node in sizing.nodes_in_need(snapshot, zone.zone))
    ]


def pointed_eni_configs(snapshot: Snapshot, diagnosis: Diagnosis, zones: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By zone, the ENIConfigs that the plan points at the zone's subnet, where custom networking is on.

    Short ones of a zone whose present subnets have another route table or network ACL than that with most stuck pods
    are left for a plan of their own: one subnet cannot have both. In a well zone that people asked for, all.
    """
    short = short_groups(snapshot, diagnosis)
    pointed = {}
    for zone in zones:
        groups = [group for group in short if group.zone == zone and group.eni_config]
        first = max(groups, key=lambda group: (group.stuck_pods, group.nodes, group.eni_config), default=None)
        if first is None:
            pointed[zone] = eni_configs_of(snapshot, zone)
            continue
        wanted = layout_of(snapshot, [first.eni_config or ""])
        alike = [group for group in groups if layout_of(snapshot, [group.eni_config or ""]) in (wanted, None)]
        pointed[zone] = tuple(sorted({group.eni_config or "" for group in [first, *alike]}))
    return pointed


def layout_of(snapshot: Snapshot, names: Collection[str]) -> Layout | None:
    """That of the first present subnet of these ENIConfigs; None where they have none."""
    subnet = next((subnet for name in names if (subnet := _subnet_of(snapshot, name))), None)
    return Layout(subnet.route_table, subnet.network_acl) if subnet else None


def _subnet_of(snapshot: Snapshot, name: str) -> Subnet | None:
    config = snapshot.eni_config(name)
    return snapshot.subnet(config.subnet) if config else None


def only_served(snapshot: Snapshot, pointed: dict[str, tuple[str, ...]]) -> Snapshot:
    """`snapshot` with only the nodes that select one of the ENIConfigs; the space is sized for them."""
    nodes = [
        node
        for node in snapshot.nodes
        if node.zone not in pointed or not node.runs_vpc_cni or node.selected_eni_config in pointed[node.zone]
    ]
    return snapshot.model_copy(update={"nodes": tuple(nodes)})


def left_alone(
    snapshot: Snapshot, diagnosis: Diagnosis, zones: Collection[str], pointed: dict[str, tuple[str, ...]]
) -> Iterator[str]:
    """What is not served, in words: short groups that come next, and those that are well, with their counts."""
    others = _unserved_groups(snapshot, diagnosis, zones, pointed)
    short = [group for group in others if group.verdict in CURABLE and group.verdict is not Verdict.ENICONFIG_MISSING]
    if short:
        named = some_of([f"{_name(group)} ({group.reason})" for group in short], _SHOWN)
        yield f"short as well and not served by this plan, plan for it next: {named}"
    well = [group for group in others if group.verdict is Verdict.RECOVERED and group.free]
    if well:
        yield f"left as it is: {_rooms(well)}"


def _rooms(groups: list[GroupDiagnosis]) -> str:
    rooms = [f"{_name(group)} has {counted(group.free or 0, 'free address', 'free addresses')}" for group in groups]
    return some_of(rooms, _SHOWN)


def _unserved_groups(
    snapshot: Snapshot, diagnosis: Diagnosis, zones: Collection[str], pointed: dict[str, tuple[str, ...]]
) -> list[GroupDiagnosis]:
    """With custom networking a plan serves the ENIConfigs that it points elsewhere, else whole zones."""
    if not snapshot.cni.custom_networking:
        return [group for group in diagnosis.groups if group.zone not in zones]
    served = {(zone, name) for zone, names in pointed.items() for name in names}
    return [group for group in diagnosis.groups if (group.zone, group.eni_config) not in served]


def _name(group: GroupDiagnosis) -> str:
    return (
        f"ENIConfig {group.eni_config} of {group.zone}"
        if group.eni_config
        else f"{group.zone} ({some_of(group.subnets)})"
    )


def _lacking_labels(snapshot: Snapshot, diagnosis: Diagnosis) -> list[tuple[AddressGroup, list[tuple[str, Subnet]]]]:
    """The groups whose nodes lack a label for an ENIConfig that is there, with the names and subnets of those."""
    missing = [
        (group.zone, group.eni_config) for group in diagnosis.groups if group.verdict is Verdict.ENICONFIG_MISSING
    ]
    return [
        (group, [(config.name, subnet) for config, subnet in configs])
        for group, configs in lacking_labels(snapshot, missing)
    ]


def label_cures(snapshot: Snapshot, diagnosis: Diagnosis) -> list[str]:
    """The commands that let nodes select the ENIConfigs that are there; nothing where that is not what lacks."""
    key = snapshot.cni.eni_config_label
    cures = []
    for group, configs in _lacking_labels(snapshot, diagnosis):
        name, subnet = configs[0]
        room = f"{subnet.id} of {group.zone} has {counted(subnet.free or 0, 'free address', 'free addresses')}"
        hosts = [node.name for node in group.nodes]
        more = f" (and the other {len(hosts) - _SHOWN:,} nodes)" if len(hosts) > _SHOWN else ""
        users = [node for node in snapshot.nodes_in(group.zone) if node.selected_eni_config == name]
        standing = f"what the other nodes of {group.zone} select" if users else "selected by no node"
        cures.append(
            f"ENIConfig {name} is {standing}, and {room}: kubectl label node {' '.join(hosts[:_SHOWN])} "
            f"{key}={name}{more}; new nodes need it as well, or set {ENI_CONFIG_LABEL_DEF} on aws-node to a label that "
            "they bear"
        )
    return cures
