"""A Kubernetes API that is slow, busy, forgetful or guarded: each is told by its name, and nothing is missed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ip_remediator.clients.kubernetes.api import KubernetesDenied, KubernetesUnreachable
from ip_remediator.common.errors import RequestRefused, Transient
from ip_remediator.planning.changes import cni_settings
from ip_remediator.provisioning.kubernetes import KubeChanges, RolloutStalled
from tests.contract.support.clusters import AWS_NODE, WRITER, Kubernetes

NODES = "/api/v1/nodes"
AWS_PODS = "/api/v1/namespaces/kube-system/pods"


@pytest.fixture
def faulty(kubernetes: Kubernetes) -> Iterator[Kubernetes]:
    if kubernetes.kind != "embedded":
        pytest.skip("a real API server has no faults on demand")
    kubernetes.install_aws_node()
    yield kubernetes
    kubernetes.admin.delete("/_local/faults")


def inject(kubernetes: Kubernetes, action: str, **fault: Any) -> None:
    """At calls of the writers' user."""
    kubernetes.admin.create("/_local/faults", {"user": "writer", "action": action, **fault})


@pytest.fixture
def nodes(kubernetes: Kubernetes) -> Iterator[set[str]]:
    """More than one page of two."""
    names = {f"degraded-{number}" for number in range(5)}
    for name in sorted(names):
        kubernetes.admin.create(NODES, {"metadata": {"name": name}})
    yield names
    for name in names:
        kubernetes.admin.delete(f"{NODES}/{name}")


def test_given_a_list_whose_token_expires_between_two_pages_then_it_begins_again_or_says_that_it_can_be_tried_again(
    faulty: Kubernetes, nodes: set[str]
) -> None:
    inject(faulty, "list nodes", status=410, skip=1)
    try:
        listed = [item["metadata"]["name"] for item in faulty.api(WRITER).items(NODES, 2)]
    except Transient:
        return
    assert nodes <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"status": 429, "retry_after": 1, "message": "too many requests"}, KubernetesUnreachable, "429"),
        ({"status": 503}, KubernetesUnreachable, "503"),
        ({"when": "cut"}, KubernetesUnreachable, "not JSON|no answer|IncompleteRead|GET"),
        ({"status": 403, "message": "forbidden"}, KubernetesDenied, "forbidden"),
    ],
)
def test_given_a_server_that_does_not_answer_as_asked_then_the_error_says_how(
    faulty: Kubernetes, fault: dict[str, Any], error: type[Exception], words: str
) -> None:
    inject(faulty, "get daemonsets", times=9, **fault)
    with pytest.raises(error, match=words):
        KubeChanges(faulty.api(WRITER)).cni_environment()


def test_given_a_busy_server_that_says_when_to_come_back_then_it_is_asked_again_then_and_not_before(
    faulty: Kubernetes,
) -> None:
    faulty.admin.delete("/_local/calls")
    inject(faulty, "get daemonsets", status=429, retry_after=1, times=2)
    began = time.monotonic()
    assert KubeChanges(faulty.api(WRITER)).cni_environment()
    assert time.monotonic() - began >= 2  # at the earliest, whatever the load of the machine
    calls = [call["status"] for call in faulty.admin.get("/_local/calls")["items"] if call["user"] == "writer"]
    assert calls == [429, 429, 200]


def test_given_a_busy_server_that_asks_for_minutes_then_it_is_told_and_left_to_the_state_machine(
    faulty: Kubernetes,
) -> None:
    inject(faulty, "patch daemonsets", status=429, retry_after=120, message="the server is overloaded", times=3)
    with pytest.raises(KubernetesUnreachable, match="429: the server is overloaded"):
        KubeChanges(faulty.api(WRITER)).apply_cni_environment(cni_settings())


