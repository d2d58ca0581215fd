"""Watches: what a controller may rely on between two lists."""

from __future__ import annotations

import json
import threading

import pytest
from kubernetes import watch

from tests.stack.kubernetes.support import ADMIN, pod


def collect(stream, count):
    """The first `count` events as (type, name)."""
    events = []
    for event in stream:
        events.append((event["type"], event["object"].metadata.name))
        if len(events) == count:
            break
    return events


def test_a_watch_from_a_list_sees_every_later_change_in_order(core, namespace):
    core.create_namespaced_pod(namespace, pod("before"))
    version = core.list_namespaced_pod(namespace).metadata.resource_version
    core.create_namespaced_pod(namespace, pod("a"))
    core.patch_namespaced_pod("a", namespace, {"metadata": {"labels": {"x": "y"}}})
    core.delete_namespaced_pod("a", namespace)

    stream = watch.Watch().stream(core.list_namespaced_pod, namespace, resource_version=version, timeout_seconds=10)

    # the second MODIFIED is the mark of deletion, which pods get even when nothing waits for them
    assert collect(stream, 4) == [("ADDED", "a"), ("MODIFIED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_without_a_version_starts_with_what_is_there(core, namespace):
    core.create_namespaced_pod(namespace, pod("a"))
    core.create_namespaced_pod(namespace, pod("b"))

    stream = watch.Watch().stream(core.list_namespaced_pod, namespace, timeout_seconds=10)

    assert sorted(collect(stream, 2)) == [("ADDED", "a"), ("ADDED", "b")]


def test_changes_arrive_while_the_watch_is_open(core, namespace):
    version = core.list_namespaced_pod(namespace).metadata.resource_version
    stream = watch.Watch().stream(core.list_namespaced_pod, namespace, resource_version=version, timeout_seconds=10)
    writer = threading.Timer(0.3, core.create_namespaced_pod, (namespace, pod("late")))

    writer.start()

    assert collect(stream, 1) == [("ADDED", "late")]
    writer.join()


def test_an_object_that_enters_or_leaves_a_selection_is_added_or_deleted(core, namespace):
    version = core.list_namespaced_pod(namespace).metadata.resource_version
    core.create_namespaced_pod(namespace, pod("a", {"color": "red"}))
    core.patch_namespaced_pod("a", namespace, {"metadata": {"labels": {"color": "blue"}}})
    core.patch_namespaced_pod("a", namespace, {"metadata": {"labels": {"x": "y"}}})
    core.patch_namespaced_pod("a", namespace, {"metadata": {"labels": {"color": "red"}}})

    stream = watch.Watch().stream(
        core.list_namespaced_pod,
        namespace,
        label_selector="color=blue",
        resource_version=version,
        timeout_seconds=10,
    )

    assert collect(stream, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_of_one_field_sees_one_object(core, namespace):
    version = core.list_namespaced_pod(namespace).metadata.resource_version
    core.create_namespaced_pod(namespace, pod("other"))
    core.create_namespaced_pod(namespace, pod("mine"))

    stream = watch.Watch().stream(
        core.list_namespaced_pod,
        namespace,
        field_selector="metadata.name=mine",
        resource_version=version,
        timeout_seconds=10,
    )

    assert collect(stream, 1) == [("ADDED", "mine")]


def test_a_watch_ends_by_itself_after_its_timeout(core, namespace):
    stream = watch.Watch().stream(core.list_namespaced_pod, namespace, timeout_seconds=1)

    assert list(stream) == []


def test_events_are_lines_of_json_with_the_object_whole(cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod("a"))
    path = f"/api/v1/namespaces/{namespace}/pods?watch=true&timeoutSeconds=1"

    lines = cluster.request("GET", path, token=ADMIN).text.splitlines()

    event = json.loads(lines[0])
    assert (event["type"], event["object"]["kind"], event["object"]["apiVersion"]) == ("ADDED", "Pod", "v1")


def test_a_version_that_is_no_number_is_refused(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods?watch=true&resourceVersion=abc&timeoutSeconds=1"

    assert cluster.request("GET", path).status_code == 500


def test_a_duration_that_is_no_whole_number_is_refused(cluster, namespace):
    answer = cluster.request("GET", f"/api/v1/namespaces/{namespace}/pods?watch=true&timeoutSeconds=1.5")

    assert (answer.status_code, answer.json()["message"]) == (400, 'strconv.ParseInt: parsing "1.5": invalid syntax')


def test_a_bookmark_ends_a_watch_that_asks_for_them(cluster, core, namespace):
    if cluster.kind == "real":
        pytest.skip("the real server sends bookmarks at its own times, up to a minute apart")
    version = core.create_namespaced_pod(namespace, pod("a")).metadata.resource_version
    path = f"/api/v1/namespaces/{namespace}/pods?watch=1&resourceVersion={version}&timeoutSeconds=1"

    lines = cluster.request("GET", f"{path}&allowWatchBookmarks=true").text.splitlines()

    bookmark = json.loads(lines[-1])
    assert bookmark["type"] == "BOOKMARK"
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) >= int(version)


@pytest.mark.parametrize(
    ("spelling", "watches"),
    [
        *((f"={text}", True) for text in ("1", "t", "T", "true", "TRUE", "True", "yes", "")),
        ("", True),
        *((f"={text}", False) for text in ("0", "false", "FALSE", "False")),
    ],
)
def test_a_boolean_parameter_is_read_in_every_spelling(cluster, spelling, watches):
    answer = cluster.request("GET", f"/api/v1/namespaces?timeoutSeconds=1&watch{spelling}")

    first = json.loads(answer.text.splitlines()[0])
    assert (first.get("type") == "ADDED", first.get("kind", "")) == (
        watches,
        "" if watches else "NamespaceList",
    )


@pytest.mark.parametrize("spelling", ["True", "T", "1"])
def test_a_forced_apply_is_forced_in_every_spelling(cluster, core, namespace, spelling):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"a": "1"}})
    path = f"/api/v1/namespaces/{namespace}/configmaps/a?fieldManager=m&force="
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "2"}}

    taken = cluster.request("PATCH", path + spelling, body, content_type="application/apply-patch+yaml")

    assert taken.json()["data"] == {"a": "2"}
    body["data"] = {"a": "3"}
    for refusing in ("False", "0"):
        other = path.replace("fieldManager=m", "fieldManager=n")
        assert (
            cluster.request("PATCH", other + refusing, body, content_type="application/apply-patch+yaml").status_code
            == 409
        )
