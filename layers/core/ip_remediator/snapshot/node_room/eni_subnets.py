"""The subnets in which ipamd may create a node's next ENI.

Follows amazon-vpc-cni-k8s v1.23.1: pkg/eniconfig (MyENIConfig), pkg/awsutils (createENI,
isSubnetValidForENICreation, IsSubnetExcluded).
"""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.common.text import some_of
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import (
    CLUSTER_DISCOVERY_TAG,
    DEFAULT_ENI_CONFIG,
    DISCOVERY_TAG,
    EniConfig,
    Node,
)
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of, outpost_of_node

_EXCLUDED = "0"
# ipamd minds the tag's value and the cluster's tag from here on; before, it looked only for the tag (CHANGELOG).
EXCLUDES_SINCE = (1, 22, 1)


def pod_nodes(snapshot: Snapshot, zone: str) -> list[Node]:
    """The zone's nodes whose pods the VPC CNI serves."""
    return [node for node in snapshot.nodes_in(zone) if node.runs_vpc_cni]


def zones_of(snapshot: Snapshot) -> list[str]:
    """The zones with nodes that run the VPC CNI, sorted."""
    return sorted({node.zone for node in snapshot.nodes if node.zone and node.runs_vpc_cni})


def next_eni_subnets(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """The subnets that ipamd may create the node's next ENI in."""
    if snapshot.cni.custom_networking:
        config = snapshot.eni_config(node.selected_eni_config)
        return (config.subnet,) if config and config.subnet else ()
    own = _own_subnet(snapshot, node)
    return (*own, *_tagged_subnets(snapshot, node)) if snapshot.cni.subnet_discovery else own


def _own_subnet(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """The subnet of the primary ENI, unless its tag excludes it; a subnet that was not read counts as not excluded."""
    if node.primary_subnet is None:
        return ()
    subnet = snapshot.subnet(node.primary_subnet)
    return () if subnet and excluded(snapshot, subnet) else (node.primary_subnet,)


def _tagged_subnets(snapshot: Snapshot, node: Node) -> Iterator[str]:
    """Other subnets at the node's place that are tagged for discovery."""
    place = outpost_of_node(snapshot, node)
    for subnet in snapshot.tagged_for_discovery(node.zone):
        if subnet.id == node.primary_subnet or not _discovered(snapshot, subnet):
            continue
        if outpost_of(snapshot, subnet) == place:
            yield subnet.id


def zone_subnets(snapshot: Snapshot, zone: str) -> list[Subnet]:
    """The subnets that the next ENIs of the zone's nodes may come from."""
    ids = {id_ for node in pod_nodes(snapshot, zone) for id_ in next_eni_subnets(snapshot, node)}
    return [subnet for subnet in snapshot.subnets if subnet.id in ids]


def eni_configs_of(snapshot: Snapshot, zone: str) -> tuple[str, ...]:
    """The ENIConfigs that the zone's nodes select, or would.

    Before the first turn to custom networking that is the one named after the zone, and whatever a node selects by
    the external label or its annotation, which go before the label of the zone.
    """
    selected = {node.selected_eni_config for node in pod_nodes(snapshot, zone)}
    if not snapshot.cni.custom_networking:
        selected = selected - {DEFAULT_ENI_CONFIG} | {zone}
    return tuple(sorted(selected))


def groups_for_new_eni_configs(snapshot: Snapshot) -> set[tuple[str, ...]]:
    """The security groups of the present ENIConfigs, each set once: of those that nodes select, else of all.

    A new ENIConfig without any gives pods the groups of the node's primary ENI (pkg/awsutils, createENI): where all
    others name the same ones, databases that admit these would cut its pods off.
    """
    selected = {node.selected_eni_config for node in snapshot.nodes if node.runs_vpc_cni}
    present = {config.name: tuple(sorted(config.security_groups)) for config in snapshot.eni_configs if config.subnet}
    in_use = {groups for name, groups in present.items() if name in selected}
    return in_use or set(present.values())


def groups_elsewhere(snapshot: Snapshot, config: EniConfig) -> tuple[str, ...]:
    """The security groups of the ENIConfig that the VPC does not have, where its groups were read: EC2 refuses every
    ENI with one (CreateNetworkInterface, InvalidGroup.NotFound and InvalidParameterValue). Without any group they were
    not read, for each VPC has its default one."""
    vpc = snapshot.vpc
    if vpc is None or not vpc.security_groups:
        return ()
    in_vpc = {group.id for group in vpc.security_groups if group.vpc_id in (None, vpc.id)}
    return tuple(group for group in config.security_groups if group not in in_vpc)


def groups_that_fail(snapshot: Snapshot, node: Node) -> str | None:
    """Which groups keep the node from a further ENI, in words: those of the ENIConfig that it selects."""
    config = snapshot.eni_config(node.selected_eni_config) if snapshot.cni.custom_networking else None
    if config is None or not (missing := groups_elsewhere(snapshot, config)):
        return None
    return f"ENIConfig {config.name} names {some_of(missing)}, which the VPC does not have"


def excluded(snapshot: Snapshot, subnet: Subnet) -> bool:
    """Whether tags keep ipamd from the subnet: by the value 0, or because they name other clusters. Without the tag a
    primary subnet can be used, whatever clusters its other tags name."""
    value = subnet.tags.get(DISCOVERY_TAG)
    if not value or not _minds_values(snapshot):
        return False
    scopes = [key for key in subnet.tags if key.startswith(CLUSTER_DISCOVERY_TAG)]
    return value == _EXCLUDED or (bool(scopes) and CLUSTER_DISCOVERY_TAG + snapshot.cluster.name not in scopes)


def _discovered(snapshot: Snapshot, subnet: Subnet) -> bool:
    """Whether a subnet with the tag is used beside the primary one: any value will do but 0 and none."""
    return not excluded(snapshot, subnet) and (bool(subnet.tags[DISCOVERY_TAG]) or not _minds_values(snapshot))


def _minds_values(snapshot: Snapshot) -> bool:
    release = snapshot.cni.release
    return release is None or release >= EXCLUDES_SINCE
