"""Which nodes can be replaced, by whom, and what keeps a pod where it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.clients.kubernetes.objects import Budget, NodePod
from ip_remediator.incidents.replacement_record import NodeReplacement, NodeState, ZoneReplacement, summary
from ip_remediator.node_replacement.rules import (
    CLUSTER_TAG,
    CONSENT_TAG,
    Candidate,
    OwningGroup,
    blocking,
    obstacles,
    refusal,
    unwell,
)
from ip_remediator.snapshot.model_node_group import NodeGroupState

GROUP = OwningGroup("eks-nodes-1", {CLUSTER_TAG: "shop"}, ())
POD = NodePod("default", "web-1", "uid-1", False, True, "rs-1", "ReplicaSet", {"app": "web"}, {})
NODE = Candidate("ip-10-0-0-4", "eu-west-1a", "i-1", "managed", (POD,), GROUP, None)
UPDATING = NodeGroupState(name="web", status="UPDATING")
BUDGET = Budget("default", "web", {"matchLabels": {"app": "web"}}, allowed=0, desired_healthy=2, current_healthy=2)


def test_a_node_of_a_managed_group_is_replaced_by_its_auto_scaling_group() -> None:
    assert obstacles(NODE, "shop") == []
    result = NODE.replacement()
    assert (result.host, result.owner, result.pods, result.state) == ("auto_scaling", GROUP.name, 1, NodeState.WAITING)


def test_karpenters_node_is_replaced_by_its_node_claim_whatever_group_there_is() -> None:
    node = replace(NODE, provisioner="karpenter", group=None, claim="default-x")
    assert obstacles(node, "shop") == []
    assert (node.replacement().host, node.replacement().owner) == ("karpenter", "default-x")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"group": None}, "managed node group, but instance i-1 is in no Auto Scaling group"),
        ({"group": None, "provisioner": "self-managed"}, "self-managed, but instance i-1 is in no Auto Scaling group"),
        ({"group": None, "provisioner": None}, "unknown maker"),
        ({"provisioner": "karpenter", "group": None}, "Karpenter has no NodeClaim for it"),
        ({"group": replace(GROUP, tags={})}, f"tag it {CONSENT_TAG}=shop"),
        ({"group": replace(GROUP, tags={CLUSTER_TAG: "other"})}, f"tag it {CONSENT_TAG}=shop"),
        ({"group": replace(GROUP, suspended=("AZRebalance", "Launch"))}, "has suspended Launch: resume it"),
        ({"node_group": UPDATING}, "node group web is UPDATING: replace its nodes once EKS is done with it"),
        ({"pods": (replace(POD, controller=None, kind=""),)}, "default/web-1 would not come back"),
        (
            {"pods": (replace(POD, annotations={"karpenter.sh/do-not-disrupt": "true"}),)},
            "default/web-1 must not be moved",
        ),
        (
            {"pods": (replace(POD, annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}),)},
            "default/web-1 must not be moved",
        ),
    ],
)
def test_what_cannot_be_replaced_is_told_with_the_remedy(changed: dict[str, Any], reason: str) -> None:
    [obstacle] = obstacles(replace(NODE, **changed), "shop")
    assert obstacle.startswith("ip-10-0-0-4: ")
    assert reason in obstacle


def test_a_node_of_a_degraded_group_is_replaced_and_the_note_promises_no_new_node() -> None:
    node = replace(NODE, node_group=NodeGroupState(name="web", status="DEGRADED", issues=("Ec2SubnetNotFound",)))
    assert obstacles(node, "shop") == []
    assert unwell([node, node]) == ["node group web is DEGRADED (Ec2SubnetNotFound): a new node of it may not come"]


def test_a_self_managed_group_is_used_with_its_owners_consent() -> None:
    group = OwningGroup("workers", {CONSENT_TAG: "shop"}, ())
    assert obstacles(replace(NODE, provisioner="self-managed", group=group), "shop") == []


@pytest.mark.parametrize("change", [{"kind": "DaemonSet"}, {"annotations": {"kubernetes.io/config.mirror": "x"}}])
def test_pods_that_end_with_their_node_are_in_nobodys_way(change: dict[str, Any]) -> None:
    node = replace(NODE, pods=(replace(POD, controller=None, **change),))
    assert obstacles(node, "shop") == []
    assert node.replacement().pods == 0


def test_a_budget_that_allows_nothing_is_told_for_nodes_with_running_pods_of_it() -> None:
    waiting = replace(NODE, pods=(replace(POD, has_address=False),))
    [note] = blocking([NODE], [BUDGET])
    assert note == (
        "PodDisruptionBudget default/web (needs 2 healthy pods, has 2) allows no eviction now: "
        "ip-10-0-0-4 would wait for it"
    )
    assert blocking([waiting], [BUDGET]) == blocking([NODE], [replace(BUDGET, allowed=1)]) == []


def test_a_pod_of_two_budgets_cannot_be_evicted() -> None:
    assert obstacles(NODE, "shop", [BUDGET]) == []
    [obstacle] = obstacles(NODE, "shop", [BUDGET, replace(BUDGET, name="web-too", allowed=1)])
    assert obstacle == ("ip-10-0-0-4: default/web-1 cannot be evicted: more than one PodDisruptionBudget covers it")


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "api"}}, False),
        ({}, True),
        (None, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_a_budget_covers_what_its_selector_says(selector: dict[str, Any] | None, covered: bool) -> None:
    budget = replace(BUDGET, selector=selector)
    assert budget.covers(POD) is covered
    assert not budget.covers(replace(POD, namespace="other"))


def test_a_refused_eviction_names_its_budget() -> None:
    assert refusal(POD, [BUDGET]) == (
        "PodDisruptionBudget default/web (needs 2 healthy pods, has 2) keeps default/web-1"
    )
    assert refusal(POD, []) == "a disruption budget keeps default/web-1"


@given(st.lists(st.sampled_from(NodeState), max_size=6))
def test_one_node_of_a_zone_is_current_until_all_are_replaced(states: list[NodeState]) -> None:
    nodes = [
        NodeReplacement(name="same", instance=f"i-{number}", host="auto_scaling", owner="g", pods=2, state=state)
        for number, state in enumerate(states)
    ]
    zone = ZoneReplacement(nodes=tuple(nodes))
    remaining = [node for node in nodes if node.state is not NodeState.REPLACED]
    while zone.current is not None:
        assert zone.current == remaining.pop(0)
        zone = zone.with_node(zone.current.model_copy(update={"state": NodeState.REPLACED}))
    assert remaining == []
    assert [node.instance for node in zone.nodes] == [node.instance for node in nodes]


def test_the_numbers_are_of_what_is_left() -> None:
    done = NodeReplacement(name="a", instance="i-1", host="karpenter", owner="c", pods=5, state=NodeState.REPLACED)
    waiting = NodeReplacement(name="b", instance="i-2", host="karpenter", owner="d", pods=3)
    zones = {"eu-west-1a": ZoneReplacement(nodes=(done, waiting)), "eu-west-1b": ZoneReplacement(nodes=(done,))}
    assert summary(zones) == "1 node in 1 zone, 3 pods to be moved"
