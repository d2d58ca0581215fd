"""Pods and nodes: what scheduler, kubelet and drain rely on."""

from __future__ import annotations

import pytest
from kubernetes import client

from tests.stack.kubernetes.support import eventually, pod, refused


def binding(name, node):
    return {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": node}}


@pytest.fixture
def bind(cluster, namespace):
    def send(name, node, body=None):
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/binding"
        return cluster.request("POST", path, body or binding(name, node))

    return send


@pytest.fixture
def evict(cluster, namespace):
    version = cluster.policy

    def send(name, **options):
        body = {"apiVersion": f"policy/{version}", "kind": "Eviction", "metadata": {"name": name}, **options}
        return cluster.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)

    return send


@pytest.fixture
def running(core, namespace):
    """A function that makes a pod which runs on a node."""

    def make(name, labels=None):
        core.create_namespaced_pod(namespace, pod(name, labels, nodeName="n1"))
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        return core.patch_namespaced_pod_status(name, namespace, {"status": status})

    return make


@pytest.fixture
def budget(cluster, namespace):
    """A function that makes a disruption budget, and one that plays its controller."""
    custom = client.CustomObjectsApi(cluster.api())
    where = ("policy", cluster.policy, namespace, "poddisruptionbudgets")
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    body = {
        "apiVersion": f"policy/{cluster.policy}",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": spec,
    }
    custom.create_namespaced_custom_object(*where, body)

    def allow(disruptions):
        counts = {
            "observedGeneration": 1,
            "disruptionsAllowed": disruptions,
            "currentHealthy": 1 + disruptions,
            "desiredHealthy": 1,
            "expectedPods": 1 + disruptions,
        }
        path = f"/apis/policy/{cluster.policy}/namespaces/{namespace}/poddisruptionbudgets/web/status"
        answer = cluster.request("PATCH", path, {"status": counts}, content_type="application/merge-patch+json")
        assert answer.status_code == 200, answer.text

    def read():
        return custom.get_namespaced_custom_object(*where, "web")

    return allow, read


def test_a_new_pod_is_pending_whatever_status_it_was_sent_with(core, namespace):
    created = core.create_namespaced_pod(namespace, {**pod("a"), "status": {"phase": "Running", "podIP": "1.2.3.4"}})

    assert (created.status.phase, created.status.pod_ip, created.status.qos_class) == ("Pending", None, "BestEffort")
    assert created.spec.node_name is None
    assert {item.key for item in created.spec.tolerations} == {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }


def test_a_binding_assigns_a_pod_to_a_node_once(core, bind, namespace):
    core.create_namespaced_pod(namespace, pod("a"))

    first, second = bind("a", "n1"), bind("a", "n2")

    assert (first.status_code, first.json()["status"]) == (201, "Success")
    assert (second.status_code, second.json()["reason"]) == (409, "Conflict")
    assert 'pod a is already assigned to node "n1"' in second.json()["message"]
    bound = core.read_namespaced_pod("a", namespace)
    assert bound.spec.node_name == "n1"
    assert [(item.type, item.status) for item in bound.status.conditions] == [("PodScheduled", "True")]


def test_bindings_that_name_nothing_are_refused(core, bind, namespace):
    core.create_namespaced_pod(namespace, pod("a"))

    answers = [bind("ghost", "n1"), bind("a", "n1", binding("other", "n1")), bind("a", "")]

    assert [item.status_code for item in answers] == [404, 400, 500]


def test_the_python_client_binds(core, namespace):
    core.create_namespaced_pod(namespace, pod("a"))
    target = client.V1ObjectReference(api_version="v1", kind="Node", name="n1")
    body = client.V1Binding(metadata=client.V1ObjectMeta(name="a"), target=target)

    core.create_namespaced_pod_binding("a", namespace, body, _preload_content=False)

    assert core.read_namespaced_pod("a", namespace).spec.node_name == "n1"


def test_only_image_and_added_tolerations_of_a_pod_can_change(core, namespace):
    core.create_namespaced_pod(namespace, pod("a"))

    changed = core.patch_namespaced_pod(
        "a",
        namespace,
        {
            "spec": {
                "containers": [{"name": "main", "image": "nginx:2"}],
                "tolerations": [{"key": "x", "operator": "Exists"}],
            }
        },
    )

    assert changed.spec.containers[0].image == "nginx:2"
    assert "x" in {item.key for item in changed.spec.tolerations}
    for spec in ({"nodeName": "n1"}, {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}):
        with refused(422, "Invalid") as status:
            core.patch_namespaced_pod("a", namespace, {"spec": spec})
        cause = status["details"]["causes"][0]
        assert cause["field"] == "spec"
        assert cause["message"].startswith(
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
        )


def test_a_pod_without_a_node_is_deleted_at_once(core, namespace):
    core.create_namespaced_pod(namespace, pod("a"))

    core.delete_namespaced_pod("a", namespace)

    with refused(404, "NotFound"):
        core.read_namespaced_pod("a", namespace)


