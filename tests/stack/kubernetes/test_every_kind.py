"""`kubectl create` for every kind it knows, most of them sent in protobuf, and what the server makes of them."""

from __future__ import annotations

import base64
import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from local.kubernetes.errors import ApiError
from local.kubernetes.writes import protobuf
from tests.stack.kubernetes.support import refused, workload

# Those that `kubectl create` makes from flags: kind and name, then the rest of the command.
COMMANDS = {
    "clusterrole": "--verb=get --resource=pods",
    "clusterrolebinding": "--clusterrole=view --user=bob",
    "configmap": "--from-literal=a=b",
    "cronjob": "--image=busybox --schedule=@hourly -- date",
    "deployment": "--image=nginx --replicas=2 --port=80",
    "ingress": "--rule=example.com/path*=web:8080,tls=cert",
    "job": "--image=busybox -- date",
    "namespace": "",
    "poddisruptionbudget": "--selector=app=web --min-available=50%",
    "priorityclass": "--value=-7 --global-default=false --description=low",
    "quota": "--hard=cpu=1500m,pods=2",
    "role": "--verb=get,list --resource=pods --resource-name=a",
    "rolebinding": "--role=reader --serviceaccount=default:robot",
    "secret generic": "--from-literal=password=s3cret",
    "secret docker-registry": "--docker-username=u --docker-password=p",
    "service clusterip": "--tcp=80:8080",
    "service nodeport": "--tcp=80:8080",
    "service loadbalancer": "--tcp=80:8080",
    "service externalname": "--external-name=example.com",
    "serviceaccount": "",
}
# One of each way to be made; `make test-slow` makes the others as well.
QUICK = ("clusterrole", "cronjob", "rolebinding", "secret docker-registry", "service loadbalancer", "serviceaccount")
CLUSTER_SCOPED = ("clusterrole", "clusterrolebinding", "namespace", "priorityclass")
# policy/v1 and CronJobs of batch/v1 came with Kubernetes 1.21.
SINCE_1_21 = ("cronjob", "poddisruptionbudget")


@pytest.fixture
def kubectl(cluster, namespace):
    def run(*arguments, **more):
        return cluster.kubectl(f"--namespace={namespace}", *arguments, **more)

    return run


@pytest.fixture
def made(cluster, namespace, kubectl):
    """A function that runs `kubectl create KIND NAME …` and answers with what the server stored."""
    scoped = []

    def create(kind, name, *more):
        if cluster.kind == "real" and kind in SINCE_1_21:
            pytest.skip(f"the real server at hand does not serve the version of {kind} that kubectl sends")
        output = kubectl("create", *kind.split(), name, *more)
        assert output.endswith("created\n"), output
        plural = kind.split()[0]
        if plural in CLUSTER_SCOPED:
            scoped.append((plural, name))
        return json.loads(kubectl("get", plural, name, "--output=json"))

    yield create
    for plural, name in scoped:
        kubectl("delete", plural, name, "--wait=false")


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in COMMANDS]
)
def test_kubectl_creates_each_kind_it_knows(made, namespace, kind):
    stored = made(kind, f"made-{namespace}", *COMMANDS[kind].split())

    assert stored["metadata"]["name"] == f"made-{namespace}"
    assert stored["metadata"]["uid"]


def test_what_is_sent_in_protobuf_is_stored_as_if_it_were_json(made):
    container = made("deployment", "web", "--image=nginx", "--replicas=0", "--port=80")["spec"]["template"]["spec"]
    quota = made("quota", "q", "--hard=cpu=1500m,pods=2")
    ingress = made("ingress", "i", "--rule=example.com/path*=web:8080")
    secret = made("secret generic", "s", "--from-literal=password=s3cret")
    priority = made("priorityclass", "p", "--value=-7")

    assert container["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert "hostNetwork" not in container
    assert quota["spec"]["hard"] == {"cpu": "1500m", "pods": "2"}
    rule = ingress["spec"]["rules"][0]
    assert rule["http"]["paths"][0]["backend"] == {"service": {"name": "web", "port": {"number": 8080}}}
    assert secret["data"] == {"password": base64.b64encode(b"s3cret").decode()}
    assert priority["value"] == -7


def test_a_zero_behind_a_pointer_is_a_value(made):
    assert made("deployment", "none", "--image=nginx", "--replicas=0")["spec"]["replicas"] == 0


def test_budgets_keep_percentages_and_numbers_apart(made):
    by_percent = made("poddisruptionbudget", "a", "--selector=app=a", "--min-available=50%")
    by_number = made("poddisruptionbudget", "b", "--selector=app=b", "--max-unavailable=0")

    assert by_percent["spec"]["minAvailable"] == "50%"
    assert by_number["spec"]["maxUnavailable"] == 0


def test_run_expose_and_taint_work_too(kubectl, node):
    kubectl("run", "shell", "--image=busybox", "--env=A=b")
    kubectl("create", "deployment", "web", "--image=nginx")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=http")
    kubectl("taint", "node", node, "a=b:NoSchedule")

    service = json.loads(kubectl("get", "service", "web", "--output=json"))
    assert service["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": "http"}]
    assert kubectl("get", "pod", "shell", "-o", "jsonpath={.spec.containers[0].env[0].value}") == "b"
    assert "a" in kubectl("get", "node", node, "-o", "jsonpath={.spec.taints[*].key}").split()


