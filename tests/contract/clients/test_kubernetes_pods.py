"""Waiting for pods by watch, on a real API."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.pods import KubePods
from tests.contract.conftest import unique
from tests.contract.support.clusters import READER, Kubernetes
from tests.support.patience import within


@pytest.fixture
def pods(kubernetes: Kubernetes) -> KubePods:
    return KubePods(kubernetes.api(READER))


@pytest.fixture
def path(kubernetes: Kubernetes) -> str:
    namespace = unique("ns")
    kubernetes.admin.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    return f"/api/v1/namespaces/{namespace}/pods"


def create(kubernetes: Kubernetes, path: str, name: str) -> str:
    body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    return str(kubernetes.admin.create(path, body)["metadata"]["uid"])


def run(kubernetes: Kubernetes, path: str, name: str, address: str = "100.64.0.9") -> None:
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    kubernetes.admin.patch(f"{path}/{name}/status", {"status": status})


def waiting(pods: KubePods, uids: set[str], seconds: float) -> tuple[threading.Thread, list[Any]]:
    """A thread that waits, and what it gets: (who still waits, when it returned)."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append((pods.await_not_pending(uids, seconds), time.monotonic())))
    thread.start()
    return thread, answers


def test_given_pods_that_start_then_the_wait_ends_with_the_last_of_them(
    kubernetes: Kubernetes, pods: KubePods, path: str
) -> None:
    uids = {create(kubernetes, path, name) for name in ("one", "two")}
    create(kubernetes, path, "not-ours")
    thread, answers = waiting(pods, uids, 30)
    run(kubernetes, path, "one")
    thread.join(0.3)
    assert thread.is_alive()
    run(kubernetes, path, "two")
    started = time.monotonic()
    thread.join(within(10))
    [(still_pending, ended)] = answers
    assert still_pending == set()
    assert ended - started < within(2)


def test_given_a_pod_that_is_deleted_then_nobody_waits_for_it(
    kubernetes: Kubernetes, pods: KubePods, path: str
) -> None:
    uid = create(kubernetes, path, "one")
    thread, answers = waiting(pods, {uid}, 30)
    kubernetes.admin.delete(f"{path}/one")
    thread.join(within(10))
    assert answers
    assert answers[0][0] == set()


def test_given_a_pod_that_stays_pending_then_it_is_told_when_the_time_is_over(
    kubernetes: Kubernetes, pods: KubePods, path: str
) -> None:
    stuck, running = create(kubernetes, path, "stuck"), create(kubernetes, path, "runs")
    run(kubernetes, path, "runs")
    began = time.monotonic()
    assert pods.await_not_pending({stuck, running}, 1) == {stuck}
    assert 0.9 < time.monotonic() - began < within(5)


def test_given_no_time_then_the_state_of_the_moment_is_told(kubernetes: Kubernetes, pods: KubePods, path: str) -> None:
    uid = create(kubernetes, path, "one")
    assert pods.await_not_pending({uid}, 0) == {uid}
    assert pods.await_not_pending({"made-up"}, 0) == set()


def test_given_names_then_the_present_pods_are_read_by_name(kubernetes: Kubernetes, pods: KubePods, path: str) -> None:
    uid = create(kubernetes, path, "one")
    run(kubernetes, path, "one")
    namespace = path.split("/")[4]
    present = pods.present([f"{namespace}/one", f"{namespace}/nobody", "no-such-namespace/one", "a%2f/..", "no-slash"])
    assert list(present) == [f"{namespace}/one"]
    pod = present[f"{namespace}/one"]
    assert (pod["metadata"]["uid"], pod["status"]["podIP"]) == (uid, "100.64.0.9")


def test_given_many_names_of_a_namespace_then_it_is_listed_at_once(
    kubernetes: Kubernetes, pods: KubePods, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace, asked, get = path.split("/")[4], list[str](), KubeApi.get
    uids = {f"{namespace}/web-{number}": create(kubernetes, path, f"web-{number}") for number in range(60)}
    create(kubernetes, path, "not-ours")
    monkeypatch.setattr(KubeApi, "get", lambda api, where, **query: asked.append(where) or get(api, where, **query))
    present = pods.present([*uids, f"{namespace}/nobody"])
    assert {name: pod["metadata"]["uid"] for name, pod in present.items()} == uids
    assert asked == [path]


def test_given_pods_without_a_node_when_asked_then_those_of_the_namespaces_that_came_since_are_named(
    kubernetes: Kubernetes, pods: KubePods, path: str
) -> None:
    namespace = path.split("/")[4]
    create(kubernetes, path, "homeless")
    create(kubernetes, path, "runs")
    run(kubernetes, path, "runs")
    assert pods.without_node({namespace}, None) == [f"{namespace}/homeless"]
    assert pods.without_node({"another"}, None) == []
    assert pods.without_node(set(), None) == []
    assert pods.without_node({namespace}, datetime.now(UTC) + timedelta(hours=1)) == []
