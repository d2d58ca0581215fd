"""Server-side apply: ownership, conflicts, and the fields a manager gives up."""

from __future__ import annotations

import pytest

from tests.stack.kubernetes.support import eniconfig, workload

APPLY = "application/apply-patch+yaml"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
def apply(cluster, namespace):
    """A function that applies a DaemonSet and answers with the HTTP response."""

    def send(manager, body, **query):
        path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{body['metadata']['name']}"
        query = {"fieldManager": manager, **query}
        text = "&".join(f"{key}={value}" for key, value in query.items() if value)
        return cluster.request("PATCH", f"{path}?{text}", body, content_type=APPLY)

    return send


def with_env(**variables):
    """An apply configuration that declares environment variables of aws-node and nothing else."""
    env = [{"name": name, "value": value} for name, value in variables.items()]
    template = {"spec": {"containers": [{"name": "aws-node", "env": env}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "aws-node"},
        "spec": {"template": template},
    }


def env_of(response):
    container = response.json()["spec"]["template"]["spec"]["containers"][0]
    return {item["name"]: item["value"] for item in container.get("env", ())}


def managers(response):
    return {(item["manager"], item["operation"]) for item in response.json()["metadata"]["managedFields"]}


@pytest.fixture
def aws_node(apply):
    response = apply("eks", workload("DaemonSet", "aws-node"))
    assert response.status_code == 201
    return response


def test_given_an_object_that_is_gone_when_it_is_applied_with_its_uid_then_it_is_a_conflict_and_not_made(apply):
    body = workload("DaemonSet", "aws-node")
    gone = {**body, "metadata": {**body["metadata"], "uid": "0f0f0f0f-0000-4000-8000-000000000000"}}

    refused = apply("eks", gone)

    assert refused.status_code == 409
    assert "uid mismatch: the provided object specified uid" in refused.json()["message"]
    assert apply("eks", body).status_code == 201


def test_the_first_apply_creates_and_the_same_again_changes_nothing(apply, aws_node):
    again = apply("eks", workload("DaemonSet", "aws-node"))

    assert again.status_code == 200
    assert again.json()["metadata"]["resourceVersion"] == aws_node.json()["metadata"]["resourceVersion"]
    assert managers(again) == {("eks", "Apply")}


def test_managers_share_an_object_field_by_field(apply, aws_node):
    response = apply("remediator", with_env(ENI_CONFIG_LABEL_DEF="topology.kubernetes.io/zone"))

    assert response.status_code == 200
    assert env_of(response) == {"WARM_ENI_TARGET": "1", "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"}
    assert managers(response) == {("eks", "Apply"), ("remediator", "Apply")}


def test_a_field_of_another_manager_with_another_value_conflicts(apply, aws_node):
    response = apply("remediator", with_env(WARM_ENI_TARGET="0"))

    status = response.json()
    field = '.spec.template.spec.containers[name="aws-node"].env[name="WARM_ENI_TARGET"].value'
    assert (response.status_code, status["reason"]) == (409, "Conflict")
    assert status["message"] == f'Apply failed with 1 conflict: conflict with "eks": {field}'
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "eks"', "field": field}
    ]


def test_a_field_of_another_manager_with_the_same_value_is_shared(apply, aws_node):
    response = apply("remediator", with_env(WARM_ENI_TARGET="1"))

    assert response.status_code == 200
    # when one of the two owners gives it up, the field stays
    assert env_of(apply("remediator", with_env())) == {"WARM_ENI_TARGET": "1"}


def test_force_takes_a_field_over(apply, aws_node):
    forced = apply("remediator", with_env(WARM_ENI_TARGET="0"), force="true")
    back = apply("eks", workload("DaemonSet", "aws-node"))

    assert env_of(forced) == {"WARM_ENI_TARGET": "0"}
    assert (back.status_code, back.json()["reason"]) == (409, "Conflict")
    assert 'conflict with "remediator"' in back.json()["message"]


