"""The simulator is killed at any moment and started again: what it finds in Kubernetes and EC2 is enough to go on."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from local.cluster.scenario import seed, wait_settled
from local.cluster.scenario_spec import NodeSpec, Scenario, Zone
from tests.stack.cluster.remedy import scale_nginx
from tests.stack.cluster.stack import Stack, nginx

pytestmark = pytest.mark.slow

KILLS = 4
ZONE = "ap-northeast-2a"
ROOMY = replace(
    Scenario(),
    zones=(Zone(ZONE, "10.0.0.0/26"),),
    nodes=(NodeSpec(ZONE),),
    free_per_subnet=30,
    free_eni_slots=True,
    nginx_replicas=3,
)


def addresses_of_instances(stack: Stack) -> set[str]:
    filters = [{"Name": "attachment.status", "Values": ["attached"]}]
    interfaces = stack.aws("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    return {item["PrivateIpAddress"] for interface in interfaces for item in interface["PrivateIpAddresses"]}


def test_given_pods_that_come_and_go_when_the_simulator_is_killed_then_all_run_again_and_none_shares_an_address(
    stack: Stack,
) -> None:
    stack.start_simulator()
    seed(stack.api(), stack.session(), ROOMY)
    wait_settled(stack.api(), running=3, stuck=0)

    for number in range(KILLS):
        kept = {pod.metadata.name: pod.status.pod_ip for pod in nginx(stack)}
        replicas = 9 if number % 2 == 0 else 4
        scale_nginx(stack, replicas)
        time.sleep(random.uniform(0.0, 1.0))
        stack.kill("cluster")
        stack.start_simulator()

        wait_settled(stack.api(), running=replicas, stuck=0)
        addresses = {pod.metadata.name: pod.status.pod_ip for pod in nginx(stack)}
        assert len(set(addresses.values())) == replicas
        assert set(addresses.values()) <= addresses_of_instances(stack)
        # Who stayed has kept the address.
        assert all(addresses[pod] == kept[pod] for pod in kept.keys() & addresses.keys())
