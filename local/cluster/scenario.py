"""Seeds a scenario through the public APIs only, and waits until the simulated cluster has settled in it.

    python -m local.cluster.scenario --kubeconfig FILE --cluster demo

The simulator (``python -m local.cluster``) must be running: without it no pod ever starts.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.cluster import manifests, scenario_aws, scenario_groups
from local.cluster.kube import CRDS, DAEMONSETS, DEPLOYMENTS, NODES, PODS, ApiError, ApiUnreachable, KubeApi
from local.cluster.objects import Obj, is_ready, labels_of
from local.cluster.scenario_spec import NodeSpec, Scenario, SeededNetwork, SeededNode

SETTLE_SECONDS = 180.0
_POLL_SECONDS = 0.1

_LOG = logging.getLogger(__name__)


class NotSettled(Exception):
    """The cluster did not reach the scenario's state; the message says which state it reached."""


@dataclass(frozen=True)
class Seeded:
    """What was created for a scenario."""

    scenario: Scenario
    network: SeededNetwork
    nodes: tuple[SeededNode, ...]


def seed(api: KubeApi, session: boto3.session.Session, scenario: Scenario) -> Seeded:
    """Make everything the scenario describes. Raises NotSettled when nodes or CoreDNS do not come up in time."""
    ec2, eks = session.client("ec2"), session.client("eks")
    network = scenario_aws.seed_network(ec2, scenario)
    nodes = _launch(session, scenario, network)
    for spec, node in zip(scenario.nodes, nodes, strict=True):
        if not (scenario.free_eni_slots and spec.free_eni_slots):
            scenario_aws.occupy_eni_slots(ec2, scenario, network, node)
    scenario_aws.fill_subnets(ec2, network, scenario.cluster, scenario.free_per_subnet)
    role_arn = scenario_aws.ensure_cluster_role(session.client("iam"), scenario.cluster)
    scenario_aws.seed_cluster(eks, scenario, network, role_arn)
    scenario_groups.seed_node_groups(session, scenario, network)
    if scenario.eniconfig_crd:
        api.create(CRDS, manifests.load("eniconfig-crd"))
    if not scenario.managed_addon:
        api.create(DAEMONSETS, manifests.aws_node({"CLUSTER_NAME": scenario.cluster, **scenario.cni_environment}))
    for node in nodes:
        register_node(api, session, scenario, node)
    _wait("all nodes Ready", lambda: _count_ready(api) >= len(nodes), lambda: f"{_count_ready(api)} of {len(nodes)}")
    scenario_groups.hand_over(api, ec2, scenario, network, list(nodes))
    _deploy(api, "coredns", scenario.coredns_replicas)
    _wait_running(api, "coredns", scenario.coredns_replicas)
    _deploy(api, "nginx", scenario.nginx_replicas)
    return Seeded(scenario, network, nodes)


def _launch(session: boto3.session.Session, scenario: Scenario, network: SeededNetwork) -> tuple[SeededNode, ...]:
    ec2 = session.client("ec2")
    if scenario.provisioner not in ("managed", "self-managed"):
        return tuple(scenario_aws.launch_node(ec2, scenario, network, spec) for spec in scenario.nodes)
    image = scenario_aws.node_image(ec2, scenario)
    launched = scenario_groups.launch_groups(session.client("autoscaling"), ec2, scenario, network, image)
    of_specs = scenario_groups.matched(launched, scenario.nodes)
    return tuple(scenario_aws.launched_node(ec2, spec, instance) for spec, instance in of_specs)


def add_node(api: KubeApi, session: boto3.session.Session, seeded: Seeded, spec: NodeSpec) -> SeededNode:
    """Launch and register one more node, as a node group does when it scales up or replaces a node."""
    node = scenario_aws.launch_node(session.client("ec2"), seeded.scenario, seeded.network, spec)
    register_node(api, session, seeded.scenario, node)
    return node


def register_node(api: KubeApi, session: boto3.session.Session, scenario: Scenario, node: SeededNode) -> None:
    """The Node object as the kubelet of an EKS node registers it: not ready until its CNI works."""
    limits = scenario_aws.pod_limit(session.client("ec2"), node.instance_type)
    created = api.create(NODES, _node_object(scenario, node))
    resources = {"cpu": "2", "memory": "3943372Ki", "pods": str(limits), "ephemeral-storage": "20959212Ki"}
    status = {
        "capacity": resources,
        "allocatable": {**resources, "cpu": "1930m", "memory": "3388364Ki"},
        "addresses": [
            {"type": "InternalIP", "address": node.internal_ip},
            {"type": "InternalDNS", "address": node.name},
            {"type": "Hostname", "address": node.name},
        ],
        "nodeInfo": _node_info(scenario),
    }
    api.patch(NODES.path_of(created, "status"), {"status": status})


