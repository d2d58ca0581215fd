"""One node of a zone after the other, on real APIs, as the writers' group: each step can be repeated after a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.errors import NotYet
from ip_remediator.incidents.record import Incident, Step, Verification
from ip_remediator.incidents.replacement_record import NodeState
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import save_snapshot
from ip_remediator.node_replacement.owners import AutoScalingGroups, NodeClaims
from ip_remediator.node_replacement.replace import NodeReplacer, ReplacementBlocked
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Node, StuckPod
from ip_remediator.snapshot.node_groups import NodeGroups
from local.aws.client import LocalAws
from local.cluster.manifests import load
from tests.contract.conftest import EksApi, unique
from tests.contract.support.clusters import WRITER, Kubernetes
from tests.contract.support.groups import group_of_one
from tests.contract.support.races import Overtaken, just_before
from tests.contract.support.vpcs import Vpc
from tests.stack.kubernetes.support import eventually
from tests.unit.support.records import PLAN

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
CLUSTER = "shop"
# Leaked ENIs: any address will do, so that a fresh node needs no ENI in a new subnet.
ANY_ADDRESS = PLAN.model_copy(update={"strategy": "delete-leaked-enis"})


@dataclass
class World:
    """An incident whose node is full, that node in an Auto Scaling group, and a pod that waits on it."""

    kubernetes: Kubernetes
    aws: LocalAws
    table: Any
    zone: str
    node: str
    instance: str
    group: str
    namespace: str
    incident: str

    @property
    def incidents(self) -> Incidents:
        return Incidents(self.table, utc_now)

    @property
    def record(self) -> Incident:
        return self.incidents.get(self.incident)

    @property
    def log(self) -> ChangeLog:
        return ChangeLog(self.table, utc_now, self.incident)

    def steps(self) -> NodeReplacer:
        """As a function has them: the record is read afresh."""
        return NodeReplacer(
            incident=self.record,
            incidents=self.incidents,
            log=self.log,
            kube=self.kubernetes.api(WRITER),
            groups=AutoScalingGroups(self.aws.client("autoscaling")),
            ec2=Ec2Reader(self.aws.client("ec2")),
            node_groups=NodeGroups(self.aws.client("eks"), CLUSTER),
            clock=utc_now,
            sleep=lambda _: None,
        )

    def assess(self) -> dict[str, Any]:
        return self.steps().assess("somebody", [self.node])

    def state(self) -> NodeState:
        return self.record.replacements[self.zone].nodes[0].state

    def members(self) -> list[str]:
        named = {"AutoScalingGroupNames": [self.group]}
        [group] = self.aws.client("autoscaling").describe_auto_scaling_groups(**named)["AutoScalingGroups"]
        return [instance["InstanceId"] for instance in group["Instances"]]

    def cordoned(self) -> bool:
        return bool(self.kubernetes.admin.get(f"/api/v1/nodes/{self.node}")["spec"].get("unschedulable"))

    def join(self, instance: str, *, ready: bool = True) -> str:
        name = unique("fresh")
        register(self.kubernetes, name, self.zone, instance, ready=ready)
        return name

    def delete_pods(self) -> None:
        """As the kubelet does with pods that were evicted."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        for pod in self.kubernetes.admin.get(path)["items"]:
            self.kubernetes.admin._json("DELETE", f"{path}/{pod['metadata']['name']}", {"gracePeriodSeconds": "0"})


def register(kubernetes: Kubernetes, name: str, zone: str, instance: str, *, ready: bool = True) -> None:
    labels = {"topology.kubernetes.io/zone": zone}
    spec = {"providerID": f"aws:///{zone}/{instance}"}
    kubernetes.admin.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "spec": spec})
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    kubernetes.admin.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": conditions}})


def pod(name: str, node: str, **metadata: Any) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs-1", "controller": True}
    spec = {"nodeName": node, "containers": [{"name": "web", "image": "web"}]}
    return {"metadata": {"name": name, "ownerReferences": [owner], "labels": {"app": "web"}, **metadata}, "spec": spec}


def auto_scaling_group(aws: LocalAws) -> tuple[str, str]:
    """Name of a group, and its instance."""
    ec2, autoscaling, name = aws.client("ec2"), aws.client("autoscaling"), unique("eks-nodes")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    return name, group_of_one(ec2, autoscaling, name, subnet, **{"eks:cluster-name": CLUSTER})


