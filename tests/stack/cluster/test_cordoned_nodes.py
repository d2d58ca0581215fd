"""ipamd leaves the ENIs of cordoned nodes alone: whoever waits for them has to uncordon the nodes first."""

from __future__ import annotations

import pytest
from kubernetes import client

from local.cluster.scenario import seed, wait_settled
from local.cluster.scenario_spec import Scenario
from tests.stack.cluster.remedy import (
    CUSTOM_NETWORKING,
    add_range,
    configure_addon,
    create_eni_config,
    enis_in,
    scale_nginx,
)
from tests.stack.cluster.stack import Stack, addresses
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


def mark(stack: Stack, node: str, *, cordoned: bool) -> None:
    with stack.kube() as api:
        client.CoreV1Api(api).patch_node(node, {"spec": {"unschedulable": cordoned}})

    def tainted() -> bool:
        with stack.kube() as api:
            taints = client.CoreV1Api(api).read_node(node).spec.taints or []
        return any(taint.key == "node.kubernetes.io/unschedulable" for taint in taints)

    eventually("the taint follows", tainted, lambda current: current is cordoned)


def test_given_a_cordoned_node_when_its_pods_have_left_then_its_eni_stays_until_it_is_uncordoned(stack: Stack) -> None:
    stack.start_simulator()
    made = seed(stack.api(), stack.session(), Scenario())
    wait_settled(stack.api(), running=8, stuck=2)
    subnets = add_range(stack, made)
    for zone, subnet in subnets.items():
        create_eni_config(stack, zone, subnet)
    configure_addon(stack, CUSTOM_NETWORKING)
    eventually("ten pods run", lambda: addresses(stack), lambda by_pod: len(by_pod) == 10)
    cordoned, other = (node.instance_id for node in made.nodes)
    mark(stack, made.nodes[0].name, cordoned=True)

    # A warm target which keeps no whole ENI.
    configure_addon(stack, {"MINIMUM_IP_TARGET": "1"})
    scale_nginx(stack, 8)

    def owners() -> set[str]:
        return {eni["Attachment"]["InstanceId"] for eni in enis_in(stack, subnets)}

    eventually("the other node's ENI is gone", owners, lambda owner_ids: other not in owner_ids)
    kept = "AWS CNI is on a non schedulable node, not detaching any ENIs"
    eventually("ipamd says why not", lambda: any(kept in line["msg"] for line in stack.ipamd_log()))
    assert owners() == {cordoned}

    mark(stack, made.nodes[0].name, cordoned=False)
    eventually("its ENI is gone as well", owners, lambda owner_ids: not owner_ids)