def test_autoscale_works_too(cluster, kubectl):
    if cluster.request("GET", group_path("autoscaling/v2")).status_code == 404:
        pytest.skip("the real server at hand does not serve autoscaling/v2, in which kubectl asks")
    kubectl("create", "deployment", "web", "--image=nginx")
    kubectl("autoscale", "deployment", "web", "--max=3")
    assert kubectl("get", "hpa", "web", "-o", "jsonpath={.spec.maxReplicas}") == "3"


def test_services_get_addresses_and_ports_of_their_own_and_keep_them(made, kubectl):
    first = made("service clusterip", "a", "--tcp=80")["spec"]
    second = made("service nodeport", "b", "--tcp=80")["spec"]
    outside = made("service externalname", "c", "--external-name=example.com")["spec"]
    headless = made("service clusterip", "d", "--clusterip=None")["spec"]

    assert first["clusterIP"].startswith("172.20.")
    assert first["clusterIP"] != second["clusterIP"]
    assert 30000 <= second["ports"][0]["nodePort"] <= 32767
    assert "clusterIP" not in outside
    assert headless["clusterIP"] == "None"
    kubectl("patch", "service", "a", "--patch", '{"spec":{"type":"NodePort"}}')
    changed = json.loads(kubectl("get", "service", "a", "--output=json"))["spec"]
    assert changed["clusterIP"] == first["clusterIP"]
    assert changed["ports"][0]["nodePort"] != second["ports"][0]["nodePort"]
    refused_change = kubectl(
        "patch",
        "service",
        "a",
        "--patch",
        '{"spec":{"clusterIP":"172.20.9.9","clusterIPs":["172.20.9.9"]}}',
        check=False,
    )
    assert "Invalid value" in refused_change


def test_get_prints_what_people_look_for(made, kubectl):
    made("service nodeport", "web", "--tcp=80")
    made("service externalname", "out", "--external-name=example.com")
    made("secret generic", "s", "--from-literal=a=1", "--from-literal=b=2")

    services = {line.split()[0]: line.split() for line in kubectl("get", "services").splitlines()}
    secrets = {line.split()[0]: line.split() for line in kubectl("get", "secrets").splitlines()}

    assert re.fullmatch(r"80:3\d{4}/TCP", services["web"][4])
    assert services["out"][3] == "example.com"
    assert secrets["s"][1:3] == ["Opaque", "2"]


def test_a_job_selects_its_pods_by_its_uid_and_must_not_restart_always(cluster, core, namespace, made):
    job = made("job", "once", "--image=busybox", "--", "date")

    [(_, uid)] = job["spec"]["selector"]["matchLabels"].items()
    assert uid == job["metadata"]["uid"]
    assert job["spec"]["template"]["metadata"]["labels"]["job-name"] == "once"
    template = {"spec": {"containers": [{"name": "a", "image": "b"}]}}
    body = {"metadata": {"name": "forever"}, "spec": {"template": template}}
    answer = cluster.request("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", body)
    assert (answer.status_code, answer.json()["details"]["causes"][0]["field"]) == (
        422,
        "spec.template.spec.restartPolicy",
    )


def test_string_data_ends_up_in_data_and_is_never_shown(core, cluster, namespace):
    body = {"metadata": {"name": "s"}, "data": {"a": "b2xk", "b": "b2xk"}, "stringData": {"a": "new", "c": "ü"}}
    created = core.create_namespaced_secret(namespace, body)
    patched = core.patch_namespaced_secret("s", namespace, {"stringData": {"b": "newer"}})

    assert created.string_data is None
    assert {name: base64.b64decode(value).decode() for name, value in created.data.items()} == {
        "a": "new",
        "b": "old",
        "c": "ü",
    }
    assert base64.b64decode(patched.data["b"]) == b"newer"
    assert "stringData" not in cluster.request("GET", f"/api/v1/namespaces/{namespace}/secrets/s").json()


def test_secret_data_that_is_not_base64_is_refused(core, namespace):
    with refused(400, "BadRequest"):
        core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}, "data": {"a": "!!"}})


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("Deployment", "replicas"),
        ("Deployment", "minReadySeconds"),
        ("Deployment", "revisionHistoryLimit"),
        ("Deployment", "progressDeadlineSeconds"),
        ("ReplicaSet", "replicas"),
        ("StatefulSet", "replicas"),
        ("DaemonSet", "minReadySeconds"),
    ],
)
def test_negative_counts_are_refused_when_created_and_when_patched(cluster, namespace, kind, field):
    path = f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s"
    wrong, right = workload(kind, "wrong"), workload(kind, "right")
    wrong["spec"][field] = -1
    if kind == "StatefulSet":
        wrong["spec"]["serviceName"] = right["spec"]["serviceName"] = "x"
    assert cluster.request("POST", path, right).status_code == 201

    created = cluster.request("POST", path, wrong)
    patched = cluster.request(
        "PATCH", f"{path}/right", {"spec": {field: -2}}, content_type="application/merge-patch+json"
    )

    for answer, value in ((created, -1), (patched, -2)):
        cause = answer.json()["details"]["causes"][0]
        assert (answer.status_code, cause["field"]) == (422, f"spec.{field}")
        assert cause["message"] == f"Invalid value: {value}: must be greater than or equal to 0"


