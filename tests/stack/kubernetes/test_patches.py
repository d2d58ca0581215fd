"""JSON, merge and strategic merge patches."""

from __future__ import annotations

import json

import pytest

from tests.stack.kubernetes.support import refused, workload

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"


@pytest.fixture
def daemon_set(cluster, apps, namespace):
    """A function that patches a DaemonSet and answers with its new JSON."""
    body = workload("DaemonSet", "aws-node")
    spec = body["spec"]["template"]["spec"]
    spec["containers"].append({"name": "agent", "image": "agent:1"})
    spec["volumes"] = [{"name": "run", "hostPath": {"path": "/run"}}, {"name": "tmp", "emptyDir": {}}]
    spec["tolerations"] = [{"operator": "Exists"}]
    apps.create_namespaced_daemon_set(namespace, body)
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/aws-node"

    def patch(content_type, change):
        answer = cluster.request("PATCH", path, change, content_type=content_type)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return patch


def pod_spec(patched):
    return patched["spec"]["template"]["spec"]


def in_template(**spec):
    return {"spec": {"template": {"spec": spec}}}


def test_a_strategic_patch_merges_containers_and_env_by_name(daemon_set):
    env = [{"name": "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "value": "true"}]

    patched = daemon_set(STRATEGIC, in_template(containers=[{"name": "aws-node", "env": env}]))

    first, second = pod_spec(patched)["containers"]
    assert (first["name"], first["image"]) == ("aws-node", "amazon-k8s-cni:v1.23.1")
    assert {item["name"]: item["value"] for item in first["env"]} == {
        "WARM_ENI_TARGET": "1",
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true",
    }
    assert second["name"] == "agent"


def test_a_strategic_patch_deletes_list_items_by_key(daemon_set):
    env = [{"name": "WARM_ENI_TARGET", "$patch": "delete"}]

    patched = daemon_set(
        STRATEGIC,
        in_template(
            containers=[{"name": "aws-node", "env": env}, {"name": "agent", "$patch": "delete"}],
            volumes=[{"name": "tmp", "$patch": "delete"}],
        ),
    )

    assert [item["name"] for item in pod_spec(patched)["containers"]] == ["aws-node"]
    assert not pod_spec(patched)["containers"][0].get("env")
    assert [item["name"] for item in pod_spec(patched)["volumes"]] == ["run"]


def test_a_strategic_patch_replaces_lists_without_a_key(daemon_set):
    patched = daemon_set(STRATEGIC, in_template(tolerations=[{"key": "a", "operator": "Exists"}]))

    assert pod_spec(patched)["tolerations"] == [{"key": "a", "operator": "Exists"}]


def test_null_removes_a_field(daemon_set):
    daemon_set(STRATEGIC, {"metadata": {"labels": {"a": "1", "b": "2"}}})

    by_strategic = daemon_set(STRATEGIC, {"metadata": {"labels": {"a": None}}})
    by_merge = daemon_set(MERGE, {"metadata": {"labels": {"b": None}}})

    assert by_strategic["metadata"]["labels"] == {"b": "2"}
    assert not by_merge["metadata"].get("labels")


def test_a_merge_patch_replaces_whole_lists(daemon_set):
    patched = daemon_set(MERGE, in_template(containers=[{"name": "only", "image": "only:1"}]))

    assert [item["name"] for item in pod_spec(patched)["containers"]] == ["only"]


def test_a_json_patch_edits_by_path(daemon_set):
    env = "/spec/template/spec/containers/0/env"

    patched = daemon_set(
        JSON,
        [
            {"op": "test", "path": "/metadata/name", "value": "aws-node"},
            {"op": "add", "path": f"{env}/-", "value": {"name": "B", "value": "2"}},
            {"op": "replace", "path": f"{env}/0/value", "value": "0"},
            {"op": "add", "path": "/metadata/labels", "value": {"example.com/owner": "me"}},
            {"op": "replace", "path": "/metadata/labels/example.com~1owner", "value": "you"},
            {"op": "remove", "path": "/spec/template/spec/containers/1"},
        ],
    )

    (container,) = pod_spec(patched)["containers"]
    assert [(item["name"], item["value"]) for item in container["env"]] == [("WARM_ENI_TARGET", "0"), ("B", "2")]
    assert patched["metadata"]["labels"] == {"example.com/owner": "you"}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/metadata/name", "value": "other"}],
        [{"op": "remove", "path": "/spec/nothing"}],
        [{"op": "replace", "path": "/spec/template/spec/containers/7/image", "value": "x"}],
    ],
)
def test_a_json_patch_that_does_not_fit_is_unprocessable(cluster, apps, namespace, operations):
    apps.create_namespaced_daemon_set(namespace, workload("DaemonSet", "a"))
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/a"

    answer = cluster.request("PATCH", path, operations, content_type=JSON)

    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


def test_conditions_and_addresses_merge_by_type_and_taints_are_replaced(core, node):
    core.patch_node_status(
        node,
        {
            "status": {
                "conditions": [{"type": "Ready", "status": "False"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.4"}],
            }
        },
    )
    core.patch_node(node, {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}})

    status = core.patch_node_status(
        node,
        {
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}],
                "addresses": [{"type": "Hostname", "address": "n"}],
            }
        },
    ).status
    taints = core.patch_node(node, {"spec": {"taints": [{"key": "b", "effect": "NoExecute"}]}}).spec.taints

    assert {item.type: item.status for item in status.conditions} == {"Ready": "True", "DiskPressure": "False"}
    assert {item.type for item in status.addresses} == {"InternalIP", "Hostname"}
    assert [item.key for item in taints] == ["b"]