@pytest.fixture
def world(kubernetes: Kubernetes, aws: LocalAws, table: Any) -> World:
    if kubernetes.admin.find("/apis/policy/v1") is None:
        pytest.skip("evictions are of policy/v1, which servers before 1.21 do not know")
    zone, node, namespace = unique("zone"), unique("old"), unique("ns")
    group, instance = auto_scaling_group(aws)
    register(kubernetes, node, zone, instance)
    kubernetes.admin.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    made = kubernetes.admin.create(f"/api/v1/namespaces/{namespace}/pods", pod("web-1", node))
    incidents = Incidents(table, utc_now)
    incident = incidents.open(unique(CLUSTER), "eu-west-1", Mode.AUTO, "test")
    stuck = StuckPod(namespace=namespace, name="web-1", uid=made["metadata"]["uid"], node=node)
    described = Node(name=node, zone=zone, instance_id=instance, provisioner="managed")
    save_snapshot(incidents, incident, Snapshot(cluster=Cluster(name=CLUSTER), nodes=(described,), stuck_pods=(stuck,)))
    incidents.complete(incident, Step.PLAN, plan=ANY_ADDRESS)
    verification = Verification(still_stuck=(f"{namespace}/web-1",), nodes_to_replace=(node,))
    incidents.complete(incident, Step.VERIFY, verification=verification)
    incidents._records.update(
        {"pk": f"INCIDENT#{incident}", "sk": "META"}, "SET #c = :c", {":c": CLUSTER}, names={"#c": "cluster"}
    )
    incidents.close(incidents.get(incident), Outcome.FAILED)
    return World(kubernetes, aws, table, zone, node, instance, group, namespace, incident)


def drained(world: World) -> None:
    world.assess()
    with pytest.raises(NotYet, match="1 pod still there"):
        world.steps().drain(world.zone)
    world.delete_pods()
    assert world.steps().drain(world.zone) == {"zone": world.zone, "pods": 0}


def test_an_assessment_names_who_replaces_the_node_and_whose_pods_wait(world: World) -> None:
    assert world.assess() == {"zones": [world.zone], "nodes": 1, "pods": 1}
    [node] = world.record.replacements[world.zone].nodes
    assert (node.host, node.owner, node.instance) == ("auto_scaling", world.group, world.instance)
    assert world.record.replacement is not None
    assert [waiting.controller for waiting in world.record.replacement.waiting] == ["rs-1"]


def test_a_pod_without_a_controller_forbids_it_and_nothing_is_changed(world: World) -> None:
    lonely = pod("lonely", world.node, ownerReferences=[])
    world.kubernetes.admin.create(f"/api/v1/namespaces/{world.namespace}/pods", lonely)
    with pytest.raises(ReplacementBlocked, match=f"{world.namespace}/lonely would not come back"):
        world.assess()
    assert not world.cordoned()


def test_each_step_can_be_repeated_and_the_fresh_node_ends_it(world: World) -> None:
    drained(world)
    assert world.cordoned()
    assert world.state() is NodeState.DRAINING

    # ended, and once more, as after a lost answer
    for _ in range(2):
        world.steps().end(world.zone)
    [fresh] = world.members()
    assert fresh != world.instance
    assert world.log.made() == []

    with pytest.raises(NotYet, match="has not joined yet"):
        world.steps().await_new_node(world.zone)
    name = world.join(fresh)
    assert world.steps().await_new_node(world.zone) == {"zone": world.zone, "left": 0}
    assert world.record.replacements[world.zone].nodes[0].new_node == f"{name} {fresh}"
    for step in (world.steps().drain, world.steps().end, world.steps().give_back):
        assert step(world.zone)["zone"] == world.zone
    assert world.members() == [fresh]


def test_a_killed_function_between_record_and_call_is_made_up_for(world: World) -> None:
    drained(world)
    zone = world.record.replacements[world.zone]
    ending = zone.nodes[0].model_copy(update={"state": NodeState.TERMINATING})
    world.incidents.record_zone(world.incident, world.zone, zone.with_node(ending), "about to be ended")
    world.steps().end(world.zone)
    assert world.members() != [world.instance]