def test_jobs_take_no_negative_counts(cluster, namespace):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}
    body = {"metadata": {"name": "j"}, "spec": {"parallelism": -1, "backoffLimit": -1, "template": template}}

    answer = cluster.request("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", body)

    fields = {cause["field"] for cause in answer.json()["details"]["causes"]}
    assert fields == {"spec.parallelism", "spec.backoffLimit"}


def test_a_custom_resource_has_no_protobuf_form(cluster, eniconfigs):
    kind = b"\x0a\x1ecrd.k8s.amazonaws.com/v1alpha1" + b"\x12\x09ENIConfig"
    body = b"k8s\x00\x0a" + bytes([len(kind)]) + kind

    answer = cluster.send_bytes("POST", "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs", body, protobuf.CONTENT_TYPE)

    # 415 since 1.21; before, the real server tried to read it as JSON.
    assert answer.status_code == (400 if cluster.kind == "real" else 415)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_a_bad_request(tail):
    for start in (b"", b"k8s\x00", b"k8s\x00\x0a\x0d\x0a\x02v1\x12\x07Service\x12"):
        assert outcome(start + tail) in (200, 400, 415)


def outcome(body):
    try:
        protobuf.decode(body)
    except ApiError as error:
        return error.code
    return 200


TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
VOLUME = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
# The least that makes an object of a kind: what people put into manifests, beside the kinds above.
MANIFESTS = [
    ("v1", "LimitRange", {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}}),
    ("v1", "PersistentVolume", {"spec": VOLUME}),
    ("v1", "PersistentVolumeClaim", {"spec": CLAIM}),
    ("v1", "PodTemplate", {"template": TEMPLATE}),
    ("v1", "ReplicationController", {"spec": {"replicas": 0, "template": TEMPLATE}}),
    ("v1", "Endpoints", {"subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]}),
    ("apps/v1", "ControllerRevision", {"revision": 1, "data": {"any": ["thing"]}}),
    (
        "apps/v1",
        "StatefulSet",
        {"spec": {"serviceName": "x", "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}},
    ),
    (
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        {"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "x"}}},
    ),
    ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}}}),
    ("networking.k8s.io/v1", "IngressClass", {"spec": {"controller": "example.com/ingress"}}),
    ("storage.k8s.io/v1", "StorageClass", {"provisioner": "ebs.csi.aws.com"}),
    ("storage.k8s.io/v1", "CSIDriver", {"spec": {"attachRequired": False}}),
    ("discovery.k8s.io/v1", "EndpointSlice", {"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}]}),
    ("node.k8s.io/v1", "RuntimeClass", {"handler": "runc"}),
    ("coordination.k8s.io/v1", "Lease", {"spec": {"holderIdentity": "me"}}),
    ("rbac.authorization.k8s.io/v1", "Role", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
]
PROTECTED = {"PersistentVolume", "PersistentVolumeClaim"}


def test_a_manifest_of_each_kind_is_taken_shown_and_deleted(cluster, kubectl, namespace):
    served = [given for given in MANIFESTS if cluster.request("GET", group_path(given[0])).status_code != 404]
    documents = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": namespace}, **body} for version, kind, body in served
    ]
    manifest = yaml.safe_dump_all(documents)

    created = kubectl("create", "-f", "-", stdin=manifest).splitlines()
    applied = kubectl("apply", "-f", "-", stdin=manifest).splitlines()
    shown = json.loads(kubectl("get", "-f", "-", "--output=json", stdin=manifest))["items"]
    # A claim and its volume are kept by finalizers, which controllers take away that the real server does not have.
    deleted = kubectl("delete", "-f", "-", "--wait=false", stdin=manifest).splitlines()
    kept = kubectl("get", "-f", "-", "--ignore-not-found", "--output=json", stdin=manifest) or '{"items": []}'

    assert [line.split()[-1] for line in created] == ["created"] * len(served)
    assert [line.split()[-1] for line in applied] == ["configured"] * len(served)
    assert [(item["apiVersion"], item["kind"], item["metadata"]["name"]) for item in shown] == [
        (version, kind, namespace) for version, kind, _ in served
    ]
    assert len([line for line in deleted if "deleted" in line]) == len(served)
    remaining = {item["kind"] for item in json.loads(kept)["items"]}
    assert remaining <= (PROTECTED if cluster.kind == "real" else set())


def group_path(version):
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
