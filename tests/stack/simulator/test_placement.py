"""The scheduler's choice and a DaemonSet's nodes."""

from __future__ import annotations

from typing import Any

from local.cluster import manifests
from local.cluster.controllers.node_lifecycle import wanted_taints
from local.cluster.controllers.placement import Placed, Unschedulable, choose_node, daemon_runs_on
from local.cluster.objects import scaled_value


def node(name: str, *, ready: bool = True, pods: int = 17, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
        "spec": spec,
        "status": {
            "allocatable": {"pods": str(pods)},
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def pod(name: str, app: str, on: str | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": {"app": app, "pod-template-hash": name}}
    return {"metadata": metadata, "spec": {**spec, **({"nodeName": on} if on else {})}, "status": {}}


def test_given_ten_pods_when_placed_one_by_one_then_each_node_gets_five_of_the_app() -> None:
    placed = [pod("dns-1", "dns", "a"), pod("dns-2", "dns", "a"), pod("dns-3", "dns", "b")]
    for number in range(10):
        decision = choose_node(pod(f"web-{number}", "web"), [node("a"), node("b")], placed)
        assert isinstance(decision, Placed)
        placed.append(pod(f"web-{number}", "web", decision.node))
    web = [item["spec"]["nodeName"] for item in placed if item["metadata"]["labels"]["app"] == "web"]
    assert web.count("a") == web.count("b") == 5


def test_given_full_unready_cordoned_and_tainted_nodes_then_the_reasons_are_counted() -> None:
    nodes = [
        node("full", pods=1),
        node("down", ready=False),
        node("cordoned", unschedulable=True),
        node("tainted", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]),
    ]
    decision = choose_node(pod("web-1", "web"), nodes, [pod("x", "x", "full")])
    assert decision == Unschedulable(
        "0/4 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint {gpu: yes}, "
        "1 node(s) were not ready, 1 node(s) were unschedulable."
    )


def test_given_a_toleration_and_a_node_selector_then_they_decide() -> None:
    tainted = node("tainted", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    tolerant = pod("web-1", "web", tolerations=[{"key": "gpu", "operator": "Equal", "value": "yes"}])
    assert choose_node(tolerant, [tainted], []) == Placed("tainted")
    elsewhere = pod("web-2", "web", nodeSelector={"kubernetes.io/os": "windows"})
    assert isinstance(choose_node(elsewhere, [node("a")], []), Unschedulable)


def test_given_the_aws_node_daemonset_then_it_runs_on_unready_and_cordoned_nodes_but_not_on_fargate() -> None:
    template = manifests.aws_node({})["spec"]["template"]
    taints = [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    assert daemon_runs_on(template, node("a", ready=False, unschedulable=True, taints=taints))
    fargate = node("f")
    fargate["metadata"]["labels"]["eks.amazonaws.com/compute-type"] = "fargate"
    assert not daemon_runs_on(template, fargate)


def test_given_a_node_that_becomes_ready_then_only_the_not_ready_taint_goes() -> None:
    own = {"key": "dedicated", "value": "x", "effect": "NoSchedule"}
    not_ready = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert wanted_taints([own, not_ready], ready=True) == [own]
    assert wanted_taints([own], ready=False) == [own, not_ready]
    assert wanted_taints([not_ready, own], ready=False) == [not_ready, own]


def test_percentages_round_as_kubernetes_rounds_them() -> None:
    assert scaled_value("10%", 2, default=1, round_up=True) == 1
    assert scaled_value("25%", 10, default=1, round_up=False) == 2
    assert scaled_value(None, 10, default=1, round_up=True) == 1