def test_a_fresh_node_that_is_not_ready_is_waited_for(world: World) -> None:
    drained(world)
    world.steps().end(world.zone)
    world.join(world.members()[0], ready=False)
    with pytest.raises(NotYet, match="is not Ready yet"):
        world.steps().await_new_node(world.zone)


def test_a_node_that_was_not_ended_is_given_back(world: World) -> None:
    drained(world)
    for _ in range(2):
        world.steps().give_back(world.zone)
    assert not world.cordoned()
    assert world.log.made() == []
    assert world.state() is NodeState.WAITING
    assert world.members() == [world.instance]


def suspend(world: World) -> None:
    world.aws.client("autoscaling").suspend_processes(AutoScalingGroupName=world.group, ScalingProcesses=["Launch"])


def detach(world: World) -> None:
    """As `aws autoscaling detach-instances` does; the instance runs on."""
    world.aws.client("autoscaling").detach_instances(
        InstanceIds=[world.instance], AutoScalingGroupName=world.group, ShouldDecrementDesiredCapacity=True
    )


def test_given_others_begin_an_update_of_the_node_group_while_a_node_is_drained_then_it_is_given_back_and_not_ended(
    world: World, eks_api: EksApi
) -> None:
    name, autoscaling, eks = unique("web"), world.aws.client("autoscaling"), world.aws.client("eks")
    tag = {"ResourceId": world.group, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
    autoscaling.create_or_update_tags(Tags=[{**tag, "Key": "eks:nodegroup-name", "Value": name}])
    make_cluster(world, eks_api)
    named = {"clusterName": CLUSTER, "nodegroupName": name}
    eks.create_nodegroup(**named, subnets=["subnet-1"], nodeRole="arn:aws:iam::000000000000:role/node")
    drained(world)
    with world.aws.settings(node_group_update_seconds=60.0):
        eks.update_nodegroup_config(**named, scalingConfig={"minSize": 0})
    with pytest.raises(ReplacementBlocked, match=f"node group {name} is UPDATING: replace its nodes once EKS is done"):
        world.steps().end(world.zone)
    world.steps().give_back(world.zone)
    assert (world.cordoned(), world.log.made(), world.state()) == (False, [], NodeState.WAITING)
    assert world.members() == [world.instance]
    with pytest.raises(ReplacementBlocked, match=f"node group {name} is UPDATING"):
        world.assess()


def make_cluster(world: World, eks_api: EksApi) -> None:
    """The cluster as EKS knows it, once for all tests."""
    if CLUSTER not in eks_api.client.list_clusters()["clusters"]:
        eks_api.create_cluster(CLUSTER, Vpc.create(world.aws.client("ec2")))


@pytest.mark.parametrize(
    ("change", "reason"), [(suspend, "has suspended Launch: resume it"), (detach, "is in no Auto Scaling group")]
)
def test_given_others_change_the_group_while_the_node_is_drained_then_it_is_named_and_the_node_is_given_back(
    world: World, change: Callable[[World], None], reason: str
) -> None:
    drained(world)
    change(world)
    with pytest.raises(ReplacementBlocked, match=reason):
        world.steps().end(world.zone)
    world.steps().give_back(world.zone)
    [reservation] = world.aws.client("ec2").describe_instances(InstanceIds=[world.instance])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "running"
    assert (world.cordoned(), world.log.made(), world.state()) == (False, [], NodeState.WAITING)


def test_one_that_people_had_cordoned_stays_cordoned(world: World) -> None:
    world.kubernetes.admin.patch(f"/api/v1/nodes/{world.node}", {"spec": {"unschedulable": True}})
    drained(world)
    world.steps().give_back(world.zone)
    assert world.cordoned()


def test_one_that_is_being_ended_is_not_given_back_and_the_next_replacement_waits_for_its_successor(
    world: World,
) -> None:
    drained(world)
    world.steps().end(world.zone)
    world.steps().give_back(world.zone)
    assert world.state() is NodeState.TERMINATING
    assert world.assess()["zones"] == [world.zone]
    world.join(world.members()[0])
    assert world.steps().await_new_node(world.zone)["left"] == 0


def test_a_node_that_somebody_else_replaced_is_left_alone_even_if_the_fresh_one_has_its_name(world: World) -> None:
    world.kubernetes.admin.delete(f"/api/v1/nodes/{world.node}")
    register(world.kubernetes, world.node, world.zone, "i-0000000000000fffe")
    assert world.assess()["zones"] == []
    assert world.record.replacement is not None
    assert world.record.replacement.notes == (f"{world.node} is gone already",)
    assert not world.cordoned()


def test_given_a_node_that_vanishes_before_its_cordon_then_its_new_node_is_awaited(world: World) -> None:
    world.assess()
    vanish = Overtaken(world.kubernetes, "PATCH", lambda: world.kubernetes.admin.delete(f"/api/v1/nodes/{world.node}"))
    assert replace(world.steps(), kube=vanish).drain(world.zone) == {"zone": world.zone, "pods": 0}
    assert (world.state(), world.log.made()) == (NodeState.TERMINATING, [])
    details = [event["detail"] for event in world.incidents.timeline(world.incident)]
    assert f"cordon of node {world.node}: the node is gone" in details
    assert f"{world.node}: ended by somebody else" in details
    world.steps().end(world.zone)
    world.join(world.members()[0])
    assert world.steps().await_new_node(world.zone)["left"] == 0


def test_given_an_instance_that_others_end_before_its_group_is_asked_to_then_the_group_has_one_new_node(
    world: World,
) -> None:
    drained(world)
    autoscaling, others = world.aws.client("autoscaling"), world.aws.client("autoscaling")
    gone = {"InstanceId": world.instance, "ShouldDecrementDesiredCapacity": False}
    end = partial(others.terminate_instance_in_auto_scaling_group, **gone)
    just_before(autoscaling, "TerminateInstanceInAutoScalingGroup", end)
    replace(world.steps(), groups=AutoScalingGroups(autoscaling)).end(world.zone)
    [fresh] = world.members()
    assert fresh != world.instance
    assert world.log.made() == []


def test_a_refused_eviction_names_the_budget(world: World) -> None:
    path = f"/api/v1/namespaces/{world.namespace}/pods/web-1/status"
    running = {"phase": "Running", "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": "True"}]}
    world.kubernetes.admin.patch(path, {"status": running})
    budget = {
        "metadata": {"name": "web-stays"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    budgets = f"/apis/policy/v1/namespaces/{world.namespace}/poddisruptionbudgets"
    world.kubernetes.admin.create(budgets, budget)
    world.assess()
    with pytest.raises(NotYet, match=f"PodDisruptionBudget {world.namespace}/web-stays .* keeps .*/web-1"):
        world.steps().drain(world.zone)
    assert world.record.replacement is not None
    assert "allows no eviction now" in world.record.replacement.notes[0]


def test_node_claims_are_found_by_instance_and_deleted_once(kubernetes: Kubernetes) -> None:
    admin, claims = kubernetes.admin, NodeClaims(kubernetes.api(WRITER))
    if admin.find(f"{CRD}/nodeclaims.karpenter.sh") is None:
        admin.create(CRD, load("nodeclaim-crd"))
    eventually(lambda: admin.find(CLAIMS) is not None)
    name = unique("claim")
    claim = {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": name}, "spec": {}}
    made = admin.create(CLAIMS, claim)
    status = {**made, "status": {"providerID": "aws:///eu-west-1a/i-0abc"}}
    admin.replace(f"{CLAIMS}/{name}/status", status)
    assert claims.by_instance()["i-0abc"] == name
    assert not claims.is_leaving(name)
    for _ in range(2):
        claims.delete(name)
    assert claims.is_leaving(name)
    assert claims.is_gone(name)


def test_while_a_node_is_replaced_the_cool_down_starts_anew(world: World) -> None:
    world.assess()
    key = {"pk": f"CLUSTER#{CLUSTER}", "sk": "OPEN"}
    past = "2026-03-01T10:00:00+00:00"
    world.table.put_item(Item={**key, "incident_id": world.incident, "opened_at": past, "closed_at": past})
    with pytest.raises(NotYet):
        world.steps().drain(world.zone)
    assert world.table.get_item(Key=key)["Item"]["closed_at"] > past
