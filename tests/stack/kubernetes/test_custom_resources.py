"""Definitions and their resources: the VPC CNI's ENIConfig above all."""

from __future__ import annotations

import copy

import pytest
from kubernetes import client, watch

from tests.stack.kubernetes.support import ENICONFIG_CRD, GROUP, VERSION, eniconfig, eventually, refused


@pytest.fixture
def extensions(cluster):
    return client.ApiextensionsV1Api(cluster.api())


@pytest.fixture
def definition(extensions):
    """A function that creates a definition of its own group and plural."""
    created = set()

    def create(plural, **version):
        body = copy.deepcopy(ENICONFIG_CRD)
        body["metadata"]["name"] = f"{plural}.test.example.com"
        body["spec"]["group"] = "test.example.com"
        body["spec"]["names"] = {"plural": plural, "singular": plural[:-1], "kind": plural[:-1].title()}
        body["spec"]["versions"][0] |= version
        created.add(body["metadata"]["name"])
        return extensions.create_custom_resource_definition(body)

    yield create
    for name in created:
        client.ApiextensionsV1Api(extensions.api_client).delete_custom_resource_definition(name)


def served(cluster, plural):
    path = f"/apis/test.example.com/{VERSION}/{plural}"
    eventually(lambda: cluster.request("GET", path).status_code == 200)
    return path


def test_a_definition_is_served_once_established(cluster, extensions, definition):
    created = definition("widgets")
    path = served(cluster, "widgets")

    live = extensions.read_custom_resource_definition("widgets.test.example.com")
    assert not created.status.conditions
    conditions = {item.type: item.status for item in live.status.conditions}
    assert (conditions["NamesAccepted"], conditions["Established"]) == ("True", "True")
    assert live.status.accepted_names.list_kind == "WidgetList"
    assert live.status.stored_versions == [VERSION]
    listed = cluster.request("GET", path).json()
    assert (listed["kind"], listed["items"]) == ("WidgetList", [])


def test_deleting_a_definition_deletes_what_it_defined(cluster, extensions, definition):
    definition("gadgets")
    path = served(cluster, "gadgets")
    body = {
        "apiVersion": f"test.example.com/{VERSION}",
        "kind": "Gadget",
        "metadata": {"name": "a"},
        "spec": {"subnet": "s"},
    }
    assert cluster.request("POST", path, body).status_code == 201

    extensions.delete_custom_resource_definition("gadgets.test.example.com")

    eventually(lambda: cluster.request("GET", path).status_code == 404, 20)
    definition("gadgets")
    served(cluster, "gadgets")
    assert cluster.request("GET", path).json()["items"] == []


def test_a_definition_must_be_named_after_its_plural_and_group(extensions):
    body = {**ENICONFIG_CRD, "metadata": {"name": "other"}}

    with refused(422, "Invalid") as status:
        extensions.create_custom_resource_definition(body)

    assert 'must be spec.names.plural+"."+spec.group' in status["message"]


def test_an_eniconfig_lives_its_life(custom, eniconfigs):
    where = (GROUP, VERSION, eniconfigs)

    created = custom.create_cluster_custom_object(*where, eniconfig("life", subnet="subnet-1"))
    patched = custom.patch_cluster_custom_object(*where, "life", {"spec": {"securityGroups": ["sg-1"]}})
    listed = custom.list_cluster_custom_object(*where)

    assert created["metadata"]["generation"] == 1
    assert "namespace" not in created["metadata"]
    assert (patched["metadata"]["generation"], patched["spec"]) == (
        2,
        {"subnet": "subnet-1", "securityGroups": ["sg-1"]},
    )
    item = next(item for item in listed["items"] if item["metadata"]["name"] == "life")
    assert (item["kind"], item["apiVersion"]) == ("ENIConfig", f"{GROUP}/{VERSION}")
    answer = custom.delete_cluster_custom_object(*where, "life")
    assert answer["status"] == "Success"
    with refused(404, "NotFound") as status:
        custom.get_cluster_custom_object(*where, "life")
    assert status["message"] == f'eniconfigs.{GROUP} "life" not found'


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "spec.subnet: Required value"),
        (
            {"subnet": 3},
            'spec.subnet: Invalid value: "integer": spec.subnet in body must be of type string: "integer"',
        ),
        (
            {"subnet": "s", "securityGroups": ["a", 3]},
            'spec.securityGroups: Invalid value: "integer": '
            'spec.securityGroups in body must be of type string: "integer"',
        ),
    ],
)
def test_a_resource_must_fit_its_schema(cluster, custom, eniconfigs, spec, message):
    with refused(422, "Invalid") as status:
        custom.create_cluster_custom_object(GROUP, VERSION, eniconfigs, eniconfig("bad", **spec))

    if cluster.kind == "embedded" or "[" not in status["details"]["causes"][0]["field"]:
        assert status["message"] == f'ENIConfig.{GROUP} "bad" is invalid: {message}'


