"""A minimal Karpenter: a NodeClaim is an instance and its node, from launch to the finalizer that ends both.

It talks to the Kubernetes API and EC2 alone, as Karpenter does: it drains a deleted NodeClaim's node by evictions that
disruption budgets may refuse, terminates the instance, and makes a new NodeClaim when pods find no node.
Source: https://karpenter.sh/docs/concepts/disruption/ (control flow, termination controller).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local.cluster.controllers.disruption import budget_resource
from local.cluster.controllers.placement import Placed, choose_node
from local.cluster.informer import Informer
from local.cluster.kube import NODES, PODS, ApiError, Resource
from local.cluster.nodes.launching import Models, is_name_taken, join, leave, node_name, running_instances
from local.cluster.nodes.nodegroups import CLUSTER_TAG
from local.cluster.nodes.runtime import instance_id
from local.cluster.objects import (
    Obj,
    controller_of,
    is_deleting,
    is_finished,
    is_ready,
    labels_of,
    node_of,
    random_suffix,
    uid_of,
)
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

NODECLAIMS = Resource("karpenter.sh", "v1", "nodeclaims", namespaced=False)
NODECLASSES = Resource("karpenter.k8s.aws", "v1", "ec2nodeclasses", namespaced=False)
NODE_CLASS = "default"
POOL_LABEL = "karpenter.sh/nodepool"
DISCOVERY_TAG = "karpenter.sh/discovery"
FINALIZER = "karpenter.sh/termination"
DISRUPTED = {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}
_ZONE = "topology.kubernetes.io/zone"
_AGAIN_SECONDS = 0.3
_REFUSED_SECONDS = 2.0
_PROVISION = "pending pods"
_NODE_CLASS = "node class"
# How often the subnets of a NodeClass are looked up: every minute (pkg/controllers/nodeclass/subnet.go), sped up here.
_LOOKED_UP_SECONDS = 1.0
_CLAIM = "claim "
_POOLS = "karpenter"
_LOG = logging.getLogger(__name__)


def node_claim(name: str, pool: str, zone: str, instance_type: str) -> Obj:
    """A NodeClaim of the pool, as Karpenter creates it before it launches the instance."""
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": name, "labels": {POOL_LABEL: pool, _ZONE: zone}, "finalizers": [FINALIZER]},
        "spec": {
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": NODE_CLASS},
            "requirements": [
                {"key": _ZONE, "operator": "In", "values": [zone]},
                {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [instance_type]},
            ],
        },
    }


def node_class(cluster: str) -> Obj:
    """What selects the cluster's subnets by their tags."""
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": NODE_CLASS},
        "spec": {
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "role": f"{cluster}-node",
            "subnetSelectorTerms": [{"tags": {DISCOVERY_TAG: cluster}}],
            "securityGroupSelectorTerms": [{"tags": {DISCOVERY_TAG: cluster}}],
        },
    }


def claim_reference(claim: Obj) -> Obj:
    """The owner reference that Karpenter puts on the node of a claim."""
    name, uid = claim["metadata"]["name"], uid_of(claim)
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": name, "uid": uid, "blockOwnerDeletion": True}


def provider_id(zone: str, instance: str) -> str:
    """The `providerID` of a node, as the AWS cloud provider writes it."""
    return f"aws:///{zone}/{instance}"


