"""Nodes that are replaced by whoever provisioned them: the part of AWS, EKS and Karpenter that the simulator plays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local.cluster.kube import NODES
from local.cluster.nodes.karpenter import NODECLAIMS
from local.cluster.nodes.runtime import instance_id
from local.cluster.objects import is_ready
from local.cluster.scenario import Seeded, seed
from local.cluster.scenario_spec import NodeSpec, Scenario, Zone
from tests.stack.cluster.stack import Stack, nginx
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
ZONE = "ap-northeast-2a"
ONE_NODE = replace(
    Scenario(), zones=(Zone(ZONE, "10.0.0.0/26"),), nodes=(NodeSpec(ZONE),), free_per_subnet=20, nginx_replicas=3
)


def ready_nodes(stack: Stack) -> dict[str, Any]:
    """By instance: a fresh one may get the address, and so the name, of the one that it replaces."""
    return {instance_id(node): node for node in stack.api().get(NODES.path())["items"] if is_ready(node)}


def interfaces_of(stack: Stack, instance: str) -> list[Any]:
    described = [{"Name": "description", "Values": [f"aws-K8S-{instance}"]}]
    return list(stack.aws("ec2").describe_network_interfaces(Filters=described)["NetworkInterfaces"])


def started(stack: Stack, scenario: Scenario) -> Seeded:
    stack.start_simulator()
    made = seed(stack.api(), stack.session(), scenario)
    eventually("nginx runs", lambda: running(stack), lambda node_names: len(node_names) == 3)
    return made


def running(stack: Stack) -> list[str]:
    return [pod.spec.node_name for pod in nginx(stack) if pod.status.phase == "Running"]


def test_given_a_managed_node_group_when_an_instance_is_terminated_then_a_fresh_node_takes_its_place(
    stack: Stack,
) -> None:
    made = started(stack, replace(ONE_NODE, provisioner="managed", free_eni_slots=False))
    [old] = made.nodes
    assert len(interfaces_of(stack, old.instance_id)) == 2

    stack.aws("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=old.instance_id, ShouldDecrementDesiredCapacity=False
    )

    [new] = eventually(
        "a fresh node is Ready", lambda: ready_nodes(stack), lambda ready: {*ready} - {old.instance_id}
    ).values()
    assert interfaces_of(stack, old.instance_id) == []
    eventually(
        "nginx runs there", lambda: running(stack), lambda node_names: node_names == [new["metadata"]["name"]] * 3
    )


def test_given_the_only_node_of_a_group_is_gone_when_the_simulator_is_killed_then_the_fresh_node_joins_all_the_same(
    stack: Stack,
) -> None:
    made = started(stack, replace(ONE_NODE, provisioner="managed", free_eni_slots=False))
    [old] = made.nodes
    [before] = ready_nodes(stack).values()

    stack.kill("cluster")
    stack.aws("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=old.instance_id, ShouldDecrementDesiredCapacity=False
    )
    stack.api().delete(NODES.path_of(before))
    stack.start_simulator()

    [new] = eventually(
        "a fresh node is Ready", lambda: ready_nodes(stack), lambda ready: {*ready} - {old.instance_id}
    ).values()
    group = "eks.amazonaws.com/nodegroup"
    assert new["metadata"]["labels"][group] == before["metadata"]["labels"][group]
    eventually(
        "nginx runs there", lambda: running(stack), lambda node_names: node_names == [new["metadata"]["name"]] * 3
    )


def test_given_a_node_that_is_only_half_registered_when_the_simulator_is_killed_then_its_registration_is_finished(
    stack: Stack,
) -> None:
    started(stack, replace(ONE_NODE, provisioner="managed", free_eni_slots=False))
    [node] = ready_nodes(stack).values()

    stack.kill("cluster")
    stack.api().delete(NODES.path_of(node))
    metadata = {"name": node["metadata"]["name"], "labels": node["metadata"]["labels"]}
    half = {"metadata": metadata, "spec": {"providerID": node["spec"]["providerID"]}}
    stack.api().create(NODES, {"apiVersion": "v1", "kind": "Node", **half})
    stack.start_simulator()

    eventually(
        "the node says what it is",
        lambda: stack.api().get(NODES.path_of(node))["status"],
        lambda status: status.get("capacity") == node["status"]["capacity"],
    )
    eventually("nginx runs", lambda: running(stack), lambda node_names: len(node_names) == 3)


def test_given_karpenter_when_a_node_claim_is_deleted_then_its_node_is_drained_and_another_one_provisioned(
    stack: Stack,
) -> None:
    made = started(stack, replace(ONE_NODE, provisioner="karpenter"))
    [old] = made.nodes
    api = stack.api()
    [claim] = api.get(NODECLAIMS.path())["items"]

    api.delete(NODECLAIMS.path_of(claim))

    def claims() -> list[str]:
        return [item["metadata"]["name"] for item in api.get(NODECLAIMS.path())["items"]]

    eventually("the claim is gone", claims, lambda names: claim["metadata"]["name"] not in names)
    [new] = eventually(
        "another node is Ready", lambda: ready_nodes(stack), lambda ready: {*ready} - {old.instance_id}
    ).values()
    eventually(
        "nginx runs there", lambda: running(stack), lambda node_names: node_names == [new["metadata"]["name"]] * 3
    )
    assert new["metadata"]["ownerReferences"][0]["name"] == claims()[0]
    instance = stack.aws("ec2").describe_instances(InstanceIds=[old.instance_id])["Reservations"][0]["Instances"][0]
    assert instance["State"]["Name"] == "terminated"
