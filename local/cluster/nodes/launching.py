"""Replacement nodes: registers the Node of a fresh instance, and removes that of a terminated one."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from local.cluster.kube import NODES, ApiError, KubeApi
from local.cluster.objects import Obj, node_of
from local.cluster.state import ClusterState
from local.journal import Change, Journal

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_HOST = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"
_NODE_RESOURCES = {"capacity", "allocatable", "nodeInfo"}


class Models:
    """What a new node of a group looks like, learnt from its others: labels, capacity and versions.

    On EC2 the user data of the group's launch template says it, so it outlives all nodes and whoever launches them;
    here the journal does.
    """

    def __init__(self, journal: Journal, launcher: str) -> None:
        self._journal = journal
        self._collection = f"models of {launcher}"
        stored = journal.read(self._collection)
        self._models: dict[str, Obj] = {group: json.loads(model) for group, model in stored.items()}

    def __len__(self) -> int:
        return len(self._models)

    def get(self, group: str) -> Obj | None:
        """The model of a group; None as long as it had no node."""
        return self._models.get(group)

    def learn(self, group: str, node: Obj) -> None:
        """Remembers the node as its group's latest, once its kubelet has said what it is."""
        if not has_joined(node):
            return
        status = {key: node["status"][key] for key in sorted(_NODE_RESOURCES)}
        model = {"metadata": {"labels": node["metadata"]["labels"]}, "status": status}
        if model != self._models.get(group):
            self._journal.write(Change(self._collection, group, json.dumps(model).encode()))
            self._models[group] = model


def node_name(instance: Any, zone: str) -> str:
    """The node's name: the instance's private DNS name, by its IP address."""
    return f"ip-{instance['PrivateIpAddress'].replace('.', '-')}.{zone[:-1]}.compute.internal"


def is_name_taken(state: ClusterState, name: str, instance: str) -> bool:
    """Whether a node of this name of another instance or pods on it still exist. A freed address is reused soon, so
    names repeat; a real instance boots so slowly that the old pods are gone by then."""
    node = state.nodes.get(name)
    if node is not None:
        return str(node["spec"].get("providerID")).rpartition("/")[2] != instance
    return any(node_of(pod) == name for pod in state.pods.all())


def has_joined(node: Obj) -> bool:
    """Whether all of `join` was done: whoever did it may have been killed halfway."""
    return (node.get("status") or {}).keys() >= _NODE_RESOURCES


def join(api: KubeApi, model: Obj, instance: Any, zone: str, owner: Obj | None = None) -> Obj:
    """Register `instance` (of DescribeInstances) as a node like `model`, which may be gone. It is not ready until its
    CNI works. `owner` is an owner reference. A node that is registered already is not an error."""
    address, name = instance["PrivateIpAddress"], node_name(instance, zone)
    labels = {**model["metadata"]["labels"], _HOST: name, _ZONE: zone}
    node: Obj = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, **({"ownerReferences": [owner]} if owner else {})},
        "spec": {"providerID": f"aws:///{zone}/{instance['InstanceId']}"},
    }
    try:
        created = api.create(NODES, node)
    except ApiError as error:
        if error.status != 409:
            raise
        created = api.get(NODES.path(name=name))
    addresses = [
        {"type": "InternalIP", "address": address},
        {"type": "InternalDNS", "address": name},
        {"type": "Hostname", "address": name},
    ]
    resources = copy.deepcopy({key: model["status"][key] for key in _NODE_RESOURCES})
    api.patch(NODES.path_of(created, "status"), {"status": {**resources, "addresses": addresses}})
    return created


def leave(api: KubeApi, name: str) -> None:
    """Remove the Node of a terminated instance, as the cloud controller manager does."""
    try:
        api.delete(NODES.path(name=name))
    except ApiError as error:
        if error.status != 404:
            raise


def running_instances(ec2: EC2Client, instance_ids: list[str]) -> dict[str, Any]:
    """The running ones of the instances, by id."""
    if not instance_ids:
        return {}
    filters: Any = [{"Name": "instance-id", "Values": instance_ids}]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    instances = [instance for page in pages for item in page["Reservations"] for instance in item["Instances"]]
    return {item["InstanceId"]: item for item in instances if item["State"]["Name"] == "running"}