def test_unknown_fields_are_dropped(custom, eniconfigs):
    body = eniconfig("pruned", subnet="s", unknown={"a": 1})

    assert custom.create_cluster_custom_object(GROUP, VERSION, eniconfigs, body)["spec"] == {"subnet": "s"}


def test_a_resource_of_another_kind_is_invalid(custom, eniconfigs):
    body = {**eniconfig("other", subnet="s"), "kind": "Other"}

    with refused(422, "Invalid") as status:
        custom.create_cluster_custom_object(GROUP, VERSION, eniconfigs, body)

    assert "must be ENIConfig" in status["message"]


def test_an_update_must_name_the_version_it_replaces(custom, eniconfigs):
    where = (GROUP, VERSION, eniconfigs)
    live = custom.create_cluster_custom_object(*where, eniconfig("versioned", subnet="s"))

    with refused(422, "Invalid") as status:
        custom.replace_cluster_custom_object(*where, "versioned", eniconfig("versioned", subnet="t"))
    replaced = custom.replace_cluster_custom_object(*where, "versioned", {**live, "spec": {"subnet": "t"}})
    with refused(409, "Conflict"):
        custom.replace_cluster_custom_object(*where, "versioned", live)

    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update" in status["message"]
    assert replaced["spec"] == {"subnet": "t"}


def test_strategic_patches_are_for_builtin_kinds_only(cluster, custom, eniconfigs):
    custom.create_cluster_custom_object(GROUP, VERSION, eniconfigs, eniconfig("strategic", subnet="s"))

    answer = cluster.request(
        "PATCH",
        f"/apis/{GROUP}/{VERSION}/eniconfigs/strategic",
        {"spec": {"subnet": "t"}},
        content_type="application/strategic-merge-patch+json",
    )

    assert (answer.status_code, answer.json()["reason"]) == (415, "UnsupportedMediaType")
    assert "application/merge-patch+json" in answer.json()["message"]


def test_a_finalizer_holds_a_resource(custom, eniconfigs):
    where = (GROUP, VERSION, eniconfigs)
    body = eniconfig("held", subnet="s")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    custom.create_cluster_custom_object(*where, body)

    marked = custom.delete_cluster_custom_object(*where, "held")
    gone = custom.patch_cluster_custom_object(*where, "held", {"metadata": {"finalizers": None}})

    assert marked["metadata"]["deletionTimestamp"]
    assert gone["metadata"]["name"] == "held"
    with refused(404, "NotFound"):
        custom.get_cluster_custom_object(*where, "held")


def test_resources_are_watched(custom, eniconfigs):
    where = (GROUP, VERSION, eniconfigs)
    version = custom.list_cluster_custom_object(*where)["metadata"]["resourceVersion"]
    custom.create_cluster_custom_object(*where, eniconfig("watched", subnet="s"))

    stream = watch.Watch().stream(
        custom.list_cluster_custom_object, *where, resource_version=version, timeout_seconds=10
    )
    event = next(iter(stream))

    assert (event["type"], event["object"]["spec"]["subnet"]) == ("ADDED", "s")


def test_a_status_subresource_separates_status_from_spec(cluster, definition):
    schema = copy.deepcopy(ENICONFIG_CRD["spec"]["versions"][0]["schema"])
    schema["openAPIV3Schema"]["properties"]["status"] = {
        "type": "object",
        "properties": {"phase": {"type": "string"}},
    }
    definition("gizmos", schema=schema, subresources={"status": {}})
    path = served(cluster, "gizmos")
    body = {"apiVersion": f"test.example.com/{VERSION}", "kind": "Gizmo", "metadata": {"name": "a"}}
    merge = {"content_type": "application/merge-patch+json"}

    created = cluster.request("POST", path, {**body, "spec": {"subnet": "s"}, "status": {"phase": "x"}}).json()
    change = {"status": {"phase": "y"}, "spec": {"subnet": "t"}}
    by_status = cluster.request("PATCH", f"{path}/a/status", change, **merge).json()
    by_main = cluster.request("PATCH", f"{path}/a", {"status": {"phase": "z"}}, **merge).json()

    assert "status" not in created
    assert (by_status["spec"]["subnet"], by_status["status"], by_status["metadata"]["generation"]) == (
        "s",
        {"phase": "y"},
        1,
    )
    assert by_main["status"] == {"phase": "y"}