class Karpenter:
    """Idle in clusters without NodeClaims."""

    def __init__(self, state: ClusterState, ec2: EC2Client, cluster: str, models: Models) -> None:
        self._state = state
        self._ec2 = ec2
        self._cluster = cluster
        self._models = models
        self.claims = Informer(state.api, NODECLAIMS)
        self.node_classes = Informer(state.api, NODECLASSES)
        self.worker = Worker("karpenter", self._reconcile)
        self.claims.on_change(lambda old, new: self.worker.queue.add(_CLAIM + (new or old or {})["metadata"]["name"]))
        self.node_classes.on_change(lambda _old, _new: self.worker.queue.add(_NODE_CLASS))
        state.nodes.on_change(self._node_changed)
        state.pods.on_change(lambda _old, _new: self.worker.queue.add(_PROVISION) if self._model else None)

    def _node_changed(self, _old: Obj | None, new: Obj | None) -> None:
        if new is not None and POOL_LABEL in labels_of(new):
            self._models.learn(_POOLS, new)

    @property
    def _model(self) -> Obj | None:
        return self._models.get(_POOLS)

    def _reconcile(self, key: str) -> float | None:
        if key == _PROVISION:
            return self._provision()
        if key == _NODE_CLASS:
            return self._look_up_subnets()
        claim = self.claims.get(key.removeprefix(_CLAIM))
        if claim is None:
            return None
        if is_deleting(claim):
            return self._terminate(claim)
        status = claim.get("status") or {}
        if self._model and not status.get("providerID"):
            return self._launch(claim, self._model)
        return self._register(claim, self._model) if self._model and not status.get("nodeName") else None

    # ------------------------------------------------------------------------------------------ provisioning
    def _provision(self) -> float | None:
        """One claim at a time, in the zone with the fewest nodes, while pods find no node."""
        nodes, pods = self._state.nodes.all(), self._state.pods.all()
        # What fits on a node that has just come is the scheduler's business.
        waiting = [pod for pod in pods if _unschedulable(pod) and not isinstance(choose_node(pod, nodes, pods), Placed)]
        if not waiting or self._model is None:
            return None
        named = {node["metadata"]["name"]: node for node in nodes}
        for claim in self.claims.all():
            node = named.get((claim.get("status") or {}).get("nodeName", ""))
            if not is_deleting(claim) and (node is None or not is_ready(node)):
                return _AGAIN_SECONDS  # its node may take them
        labels = labels_of(self._model)
        name = f"{labels[POOL_LABEL]}-{random_suffix()}"
        kind = labels["node.kubernetes.io/instance-type"]
        self._state_claim(node_claim(name, labels[POOL_LABEL], self._emptiest_zone(), kind))
        return _AGAIN_SECONDS

    def _state_claim(self, claim: Obj) -> None:
        _LOG.info("created nodeclaim %s", claim["metadata"]["name"])
        self.claims.observe(self._state.api.create(NODECLAIMS, claim))

    def _emptiest_zone(self) -> str:
        usable = [node for node in self._state.nodes.all() if not node["spec"].get("unschedulable")]
        count = dict.fromkeys(self._subnets(), 0)
        for node in usable:
            zone = labels_of(node).get(_ZONE, "")
            count[zone] = count.get(zone, 0) + 1
        return min(count, key=lambda zone: (count[zone], zone))

    def _look_up_subnets(self) -> float | None:
        """What the terms of the NodeClass select goes into its status, the roomiest subnet first."""
        node_class = self.node_classes.get(NODE_CLASS)
        if node_class is None:
            return None
        subnets = {subnet["SubnetId"]: subnet for term in _terms(node_class) for subnet in self._selected(term)}
        roomiest = sorted(subnets.values(), key=lambda one: (-one["AvailableIpAddressCount"], one["SubnetId"]))
        status = [{"id": one["SubnetId"], "zone": one["AvailabilityZone"]} for one in roomiest]
        if status != (node_class.get("status") or {}).get("subnets"):
            path = NODECLASSES.path_of(node_class, "status")
            self.node_classes.observe(self._state.api.patch(path, {"status": {"subnets": status}}))
        return _LOOKED_UP_SECONDS

    def _selected(self, term: Obj) -> list[Any]:
        if "id" in term:
            filters: Any = [{"Name": "subnet-id", "Values": [term["id"]]}]
        else:
            filters = [
                {"Name": "tag-key", "Values": [key]} if value == "*" else {"Name": f"tag:{key}", "Values": [value]}
                for key, value in term["tags"].items()
            ]
        return list(self._ec2.describe_subnets(Filters=filters)["Subnets"])

    def _subnets(self) -> dict[str, str]:
        """By zone, the first subnet of the NodeClass's status, which has most addresses."""
        node_class = self.node_classes.get(NODE_CLASS) or {}
        subnets = reversed((node_class.get("status") or {}).get("subnets") or [])
        return {subnet["zone"]: subnet["id"] for subnet in subnets}

    @property
    def _cluster_filter(self) -> Any:
        return [{"Name": f"tag:{DISCOVERY_TAG}", "Values": [self._cluster]}]

    def _launch(self, claim: Obj, model: Obj) -> float:
        zone = labels_of(claim)[_ZONE]
        if zone not in (subnets := self._subnets()):
            return _AGAIN_SECONDS  # the NodeClass has none there, or was not looked at yet
        tags = {CLUSTER_TAG: self._cluster, POOL_LABEL: labels_of(claim)[POOL_LABEL]}
        kind: Any = labels_of(model)["node.kubernetes.io/instance-type"]
        groups = self._ec2.describe_security_groups(Filters=self._cluster_filter)["SecurityGroups"]
        image = self._ec2.register_image(Name=f"karpenter-{self._cluster}", Architecture="x86_64")["ImageId"]
        try:
            instance = self._ec2.run_instances(
                ImageId=image,
                InstanceType=kind,
                MinCount=1,
                MaxCount=1,
                SubnetId=subnets[zone],
                SecurityGroupIds=[group["GroupId"] for group in groups],
                TagSpecifications=[
                    {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
                ],
            )["Instances"][0]
        except ClientError as refusal:  # InsufficientFreeAddressesInSubnet: as long as the subnet is full
            _LOG.info("cannot launch %s: %s", claim["metadata"]["name"], refusal)
            return _REFUSED_SECONDS
        self._note(claim, {"providerID": provider_id(zone, instance["InstanceId"])})
        return _AGAIN_SECONDS

    def _register(self, claim: Obj, model: Obj) -> float | None:
        zone, id_ = labels_of(claim)[_ZONE], claim["status"]["providerID"].rpartition("/")[2]
        instance = running_instances(self._ec2, [id_]).get(id_)
        if instance is None or is_name_taken(self._state, node_name(instance, zone), id_):
            return _AGAIN_SECONDS
        node = join(self._state.api, model, instance, zone, claim_reference(claim))
        self._note(claim, {"nodeName": node["metadata"]["name"]})
        return None

    def _note(self, claim: Obj, status: Obj) -> None:
        self.claims.observe(self._state.api.patch(NODECLAIMS.path_of(claim, "status"), {"status": status}))

    # ------------------------------------------------------------------------------------------ termination
    def _terminate(self, claim: Obj) -> float | None:
        node = self._state.nodes.get((claim.get("status") or {}).get("nodeName", ""))
        if node is not None:
            if DISRUPTED["key"] not in {taint["key"] for taint in node["spec"].get("taints") or []}:
                taints = [*(node["spec"].get("taints") or []), DISRUPTED]
                self._state.api.patch(NODES.path_of(node), {"spec": {"taints": taints}})
            if self._evict(node["metadata"]["name"]):
                return _AGAIN_SECONDS
            if running_instances(self._ec2, [instance_id(node)]):
                self._ec2.terminate_instances(InstanceIds=[instance_id(node)])
            leave(self._state.api, node["metadata"]["name"])
        try:
            self._state.api.patch(NODECLAIMS.path_of(claim), {"metadata": {"finalizers": None}})
        except ApiError as error:
            if error.status != 404:
                raise
        return None

    def _evict(self, node: str) -> int:
        """Asks for the eviction of the node's pods; how many are still there."""
        pods = [pod for pod in self._state.pods.all() if node_of(pod) == node and not is_finished(pod)]
        staying = [pod for pod in pods if (controller_of(pod) or {}).get("kind") != "DaemonSet"]
        for pod in staying:
            if is_deleting(pod):
                continue
            metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
            version = budget_resource(self._state.api).version
            body = {"apiVersion": f"policy/{version}", "kind": "Eviction", "metadata": metadata}
            try:
                self._state.api.request("POST", PODS.path_of(pod, "eviction"), body=body)
            except ApiError as error:
                if error.status not in (404, 409, 429):
                    raise
        return len(staying)


def _unschedulable(pod: Obj) -> bool:
    """The scheduler found no node for it."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    refused = any(condition["type"] == "PodScheduled" and condition["status"] == "False" for condition in conditions)
    return refused and node_of(pod) is None and not is_deleting(pod)


def _terms(node_class: Obj) -> list[Obj]:
    return list(node_class["spec"]["subnetSelectorTerms"])
