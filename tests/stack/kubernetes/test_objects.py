"""Create, read, update and delete, and the bookkeeping every object carries."""

from __future__ import annotations

import datetime as dt
import re

from tests.stack.kubernetes.support import pod, refused, workload


def test_a_created_object_carries_the_servers_metadata(core, namespace):
    created = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "v"}})

    assert re.fullmatch(r"[0-9a-f-]{36}", created.metadata.uid)
    assert int(created.metadata.resource_version) > 0
    assert abs(dt.datetime.now(dt.UTC) - created.metadata.creation_timestamp) < dt.timedelta(minutes=1)
    assert created.metadata.namespace == namespace
    assert created.metadata.managed_fields[0].operation == "Update"
    assert core.read_namespaced_config_map("a", namespace).data == {"k": "v"}


def test_a_generated_name_extends_its_prefix(core, namespace):
    names = {
        core.create_namespaced_config_map(namespace, {"metadata": {"generateName": "job-"}}).metadata.name
        for _ in range(3)
    }

    assert len(names) == 3
    assert all(re.fullmatch(r"job-[a-z0-9]{5}", name) for name in names)


def test_creating_a_name_twice_is_already_exists(core, namespace):
    core.create_namespaced_pod(namespace, pod("a"))

    with refused(409, "AlreadyExists") as status:
        core.create_namespaced_pod(namespace, pod("a"))

    assert status["message"] == 'pods "a" already exists'
    assert status["details"] == {"name": "a", "kind": "pods"}


def test_an_unknown_name_is_not_found(core, apps, namespace):
    with refused(404, "NotFound") as status:
        core.read_namespaced_pod("ghost", namespace)
    assert status["message"] == 'pods "ghost" not found'

    with refused(404, "NotFound") as status:
        apps.patch_namespaced_daemon_set("ghost", namespace, {})
    assert status["message"] == 'daemonsets.apps "ghost" not found'
    assert status["details"] == {"name": "ghost", "group": "apps", "kind": "daemonsets"}


def test_a_namespace_must_exist_before_what_is_in_it(core):
    with refused(404, "NotFound") as status:
        core.create_namespaced_pod("nowhere", pod("a"))

    assert status["message"] == 'namespaces "nowhere" not found'


def test_an_unknown_group_is_plain_text_and_an_unknown_resource_a_status(cluster):
    group = cluster.request("GET", "/apis/nope.example.com/v1/things")
    resource = cluster.request("GET", "/apis/apps/v1/things")

    assert (group.status_code, group.text.strip()) == (404, "404 page not found")
    assert group.headers["content-type"].startswith("text/plain")
    assert resource.json()["message"] == "the server could not find the requested resource"


def test_an_update_with_a_stale_version_conflicts(core, namespace):
    stale = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})

    with refused(409, "Conflict") as status:
        core.replace_namespaced_config_map("a", namespace, stale)

    assert status["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    with refused(409, "Conflict"):
        core.patch_namespaced_config_map("a", namespace, {"metadata": {"resourceVersion": "1"}, "data": {"k": "3"}})


def test_only_a_change_gets_a_new_resource_version(core, namespace):
    first = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "1"}})

    same = core.patch_namespaced_config_map("a", namespace, {"data": {"k": "1"}})
    changed = core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})

    assert same.metadata.resource_version == first.metadata.resource_version
    assert int(changed.metadata.resource_version) > int(first.metadata.resource_version)


def test_generation_counts_changes_of_the_spec_alone(apps, namespace):
    created = apps.create_namespaced_daemon_set(namespace, workload("DaemonSet", "a"))

    labelled = apps.patch_namespaced_daemon_set("a", namespace, {"metadata": {"labels": {"x": "y"}}})
    status = apps.patch_namespaced_daemon_set_status("a", namespace, {"status": {"numberReady": 3}})
    changed = apps.patch_namespaced_daemon_set("a", namespace, {"spec": {"minReadySeconds": 5}})

    generations = [item.metadata.generation for item in (created, labelled, status, changed)]
    assert generations == [1, 1, 1, 2]


def test_the_status_endpoint_changes_the_status_and_the_main_one_the_rest(apps, namespace):
    apps.create_namespaced_deployment(namespace, workload("Deployment", "a"))

    by_main = apps.patch_namespaced_deployment("a", namespace, {"status": {"readyReplicas": 9}})
    by_status = apps.patch_namespaced_deployment_status(
        "a", namespace, {"status": {"replicas": 3, "readyReplicas": 2}, "spec": {"replicas": 7}}
    )

    assert by_main.status.ready_replicas is None
    assert (by_status.status.ready_replicas, by_status.spec.replicas) == (2, 1)


