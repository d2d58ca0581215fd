"""Node groups, managed and self-managed: nodes join when an Auto Scaling group launches an instance, and leave when it
ends one.

EKS, the kubelets and the cloud controller manager have their share in this; none of them drains anything here, which
EKS's own lifecycle hook would do for some minutes before the instance ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.cluster.nodes.launching import Models, has_joined, is_name_taken, join, leave, node_name, running_instances
from local.cluster.nodes.runtime import instance_id
from local.cluster.objects import Obj, labels_of
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

GROUP_LABEL = "eks.amazonaws.com/nodegroup"
# Only nodes that a group launched from its launch template have it.
TEMPLATE_LABEL = "eks.amazonaws.com/sourceLaunchTemplateId"
# What the user data of a self-managed group has the kubelet put on its nodes: the group's name.
SELF_MANAGED_LABEL = "node.local/group"
CLUSTER_TAG = "eks:cluster-name"
GROUP_TAG = "eks:nodegroup-name"
_POLL_SECONDS = 0.5
_ALL = "groups"


class NodeGroupController:
    """Calls Auto Scaling (`autoscaling`: boto3's client) only in clusters that have or had such a node."""

    def __init__(self, state: ClusterState, autoscaling: Any, ec2: EC2Client, cluster: str, models: Models) -> None:
        self._state = state
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._cluster = cluster
        self._models = models
        self.worker = Worker("node-groups", self._reconcile)
        state.nodes.on_change(self._node_changed)
        if len(models):
            self.worker.queue.add(_ALL)

    def _node_changed(self, _old: Obj | None, new: Obj | None) -> None:
        if new is not None and (group := _group_of(new)):
            self._models.learn(group, new)
            self.worker.queue.add(_ALL)

    def _reconcile(self, _key: str) -> float:
        members = {_name_of(group): group["Instances"] for group in self._groups()}
        deleted = {_group_of(node) for node in self._state.nodes.all()} - {None, *members}
        for name in (*members, *deleted):
            if name and (model := self._models.get(name)):
                self._follow(name, model, members.get(name, []))
        return _POLL_SECONDS

    def _groups(self) -> list[Any]:
        filters: Any = [{"Name": "tag-key", "Values": [f"kubernetes.io/cluster/{self._cluster}"]}]
        pages = self._autoscaling.get_paginator("describe_auto_scaling_groups").paginate(Filters=filters)
        return [group for page in pages for group in page["AutoScalingGroups"]]

    def _follow(self, name: str, model: Obj, members: list[Any]) -> None:
        nodes = {instance_id(node): node for node in self._state.nodes.all() if _group_of(node) == name}
        zones = {member["InstanceId"]: member["AvailabilityZone"] for member in members}
        running = running_instances(self._ec2, [*nodes, *(member for member in zones if member not in nodes)])
        for id_ in nodes.keys() - running.keys():
            leave(self._state.api, nodes[id_]["metadata"]["name"])
        joined = {id_ for id_, node in nodes.items() if has_joined(node)}
        for id_ in running.keys() & zones.keys() - joined:
            if not is_name_taken(self._state, node_name(running[id_], zones[id_]), id_):
                join(self._state.api, model, running[id_], zones[id_])


def _name_of(group: Any) -> str:
    managed = (tag["Value"] for tag in group["Tags"] if tag["Key"] == GROUP_TAG)
    return str(next(managed, group["AutoScalingGroupName"]))


def _group_of(node: Obj) -> str | None:
    """The group that launched the node."""
    labels = labels_of(node)
    return labels.get(GROUP_LABEL) if TEMPLATE_LABEL in labels else labels.get(SELF_MANAGED_LABEL)
