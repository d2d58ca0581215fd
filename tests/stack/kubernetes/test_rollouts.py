"""`kubectl rollout`: history and undo, with the simulator's controllers beside either API server."""

from __future__ import annotations

import json

import pytest

from tests.stack.kubernetes.support import eventually, workload
from tests.support.patience import within


@pytest.fixture
def kubectl(cluster, namespace, controllers):
    def run(*arguments, **more):
        return cluster.kubectl(f"--namespace={namespace}", *arguments, **more)

    return run


@pytest.fixture(params=["Deployment", "DaemonSet"])
def rolled(request, kubectl):
    """A workload with three revisions: images :1, :2 and :3, and a change cause for each."""
    kind = request.param.lower()

    def apply(tag):
        body = workload(request.param, "web")
        body["metadata"]["annotations"] = {"kubernetes.io/change-cause": f"release {tag}"}
        body["spec"]["template"]["spec"]["containers"][0]["image"] = f"web:{tag}"
        kubectl("apply", "-f", "-", stdin=json.dumps(body))
        eventually(lambda: revisions(kubectl, kind).get(tag) == f"release {tag}")

    for tag in (1, 2, 3):
        apply(tag)
    return kind


def revisions(kubectl, kind):
    """Change causes by revision, as `rollout history` prints them."""
    rows = [line.split(maxsplit=1) for line in kubectl("rollout", "history", f"{kind}/web").splitlines()]
    return {int(row[0]): row[1] for row in rows if row and row[0].isdigit()}


def image(kubectl, kind):
    return kubectl("get", kind, "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")


def test_history_and_undo_go_back_and_forth_and_the_revisions_go_with_their_workload(kubectl, rolled):
    # given
    assert revisions(kubectl, rolled) == {1: "release 1", 2: "release 2", 3: "release 3"}
    detail = kubectl("rollout", "history", f"{rolled}/web", "--revision=2")
    assert "web:2" in detail

    # when it is undone, then it goes one revision back, which becomes the newest
    output = kubectl("rollout", "undo", f"{rolled}/web")
    assert "rolled back" in output
    assert image(kubectl, rolled) == "web:2"
    eventually(lambda: sorted(revisions(kubectl, rolled)) == [1, 3, 4])
    kubectl("rollout", "undo", f"{rolled}/web")
    assert image(kubectl, rolled) == "web:3"
    eventually(lambda: sorted(revisions(kubectl, rolled)) == [1, 4, 5])

    # when a revision is named, then it goes back to that one
    kubectl("rollout", "undo", f"{rolled}/web", "--to-revision=1")
    assert image(kubectl, rolled) == "web:1"
    eventually(lambda: sorted(revisions(kubectl, rolled)) == [4, 5, 6])
    assert "unable to find" in kubectl("rollout", "undo", f"{rolled}/web", "--to-revision=9", check=False)

    # when its limit is lowered, then history is as long as that allows
    kubectl("patch", rolled, "web", "--patch", json.dumps({"spec": {"revisionHistoryLimit": 1}}))
    eventually(lambda: sorted(revisions(kubectl, rolled)) == [5, 6])

    # when the workload goes, then its revisions do
    kept = "replicasets" if rolled == "deployment" else "controllerrevisions"
    assert kubectl("get", kept, "-o", "name")
    kubectl("delete", rolled, "web")
    eventually(lambda: kubectl("get", kept, "-o", "name") == "")


def test_a_deployment_without_pods_to_wait_for_is_rolled_out(kubectl):
    body = workload("Deployment", "none")
    body["spec"]["replicas"] = 0
    kubectl("apply", "-f", "-", stdin=json.dumps(body))

    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/none", f"--timeout={within(20):.0f}s")
    kubectl("wait", "deploy/none", "--for=condition=Progressing", f"--timeout={within(20):.0f}s")


def test_a_number_of_a_revision_is_no_new_generation(kubectl):
    kubectl("apply", "-f", "-", stdin=json.dumps(workload("Deployment", "web")))
    eventually(lambda: revisions(kubectl, "deployment"))

    live = json.loads(kubectl("get", "deployment", "web", "-o", "json"))["metadata"]

    assert (live["annotations"]["deployment.kubernetes.io/revision"], live["generation"]) == ("1", 1)
