"""Commands that have nodes launched in further subnets, for each kind of launcher.

The subnets of a managed node group cannot be changed (EKS User Guide, "Update a managed node group for your
cluster"), so a second group with the same settings is created. All commands run as printed, once the ids are filled
in.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator

from ip_remediator.snapshot.model_cluster import AutoScalingGroup, NodeClass, NodeGroup

_OWN_IMAGE = "CUSTOM"
# Tags of this prefix are AWS's own, and nobody else may set them.
_OF_AWS = "aws:"
# Members of CreateNodegroup that the command does not carry, each with the reason.
LEFT_OUT = {
    "clientRequestToken": "the CLI makes one for each call",
    "version": "the cluster's is the default, and EKS refuses one beside an image of one's own",
    "releaseVersion": "EKS takes the latest one of the version",
}


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
    """The settings of the group that CreateNodegroup takes, without those that EKS refuses together with a launch
    template, and without a custom image, which the template names (CreateNodegroup: amiType, diskSize,
    remoteAccess)."""
    templated, own_image = bool(group.launch_template), group.ami_type == _OWN_IMAGE
    words = {
        "instance-types": " ".join(group.instance_types),
        "ami-type": None if own_image else group.ami_type,
        "capacity-type": group.capacity_type,
        "disk-size": None if templated else group.disk_size,
        "launch-template": ",".join(f"{key}={value}" for key, value in group.launch_template.items()),
    }
    documents = {
        "labels": group.labels,
        "taints": list(group.taints),
        "remote-access": None if templated else group.remote_access,
        "update-config": group.update_config,
        "node-repair-config": group.node_repair_config,
        "warm-pool-config": group.warm_pool_config,
        "tags": {key: value for key, value in group.tags.items() if not key.startswith(_OF_AWS)},
    }
    yield from (f"--{option} {value}" for option, value in words.items() if value)
    yield from (f"--{option} {shlex.quote(json.dumps(value))}" for option, value in documents.items() if value)


def drain_node_group(group: NodeGroup) -> str:
    """The command that moves the pods of the old group, once the new group has nodes."""
    return (
        f"then move its pods: kubectl drain --selector eks.amazonaws.com/nodegroup={group.name} --ignore-daemonsets "
        "--delete-emptydir-data"
    )


def extend_auto_scaling_group(group: AutoScalingGroup, ids: Iterable[str]) -> str:
    """The command that adds subnets to the group and keeps those that it has."""
    wanted = ",".join(dict.fromkeys((*group.subnets, *ids)))
    return (
        f"aws autoscaling update-auto-scaling-group --auto-scaling-group-name {shlex.quote(group.name)} "
        f"--vpc-zone-identifier {shlex.quote(wanted)}"
    )


def select_by_id(node_class: NodeClass, ids: Iterable[str]) -> str:
    """The command that adds a term for each subnet: terms are joined by OR, and the present ones stay."""
    added = [
        {"op": "add", "path": "/spec/subnetSelectorTerms/-", "value": {"id": id_}}
        for id_ in dict.fromkeys(ids)
        if id_ not in node_class.subnets
    ]
    return f"kubectl patch ec2nodeclass {node_class.name} --type json -p {shlex.quote(json.dumps(added))}"
