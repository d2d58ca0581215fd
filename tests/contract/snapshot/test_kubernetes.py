"""What Kubernetes says of nodes, stuck pods and the VPC CNI, read from a real API as the readers' group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ip_remediator.snapshot.kubernetes import AWS_NODE, KubernetesReader
from ip_remediator.snapshot.model_cluster import Cni
from tests.contract.conftest import unique
from tests.contract.support.clusters import READER, Kubernetes

NODES, PODS, EVENTS = "/api/v1/nodes", "/api/v1/namespaces/{}/pods", "/api/v1/namespaces/{}/events"
NO_ADDRESS = 'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'


@pytest.fixture
def facts(kubernetes: Kubernetes) -> KubernetesReader:
    return KubernetesReader(kubernetes.api(READER))


@pytest.fixture
def nodes(kubernetes: Kubernetes) -> Iterator[Any]:
    """Makes nodes with the given labels, and removes them."""
    made = []

    def make(zone: str = "eu-west-1a", annotations: dict[str, str] | None = None, **labels: str) -> str:
        name = unique("ip")
        label_values = {
            "topology.kubernetes.io/zone": zone,
            "node.kubernetes.io/instance-type": "t3.medium",
            **{key.replace("__", "/").replace("_", "."): value for key, value in labels.items()},
        }
        node = {
            "metadata": {"name": name, "labels": label_values, "annotations": annotations or {}},
            "spec": {"providerID": f"aws:///{zone}/i-0abc"},
        }
        kubernetes.admin.create(NODES, node)
        kubernetes.admin.patch(f"{NODES}/{name}/status", {"status": {"allocatable": {"pods": "17"}}})
        made.append(name)
        return name

    yield make
    for name in made:
        kubernetes.admin.delete(f"{NODES}/{name}")


def read(facts: KubernetesReader, name: str, **env: str) -> Any:
    return next(node for node in facts.nodes(Cni(env=env)) if node.name == name)


def pod(kubernetes: Kubernetes, namespace: str, name: str, node: str | None, **spec: Any) -> str:
    """A Pending pod; its uid."""
    body = {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], **({"nodeName": node} if node else {}), **spec},
    }
    return str(kubernetes.admin.create(PODS.format(namespace), body)["metadata"]["uid"])


def failure(
    kubernetes: Kubernetes, namespace: str, uid: str, name: str, message: str = NO_ADDRESS, **fields: Any
) -> None:
    event = {
        "metadata": {"name": unique("event")},
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": name, "uid": uid},
        "reason": "FailedCreatePodSandBox",
        "type": "Warning",
        "message": message,
        "lastTimestamp": "2026-03-01T12:00:00Z",
        **fields,
    }
    kubernetes.admin.create(EVENTS.format(namespace), event)


# --- Nodes


def test_given_a_node_then_zone_instance_type_and_max_pods_are_told(facts: KubernetesReader, nodes: Any) -> None:
    name = nodes()
    result = read(facts, name)
    assert (result.zone, result.instance_id, result.instance_type, result.max_pods) == (
        "eu-west-1a",
        "i-0abc",
        "t3.medium",
        17,
    )
    assert result.runs_vpc_cni


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"eks_amazonaws_com__compute-type": "fargate"}, "fargate"),
        ({"eks_amazonaws_com__compute-type": "hybrid"}, "own_cni"),
        ({"eks_amazonaws_com__compute-type": "auto"}, "own_cni"),
        ({"kubernetes_io__os": "windows"}, "windows"),
    ],
)
def test_given_a_node_of_another_kind_then_it_does_not_run_the_vpc_cni(
    facts: KubernetesReader, nodes: Any, labels: dict[str, str], kind: str
) -> None:
    result = read(facts, nodes(**labels))
    assert getattr(result, kind)
    assert not result.runs_vpc_cni


@pytest.mark.parametrize(
    ("labels", "provisioner", "group"),
    [
        ({}, "self-managed", None),
        ({"eks_amazonaws_com__nodegroup": "workers"}, "managed", "workers"),
        ({"karpenter_sh__nodepool": "default"}, "karpenter", "default"),
        ({"karpenter_sh__provisioner-name": "old"}, "karpenter", "old"),
        ({"eks_amazonaws_com__compute-type": "auto", "karpenter_sh__nodepool": "system"}, "auto", "system"),
        ({"eks_amazonaws_com__compute-type": "fargate"}, "fargate", None),
        ({"eks_amazonaws_com__compute-type": "hybrid"}, "hybrid", None),
        ({"eks_amazonaws_com__compute-type": "ec2", "eks_amazonaws_com__nodegroup": "workers"}, "managed", "workers"),
    ],
)
def test_given_a_nodes_labels_then_who_made_it_and_its_group_are_told(
    facts: KubernetesReader, nodes: Any, labels: dict[str, str], provisioner: str, group: str | None
) -> None:
    result = read(facts, nodes(**labels))
    assert (result.provisioner, result.group) == (provisioner, group)


def test_given_what_a_node_bears_then_its_eniconfig_is_chosen_as_ipamd_chooses(
    facts: KubernetesReader, nodes: Any
) -> None:
    key = {"k8s.amazonaws.com/eniConfig": "by-annotation"}
    plain = nodes()
    by_label = nodes(k8s_amazonaws_com__eniConfig="by-label")
    by_annotation = nodes(annotations=key, k8s_amazonaws_com__eniConfig="by-label")
    external = nodes(annotations=key, vpc_amazonaws_com__externalEniConfig="external")
    chosen = {node.name: node.eni_config for node in facts.nodes(Cni())}
    assert [chosen[name] for name in (plain, by_label, by_annotation, external)] == [
        "default",
        "by-label",
        "by-annotation",
        "external",
    ]
    by_zone = {
        node.name: node.eni_config
        for node in facts.nodes(Cni(env={"ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"}))
    }
    assert [by_zone[name] for name in (plain, by_label, external)] == ["eu-west-1a", "eu-west-1a", "external"]


# --- Stuck pods


def test_given_pods_without_address_then_those_that_the_cni_failed_are_told(
    kubernetes: Kubernetes, facts: KubernetesReader, nodes: Any, namespace: str
) -> None:
    host = nodes()
    stuck = pod(kubernetes, namespace, "stuck", host)
    failure(kubernetes, namespace, stuck, "stuck")
    for name, options, message in (
        ("other-cause", {}, 'MountVolume.SetUp failed for volume "data"'),
        ("host-network", {"hostNetwork": True}, NO_ADDRESS),
        ("unscheduled", {"node": None}, NO_ADDRESS),
    ):
        uid = pod(kubernetes, namespace, name, **{"node": host, **options})
        failure(kubernetes, namespace, uid, name, message)
    pod(kubernetes, namespace, "no-event", host)
    [result] = [one for one in facts.stuck_pods() if one.namespace == namespace]
    assert (result.name, result.uid, result.node, result.message) == ("stuck", stuck, host, NO_ADDRESS)
    assert result.since


def test_given_a_pod_that_runs_by_now_then_its_old_events_make_it_no_stuck_pod(
    kubernetes: Kubernetes, facts: KubernetesReader, nodes: Any, namespace: str
) -> None:
    uid = pod(kubernetes, namespace, "nginx", nodes())
    failure(kubernetes, namespace, uid, "nginx")
    running = {"status": {"phase": "Running", "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}]}}
    kubernetes.admin.patch(f"{PODS.format(namespace)}/nginx/status", running)
    assert [one for one in facts.stuck_pods() if one.namespace == namespace] == []


def test_given_several_failures_of_a_pod_then_the_newest_words_are_told_shortened(
    kubernetes: Kubernetes, facts: KubernetesReader, nodes: Any, namespace: str
) -> None:
    uid = pod(kubernetes, namespace, "nginx", nodes())
    newest = f"{NO_ADDRESS} {'x' * 600}"
    failure(kubernetes, namespace, uid, "nginx", newest, lastTimestamp="2026-03-01T12:05:00Z")
    failure(kubernetes, namespace, uid, "nginx")
    [result] = [one for one in facts.stuck_pods() if one.namespace == namespace]
    assert result.message == newest[:500]


def test_given_pods_of_a_node_then_those_with_an_address_of_its_pool_are_counted(
    kubernetes: Kubernetes, facts: KubernetesReader, nodes: Any, namespace: str
) -> None:
    host = nodes()
    for name, options, status in (
        ("one", {}, {"phase": "Running", "podIP": "10.0.0.9"}),
        ("two", {}, {"phase": "Running", "podIP": "10.0.0.10"}),
        ("host-network", {"hostNetwork": True}, {"phase": "Running", "podIP": "10.0.0.4"}),
        ("branch-eni", {}, {"phase": "Running", "podIP": "10.0.0.11"}),
        ("done", {}, {"phase": "Succeeded", "podIP": "10.0.0.12"}),
        ("waits", {}, {"phase": "Pending"}),
    ):
        pod(kubernetes, namespace, name, **{"node": host, **options})
        addresses = [{"ip": status["podIP"]}] if "podIP" in status else []
        path = f"{PODS.format(namespace)}/{name}"
        kubernetes.admin.patch(f"{path}/status", {"status": {**status, "podIPs": addresses}})
    marked = {"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}}
    kubernetes.admin.patch(f"{PODS.format(namespace)}/branch-eni", marked)
    assert facts.pods_by_node()[host] == 2


# --- The CNI


def test_given_no_aws_node_then_the_vpc_cni_is_not_installed(kubernetes: Kubernetes, facts: KubernetesReader) -> None:
    kubernetes.admin.delete(AWS_NODE)
    assert not facts.cni(managed_addon=False).installed


def test_given_aws_node_then_version_and_settings_are_told(kubernetes: Kubernetes, facts: KubernetesReader) -> None:
    kubernetes.install_aws_node()
    result = facts.cni(managed_addon=True)
    assert result.installed
    assert (result.owner, result.owned_by) == ("addon", None)
    assert result.release == (1, 23, 1)
    assert result.env["WARM_ENI_TARGET"] == "1"
    assert "MY_NODE_NAME" not in result.env  # a valueFrom is no setting
    assert not result.custom_networking


def test_given_variables_that_are_not_the_cnis_then_they_stay_out(
    kubernetes: Kubernetes, facts: KubernetesReader
) -> None:
    kubernetes.install_aws_node()
    ours = {
        "MAX_ENI": "3",
        "WARM_IP_TARGET": "2",
        "ENI_CONFIG_LABEL_DEF": "zone",
        "AWS_VPC_K8S_CNI_EXTERNALSNAT": "true",
    }
    others = {
        "HTTPS_PROXY": "http://user:secret@proxy:3128",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "DATABASE_URL": "postgres://user:secret@db",
        "MY_ENABLE_X": "1",
    }
    env = [{"name": name, "value": value} for name, value in {**ours, **others}.items()]
    container = {"name": "aws-node", "env": env}
    kubernetes.admin.patch(AWS_NODE, {"spec": {"template": {"spec": {"containers": [container]}}}})
    result = facts.cni(managed_addon=False).env
    assert result.items() >= ours.items()
    assert not result.keys() & others.keys()


def test_given_writers_of_aws_nodes_spec_then_each_is_named_once(
    kubernetes: Kubernetes, facts: KubernetesReader
) -> None:
    kubernetes.install_aws_node()
    labels = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"labels": {"team": "network"}}}
    kubernetes.apply_as("label-keeper", AWS_NODE, labels)
    container = {"name": "aws-node", "env": [{"name": "MINIMUM_IP_TARGET", "value": "7"}]}
    spec = {"spec": {"template": {"spec": {"containers": [container]}}}}
    kubernetes.apply_as("Terraform", AWS_NODE, {**labels, "metadata": {}, **spec})
    kubernetes.set_rollout(wanted=1, updated=1, available=1)
    result = facts.cni(managed_addon=False).managers
    assert "Terraform" in result
    assert "label-keeper" not in result
    assert len(result) == len(set(result))


def test_given_aws_node_that_no_node_is_to_run_then_another_cni_is_in_charge(
    kubernetes: Kubernetes, facts: KubernetesReader
) -> None:
    kubernetes.install_aws_node()
    assert facts.cni(managed_addon=False).installed
    kubernetes.set_rollout(wanted=0, updated=0, available=0)
    assert not facts.cni(managed_addon=False).installed


@pytest.mark.parametrize(
    ("marks", "owner", "owned_by"),
    [
        ({}, "self-managed", None),
        ({"annotations": {"meta.helm.sh/release-name": "cni"}}, "helm", "Helm release cni"),
        (
            {"labels": {"argocd.argoproj.io/instance": "network"}},
            "gitops",
            "argocd.argoproj.io/instance=network",
        ),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "network:apps/DaemonSet:kube-system/aws-node"}},
            "gitops",
            "argocd.argoproj.io/tracking-id=network:apps/DaemonSet:kube-system/aws-node",
        ),
        (
            {
                "labels": {"kustomize.toolkit.fluxcd.io/name": "apps"},
                "annotations": {"meta.helm.sh/release-name": "cni"},
            },
            "gitops",
            "kustomize.toolkit.fluxcd.io/name=apps",
        ),
    ],
    ids=["nobody", "helm", "argo", "argo-by-annotation", "flux-over-helm"],
)
def test_given_marks_of_an_owner_then_who_keeps_aws_node_is_told(
    kubernetes: Kubernetes, facts: KubernetesReader, marks: dict[str, Any], owner: str, owned_by: str | None
) -> None:
    kubernetes.install_aws_node(**marks)
    result = facts.cni(managed_addon=False)
    assert (result.owner, result.owned_by) == (owner, owned_by)
    assert facts.cni(managed_addon=True).owner == "addon"


def test_given_no_crd_then_there_are_no_eniconfigs(kubernetes: Kubernetes, facts: KubernetesReader) -> None:
    kubernetes.install_aws_node()
    assert facts.eni_configs() == []
    assert facts.cni(managed_addon=False).eni_config_crd is False
