"""Helm 4 (its Go SDK behind Python): install, upgrade, roll back and uninstall a chart."""

from __future__ import annotations

import pytest

from tests.support.patience import within

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is built for Linux on x86-64 only")

TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1.27"}]}
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {selector: {app: web}, ports: [{port: 80, protocol: TCP}]}
---
apiVersion: v1
kind: Secret
metadata: {name: "{{ .Release.Name }}"}
stringData: {password: "{{ .Values.password }}"}
"""


@pytest.fixture
def chart(tmp_path):
    folder = tmp_path / "web"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text("replicas: 0\npassword: first\n")
    (folder / "templates" / "all.yaml").write_text(TEMPLATE)
    return str(folder)


@pytest.fixture
def releases(cluster, namespace):
    return helm.Config(kubeconfig_path=str(cluster.kubeconfig), namespace=namespace)


def test_a_chart_is_installed_upgraded_and_uninstalled(releases, chart, core, apps, namespace):
    installed = releases.install(chart, "shop")
    assert (installed["status"], installed["revision"]) == ("deployed", 1)
    assert apps.read_namespaced_deployment("shop", namespace).spec.replicas == 0
    assert core.read_namespaced_secret("shop", namespace).data == {"password": "Zmlyc3Q="}

    upgraded = releases.upgrade(chart, "shop", {"replicas": 3})
    assert (upgraded["status"], upgraded["revision"]) == ("deployed", 2)
    assert apps.read_namespaced_deployment("shop", namespace).spec.replicas == 3
    assert [(item["revision"], item["status"]) for item in releases.history("shop")] == [
        (1, "superseded"),
        (2, "deployed"),
    ]

    releases.uninstall("shop")
    assert releases.list() == []
    assert apps.list_namespaced_deployment(namespace).items == []
    assert core.list_namespaced_secret(namespace).items == []


def test_a_release_goes_back_to_an_earlier_revision(releases, chart, apps, namespace):
    releases.install(chart, "shop")
    releases.upgrade(chart, "shop", {"replicas": 3})

    releases.rollback("shop", version=1)

    assert apps.read_namespaced_deployment("shop", namespace).spec.replicas == 0


def test_a_chart_that_breaks_a_rule_is_refused_with_the_field(releases, chart):
    with pytest.raises(helm.HelmError, match=r"spec\.replicas"):
        releases.install(chart, "shop", {"replicas": -1})


def test_helm_waits_until_a_rollout_is_complete(releases, chart, controllers):
    installed = releases.install(chart, "shop", wait="watcher", timeout=round(within(60)))

    assert installed["status"] == "deployed"
