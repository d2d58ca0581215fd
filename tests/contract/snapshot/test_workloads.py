"""Webhooks, overlay networks and Karpenter, read from a real API as the readers' group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ip_remediator.clients.kubernetes.api import KubernetesDenied
from ip_remediator.snapshot.model_cluster import Webhook
from ip_remediator.snapshot.preflight.workloads import KubeWorkloads
from tests.contract.conftest import unique
from tests.contract.support.clusters import READER, STRANGER, Kubernetes
from tests.stack.kubernetes.support import eventually

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
VALIDATING, MUTATING = "validatingwebhookconfigurations", "mutatingwebhookconfigurations"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def workloads(kubernetes: Kubernetes) -> KubeWorkloads:
    return KubeWorkloads(kubernetes.api(READER))


@pytest.fixture
def configure(kubernetes: Kubernetes) -> Iterator[Any]:
    """Makes a configuration of webhooks that apply to nothing, and removes it."""
    made = []

    def make(kind: str, **webhooks: dict[str, Any]) -> None:
        name = unique("policy")
        common = {"admissionReviewVersions": ["v1"], "sideEffects": "None", "rules": []}
        listed = [{**common, "name": f"{key}.example.com", **webhook} for key, webhook in webhooks.items()]
        kubernetes.admin.create(f"{ADMISSION}/{kind}", {"metadata": {"name": name}, "webhooks": listed})
        made.append(f"{ADMISSION}/{kind}/{name}")

    yield make
    for path in made:
        kubernetes.admin.delete(path)


def service(name: str) -> dict[str, Any]:
    return {"clientConfig": {"service": {"namespace": "policy", "name": name}, "caBundle": ""}}


def test_given_webhooks_then_those_of_services_are_told_with_what_their_failure_means(
    workloads: KubeWorkloads, configure: Any
) -> None:
    outside = {"clientConfig": {"url": "https://example.com/hook"}}
    configure(VALIDATING, b=service("gate"), a={**service("audit"), "failurePolicy": "Ignore"}, c=outside)
    configure(MUTATING, d=service("inject"))
    assert workloads.webhooks(VALIDATING) == (
        Webhook(name="a.example.com", service="policy/audit", failure_policy="Ignore"),
        Webhook(name="b.example.com", service="policy/gate", failure_policy="Fail"),
    )
    assert workloads.webhooks(MUTATING) == (Webhook(name="d.example.com", service="policy/inject"),)


@pytest.mark.parametrize(
    ("labels", "image", "is_overlay"),
    [
        ({}, "nginx:1.27", False),
        ({}, "tailscale/tailscale:v1.90", True),
        ({}, "ghcr.io/tailscale/tailscale:v1.90", True),
        ({}, "registry.example.com/mirror/tailscale/k8s-operator:v1.90", True),
        ({"tailscale.com/managed": "true"}, "registry.example.com/vpn:1", True),
        ({"tailscale.com/parent-resource-type": "svc", "tailscale.com/parent-resource": "x"}, "vpn:1", True),
        ({}, "netbirdio/netbird:0.60", True),
    ],
)
@pytest.mark.parametrize("kind", ["daemonsets", "deployments", "statefulsets"])
def test_given_a_workload_then_its_image_or_labels_tell_whether_it_uses_100_64(
    kubernetes: Kubernetes,
    workloads: KubeWorkloads,
    namespace: str,
    kind: str,
    labels: dict[str, str],
    image: str,
    is_overlay: bool,
) -> None:
    names = {"daemonsets": "DaemonSet", "deployments": "Deployment", "statefulsets": "StatefulSet"}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
    body = {"metadata": {"name": "vpn", "labels": labels}, "spec": spec}
    kubernetes.admin.create(f"/apis/apps/v1/namespaces/{namespace}/{kind}", body)
    result = [one for one in workloads.overlays(kind) if f" {namespace}/" in one]
    assert result == ([f"{names[kind]} {namespace}/vpn"] if is_overlay else [])
    kubernetes.admin.delete(f"/apis/apps/v1/namespaces/{namespace}/{kind}/vpn")


def test_given_a_sidecar_among_the_init_containers_then_it_counts(
    kubernetes: Kubernetes, workloads: KubeWorkloads, namespace: str
) -> None:
    spec = {
        "containers": [{"name": "c", "image": "nginx"}],
        "initContainers": [{"name": "t", "image": "tailscale/tailscale", "restartPolicy": "Always"}],
    }
    template = {"metadata": {"labels": {"app": "x"}}, "spec": spec}
    body = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}}
    kubernetes.admin.create(f"/apis/apps/v1/namespaces/{namespace}/deployments", body)
    assert f"Deployment {namespace}/web" in workloads.overlays("deployments")


def test_given_karpenters_node_classes_then_it_is_there(kubernetes: Kubernetes, workloads: KubeWorkloads) -> None:
    assert not workloads.karpenter()
    name = "ec2nodeclasses.karpenter.k8s.aws"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    kubernetes.admin.create(
        CRDS,
        {
            "metadata": {"name": name},
            "spec": {
                "group": "karpenter.k8s.aws",
                "scope": "Cluster",
                "names": {"plural": "ec2nodeclasses", "kind": "EC2NodeClass"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        },
    )
    eventually(workloads.karpenter)
    kubernetes.admin.delete(f"{CRDS}/{name}")
    eventually(lambda: not workloads.karpenter())


def test_given_a_stranger_then_lists_are_denied(kubernetes: Kubernetes) -> None:
    strangers = KubeWorkloads(kubernetes.api(STRANGER))
    with pytest.raises(KubernetesDenied):
        strangers.webhooks(VALIDATING)
    with pytest.raises(KubernetesDenied):
        strangers.overlays("deployments")
