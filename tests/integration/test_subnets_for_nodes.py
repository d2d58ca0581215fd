"""Nodes that cannot be launched for want of addresses get subnets of their own, and a node joins there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, Literal

import pytest

from ip_remediator.common.enums import Outcome, Verdict
from ip_remediator.incidents.record import ChangeKind, RollbackState
from local.cluster.kube import NODES
from local.cluster.nodes.karpenter import NODECLAIMS, NODECLASSES, node_claim
from local.cluster.nodes.runtime import instance_id
from local.cluster.objects import is_ready
from local.cluster.scenario_spec import NodeSpec, Scenario, Zone
from tests.integration.support.lab import Lab
from tests.integration.support.patient import CGNAT, ZONES, Patient, patient
from tests.integration.support.rollbacks import dump, roll_back
from tests.support.waiting import eventually

SPEED = 60
PODS = "10.0.64.0/24"
ONE_ZONE = replace(Scenario(), nginx_replicas=2, zones=(Zone(ZONES[0], "10.0.0.0/28"),), nodes=(NodeSpec(ZONES[0]),))


def nodes(cluster: Patient) -> dict[str, dict[str, Any]]:
    """The Ready nodes by instance."""
    return {instance_id(node): node for node in cluster.api.get(NODES.path())["items"] if is_ready(node)}


def joined(cluster: Patient, before: set[str]) -> str:
    """The instance of the only node that came since; its address is of the new subnet."""
    [fresh] = nodes(cluster).keys() - before
    addresses = nodes(cluster)[fresh]["status"]["addresses"]
    internal = next(one["address"] for one in addresses if one["type"] == "InternalIP")
    assert IPv4Address(internal) in CGNAT
    return fresh


def without(cluster: Patient, instance: str, end: Callable[[], object]) -> None:
    """Ends the instance and waits until its node is gone, and its addresses are free."""
    end()
    eventually("the node is gone", lambda: nodes(cluster), lambda ready: instance not in ready, 60)


@contextmanager
def crowded(lab: Lab, provisioner: Literal["self-managed", "karpenter"]) -> Iterator[Patient]:
    """Pods have a subnet that ipamd discovers, with room; the nodes' own subnet has none."""
    with patient(lab, replace(ONE_ZONE, provisioner=provisioner), speed=SPEED) as cluster:
        network, ec2 = cluster.seeded.network, lab.aws("ec2")
        tags = [{"ResourceType": "subnet", "Tags": [{"Key": "kubernetes.io/role/cni", "Value": "1"}]}]
        made = ec2.create_subnet(
            VpcId=network.vpc_id, CidrBlock=PODS, AvailabilityZone=ZONES[0], TagSpecifications=tags
        )["Subnet"]["SubnetId"]
        ec2.associate_route_table(RouteTableId=network.route_tables[ZONES[0]], SubnetId=made)
        # More pods than the node's first ENI has addresses: the next one is of the pods' subnet.
        cluster.scale(6)
        eventually("ipamd uses the pods' subnet", lambda: cluster.interfaces_in(made), bool, 60)
        cluster.settle(running=6, stuck=0)
        yield cluster


def less_pods(dumped: dict[str, Any]) -> dict[str, Any]:
    """Without the ENIs of the pods' subnet, and its count: what ipamd keeps warm there is up to it."""
    [pods] = [id_ for id_, subnet in dumped["subnets"].items() if subnet["CidrBlock"] == PODS]
    return {
        **dumped,
        "subnets": {id_: subnet for id_, subnet in dumped["subnets"].items() if id_ != pods},
        "interfaces": {id_: eni for id_, eni in dumped["interfaces"].items() if eni["SubnetId"] != pods},
    }


def group_of(cluster: Patient) -> str:
    return f"eks-{cluster.name}-a"