def test_a_field_that_is_no_longer_declared_is_removed(apply, aws_node):
    apply("remediator", with_env(A="1", B="2"))

    response = apply("remediator", with_env(B="2"))

    assert env_of(response) == {"WARM_ENI_TARGET": "1", "B": "2"}


def test_an_update_takes_ownership_without_a_conflict(cluster, apply, aws_node, namespace):
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/aws-node?fieldManager=kubectl-set"
    changed = with_env(WARM_ENI_TARGET="5")
    content_type = "application/strategic-merge-patch+json"

    updated = cluster.request("PATCH", path, changed, content_type=content_type)
    applied = apply("eks", workload("DaemonSet", "aws-node"))

    assert ("kubectl-set", "Update") in managers(updated)
    assert applied.status_code == 409
    assert 'conflict with "kubectl-set" using apps/v1' in applied.json()["message"]


def test_an_item_that_is_no_longer_declared_is_removed_with_the_value_that_another_manager_updated(
    cluster, apply, aws_node, namespace
):
    apply("operator", with_env(MINIMUM_IP_TARGET="1", WARM_IP_TARGET="1"))
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/aws-node?fieldManager=kubectl-set"
    patched = cluster.request("PATCH", path, with_env(MINIMUM_IP_TARGET="2"), content_type=STRATEGIC)
    assert patched.status_code == 200

    response = apply("operator", with_env(WARM_IP_TARGET="1"))

    assert response.status_code == 200
    assert "MINIMUM_IP_TARGET" not in env_of(response)


def test_generation_moves_only_when_an_apply_changes_the_spec(apply, aws_node):
    same = apply("remediator", with_env(WARM_ENI_TARGET="1"))
    changed = apply("remediator", with_env(WARM_ENI_TARGET="1", A="1"))

    assert [item.json()["metadata"]["generation"] for item in (aws_node, same, changed)] == [1, 1, 2]


def test_a_dry_run_shows_the_result_and_keeps_the_object(apply, aws_node, apps, namespace):
    response = apply("remediator", with_env(A="1"), dryRun="All")

    assert env_of(response) == {"WARM_ENI_TARGET": "1", "A": "1"}
    live = apps.read_namespaced_daemon_set("aws-node", namespace)
    assert live.metadata.resource_version == aws_node.json()["metadata"]["resourceVersion"]


def test_applies_that_are_no_configurations_are_refused(apply, aws_node):
    nameless = apply("", with_env(A="1"))
    untyped = apply("m", {"metadata": {"name": "aws-node"}})
    owned = with_env(A="1")
    owned["metadata"]["managedFields"] = [{"manager": "m"}]
    unknown = with_env(A="1")
    unknown["spec"]["bogus"] = 1

    assert nameless.status_code == 422
    assert "fieldManager: Required value: is required for apply patch" in nameless.json()["message"]
    assert [item.status_code for item in (untyped, apply("m", owned), apply("m", unknown))] == [400, 400, 500]
    assert ".spec.bogus: field not declared in schema" in apply("m", unknown).json()["message"]


def test_ports_are_keyed_by_number_and_protocol(apply, aws_node):
    body = with_env()
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 61678}, {"containerPort": 61678, "protocol": "UDP"}]

    response = apply("remediator", body)

    ports = response.json()["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert sorted((port["containerPort"], port["protocol"]) for port in ports) == [(61678, "TCP"), (61678, "UDP")]


def test_custom_resources_are_applied_too(cluster, eniconfigs):
    path = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs/applied?fieldManager="

    def send(manager, **spec):
        return cluster.request("PATCH", path + manager, eniconfig("applied", **spec), content_type=APPLY)

    created = send("a", subnet="subnet-1", securityGroups=["sg-1"])
    conflict = send("b", subnet="subnet-2")
    dropped = send("a", subnet="subnet-1")

    assert (created.status_code, created.json()["metadata"]["generation"]) == (201, 1)
    assert conflict.json()["message"] == 'Apply failed with 1 conflict: conflict with "a": .spec.subnet'
    assert dropped.json()["spec"] == {"subnet": "subnet-1"}
    assert send("a").status_code == 422
