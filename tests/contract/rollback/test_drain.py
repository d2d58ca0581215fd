"""The cluster's part of a rollback on real APIs: who is on the block, pods moved off it, nodes given back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.clients.kubernetes.api import KubeApi, KubernetesUnreachable
from ip_remediator.common import tag_names
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.errors import NotYet
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.rollback.block_pods import pods_without_address
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.drain import BlockDrainer, PodsInTheWay, RollbackBlocked
from tests.contract.conftest import Clock, unique
from tests.contract.node_replacement.test_replace import pod, register
from tests.contract.support.clusters import WRITER, Kubernetes
from tests.contract.support.races import Overtaken
from tests.contract.support.vpcs import REGION, Vpc
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ZONE = f"{REGION}a"
NODES = "/api/v1/nodes"


@dataclass
class World:
    """A healed incident with one subnet, in which an ENI of a node has the addresses of two pods."""

    kubernetes: Kubernetes
    vpc: Vpc
    incidents: Incidents
    log: ChangeLog
    cluster: str
    namespace: str
    subnet: str
    node: str

    @property
    def drainer(self) -> BlockDrainer:
        """As a new invocation has it."""
        incident = self.incidents.get(self.log.incident)
        kube, ec2 = self.kubernetes.api(WRITER), Ec2Block(self.vpc.ec2)
        return BlockDrainer(incident, self.incidents, self.log, kube, ec2, self.log.clock, lambda _: None)

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def run(self, name: str, number: int) -> None:
        """A pod on the node, with an address of the subnet."""
        self.kubernetes.admin.create(self.pods, pod(name, self.node))
        first = IPv4Address(self.vpc.described(self.subnet)["CidrBlock"].partition("/")[0])
        status = {"phase": "Running", "podIP": str(first + 20 + number)}
        self.kubernetes.admin.patch(f"{self.pods}/{name}/status", {"status": status})

    def remove_pods(self) -> None:
        """As the kubelet does with pods that were evicted."""
        for item in self.kubernetes.admin.get(self.pods)["items"]:
            name = item["metadata"]["name"]
            self.kubernetes.admin._json("DELETE", f"{self.pods}/{name}", {"gracePeriodSeconds": "0"})

    def timeline(self) -> list[str]:
        return [event["detail"] for event in self.incidents.timeline(self.log.incident)]

    def replace_node(self, *, cordoned: bool) -> None:
        """Another node takes the place of the first one, under its name; people may cordon it."""
        self.kubernetes.admin.delete(f"{NODES}/{self.node}")
        register(self.kubernetes, self.node, ZONE, self.vpc.instance())
        self.kubernetes.admin.patch(f"{NODES}/{self.node}", {"spec": {"unschedulable": cordoned or None}})

    def is_cordoned(self, node: str) -> bool:
        return bool(self.kubernetes.admin.get(f"{NODES}/{node}")["spec"].get("unschedulable"))


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2, zones="a")


@pytest.fixture
def world(
    kubernetes: Kubernetes, vpc: Vpc, table: Table, clock: Clock, cluster: str, namespace: str
) -> Iterator[World]:
    incidents = Incidents(table, clock)
    incident = incidents.open(cluster, REGION, Mode.AUTO, "")
    subnet = vpc.subnet(f"10.0.{len(vpc.subnet_ids()) + 50}.0/24", **{tag_names.INCIDENT: incident})
    incidents.complete(incident, Step.PLAN, plan=PLAN.model_copy(update={"vpc_id": vpc.id}))
    log = ChangeLog(table, clock, incident)
    log.intend(ChangeMade(kind=ChangeKind.SUBNET, target=ZONE, after={"id": subnet}))
    incidents.record_subnet(incident, ZONE, subnet)
    incidents.close(incidents.get(incident), Outcome.HEALED)
    instance, node = vpc.instance(), unique("node")
    eni = vpc.interface(subnet, Description=f"aws-K8S-{instance}")
    vpc.ec2.create_tags(Resources=[eni], Tags=[{"Key": "cluster.k8s.amazonaws.com/name", "Value": cluster}])
    vpc.ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=1)
    register(kubernetes, node, ZONE, instance)
    made = World(kubernetes, vpc, incidents, log, cluster, namespace, subnet, node)
    for number in range(2):
        made.run(f"web-{number}", number)
    yield made
    made.remove_pods()
    kubernetes.admin.delete(f"{NODES}/{node}")


def test_given_pods_and_an_eni_on_the_block_when_assessed_then_both_are_counted_and_nothing_changes(
    world: World,
) -> None:
    assert world.drainer.assess("somebody", evict=True) == {"pods": 2, "interfaces": 1}
    rollback = world.incidents.get(world.log.incident).rollback
    assert rollback
    assert rollback.assessment
    assert rollback.assessment.standing == tuple(sorted({change.kind for change in world.log.made()}))
    assert set(rollback.assessment.pod_names) == {f"{world.namespace}/web-{number}" for number in range(2)}
    assert not world.is_cordoned(world.node)


def test_given_an_eni_of_somebody_else_when_assessed_then_it_is_named_and_forbids_the_rollback(world: World) -> None:
    foreign = world.vpc.interface(world.subnet, Description="a database")
    with pytest.raises(RollbackBlocked, match=f"not of the VPC CNI use its subnets: {foreign}"):
        world.drainer.assess("somebody", evict=True)
    with pytest.raises(RollbackBlocked):
        world.drainer.recheck_and_transfer()


def test_given_nobody_asked_to_move_pods_then_they_are_named_and_no_node_is_cordoned(world: World) -> None:
    with pytest.raises(PodsInTheWay, match=r"2 pods on addresses of the block: .*web-0"):
        world.drainer.move_pods(evict=False)
    assert not world.is_cordoned(world.node)
    assert world.log.made(ChangeKind.CORDON) == []


def test_given_pods_to_be_moved_then_the_node_is_cordoned_first_they_are_evicted_and_it_is_given_back(
    world: World,
) -> None:
    with pytest.raises(NotYet, match="2 pods on addresses of the block, being moved"):
        world.drainer.move_pods(evict=True)
    assert world.is_cordoned(world.node)
    assert [change.target for change in world.log.made(ChangeKind.CORDON)] == [world.node]
    leaving = world.kubernetes.admin.get(world.pods)["items"]
    assert all("deletionTimestamp" in item["metadata"] for item in leaving)
    world.remove_pods()
    assert world.drainer.move_pods(evict=True) == {"pods": 0}
    assert world.drainer.uncordon() == {"uncordoned": [world.node]}
    assert not world.is_cordoned(world.node)
    assert world.drainer.uncordon() == {"uncordoned": []}


def test_given_a_disruption_budget_that_refuses_then_it_is_told_and_the_pods_stay(world: World) -> None:
    budgets = f"/apis/policy/v1/namespaces/{world.namespace}/poddisruptionbudgets"
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    world.kubernetes.admin.create(budgets, {"metadata": {"name": "web"}, "spec": spec})
    with pytest.raises(NotYet, match=r"2 pods on addresses of the block, being moved; refused: .*disruption budget"):
        world.drainer.move_pods(evict=True)
    assert all("deletionTimestamp" not in item["metadata"] for item in world.kubernetes.admin.get(world.pods)["items"])


def test_given_a_node_that_people_had_cordoned_then_it_stays_so(world: World) -> None:
    world.kubernetes.admin.patch(f"{NODES}/{world.node}", {"spec": {"unschedulable": True}})
    with pytest.raises(NotYet):
        world.drainer.move_pods(evict=True)
    assert world.log.made(ChangeKind.CORDON) == []
    world.drainer.uncordon()
    assert world.is_cordoned(world.node)


def test_given_a_node_that_vanishes_before_its_cordon_then_nothing_of_it_is_recorded_and_the_pods_are_moved(
    world: World,
) -> None:
    vanish = Overtaken(world.kubernetes, "PATCH", lambda: world.kubernetes.admin.delete(f"{NODES}/{world.node}"))
    with pytest.raises(NotYet, match="2 pods on addresses of the block, being moved"):
        replace(world.drainer, kube=vanish).move_pods(evict=True)
    assert world.log.made(ChangeKind.CORDON) == []
    assert f"cordon of node {world.node}: the node is gone" in world.timeline()
    assert all("deletionTimestamp" in item["metadata"] for item in world.kubernetes.admin.get(world.pods)["items"])


def test_given_a_node_that_vanishes_before_it_is_given_back_then_its_cordon_is_struck_out(world: World) -> None:
    with pytest.raises(NotYet):
        world.drainer.move_pods(evict=True)
    vanish = Overtaken(world.kubernetes, "PATCH", lambda: world.kubernetes.admin.delete(f"{NODES}/{world.node}"))
    assert replace(world.drainer, kube=vanish).uncordon() == {"uncordoned": [world.node]}
    assert world.log.made(ChangeKind.CORDON) == []
    assert f"cordon of node {world.node}: the node is gone" in world.timeline()


@pytest.mark.parametrize("in_between", [True, False])
def test_given_a_node_that_came_under_the_name_of_a_cordoned_one_when_given_back_then_what_people_set_there_stays(
    world: World, in_between: bool
) -> None:
    with pytest.raises(NotYet):
        world.drainer.move_pods(evict=True)
    kube: KubeApi = world.kubernetes.api(WRITER)
    if in_between:
        kube = Overtaken(world.kubernetes, "PATCH", lambda: world.replace_node(cordoned=True))
    else:
        world.replace_node(cordoned=True)
    replace(world.drainer, kube=kube).uncordon()
    assert world.is_cordoned(world.node)
    assert world.log.made(ChangeKind.CORDON) == []
    assert f"cordon of node {world.node}: the node is gone" in world.timeline()


def test_given_a_node_that_comes_under_the_same_name_before_the_cordon_then_it_is_not_cordoned(world: World) -> None:
    replaced = Overtaken(world.kubernetes, "PATCH", lambda: world.replace_node(cordoned=False))
    with pytest.raises(NotYet):
        replace(world.drainer, kube=replaced).move_pods(evict=True)
    assert not world.is_cordoned(world.node)
    assert world.log.made(ChangeKind.CORDON) == []


def test_given_a_recorded_cordon_of_a_node_that_is_gone_when_its_namesake_is_cordoned_then_that_one_is_given_back(
    world: World,
) -> None:
    world.log.intend(ChangeMade(kind=ChangeKind.CORDON, target=world.node, after={"uid": "of-the-first-one"}))
    with pytest.raises(NotYet):
        world.drainer.move_pods(evict=True)
    assert world.is_cordoned(world.node)
    world.drainer.uncordon()
    assert not world.is_cordoned(world.node)


def test_given_pods_that_vanish_before_their_eviction_then_it_goes_on(world: World) -> None:
    vanish = Overtaken(world.kubernetes, "POST", world.remove_pods)
    with pytest.raises(NotYet, match="being moved"):
        replace(world.drainer, kube=vanish).move_pods(evict=True)
    assert world.drainer.move_pods(evict=True) == {"pods": 0}


def test_given_pods_that_hang_since_the_assessment_when_read_back_then_the_record_names_them_and_no_others(
    world: World,
) -> None:
    # given an assessment, a pod on the node that has no address yet, one on no node, and those that have addresses
    world.drainer.assess("somebody", evict=True)
    before = _waiting(world)
    world.kubernetes.admin.create(world.pods, pod("web-8", world.node))
    world.kubernetes.admin.create(world.pods, pod("web-9", ""))
    # when it is read back, then only the one that waits for an address is new
    assert _waiting(world) - before == {f"{world.namespace}/web-8"}
    # and the record has the number and the first names; other tests' pods wait in the same cluster
    assert world.drainer.read_back_hanging() == len(before) + 1
    assert set(_hanging(world) or ()) <= _waiting(world)


def test_given_a_pod_from_before_the_assessment_then_it_does_not_hang_since_then(world: World) -> None:
    world.kubernetes.admin.create(world.pods, pod("web-8", world.node))
    drainer = replace(world.drainer, clock=lambda: utc_now() + timedelta(hours=1))
    drainer.assess("somebody", evict=True)
    assert world.drainer.read_back_hanging() == 0
    assert _hanging(world) == ()


def test_given_a_kubernetes_api_that_does_not_answer_then_a_rollback_goes_on_without_reading_back(world: World) -> None:
    world.drainer.assess("somebody", evict=True)
    assert replace(world.drainer, kube=_Silent()).read_back_hanging() is None
    assert _hanging(world) is None


class _Silent(KubeApi):
    def __init__(self) -> None:
        """Without an address: nothing is asked."""

    def items(self, *_: Any, **__: Any) -> Any:
        raise KubernetesUnreachable("no answer")


def _waiting(world: World) -> set[str]:
    rollback = world.incidents.get(world.log.incident).rollback
    assert rollback
    assert rollback.assessment
    return set(pods_without_address(world.drainer.kube, rollback.assessment.at))


def _hanging(world: World) -> tuple[str, ...] | None:
    rollback = world.incidents.get(world.log.incident).rollback
    assert rollback
    return rollback.hanging.names if rollback.hanging else None