def test_given_a_self_managed_group_whose_subnet_is_full_when_remediated_then_a_node_joins_and_a_rollback_restores_all(
    lab: Lab,
) -> None:
    with crowded(lab, "self-managed") as cluster:
        autoscaling, before, present = lab.aws("autoscaling"), dump(cluster), set(nodes(cluster))
        autoscaling.set_desired_capacity(AutoScalingGroupName=group_of(cluster), DesiredCapacity=2)
        assert set(nodes(cluster)) == present

        ended, incident = lab.remediate(cluster.name)

        assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
        assert incident.diagnosis is not None
        assert incident.diagnosis.verdict is Verdict.NODE_LAUNCH
        fresh = joined(cluster, present)
        assert incident.verification is not None
        assert incident.verification.joined == (nodes(cluster)[fresh]["metadata"]["name"],)
        assert {change.split("#")[1] for change in lab.changes(incident.id)} == {
            ChangeKind.VPC_CIDR,
            ChangeKind.SUBNET,
            ChangeKind.AUTO_SCALING_GROUP,
        }
        message = lab.message_saying(incident.id, "healed", "nodes can be launched")
        assert lab.buttons(message) == ["rollback"]

        end = autoscaling.terminate_instance_in_auto_scaling_group
        without(cluster, fresh, lambda: end(InstanceId=fresh, ShouldDecrementDesiredCapacity=True))
        back = roll_back(lab, incident.id, confirmed=True, evict=True)

        assert back.status == "SUCCEEDED", back
        assert less_pods(dump(cluster)) == less_pods(before)


@pytest.mark.slow
def test_given_pods_and_nodes_in_one_full_subnet_then_pods_heal_first_and_the_next_run_lets_nodes_be_launched(
    lab: Lab,
) -> None:
    both = replace(ONE_ZONE, provisioner="self-managed", nginx_replicas=5)
    with patient(lab, both, speed=SPEED) as cluster:
        # given pods that hang, and a node that cannot be launched in the same subnet
        cluster.settle(running=3, stuck=2)
        present = set(nodes(cluster))
        lab.aws("autoscaling").set_desired_capacity(AutoScalingGroupName=group_of(cluster), DesiredCapacity=2)

        # when the incident about pods runs
        ended, first = lab.remediate(cluster.name)

        # then the pods are healed, it said that no node can be launched, and none was
        assert first.outcome is Outcome.HEALED, (ended, first.failure)
        plan = first.require_plan()
        assert not plan.for_nodes
        assert plan.nodes_next == (ZONES[0],)
        assert "the run for nodes starts by itself" in plan.expectation
        assert "node-subnets-full" in {risk.id for risk in plan.risks}
        cluster.settle(running=5, stuck=0)

        # when that run has ended, the next one starts by itself
        follows = eventually("the next run", lambda: lab.incidents.get(first.id).next_incident, bool, 60)
        second = eventually("it ends", lambda: lab.incidents.get(str(follows)), lambda run: not run.open, 120)

        # then the second plan is for nodes, and one joins
        assert second.outcome is Outcome.HEALED, second.failure
        assert second.follows == first.id
        assert second.diagnosis is not None
        assert second.diagnosis.verdict is Verdict.NODE_LAUNCH
        assert second.require_plan().for_nodes
        joined(cluster, present)
        assert first.subnets != second.subnets


@pytest.mark.slow
def test_given_karpenters_full_subnet_when_remediated_then_the_stuck_node_claim_launches_in_the_tagged_subnet(
    lab: Lab,
) -> None:
    with crowded(lab, "karpenter") as cluster:
        before, present = dump(cluster), set(nodes(cluster))
        cluster.api.create(NODECLAIMS, node_claim("stuck", "default", ZONES[0], "t3.medium"))

        ended, incident = lab.remediate(cluster.name)

        assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
        fresh = joined(cluster, present)
        [subnet] = incident.subnets.values()
        status = cluster.api.get(NODECLASSES.path(name="default"))["status"]
        assert subnet in {one["id"] for one in status["subnets"]}
        assert cluster.subnets()[subnet]["tags"]["karpenter.sh/discovery"] == cluster.name

        paused = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert paused.status == "FAILED", paused
        assert fresh in str(paused)
        record = lab.incidents.get(incident.id)
        assert record.rollback is not None
        assert record.rollback.state is RollbackState.PAUSED
        assert "karpenter.sh/discovery" not in cluster.subnets()[subnet]["tags"]

        without(cluster, fresh, lambda: cluster.api.delete(NODECLAIMS.path(name="stuck")))
        back = roll_back(lab, incident.id, confirmed=True, evict=True)

        assert back.status == "SUCCEEDED", back
        assert less_pods(dump(cluster)) == less_pods(before)