def test_given_a_stuck_rollout_then_the_nodes_that_are_late_are_named_with_the_reason(faulty: Kubernetes) -> None:
    not_ready = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]
    waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}], "phase": "Pending"}
    make_late(faulty, "late-1", node={"conditions": not_ready}, pod={"phase": "Running"})
    make_late(faulty, "late-2", node={"conditions": [{"type": "Ready", "status": "True"}]}, pod=waiting)
    faulty.set_rollout(wanted=3, updated=1, available=1)
    try:
        with pytest.raises(RolloutStalled) as stalled:
            KubeChanges(faulty.api(WRITER)).await_rollout(1)
        words = "1 of 3 updated, 1 available; not ready: late-1 (the node is NotReady), late-2 (ImagePullBackOff)"
        assert words in str(stalled.value).replace(" and ", ", ")
    finally:
        for name in ("late-1", "late-2"):
            faulty.admin.delete(f"{AWS_PODS}/aws-node-{name}?gracePeriodSeconds=0")
            faulty.admin.delete(f"{NODES}/{name}")


def make_late(kubernetes: Kubernetes, name: str, node: dict[str, Any], pod: dict[str, Any]) -> None:
    """A node and its pod of aws-node, in the states given."""
    kubernetes.admin.create(NODES, {"metadata": {"name": name}})
    kubernetes.admin.patch(f"{NODES}/{name}/status", {"status": node})
    labels = kubernetes.admin.get(AWS_NODE)["spec"]["selector"]["matchLabels"]
    spec = {"nodeName": name, "containers": [{"name": "aws-node", "image": "cni"}]}
    path = f"{AWS_PODS}/aws-node-{name}"
    kubernetes.admin.create(AWS_PODS, {"metadata": {"name": f"aws-node-{name}", "labels": labels}, "spec": spec})
    kubernetes.admin.patch(f"{path}/status", {"status": pod})


def test_given_an_admission_webhook_that_refuses_then_its_words_are_told(faulty: Kubernetes) -> None:
    message = 'admission webhook "validate.policy.example.com" denied the request: changes need a ticket'
    inject(faulty, "patch daemonsets", status=400, message=message)
    with pytest.raises(RequestRefused, match=r"validate\.policy\.example\.com. denied the request"):
        KubeChanges(faulty.api(WRITER)).apply_cni_environment(cni_settings())


def test_given_a_webhook_that_forbids_then_it_is_a_denial_with_its_words(faulty: Kubernetes) -> None:
    message = 'admission webhook "guard.example.com" denied the request: not in business hours'
    inject(faulty, "patch daemonsets", status=403, message=message)
    with pytest.raises(KubernetesDenied, match="not in business hours"):
        KubeChanges(faulty.api(WRITER)).apply_cni_environment(cni_settings())


def test_given_a_watch_that_is_dropped_then_the_rollout_is_seen_all_the_same(faulty: Kubernetes) -> None:
    faulty.set_rollout(wanted=2, updated=1, available=2)
    inject(faulty, "watch daemonsets", when="cut", times=2)
    with pytest.raises((RolloutStalled, KubernetesUnreachable)):
        KubeChanges(faulty.api(WRITER)).await_rollout(1)
    faulty.set_rollout(wanted=2, updated=2, available=2)
    KubeChanges(faulty.api(WRITER)).await_rollout(10)


def test_given_a_watch_from_a_version_that_is_gone_then_it_begins_anew(faulty: Kubernetes) -> None:
    faulty.set_rollout(wanted=2, updated=1, available=2)
    inject(faulty, "watch daemonsets", status=410, times=2)
    with pytest.raises(RolloutStalled, match="1 of 2 updated"):
        KubeChanges(faulty.api(WRITER)).await_rollout(1)


def test_given_a_slow_server_then_an_answer_within_the_patience_counts(faulty: Kubernetes) -> None:
    inject(faulty, "get daemonsets", when="after", delay=0.5)
    with pytest.raises(KubernetesUnreachable):
        KubeChanges(faulty.api(WRITER)).cni_environment()
    assert KubeChanges(faulty.api(WRITER)).cni_environment()
