"""The unmodified kubectl, as people use it."""

from __future__ import annotations

import json
import re
import subprocess
import threading

import pytest
import yaml

from tests.stack.kubernetes.support import eniconfig, eventually, pod, workload
from tests.support.patience import within


@pytest.fixture
def kubectl(cluster, namespace):
    def run(*arguments, **more):
        return cluster.kubectl(f"--namespace={namespace}", *arguments, **more)

    return run


def manifest(*objects):
    return yaml.safe_dump_all(objects)


def test_apply_creates_then_changes_then_changes_nothing(kubectl):
    body = workload("DaemonSet", "aws-node")
    changed = workload("DaemonSet", "aws-node")
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "amazon-k8s-cni:v2"

    results = [kubectl("apply", "-f", "-", stdin=manifest(item)).split()[-1] for item in (body, changed, changed)]

    assert results == ["created", "configured", "unchanged"]
    image = kubectl("get", "ds", "aws-node", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert image == "amazon-k8s-cni:v2"


def test_server_side_apply_reports_conflicts_and_forces(kubectl):
    body = workload("DaemonSet", "aws-node")
    kubectl("apply", "--server-side", "--field-manager=eks", "-f", "-", stdin=manifest(body))
    body["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "0"

    refused = kubectl("apply", "--server-side", "--field-manager=me", "-f", "-", stdin=manifest(body), check=False)
    forced = kubectl(
        "apply", "--server-side", "--field-manager=me", "--force-conflicts", "-f", "-", stdin=manifest(body)
    )

    assert 'conflict with "eks"' in refused
    assert "serverside-applied" in forced


def test_set_env_merges_into_the_container(kubectl):
    kubectl("apply", "-f", "-", stdin=manifest(workload("DaemonSet", "aws-node")))

    kubectl("set", "env", "ds/aws-node", "-c", "aws-node", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true")

    listed = kubectl("set", "env", "ds/aws-node", "--list")
    assert {"WARM_ENI_TARGET=1", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true"} <= set(listed.splitlines())
    kubectl("set", "env", "ds/aws-node", "WARM_ENI_TARGET-")
    assert "WARM_ENI_TARGET" not in kubectl("set", "env", "ds/aws-node", "--list")


def test_get_prints_the_columns_of_each_kind(cluster, kubectl, core, namespace, node):
    core.create_namespaced_pod(namespace, pod("web", nodeName=node))
    core.patch_namespaced_pod_status("web", namespace, {"status": {"phase": "Running", "podIP": "100.64.0.5"}})
    kubectl("apply", "-f", "-", stdin=manifest(workload("Deployment", "api"), workload("DaemonSet", "agent")))

    pods = kubectl("get", "pods", "-o", "wide").splitlines()
    assert pods[0].split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    row = pods[1].split()
    assert (row[:4], row[5:7]) == (["web", "0/1", "Running", "0"], ["100.64.0.5", node])
    nodes = kubectl("get", "nodes", node).splitlines()
    assert nodes[0].split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert nodes[1].split()[:2] == [node, "Unknown"]
    deployments = kubectl("get", "deploy", "-o", "wide").splitlines()
    assert deployments[0].split()[:6] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS"]
    assert deployments[1].split()[:4] == ["api", "0/1", "0", "0"]
    daemon_sets = kubectl("get", "ds").splitlines()
    assert daemon_sets[0].split()[:6] == ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"]


def test_get_prints_a_custom_resources_columns(kubectl, eniconfigs):
    kubectl("apply", "-f", "-", stdin=manifest(eniconfig("printed", subnet="subnet-1")))

    printed = kubectl("get", "eniconfigs", "printed").splitlines()

    assert [line.split()[:2] for line in printed] == [["NAME", "SUBNET"], ["printed", "subnet-1"]]


def test_get_events_names_the_object_and_the_message(kubectl, core, namespace):
    about = {"kind": "Pod", "name": "p", "namespace": namespace}
    core.create_namespaced_event(
        namespace,
        {
            "metadata": {"name": "e"},
            "involvedObject": about,
            "reason": "FailedCreatePodSandBox",
            "message": "failed to assign an IP address to container",
            "type": "Warning",
            "lastTimestamp": "2026-01-01T00:00:00Z",
        },
    )

    line = kubectl("get", "events").splitlines()[1]

    assert "Warning" in line
    assert "FailedCreatePodSandBox" in line
    assert "pod/p" in line
    assert line.endswith("failed to assign an IP address to container")


def test_describe_shows_objects_with_their_events(kubectl, core, namespace, node):
    created = core.create_namespaced_pod(namespace, pod("web", nodeName=node))
    about = {"kind": "Pod", "name": "web", "namespace": namespace, "uid": created.metadata.uid}
    event = {"metadata": {"name": "e"}, "involvedObject": about, "type": "Warning", "reason": "Stuck"}
    core.create_namespaced_event(namespace, {**event, "message": "no address"})
    kubectl("apply", "-f", "-", stdin=manifest(workload("Deployment", "api")))

    described = kubectl("describe", "pod", "web")

    assert "Stuck" in described
    assert "no address" in described
    assert re.search(rf"^Node: +{node}/", described, re.MULTILINE)
    assert "web" in kubectl("describe", "node", node)
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in kubectl("describe", "deploy", "api")


def test_label_annotate_and_cordon_change_a_node(kubectl, core, node):
    kubectl("label", "node", node, "topology.kubernetes.io/zone=b", "--overwrite")
    kubectl("annotate", "node", node, "k8s.amazonaws.com/eniConfig=b")
    kubectl("cordon", node)

    live = core.read_node(node)
    assert live.metadata.labels["topology.kubernetes.io/zone"] == "b"
    assert live.metadata.annotations["k8s.amazonaws.com/eniConfig"] == "b"
    assert live.spec.unschedulable is True
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    kubectl("uncordon", node)
    assert not core.read_node(node).spec.unschedulable


def test_drain_evicts_what_is_on_the_node(kubectl, core, namespace, node):
    core.create_namespaced_pod(namespace, pod("web", nodeName=node))

    def kubelet():
        def marked():
            result = core.list_namespaced_pod(namespace).items
            return result and result[0].metadata.deletion_timestamp

        eventually(marked, 30)
        core.delete_namespaced_pod("web", namespace, grace_period_seconds=0)

    acting = threading.Thread(target=kubelet)
    acting.start()
    drained = kubectl("drain", node, "--force", f"--timeout={within(30):.0f}s")
    acting.join()

    assert "pod/web evicted" in drained
    assert core.list_namespaced_pod(namespace).items == []


def test_get_watch_follows_changes(cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod("a"))
    command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", f"--namespace={namespace}"]
    with subprocess.Popen([*command, "get", "pods", "--watch"], stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline(), process.stdout.readline()]
            core.create_namespaced_pod(namespace, pod("b"))
            lines.append(process.stdout.readline())
        finally:
            process.terminate()

    assert [line.split()[0] for line in lines] == ["NAME", "a", "b"]


def test_rollout_status_waits_until_the_status_has_caught_up(kubectl, apps, namespace):
    kubectl("apply", "-f", "-", stdin=manifest(workload("DaemonSet", "aws-node")))
    counts = {
        "observedGeneration": 1,
        "desiredNumberScheduled": 2,
        "currentNumberScheduled": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberReady": 2,
        "numberMisscheduled": 0,
    }
    reporting = threading.Timer(
        1.0, apps.patch_namespaced_daemon_set_status, ("aws-node", namespace, {"status": counts})
    )

    reporting.start()
    output = kubectl("rollout", "status", "ds/aws-node", f"--timeout={within(30):.0f}s")
    reporting.join()

    assert 'daemon set "aws-node" successfully rolled out' in output


def test_rollout_restart_changes_the_template(kubectl):
    kubectl("apply", "-f", "-", stdin=manifest(workload("DaemonSet", "aws-node")))

    kubectl("rollout", "restart", "ds/aws-node")

    live = json.loads(kubectl("get", "ds", "aws-node", "-o", "json"))
    assert "kubectl.kubernetes.io/restartedAt" in live["spec"]["template"]["metadata"]["annotations"]
    assert live["metadata"]["generation"] == 2


def test_scale_delete_and_wait(kubectl):
    kubectl("apply", "-f", "-", stdin=manifest(workload("Deployment", "api")))

    kubectl("scale", "deploy/api", "--replicas=3")
    assert kubectl("get", "deploy", "api", "-o", "jsonpath={.spec.replicas}") == "3"

    kubectl("delete", "deploy", "api", f"--timeout={within(20):.0f}s")
    assert 'deployments.apps "api" not found' in kubectl("get", "deploy", "api", check=False)


def test_auth_can_i_answers(kubectl):
    assert kubectl("auth", "can-i", "delete", "nodes").strip() == "yes"
    denied = kubectl("auth", "can-i", "delete", "nodes", "--token=outsider-token", check=False)
    assert "no" in denied.split()


def test_api_resources_lists_kinds_with_short_names(kubectl, eniconfigs):
    lines = {line.split()[0]: line.split() for line in kubectl("api-resources").splitlines()}

    assert lines["daemonsets"] == ["daemonsets", "ds", "apps/v1", "true", "DaemonSet"]
    assert lines["nodes"][1] == "no"
    assert lines["eniconfigs"] == ["eniconfigs", "crd.k8s.amazonaws.com/v1alpha1", "false", "ENIConfig"]


def test_explain_documents_fields_where_the_server_publishes_schemas(cluster, kubectl, eniconfigs):
    if cluster.kind == "real":
        pytest.skip("kubectl explain reads OpenAPI v3, which servers before 1.24 do not publish")
    assert "environment variable" in kubectl("explain", "pod.spec.containers.env")
    assert "-required-" in kubectl("explain", "eniconfig.spec")


def test_a_misspelt_field_is_refused_before_it_is_stored(kubectl):
    body = workload("Deployment", "typo")
    body["spec"]["replica"] = 3

    output = kubectl("apply", "-f", "-", stdin=manifest(body), check=False)

    assert 'unknown field "spec.replica"' in output or 'unknown field "replica"' in output
    assert "not found" in kubectl("get", "deploy", "typo", check=False)