def test_an_unknown_patch_type_is_unsupported(cluster, core, namespace):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})

    answer = cluster.request(
        "PATCH", f"/api/v1/namespaces/{namespace}/configmaps/a", json.dumps({}), content_type="text/plain"
    )

    assert (answer.status_code, answer.json()["reason"]) == (415, "UnsupportedMediaType")


def test_a_patch_may_not_rename(core, namespace):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})

    with refused(400, "BadRequest") as status:
        core.patch_namespaced_config_map("a", namespace, {"metadata": {"name": "b"}})

    assert status["message"] == "the name of the object (b) does not match the name on the URL (a)"


def test_the_selector_of_a_workload_is_immutable(apps, namespace):
    apps.create_namespaced_daemon_set(namespace, workload("DaemonSet", "a"))

    with refused(422, "Invalid") as status:
        apps.patch_namespaced_daemon_set(
            "a",
            namespace,
            {"spec": {"selector": {"matchLabels": {"x": "y"}}, "template": {"metadata": {"labels": {"x": "y"}}}}},
        )

    assert status["details"]["causes"][0]["field"] == "spec.selector"
    assert "field is immutable" in status["message"]


def named(*names, **more):
    return [{"name": name, **more} for name in names]


def env_of(daemon_set, *names):
    """The names of aws-node's environment after `names` took the place of what was there."""
    env = [{"$patch": "replace"}, *named(*names, value="0")]
    daemon_set(STRATEGIC, in_template(containers=[{"name": "aws-node", "env": env}]))


@pytest.mark.parametrize(
    ("live", "patch", "order", "expected"),
    [
        # A new item goes before what only the server has.
        ("ABC", "X", None, "XABC"),
        ("ABC", "XY", None, "XYABC"),
        # A known item of the patch keeps its place; a new one stands where the patch has it relative to that.
        ("ABC", "BX", None, "ABXC"),
        ("ABC", "XB", None, "XABC"),
        ("ABC", "CA", None, "BCA"),
        # $setElementOrder outranks both; what it does not name keeps its place in the live list.
        ("ABC", "X", "AX", "AXBC"),
        ("ABC", "", "CB", "ACB"),
        ("ABCD", "X", "DXA", "BCDXA"),
    ],
)
def test_a_strategic_patch_puts_list_items_where_the_real_server_does(daemon_set, live, patch, order, expected):
    env_of(daemon_set, *live)
    change = {"name": "aws-node", "env": named(*patch, value="1")}
    if order is not None:
        change["$setElementOrder/env"] = named(*order)

    patched = daemon_set(STRATEGIC, in_template(containers=[change]))

    container = next(item for item in pod_spec(patched)["containers"] if item["name"] == "aws-node")
    assert "".join(item["name"] for item in container["env"]) == expected


def test_a_new_container_goes_before_those_that_only_the_server_has(daemon_set):
    patched = daemon_set(STRATEGIC, in_template(containers=[{"name": "new", "image": "new:1"}]))

    assert [item["name"] for item in pod_spec(patched)["containers"]] == ["new", "aws-node", "agent"]


def test_one_port_for_two_protocols_stays_two_ports(daemon_set):
    ports = [{"containerPort": 53, "name": "dns", "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]
    daemon_set(MERGE, in_template(containers=[{"name": "dns", "image": "dns:1", "ports": ports}]))

    patched = daemon_set(
        STRATEGIC, in_template(containers=[{"name": "dns", "ports": [{"containerPort": 9153, "name": "metrics"}]}])
    )

    (container,) = pod_spec(patched)["containers"]
    assert [(item["containerPort"], item["protocol"]) for item in container["ports"]] == [
        (9153, "TCP"),
        (53, "UDP"),
        (53, "TCP"),
    ]


def test_a_strategic_patch_of_finalizers_adds_and_deletes_values(core, cluster, namespace):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a", "finalizers": ["e.x/1", "e.x/2"]}})
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"

    def patched(metadata):
        answer = cluster.request("PATCH", path, {"metadata": metadata}, content_type=STRATEGIC)
        return answer.json()["metadata"].get("finalizers")

    assert patched({"finalizers": ["e.x/3"]}) == ["e.x/3", "e.x/1", "e.x/2"]
    assert patched({"$deleteFromPrimitiveList/finalizers": ["e.x/1", "e.x/3"]}) == ["e.x/2"]
    assert not patched({"finalizers": None})


def test_retain_keys_clears_the_other_members_of_a_union(daemon_set):
    volume = {"name": "run", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}

    patched = daemon_set(STRATEGIC, in_template(volumes=[volume]))

    run = next(item for item in pod_spec(patched)["volumes"] if item["name"] == "run")
    assert "hostPath" not in run
    assert run["configMap"]["name"] == "c"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"containers": [{"image": "x:1"}]}, 500),
        ({"containers": [{"name": "aws-node", "$patch": "explode"}]}, 500),
        ({"volumes": [{"name": "run", "$retainKeys": ["name"], "emptyDir": {}}]}, 400),
        ({"containers": named("agent", image="a:1"), "$setElementOrder/containers": named("aws-node")}, 500),
    ],
)
def test_a_strategic_patch_of_the_wrong_shape_is_refused(cluster, apps, namespace, change, code):
    body = workload("DaemonSet", "a")
    body["spec"]["template"]["spec"]["volumes"] = [{"name": "run", "hostPath": {"path": "/run"}}]
    apps.create_namespaced_daemon_set(namespace, body)
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/a"

    answer = cluster.request("PATCH", path, in_template(**change), content_type=STRATEGIC)

    assert answer.status_code == code, answer.text
