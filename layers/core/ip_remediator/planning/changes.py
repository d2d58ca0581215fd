"""Every write of a plan, in order, in words and as manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ip_remediator.common.text import counted, some_of
from ip_remediator.planning.model import BlockRequirement, Change, PlannedSubnet, subnet_placeholder
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import CRD_NAME, CUSTOM_NETWORK_CFG, ENI_CONFIG_LABEL_DEF, ZONE_LABEL
from ip_remediator.snapshot.node_room.eni_subnets import groups_for_new_eni_configs


def changes(
    snapshot: Snapshot,
    needed: BlockRequirement,
    block: str | None,
    subnets: tuple[PlannedSubnet, ...],
    *,
    foreign: bool,
) -> tuple[Change, ...]:
    """The writes. `foreign`: the objects in the cluster belong to others, so people write them."""
    in_cluster = tuple(_in_cluster(snapshot, needed, subnets))
    if foreign:
        in_cluster = tuple(change.model_copy(update={"by_hand": True}) for change in in_cluster)
    return (*_in_vpc(snapshot, needed, block, subnets), *in_cluster, *_of_recipients(needed, subnets))


def _in_vpc(
    snapshot: Snapshot, needed: BlockRequirement, block: str | None, subnets: tuple[PlannedSubnet, ...]
) -> Iterator[Change]:
    for eni in needed.leaked:
        addresses = counted(eni.addresses, "address", "addresses")
        text = f"delete {eni.id}, which the CNI left in {eni.subnet_id} with {addresses}"
        yield Change(action="delete_leaked_eni", target=eni.id, description=text)
    vpc_id = snapshot.vpc.id if snapshot.vpc else ""
    if needed.source in ("new-cidr", "ipam-pool"):
        of_pool = f" of the IPAM pool {needed.ipam_pool}" if needed.ipam_pool else ""
        yield Change(action="associate_cidr", target=vpc_id, description=f"add {block}{of_pool} to {vpc_id}")
    for subnet in subnets:
        tags = ", ".join(f"{name}={value}" for name, value in subnet.tags.items())
        if subnet.id is None:
            text = f"create {subnet.cidr} in {subnet.zone} with route table {subnet.route_table or '(main)'} and "
            text += f"network ACL {subnet.network_acl or '(default)'}" + (f", tagged {tags}" if tags else "")
            yield Change(action="create_subnet", target=subnet.zone, description=text)
        elif tags:
            yield Change(action="tag_subnet", target=subnet.id, description=f"tag {subnet.id} of {subnet.zone}: {tags}")


def _in_cluster(snapshot: Snapshot, needed: BlockRequirement, subnets: tuple[PlannedSubnet, ...]) -> Iterator[Change]:
    if snapshot.cni.eni_config_crd is False and any(subnet.eni_configs for subnet in subnets):
        text = f"create the CRD {CRD_NAME}, which is missing"
        yield Change(action="create_crd", target=CRD_NAME, description=text)
    for subnet in subnets:
        where = f"the new subnet of {subnet.zone}" if subnet.id is None else f"{subnet.id} of {subnet.zone}"
        for name in subnet.eni_configs:
            present = snapshot.eni_config(name)
            yield Change(
                action="apply_eniconfig",
                target=name,
                replaces=present.subnet if present else None,
                description=f"point ENIConfig {name} at {where}",
                manifest=eni_config_manifest(
                    name, subnet.id or subnet_placeholder(subnet.zone), new_groups(snapshot, name)
                ),
            )
    way = "the vpc-cni add-on" if snapshot.cni.owner == "addon" else "DaemonSet aws-node"
    if needed.strategy == "custom-networking":
        yield Change(
            action="configure_cni",
            target="aws-node",
            description=f"set {describe_settings(cni_settings())} through {way}, and watch the rollout",
            manifest={"env": cni_settings()},
        )
    if needed.warm_targets:
        yield Change(
            action="configure_cni",
            target="aws-node",
            description=f"set {describe_settings(needed.warm_targets)} through {way}, and watch the rollout",
            manifest={"env": needed.warm_targets},
        )


def _of_recipients(needed: BlockRequirement, subnets: tuple[PlannedSubnet, ...]) -> Iterator[Change]:
    """A NodeClass needs none: it selects the subnets by their tags."""
    ids = {subnet.zone: subnet.id or subnet_placeholder(subnet.zone) for subnet in subnets}
    for recipient in needed.recipients:
        wanted, zones = list(recipient.wanted(recipient.present, ids)), some_of(recipient.zones)
        if recipient.kind == "auto-scaling-group":
            yield Change(
                action="extend_auto_scaling_group",
                target=recipient.name,
                description=f"let Auto Scaling group {recipient.name} start nodes in the new subnet of {zones} as well",
                manifest={"VPCZoneIdentifier": wanted},
            )
        elif recipient.kind == "cluster":
            instead = some_of(recipient.replaced)
            yield Change(
                action="update_cluster_subnets",
                target=recipient.name,
                description=f"give cluster {recipient.name} the new subnet of {zones} instead of {instead}",
                manifest={"resourcesVpcConfig": {"subnetIds": wanted}},
            )


def cni_settings() -> dict[str, str]:
    """The environment of `aws-node` that turns custom networking on, one ENIConfig per zone."""
    return {CUSTOM_NETWORK_CFG: "true", ENI_CONFIG_LABEL_DEF: ZONE_LABEL}


def describe_settings(settings: Mapping[str, str]) -> str:
    """`NAME=value` for each setting, separated by spaces."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def new_groups(snapshot: Snapshot, name: str) -> tuple[str, ...]:
    """The security groups of an ENIConfig that does not exist yet: those that all existing ENIConfigs name."""
    if snapshot.eni_config(name):
        return ()
    groups = groups_for_new_eni_configs(snapshot)
    return next(iter(groups)) if len(groups) == 1 else ()


def eni_config_manifest(name: str, subnet_id: str, security_groups: Iterable[str] = ()) -> dict[str, Any]:
    """What server-side apply writes: of an ENIConfig that is there the subnet alone, so that its security groups stay.

    An ENIConfig without security groups gives new ENIs those of the node's primary ENI (amazon-vpc-cni-k8s v1.23.1,
    pkg/awsutils, createENI).
    """
    groups = list(security_groups)
    return {
        "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
        "kind": "ENIConfig",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "eks-ip-remediator"}},
        "spec": {"subnet": subnet_id, **({"securityGroups": groups} if groups else {})},
    }


def without_our_mark(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without our label, for people to apply: who applies it manages it."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "labels"}
    return {**manifest, "metadata": metadata}