def test_a_pod_on_a_node_waits_for_its_kubelet(core, running, namespace):
    running("a")

    marked = core.delete_namespaced_pod("a", namespace)
    again = core.delete_namespaced_pod("a", namespace)

    assert marked.metadata.deletion_grace_period_seconds == 30
    assert marked.metadata.deletion_timestamp > marked.metadata.creation_timestamp
    assert again.metadata.deletion_timestamp == marked.metadata.deletion_timestamp
    assert core.read_namespaced_pod("a", namespace).status.phase == "Running"
    core.delete_namespaced_pod("a", namespace, grace_period_seconds=0)
    with refused(404, "NotFound"):
        core.read_namespaced_pod("a", namespace)


def test_grace_can_be_asked_for_and_shortened(core, running, namespace):
    running("a")

    first = core.delete_namespaced_pod("a", namespace, body={"gracePeriodSeconds": 20})
    shorter = core.delete_namespaced_pod("a", namespace, body={"gracePeriodSeconds": 5})
    longer = core.delete_namespaced_pod("a", namespace, body={"gracePeriodSeconds": 25})

    seconds = [item.metadata.deletion_grace_period_seconds for item in (first, shorter, longer)]
    assert seconds == [20, 5, 5]


def test_a_finished_pod_has_no_grace(core, running, namespace):
    running("a")
    core.patch_namespaced_pod_status("a", namespace, {"status": {"phase": "Succeeded"}})

    core.delete_namespaced_pod("a", namespace)

    with refused(404, "NotFound"):
        core.read_namespaced_pod("a", namespace)


def test_a_pod_status_reports_addresses_and_containers(core, running, namespace):
    running("a")
    container = {"name": "main", "ready": True, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}

    status = core.patch_namespaced_pod_status(
        "a",
        namespace,
        {
            "status": {
                "podIP": "100.64.0.9",
                "podIPs": [{"ip": "100.64.0.9"}],
                "hostIP": "10.0.0.4",
                "containerStatuses": [container],
            }
        },
    ).status

    assert (status.pod_ip, status.pod_ips[0].ip, status.host_ip) == ("100.64.0.9", "100.64.0.9", "10.0.0.4")
    # required fields that were not sent come back as their zero values: typed clients need them
    assert (status.container_statuses[0].restart_count, status.container_statuses[0].image) == (0, "")


def test_an_eviction_without_a_budget_deletes(core, running, evict, namespace):
    running("a")

    assert evict("a").status_code == 201

    assert core.read_namespaced_pod("a", namespace).metadata.deletion_timestamp is not None
    assert evict("ghost").json()["reason"] == "NotFound"


def test_an_eviction_that_breaks_a_budget_is_too_many_requests(core, running, evict, budget, namespace):
    allow, _ = budget
    running("a", {"app": "web"})
    allow(0)

    answer = evict("a")

    status = answer.json()
    assert (answer.status_code, status["reason"]) == (429, "TooManyRequests")
    assert status["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert status["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget web needs 1 healthy pods and has 1 currently",
        }
    ]
    assert core.read_namespaced_pod("a", namespace).metadata.deletion_timestamp is None


def test_a_budget_that_its_controller_has_not_seen_stops_evictions(running, evict, budget):
    running("a", {"app": "web"})

    answer = evict("a")

    assert answer.status_code == 429
    assert "is still being processed by the server" in answer.json()["details"]["causes"][0]["message"]


def test_an_eviction_uses_the_allowance_up(running, evict, budget):
    allow, read = budget
    running("a", {"app": "web"})
    running("b", {"app": "web"})
    allow(1)

    dry = evict("a", deleteOptions={"dryRun": ["All"]})
    first, second = evict("a"), evict("b")

    assert [item.status_code for item in (dry, first, second)] == [201, 201, 429]
    status = read()["status"]
    assert status["disruptionsAllowed"] == 0
    assert list(status["disruptedPods"]) == ["a"]


def test_a_pending_pod_is_evicted_without_asking_its_budget(core, evict, budget, namespace):
    allow, read = budget
    allow(0)
    core.create_namespaced_pod(namespace, pod("a", {"app": "web"}))

    assert evict("a").status_code == 201

    eventually(lambda: not core.list_namespaced_pod(namespace).items)
    assert "disruptedPods" not in read()["status"]


def test_a_new_node_is_tainted_until_it_is_ready(core, node):
    created = core.read_node(node)

    assert [(item.key, item.effect) for item in created.spec.taints] == [("node.kubernetes.io/not-ready", "NoSchedule")]


def test_node_quantities_are_strings_and_allocatable_follows_capacity(core, node):
    core.patch_node_status(node, {"status": {"capacity": {"pods": 17, "cpu": "2"}, "allocatable": {"pods": 17}}})

    status = core.read_node(node).status

    assert (status.capacity, status.allocatable) == ({"pods": "17", "cpu": "2"}, {"pods": "17"})


def test_a_node_keeps_the_instance_it_was_given(core, node):
    core.patch_node(node, {"spec": {"providerID": "aws:///a/i-1"}})

    with refused(422, "Invalid") as status:
        core.patch_node(node, {"spec": {"providerID": "aws:///a/i-2"}})

    assert status["details"]["causes"][0]["field"] == "spec.providerID"
