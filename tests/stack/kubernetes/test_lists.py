"""Lists: selectors, pages, and the shapes clients depend on."""

from __future__ import annotations

import pytest

from tests.stack.kubernetes.support import pod, refused


@pytest.fixture
def pods(core, namespace):
    for name, labels, spec in (
        ("a", {"app": "web", "tier": "front"}, {"nodeName": "n1"}),
        ("b", {"app": "web"}, {"nodeName": "n2"}),
        ("c", {"app": "db"}, {}),
        ("d", {}, {}),
    ):
        core.create_namespaced_pod(namespace, pod(name, labels, **spec))
    return namespace


def names(listed):
    return "".join(item.metadata.name for item in listed.items)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=web", "ab"),
        ("app==web,tier=front", "a"),
        ("app!=web", "cd"),
        ("app in (web, db)", "abc"),
        ("app notin (web)", "cd"),
        ("app", "abc"),
        ("!app", "d"),
        ("app=web,!tier", "b"),
        ("app=", ""),
    ],
)
def test_labels_select(core, pods, selector, expected):
    assert names(core.list_namespaced_pod(pods, label_selector=selector)) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name!=a", "bcd"),
        ("spec.nodeName=n1", "a"),
        ("spec.nodeName=", "cd"),
        ("status.phase=Pending", "abcd"),
        ("status.phase!=Pending", ""),
        ("spec.nodeName=n2,status.phase==Pending", "b"),
    ],
)
def test_fields_select(core, pods, selector, expected):
    assert names(core.list_namespaced_pod(pods, field_selector=selector)) == expected


def test_labels_and_fields_select_together(core, pods):
    listed = core.list_namespaced_pod(pods, label_selector="app=web", field_selector="spec.nodeName=n2")

    assert names(listed) == "b"


def test_events_are_found_by_reason_and_object_over_all_namespaces(core, namespace):
    for name, reason in (("e1", "FailedCreatePodSandBox"), ("e2", "Scheduled")):
        about = {"kind": "Pod", "name": "p", "namespace": namespace, "uid": "u-1"}
        source = {"component": "kubelet"}
        body = {"metadata": {"name": name}, "involvedObject": about, "reason": reason, "type": "Warning"}
        core.create_namespaced_event(namespace, {**body, "source": source})

    result = core.list_event_for_all_namespaces(
        field_selector=f"reason=FailedCreatePodSandBox,type=Warning,involvedObject.namespace={namespace},source=kubelet"
    )

    assert [item.metadata.name for item in result.items] == ["e1"]
    assert result.items[0].involved_object.uid == "u-1"


def test_schedulable_nodes_are_selected_by_field(core, node):
    selector = f"metadata.name={node},spec.unschedulable="

    assert len(core.list_node(field_selector=f"{selector}false").items) == 1
    core.patch_node(node, {"spec": {"unschedulable": True}})
    assert len(core.list_node(field_selector=f"{selector}false").items) == 0
    assert len(core.list_node(field_selector=f"{selector}true").items) == 1


def test_a_field_that_cannot_be_selected_is_a_bad_request(core, namespace):
    with refused(400, "BadRequest") as status:
        core.list_namespaced_pod(namespace, field_selector="spec.hostname=x")

    assert status["message"] == "field label not supported: spec.hostname"


@pytest.mark.parametrize("selector", ["a b", "app in (web", "=x", "a=b c"])
def test_a_label_selector_that_cannot_be_read_is_a_bad_request(core, namespace, selector):
    with refused(400, "BadRequest"):
        core.list_namespaced_pod(namespace, label_selector=selector)


def test_pages_add_up_and_count_what_remains(core, pods):
    first = core.list_namespaced_pod(pods, limit=3)
    second = core.list_namespaced_pod(pods, limit=3, _continue=first.metadata._continue)

    assert (names(first), first.metadata.remaining_item_count) == ("abc", 1)
    assert (names(second), second.metadata._continue or None) == ("d", None)


def test_a_selected_page_does_not_count_what_remains(core, pods):
    page = core.list_namespaced_pod(pods, limit=1, label_selector="app")

    assert page.metadata._continue
    assert page.metadata.remaining_item_count is None


def test_later_pages_show_the_state_of_the_first(core, pods):
    first = core.list_namespaced_pod(pods, limit=2)

    core.create_namespaced_pod(pods, pod("cc"))
    core.delete_namespaced_pod("d", pods)

    second = core.list_namespaced_pod(pods, limit=5, _continue=first.metadata._continue)
    assert names(second) == "cd"
    assert second.metadata.resource_version == first.metadata.resource_version


def test_a_continue_token_that_is_none_is_a_bad_request(core, namespace):
    with refused(400, "BadRequest") as status:
        core.list_namespaced_pod(namespace, limit=1, _continue="abc")

    assert "continue key is not valid" in status["message"]


def test_an_empty_list_has_items_and_a_version(cluster, namespace):
    listed = cluster.request("GET", f"/api/v1/namespaces/{namespace}/pods").json()

    assert (listed["kind"], listed["apiVersion"], listed["items"]) == ("PodList", "v1", [])
    assert int(listed["metadata"]["resourceVersion"]) > 0


def test_items_of_builtin_lists_do_not_repeat_their_type(cluster, core, namespace, eniconfigs):
    # The real server leaves them out; code that reads item["kind"] of a list must not work here alone.
    core.create_namespaced_pod(namespace, pod("a"))

    item = cluster.request("GET", f"/api/v1/namespaces/{namespace}/pods").json()["items"][0]

    assert not {"kind", "apiVersion"} & item.keys()


def test_a_version_from_the_future_times_out(core, namespace):
    with refused(504, "Timeout") as status:
        core.list_namespaced_pod(namespace, resource_version="999999999")

    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