def test_a_dry_run_answers_and_stores_nothing(core, namespace):
    answered = core.create_namespaced_config_map(
        namespace, {"metadata": {"name": "a"}, "data": {"k": "v"}}, dry_run="All"
    )

    assert answered.metadata.uid
    with refused(404, "NotFound"):
        core.read_namespaced_config_map("a", namespace)

    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    patched = core.patch_namespaced_config_map("a", namespace, {"data": {"k": "w"}}, dry_run="All")
    core.delete_namespaced_config_map("a", namespace, dry_run="All")
    assert patched.data == {"k": "w"}
    assert core.read_namespaced_config_map("a", namespace).data == {"k": "v"}


def test_workloads_get_the_defaults_that_controllers_read(apps, namespace):
    deployment = apps.create_namespaced_deployment(namespace, workload("Deployment", "a")).spec
    daemon_set = apps.create_namespaced_daemon_set(namespace, workload("DaemonSet", "a")).spec

    rolling = deployment.strategy.rolling_update
    assert (deployment.replicas, rolling.max_surge, rolling.max_unavailable) == (1, "25%", "25%")
    assert (deployment.revision_history_limit, deployment.progress_deadline_seconds) == (10, 600)
    assert daemon_set.update_strategy.type == "RollingUpdate"
    assert daemon_set.update_strategy.rolling_update.max_unavailable == 1
    spec = daemon_set.template.spec
    assert (spec.restart_policy, spec.dns_policy, spec.termination_grace_period_seconds) == (
        "Always",
        "ClusterFirst",
        30,
    )
    container = spec.containers[0]
    assert (container.image_pull_policy, container.ports[0].protocol) == ("IfNotPresent", "TCP")


def test_invalid_objects_are_refused_with_their_fields(core, apps, namespace):
    with refused(422, "Invalid") as status:
        core.create_namespaced_pod(namespace, {"metadata": {"name": "a"}, "spec": {"containers": []}})
    assert status["message"] == 'Pod "a" is invalid: spec.containers: Required value'
    assert status["details"]["causes"] == [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"}
    ]

    mismatched = workload("Deployment", "a")
    mismatched["spec"]["selector"]["matchLabels"] = {"app": "other"}
    with refused(422, "Invalid") as status:
        apps.create_namespaced_deployment(namespace, mismatched)
    assert status["details"]["causes"][0]["field"] == "spec.template.metadata.labels"
    assert "`selector` does not match template `labels`" in status["message"]

    with refused(422, "Invalid") as status:
        core.create_namespaced_config_map(namespace, {"metadata": {"name": "Not_A_Name"}})
    assert "a lowercase RFC 1123 subdomain must consist of" in status["message"]


def test_requests_that_make_no_sense_are_bad_requests(cluster, namespace):
    pods = f"/api/v1/namespaces/{namespace}/pods"

    answers = [
        cluster.request("POST", pods, "{bad"),
        cluster.request("POST", pods, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}),
        cluster.request("POST", pods, {**pod("a"), "spec": {"containers": "none"}}),
        cluster.request("POST", pods, {**pod("a"), "metadata": {"name": "a", "namespace": "other"}}),
    ]

    assert [(item.status_code, item.json()["reason"]) for item in answers] == [(400, "BadRequest")] * 4


def test_methods_that_a_url_does_not_have_are_refused(cluster, namespace):
    answer = cluster.request("PUT", f"/api/v1/namespaces/{namespace}/pods", pod("a"))

    assert (answer.status_code, answer.json()["reason"]) == (405, "MethodNotAllowed")


def test_deleting_answers_with_a_status_and_then_the_name_is_free(cluster, core, namespace):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})

    answer = cluster.request("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/a").json()

    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert (answer["details"]["name"], answer["details"]["kind"]) == ("a", "configmaps")
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})


def test_a_failed_precondition_keeps_the_object(core, namespace):
    created = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})

    with refused(409, "Conflict"):
        core.delete_namespaced_config_map("a", namespace, body={"preconditions": {"uid": "other"}})

    core.delete_namespaced_config_map("a", namespace, body={"preconditions": {"uid": created.metadata.uid}})