def wait_settled(api: KubeApi, running: int, stuck: int, timeout: float = SETTLE_SECONDS) -> None:
    """Wait until that many nginx pods run and that many are bound to a node without an address.

    Raises NotSettled with what was seen instead.
    """
    wanted = {"running": running, "creating": stuck}

    def counts() -> dict[str, int]:
        return {"running": 0, "creating": 0} | Counter(_state_of(pod) for pod in _pods(api, "nginx"))

    _wait(f"nginx pods {wanted}", lambda: counts() == wanted, lambda: str(counts()), timeout)


def _deploy(api: KubeApi, name: str, replicas: int) -> None:
    deployment = manifests.load(name)
    deployment["spec"]["replicas"] = replicas
    api.create(DEPLOYMENTS, deployment)


def _wait_running(api: KubeApi, name: str, count: int) -> None:
    def running() -> int:
        return sum(_state_of(pod) == "running" for pod in _pods(api, name))

    _wait(f"{count} {name} pods running", lambda: running() >= count, lambda: f"{running()} run")


def _pods(api: KubeApi, deployment: str) -> list[Obj]:
    wanted = manifests.load(deployment)["spec"]["selector"]["matchLabels"]
    return [pod for pod in api.get(PODS.path())["items"] if wanted.items() <= labels_of(pod).items()]


def _state_of(pod: Obj) -> str:
    if is_ready(pod) and pod["status"].get("podIP"):
        return "running"
    return "creating" if pod["spec"].get("nodeName") and pod["status"].get("containerStatuses") else "pending"


def _count_ready(api: KubeApi) -> int:
    return sum(is_ready(node) for node in api.get(NODES.path())["items"])


def _wait(goal: str, reached: Callable[[], bool], describe: Callable[[], str], timeout: float = SETTLE_SECONDS) -> None:
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            raise NotSettled(f"not reached within {timeout:.0f} s: {goal}; seen: {describe()}. Does the simulator run?")
        time.sleep(_POLL_SECONDS)


def _node_object(scenario: Scenario, node: SeededNode) -> Obj:
    region = node.zone[:-1]
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
        "eks.amazonaws.com/nodegroup": scenario_groups.node_group(scenario, node.zone),
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": node.instance_type,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": node.zone,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"providerID": f"aws:///{node.zone}/{node.instance_id}"},
    }


def _node_info(scenario: Scenario) -> Obj:
    version = f"v{scenario.kubernetes_version}.0-eks-simulated"
    return {
        "architecture": "amd64",
        "operatingSystem": "linux",
        "osImage": "Amazon Linux 2023",
        "kernelVersion": "6.12.40-64.114.amzn2023.x86_64",
        "containerRuntimeVersion": "containerd://1.7.27",
        "kubeletVersion": version,
        "kubeProxyVersion": version,
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
    }


def main() -> None:
    """Seed the reference scenario; exit status 1 with a message when it cannot be reached."""
    parser = argparse.ArgumentParser(prog="python -m local.cluster.scenario", description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", type=Path, required=True, help="kubeconfig of an administrator")
    parser.add_argument("--cluster", default=Scenario.cluster, help="name of the EKS cluster (default demo)")
    parser.add_argument("--self-managed", action="store_true", help="aws-node as a DaemonSet of its own, no add-on")
    given = parser.parse_args()
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    scenario = replace(Scenario(), cluster=given.cluster, managed_addon=not given.self_managed)
    try:
        api = KubeApi(given.kubeconfig)
        seeded = seed(api, boto3.session.Session(), scenario)
        wait_settled(api, running=8, stuck=2)
    except (ApiError, ApiUnreachable, BotoCoreError, ClientError, NotSettled) as error:
        sys.exit(f"the scenario could not be seeded: {error}")
    _LOG.info("cluster %s in %s: 8 nginx pods run, 2 wait for an address", scenario.cluster, seeded.network.vpc_id)


if __name__ == "__main__":
    main()