@contextmanager
def low_cluster(lab: Lab) -> Iterator[Patient]:
    """Pods are well; the cluster's subnets have four addresses left, and EKS needs five."""
    sparing = replace(Scenario(), nginx_replicas=2, cni_environment={"WARM_IP_TARGET": "1", "MINIMUM_IP_TARGET": "1"})
    with patient(lab, sparing, speed=SPEED) as cluster, lab.settings(cluster_health_tells_addresses=True):
        cluster.settle(running=2, stuck=0)
        time.sleep(3)  # ipamd gives back what it does not need
        for subnet in cluster.seeded.network.subnets.values():
            take(lab, subnet, but=4)
        yield cluster


def take(lab: Lab, subnet: str, *, but: int) -> None:
    """Takes the addresses of the subnet until so many are left."""
    ec2 = lab.aws("ec2")
    for _ in range(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"] - but):
        ec2.create_network_interface(SubnetId=subnet, Description="ELB net/shop/0")


def less_eks(cluster: Patient, dumped: dict[str, Any]) -> dict[str, Any]:
    """Without load balancers, and the ENIs that EKS makes anew whenever it moves them, but for how many of these there
    are in each subnet."""
    own = f"Amazon EKS {cluster.name}"
    enis = dumped["interfaces"].values()
    others = [eni for eni in enis if eni["Description"] != own and not eni["Description"].startswith("ELB")]
    return {
        **dumped,
        "subnets": {id_: {**subnet, "AvailableIpAddressCount": None} for id_, subnet in dumped["subnets"].items()},
        "interfaces": {eni["NetworkInterfaceId"]: eni for eni in others},
        "eks": Counter(eni["SubnetId"] for eni in enis if eni["Description"] == own),
    }


@pytest.mark.slow
def test_given_a_cluster_whose_own_subnets_are_low_when_remediated_then_eks_has_others_and_a_rollback_restores_them(
    lab: Lab,
) -> None:
    with low_cluster(lab) as cluster:
        before, homes = dump(cluster), list(cluster.seeded.network.subnets.values())

        ended, incident = lab.remediate(cluster.name)

        assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
        assert incident.diagnosis is not None
        assert incident.diagnosis.verdict is Verdict.CLUSTER_SUBNETS
        described = lab.aws("eks").describe_cluster(name=cluster.name)["cluster"]
        made = sorted(incident.subnets.values())
        assert sorted(described["resourcesVpcConfig"]["subnetIds"]) == made
        assert described["health"]["issues"] == []
        assert {cluster.subnets()[one]["tags"]["kubernetes.io/role/internal-elb"] for one in made} == {"1"}
        lab.message_saying(incident.id, "healed, EKS has other subnets")

        # The former subnets fill up: EKS does not take them back, and says why.
        for subnet in homes:
            take(lab, subnet, but=4)
        paused = roll_back(lab, incident.id, confirmed=True)
        assert "InsufficientFreeAddresses" in str(paused)
        assert dump(cluster)["cluster_subnets"] == made
        make_room(lab, cluster)
        back = roll_back(lab, incident.id, confirmed=True)

        assert back.status == "SUCCEEDED", back
        assert less_eks(cluster, dump(cluster)) == less_eks(cluster, before)


def make_room(lab: Lab, cluster: Patient) -> None:
    """Deletes the ENIs of load balancers, so that EKS has the five free addresses that it asks for."""
    ec2 = lab.aws("ec2")
    for id_, eni in dump(cluster)["interfaces"].items():
        if eni["Description"].startswith("ELB"):
            ec2.delete_network_interface(NetworkInterfaceId=id_)
