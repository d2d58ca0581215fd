"""What people run so that nodes are launched in further subnets, for each kind of what launches them.

The subnets of a managed node group cannot be changed (EKS User Guide, "Update a managed node group for your cluster"),
so a group with the same settings is made beside it. All commands run as printed, once the ids are filled in.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator

from ip_remediator.snapshot.model_cluster import AutoScalingGroup, NodeClass, NodeGroup, SubnetTerm

_OWN_IMAGE = "CUSTOM"


def create_node_group(cluster: str, group: NodeGroup, name: str, ids: Iterable[str]) -> str:
    """A node group like `group`, called `name`, in the subnets `ids`."""
    return " ".join(
        (
            f"aws eks create-nodegroup --cluster-name {cluster} --nodegroup-name {name}",
            f"--node-role {_role(cluster, group)} --subnets {' '.join(shlex.quote(id_) for id_ in ids)}",
            *_settings(group),
            f"--scaling-config {_sizes(group)}",
        )
    )


def _role(cluster: str, group: NodeGroup) -> str:
    described = f"aws eks describe-nodegroup --cluster-name {cluster} --nodegroup-name {group.name}"
    return group.role or f'"$({described} --query nodegroup.nodeRole --output text)"'


def _sizes(group: NodeGroup) -> str:
    size = group.desired or 1
    least = group.least if group.least is not None else size
    return f"minSize={least},maxSize={group.most or 2 * size},desiredSize={size}"


def _settings(group: NodeGroup) -> Iterator[str]:
    """An image of one's own comes with the launch template, and is named nowhere else (CreateNodegroup, amiType)."""
    if group.instance_types:
        yield f"--instance-types {' '.join(group.instance_types)}"
    if group.ami_type and group.ami_type != _OWN_IMAGE:
        yield f"--ami-type {group.ami_type}"
    if group.capacity_type:
        yield f"--capacity-type {group.capacity_type}"
    if group.disk_size is not None and not group.launch_template:
        yield f"--disk-size {group.disk_size}"
    if group.labels:
        yield f"--labels {shlex.quote(json.dumps(group.labels))}"
    if group.taints:
        yield f"--taints {shlex.quote(json.dumps(list(group.taints)))}"
    if group.launch_template:
        yield f"--launch-template {','.join(f'{key}={value}' for key, value in group.launch_template.items())}"


def drain_node_group(group: NodeGroup) -> str:
    """What moves the pods of the old group, once the new one has nodes."""
    return (
        f"then move its pods: kubectl drain --selector eks.amazonaws.com/nodegroup={group.name} --ignore-daemonsets "
        "--delete-emptydir-data"
    )


def extend_auto_scaling_group(group: AutoScalingGroup, ids: Iterable[str]) -> str:
    wanted = ",".join(dict.fromkeys((*group.subnets, *ids)))
    return (
        f"aws autoscaling update-auto-scaling-group --auto-scaling-group-name {shlex.quote(group.name)} "
        f"--vpc-zone-identifier {shlex.quote(wanted)}"
    )


def select_by_id(node_class: NodeClass, ids: Iterable[str]) -> str:
    """Every term that is there stays: a merge patch replaces the list."""
    terms: list[dict[str, object]] = [
        {"tags": term.tags} if term.tags else {"id": term.id} for term in _terms(node_class)
    ]
    terms += [{"id": id_} for id_ in ids if {"id": id_} not in terms]
    patch = json.dumps({"spec": {"subnetSelectorTerms": terms}})
    return f"kubectl patch ec2nodeclass {node_class.name} --type merge -p {shlex.quote(patch)}"


def _terms(node_class: NodeClass) -> Iterator[SubnetTerm]:
    yield from node_class.selector_terms or (SubnetTerm(id=id_) for id_ in node_class.subnets)