def test_a_finalizer_holds_an_object_until_it_is_taken_away(core, namespace):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}})

    core.delete_namespaced_config_map("a", namespace)

    deleting = core.read_namespaced_config_map("a", namespace)
    assert deleting.metadata.deletion_timestamp is not None
    with refused(422, "Invalid"):
        core.patch_namespaced_config_map("a", namespace, {"metadata": {"finalizers": ["example.com/more"]}})
    core.patch_namespaced_config_map("a", namespace, {"metadata": {"finalizers": None}})
    with refused(404, "NotFound"):
        core.read_namespaced_config_map("a", namespace)


def test_foreground_deletion_waits_for_the_garbage_collector(apps, namespace):
    apps.create_namespaced_deployment(namespace, workload("Deployment", "a"))

    apps.delete_namespaced_deployment("a", namespace, propagation_policy="Foreground")

    deleting = apps.read_namespaced_deployment("a", namespace)
    assert deleting.metadata.finalizers == ["foregroundDeletion"]
    assert deleting.metadata.deletion_timestamp is not None


def test_a_collection_is_deleted_by_selector(core, namespace):
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name, "labels": {"color": color}}})

    core.delete_collection_namespaced_config_map(namespace, label_selector="color=red")

    remaining = core.list_namespaced_config_map(namespace, label_selector="color").items
    assert [item.metadata.name for item in remaining] == ["c"]


def test_a_namespace_that_is_being_deleted_takes_nothing_new(cluster, core, namespace):
    config_map = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    core.create_namespaced_config_map(namespace, config_map)
    core.delete_namespace(namespace)

    assert core.read_namespace(namespace).status.phase == "Terminating"
    with refused(403, "Forbidden") as status:
        core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}, "spec": {"finalizers": []}}
    assert cluster.request("PUT", f"/api/v1/namespaces/{namespace}/finalize", body).status_code == 200
    with refused(404, "NotFound"):
        core.read_namespace(namespace)


def test_scaling_goes_through_the_scale_subresource(apps, namespace):
    apps.create_namespaced_deployment(namespace, workload("Deployment", "a"))

    scale = apps.patch_namespaced_deployment_scale("a", namespace, {"spec": {"replicas": 4}})

    assert (scale.spec.replicas, scale.status.selector) == (4, "app=a")
    assert apps.read_namespaced_deployment("a", namespace).spec.replicas == 4


def test_events_are_recorded_and_must_live_beside_their_object(core, namespace):
    about = {"kind": "Pod", "name": "a", "namespace": namespace}
    event = {
        "metadata": {"name": "a.1"},
        "involvedObject": about,
        "reason": "FailedCreatePodSandBox",
        "message": "failed to assign an IP address to container",
        "type": "Warning",
        "count": 1,
        "source": {"component": "kubelet", "host": "n"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    core.create_namespaced_event(namespace, event)

    repeated = core.patch_namespaced_event("a.1", namespace, {"count": 2})

    assert (repeated.count, repeated.source.host) == (2, "n")
    with refused(422, "Invalid") as status:
        core.create_namespaced_event(namespace, {**event, "involvedObject": {**about, "namespace": "other"}})
    assert status["details"]["causes"][0]["field"] == "involvedObject.namespace"


def test_webhook_configurations_are_kept_with_their_defaults_and_called_by_nobody(cluster, core, namespace):
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    webhook = {
        "name": "policy.example.com",
        "clientConfig": {"service": {"namespace": "policy", "name": "webhook"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",  # the real server calls it, and there is nobody
    }
    body = {"metadata": {"name": f"policy-{namespace}"}, "webhooks": [webhook, {**webhook, "name": "b.example.com"}]}
    answer = cluster.request("POST", path, body)
    assert answer.status_code == 201
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    listed = cluster.request("GET", path).json()["items"]
    (result,) = [one for one in listed if one["metadata"]["name"] == f"policy-{namespace}"]
    assert [one["name"] for one in result["webhooks"]] == ["policy.example.com", "b.example.com"]
    assert result["webhooks"][0]["clientConfig"]["service"]["port"] == 443
    assert result["webhooks"][0]["timeoutSeconds"] == 10
    cluster.request("DELETE", f"{path}/policy-{namespace}")


def test_a_stateful_set_gets_its_defaults(apps, namespace):
    created = apps.create_namespaced_stateful_set(namespace, workload("StatefulSet", "a"))

    assert (created.spec.replicas, created.spec.pod_management_policy) == (1, "OrderedReady")
    assert (created.spec.update_strategy.type, created.spec.update_strategy.rolling_update.partition) == (
        "RollingUpdate",
        0,
    )
    assert (created.metadata.generation, created.status.replicas) == (1, 0)
