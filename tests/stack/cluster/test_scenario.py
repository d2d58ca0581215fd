"""The reference scenario, its cure by hand, and the undoing, on real servers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from kubernetes import client

from local.cluster.controllers.disruption import budget_resource
from local.cluster.kube import PODS, ApiError, KubeApi
from local.cluster.scenario import Seeded, add_node, seed, wait_settled
from local.cluster.scenario_spec import NodeSpec, Scenario
from tests.stack.cluster.remedy import (
    CIDR,
    CUSTOM_NETWORKING,
    add_range,
    configure_addon,
    create_eni_config,
    enis_in,
    environment_of,
    scale_nginx,
    set_environment,
)
from tests.stack.cluster.stack import NEW_RANGE, Stack, addresses, nginx
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

STUCK = re.compile(
    r"^(\(combined from similar events\): )?Failed to create pod sandbox: rpc error: code = Unknown desc = failed to "
    r'setup network for sandbox "[0-9a-f]{64}": plugin type="aws-cni" name="aws-cni" failed \(add\): '
    r"add cmd: failed to assign an IP address to container$"
)


def seeded(stack: Stack, scenario: Scenario | None = None, *simulator: str) -> Seeded:
    stack.start_simulator(*simulator)
    made = seed(stack.api(), stack.session(), scenario or Scenario())
    wait_settled(stack.api(), running=8, stuck=2)
    return made


def sandbox_events(stack: Stack) -> list[Any]:
    with stack.kube() as api:
        selector = "reason=FailedCreatePodSandBox"
        return list(client.CoreV1Api(api).list_event_for_all_namespaces(field_selector=selector).items)


def assert_exported(stack: Stack, queue: str) -> None:
    """Each new event arrived on the bus once, in the exporter's shape; repeats did not."""
    received: list[Any] = []

    def receive() -> int:
        answer = stack.aws("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        received.extend(json.loads(message["Body"])["detail"] for message in answer.get("Messages", []))
        return len(received)

    eventually("events arrive", receive, lambda count: count >= 10)
    names = [detail["metadata"]["name"] for detail in received]
    assert len(names) == len(set(names))
    for detail in received:
        assert detail["clusterName"] == "demo"
        assert detail["involvedObject"]["labels"]["app"] == "nginx"
        assert detail["count"] == 1
        assert STUCK.match(detail["message"])


def free_addresses(stack: Stack, made: Seeded) -> list[int]:
    subnets = stack.aws("ec2").describe_subnets(SubnetIds=list(made.network.subnets.values()))["Subnets"]
    return [subnet["AvailableIpAddressCount"] for subnet in subnets]


def bus_to_queue(stack: Stack) -> str:
    """An event bus whose events about sandboxes go to a queue; the queue's URL."""
    sqs, events = stack.aws("sqs"), stack.aws("events")
    queue = str(sqs.create_queue(QueueName="seen")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name="kubernetes")
    pattern = json.dumps({"source": ["eks-event-exporter"], "detail": {"reason": ["FailedCreatePodSandBox"]}})
    events.put_rule(Name="stuck", EventBusName="kubernetes", EventPattern=pattern)
    events.put_targets(Rule="stuck", EventBusName="kubernetes", Targets=[{"Id": "queue", "Arn": arn}])
    return queue


def test_given_full_subnets_when_ten_replicas_start_then_two_hang_with_the_kubelets_event(stack: Stack) -> None:
    queue = bus_to_queue(stack)
    made = seeded(stack, None, "--event-bus", "kubernetes")
    stuck = [pod for pod in nginx(stack) if pod.status.phase == "Pending"]
    assert free_addresses(stack, made) == [0, 0]
    assert {pod.spec.node_name for pod in stuck} == {node.name for node in made.nodes}
    assert {pod.status.container_statuses[0].state.waiting.reason for pod in stuck} == {"ContainerCreating"}
    events = eventually(
        "repeats are combined",
        lambda: sandbox_events(stack),
        lambda repeated: any((e.count or 0) > 1 for e in repeated),
    )
    assert all(STUCK.match(event.message) and event.type == "Warning" for event in events)
    assert {event.involved_object.name for event in events} == {pod.metadata.name for pod in stuck}
    assert {(event.source.component, event.source.host) for event in events} == {
        ("kubelet", node.name) for node in made.nodes
    }
    assert_exported(stack, queue)
    full = "subnet doesn't seem to have enough IPs/Prefixes"
    assert any(full in line["msg"] for line in stack.ipamd_log())


def test_given_the_cure_by_hand_when_undone_then_ec2_is_as_before(stack: Stack) -> None:
    made = seeded(stack)
    before = addresses(stack)
    subnets = add_range(stack, made)
    for zone, subnet in subnets.items():
        create_eni_config(stack, zone, subnet)
    assert addresses(stack) == before

    configure_addon(stack, CUSTOM_NETWORKING)
    healed = eventually("ten pods run", lambda: addresses(stack), lambda by_pod: len(by_pod) == 10)
    assert before.items() <= healed.items()
    moved = [pod for pod in nginx(stack) if pod.status.pod_ip.startswith(NEW_RANGE)]
    assert {pod.spec.node_name for pod in moved} == {node.name for node in made.nodes}
    assert len(moved) == 2
    new_enis = enis_in(stack, subnets)
    assert {eni["Attachment"]["InstanceId"] for eni in new_enis} == {node.instance_id for node in made.nodes}
    assert {eni["Groups"][0]["GroupId"] for eni in new_enis} == {made.network.security_group}

    # A warm target which keeps no whole ENI: with WARM_ENI_TARGET=1 ipamd holds on to an empty one.
    configure_addon(stack, {"MINIMUM_IP_TARGET": "1"})
    assert environment_of(stack)["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"] == "false"
    assert "ENI_CONFIG_LABEL_DEF" not in environment_of(stack)
    scale_nginx(stack, 8)
    eventually("the ENIs of the new subnets are gone", lambda: enis_in(stack, subnets), lambda enis: not enis)
    assert addresses(stack) == before
    ec2 = stack.aws("ec2")
    for subnet in subnets.values():
        ec2.delete_subnet(SubnetId=subnet)
    associations = ec2.describe_vpcs(VpcIds=[made.network.vpc_id])["Vpcs"][0]["CidrBlockAssociationSet"]
    [ours] = [item["AssociationId"] for item in associations if item["CidrBlock"] == CIDR]
    ec2.disassociate_vpc_cidr_block(AssociationId=ours)


def test_given_a_discovery_tag_when_a_node_has_a_free_slot_then_no_restart_is_needed(stack: Stack) -> None:
    made = seeded(stack, replace(Scenario(), managed_addon=False))
    subnets = add_range(stack, made)
    tag = {"Key": "kubernetes.io/role/cni", "Value": "1"}
    stack.aws("ec2").create_tags(Resources=list(subnets.values()), Tags=[tag])
    healed = eventually("ten pods run", lambda: addresses(stack), lambda by_pod: len(by_pod) == 10)
    assert sum(address.startswith(NEW_RANGE) for address in healed.values()) == 2


def test_given_no_free_eni_slot_when_custom_networking_is_on_then_the_pods_stay_stuck(stack: Stack) -> None:
    made = seeded(stack, replace(Scenario(), managed_addon=False, free_eni_slots=False))
    subnets = add_range(stack, made)
    for zone, subnet in subnets.items():
        create_eni_config(stack, zone, subnet)
    set_environment(stack, CUSTOM_NETWORKING)
    limit = "Skipping ENI allocation as the max ENI limit is already reached"
    eventually("ipamd reports the limit", lambda: any(limit in line["msg"] for line in stack.ipamd_log()))
    wait_settled(stack.api(), running=8, stuck=2)
    assert enis_in(stack, subnets) == []


def test_given_no_eniconfig_when_a_node_joins_then_it_is_not_ready_until_there_is_one(stack: Stack) -> None:
    made = seeded(stack, replace(Scenario(), managed_addon=False))
    subnets = add_range(stack, made)
    create_eni_config(stack, "ap-northeast-2b", subnets["ap-northeast-2b"])
    set_environment(stack, CUSTOM_NETWORKING)
    [filler] = stack.aws("ec2").describe_network_interfaces(
        Filters=[
            {"Name": "subnet-id", "Values": [made.network.subnets["ap-northeast-2a"]]},
            {"Name": "description", "Values": [f"Amazon EKS {Scenario().cluster}"]},
        ]
    )["NetworkInterfaces"][:1]
    stack.aws("ec2").delete_network_interface(NetworkInterfaceId=filler["NetworkInterfaceId"])
    node = add_node(stack.api(), stack.session(), made, NodeSpec("ap-northeast-2a", pod_addresses=0))

    def ready() -> str:
        with stack.kube() as api:
            answer: Any = client.CoreV1Api(api).read_node(node.name)
            conditions = answer.status.conditions or []
        return next((condition.status for condition in conditions if condition.type == "Ready"), "Unknown")

    missing = "Failed to attach any ENIs for custom networking"
    eventually("ipamd gives up", lambda: any(missing in line["msg"] for line in stack.ipamd_log()))
    assert ready() != "True"
    create_eni_config(stack, "ap-northeast-2a", subnets["ap-northeast-2a"])
    eventually("the node is Ready", ready, lambda status: status == "True")


def test_given_a_managed_addon_when_its_field_is_changed_by_hand_then_it_is_taken_back(stack: Stack) -> None:
    seeded(stack, None, "--addon-reconcile-seconds", "1")
    set_environment(stack, {"WARM_ENI_TARGET": "2", "MY_OWN": "stays"})
    back = eventually(
        "the add-on takes its field back",
        lambda: environment_of(stack),
        lambda env: env["WARM_ENI_TARGET"] == "1",
    )
    assert back["MY_OWN"] == "stays"


def test_given_a_restarted_simulator_then_pods_keep_their_addresses_and_a_deletion_gives_them_back(
    stack: Stack,
) -> None:
    seeded(stack)
    before = addresses(stack)
    assert stack.end("cluster") == 0
    stack.start_simulator()
    scale_nginx(stack, 11)
    wait_settled(stack.api(), running=8, stuck=3)
    assert addresses(stack) == before
    with stack.kube() as api:
        apps: Any = client.AppsV1Api(api)
        apps.delete_namespaced_deployment("nginx", "default")
        eventually("no nginx pod is left", lambda: nginx(stack), lambda pods: not pods)
        apps.patch_namespaced_deployment_scale("coredns", "kube-system", {"spec": {"replicas": 10}})
        eventually(
            "ten CoreDNS pods are ready",
            lambda: apps.read_namespaced_deployment_status("coredns", "kube-system").status.ready_replicas,
            lambda ready: ready == 10,
        )


def test_given_iam_denies_the_cni_then_it_says_so_on_its_pod(stack: Stack) -> None:
    stack.fault(
        service="ec2", action="CreateNetworkInterface", error="UnauthorizedOperation", times=1000, when="before"
    )
    stack.start_simulator()
    scenario = replace(Scenario(), free_per_subnet=11 - 6)
    seed(stack.api(), stack.session(), scenario)
    with stack.kube() as api:
        result = eventually(
            "the event appears",
            lambda: (
                client.CoreV1Api(api)
                .list_namespaced_event("kube-system", field_selector="reason=MissingIAMPermissions")
                .items
            ),
        )
    assert "failed to call ec2:CreateNetworkInterface due to missing permissions" in result[0].message


def evict(api: KubeApi, version: str, name: str) -> int:
    """The HTTP status of an eviction from kube-system."""
    eviction = {
        "apiVersion": version,
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": "kube-system"},
    }
    try:
        api.request("POST", PODS.path("kube-system", name, "eviction"), body=eviction)
    except ApiError as error:
        return error.status
    return 201


def test_given_a_disruption_budget_when_pods_are_evicted_then_it_is_kept(stack: Stack) -> None:
    seeded(stack, replace(Scenario(), managed_addon=False))
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "dns", "namespace": "kube-system"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}},
    }
    api = stack.api()
    resource = budget_resource(api)
    version = f"{resource.group}/{resource.version}"
    api.create(resource, {**budget, "apiVersion": version})
    path = resource.path("kube-system", "dns")
    eventually("one may go", lambda: api.get(path).get("status", {}).get("disruptionsAllowed"), lambda n: n == 1)
    names = [pod["metadata"]["name"] for pod in api.get(PODS.path("kube-system"))["items"]]
    first, second = [name for name in names if name.startswith("coredns")]
    assert evict(api, version, first) == 201
    assert evict(api, version, second) == 429
