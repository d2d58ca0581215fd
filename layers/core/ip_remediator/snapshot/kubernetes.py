"""Reads nodes, pods that wait for an address, the VPC CNI and its ENIConfigs from Kubernetes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.objects import instance_id
from ip_remediator.snapshot.model_cluster import (
    CRD_NAME,
    DEFAULT_ENI_CONFIG,
    EXTERNAL_ENI_CONFIG_LABEL,
    ZONE_LABEL,
    Cni,
    EniConfig,
    Node,
    Provisioner,
    StuckPod,
)

AWS_NODE = "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
# A node lists its images: it is ten times as large as a pod's event.
_NODES_PER_PAGE = 250
_PODS_PER_PAGE = 500
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OURS = "eks-ip-remediator"
_BRANCH_ENI = "vpc.amazonaws.com/pod-eni"
_COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
_OS = "kubernetes.io/os"
_NODE_GROUP = "eks.amazonaws.com/nodegroup"
# The second one is that of Karpenter before v0.32.
_NODE_POOLS = ("karpenter.sh/nodepool", "karpenter.sh/provisioner-name")
_GITOPS_MARKS = (
    "argocd.argoproj.io/instance",
    "argocd.argoproj.io/tracking-id",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)
_UNSCHEDULABLE = ("node.kubernetes.io/unschedulable", "NoSchedule")
_HELM_MARK = "meta.helm.sh/release-name"
# The variables that the VPC CNI's README and its add-on's schema name. Others (a proxy with its password, say) are no
# settings of the CNI and stay out of a snapshot.
_CNI_VARIABLES = re.compile(
    "(AWS_VPC_|DISABLE_|ENABLE_|ENI_CONFIG_|WARM_).+|ADDITIONAL_ENI_TAGS|ANNOTATE_POD_IP|AWS_EC2_ENDPOINT"
    "|AWS_EXTERNAL_SERVICE_CIDRS|AWS_MANAGE_ENIS_NON_SCHEDULABLE|CLUSTER_ENDPOINT|CLUSTER_NAME"
    "|INTROSPECTION_BIND_ADDRESS|IP_COOLDOWN_PERIOD|MAX_ENI|MINIMUM_IP_TARGET|NETWORK_POLICY_ENFORCING_MODE|POD_MTU"
    "|POD_SECURITY_GROUP_ENFORCING_MODE|VPC_CNI_VERSION|VPC_ID"
)
# The kubelet's words if the VPC CNI could not set up a sandbox; other causes (volumes, images) don't matter here.
_CNI_FAILURE = re.compile(r"aws-cni|failed to assign an IP address")


class KubernetesReader:
    """Raises the errors of `clients.kubernetes.api`."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def cni(self, *, managed_addon: bool) -> Cni:
        """The `aws-node` DaemonSet; `managed_addon`: EKS says that the add-on vpc-cni owns it.

        A DaemonSet that no node is to run counts as not installed: Cilium's own guide leaves it so, by a nodeSelector.
        """
        daemonset = self._api.find(AWS_NODE)
        if daemonset is None or _runs_nowhere(daemonset):
            return Cni(installed=False)
        container = aws_node_container(daemonset)
        kind_of_owner, owned_by = _owner_of(daemonset)
        return Cni(
            installed=True,
            version=container.get("image", "").rpartition(":")[2] or None,
            owner="addon" if managed_addon else kind_of_owner,
            owned_by=owned_by,
            managers=tuple(dict.fromkeys(entry["manager"] for entry in entries_of_spec(daemonset))),
            env={name: value for name, value in environment_of(container).items() if _CNI_VARIABLES.fullmatch(name)},
            eni_config_crd=self._api.find(f"{CRDS}/{CRD_NAME}") is not None,
        )

    def eni_configs(self) -> list[EniConfig]:
        """Every ENIConfig; none where the CRD is missing."""
        listed = self._api.find(ENI_CONFIGS)
        return [
            EniConfig(
                name=item["metadata"]["name"],
                subnet=item.get("spec", {}).get("subnet"),
                security_groups=tuple(item.get("spec", {}).get("securityGroups") or ()),
                managed_by=writer_of_subnet(item),
                labels=_marks_of_others(item, "labels"),
                annotations=_marks_of_others(item, "annotations"),
            )
            for item in (listed or {}).get("items", [])
        ]

    def nodes(self, cni: Cni) -> list[Node]:
        """The nodes, without their ENIs, which are read from EC2."""
        return [_node(item, cni) for item in self._api.items("/api/v1/nodes", _NODES_PER_PAGE)]

    def pods_by_node(self) -> Counter[str]:
        """How many pods of each node have an address of its pool: not those of the host's network, nor those with a
        branch ENI."""
        running = self._api.items("/api/v1/pods", _PODS_PER_PAGE, fieldSelector="status.phase=Running")
        return Counter(pod["spec"]["nodeName"] for pod in running if _holds_address(pod))

    def stuck_pods(self) -> list[StuckPod]:
        """Pods that are scheduled, have no address, and whose sandbox the VPC CNI failed to set up."""
        failures = self._newest_failures()
        if not failures:
            return []
        pending = self._api.items("/api/v1/pods", fieldSelector="status.phase=Pending")
        return [_stuck_pod(pod, failures[pod["metadata"]["uid"]]) for pod in pending if _waits(pod, failures)]

    def sandbox_failures(self, since: datetime, most: int) -> list[dict[str, Any]]:
        """The newest event of each pod that still waits, where it was seen after `since`; of `most` pods at most."""
        failures = self._newest_failures(since)
        if not failures:
            return []
        pending = self._api.items("/api/v1/pods", fieldSelector="status.phase=Pending")
        waiting = (pod["metadata"]["uid"] for pod in pending if _waits(pod, failures))
        return [failures[uid] for uid in islice(waiting, most)]

    def _newest_failures(self, since: datetime | None = None) -> dict[str, dict[str, Any]]:
        """The newest FailedCreatePodSandBox event of each pod, by the pod's uid; only those seen after `since`."""
        newest: dict[str, dict[str, Any]] = {}
        for event in self._api.items("/api/v1/events", fieldSelector="reason=FailedCreatePodSandBox"):
            if not _CNI_FAILURE.search(event.get("message", "")) or (since and _seen_at(event) <= since):
                continue
            uid = event["involvedObject"].get("uid", "")
            if uid not in newest or _time_text(event) > _time_text(newest[uid]):
                event["metadata"].pop("managedFields", None)  # as large as all the rest
                newest[uid] = event
        return newest


def _owner_of(daemonset: dict[str, Any]) -> tuple[Literal["gitops", "helm", "self-managed"], str | None]:
    """The tool that deploys a DaemonSet without an add-on, and the label or annotation that shows it."""
    metadata = daemonset["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    gitops = next((f"{mark}={marks[mark]}" for mark in _GITOPS_MARKS if mark in marks), None)
    if gitops:
        return "gitops", gitops
    if _HELM_MARK in marks:
        return "helm", f"Helm release {marks[_HELM_MARK]}"
    return "self-managed", None


def _runs_nowhere(daemonset: dict[str, Any]) -> bool:
    status = daemonset.get("status") or {}
    return bool(status.get("observedGeneration")) and status.get("desiredNumberScheduled") == 0


def aws_node_container(daemonset: dict[str, Any]) -> dict[str, Any]:
    """The container `aws-node` of its DaemonSet (the other one is the network policy agent)."""
    containers = daemonset["spec"]["template"]["spec"]["containers"]
    return next((container for container in containers if container["name"] == "aws-node"), containers[0])


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """Plain values only; a valueFrom (the node's name, say) is not a setting."""
    return {variable["name"]: variable["value"] for variable in container.get("env") or [] if "value" in variable}


def _node(item: dict[str, Any], cni: Cni) -> Node:
    labels = item["metadata"].get("labels") or {}
    annotations = item["metadata"].get("annotations") or {}
    spec = item.get("spec") or {}
    pods = (item.get("status", {}).get("allocatable") or {}).get("pods")
    provisioner, group = _provisioner(labels)
    return Node(
        name=item["metadata"]["name"],
        zone=labels.get(ZONE_LABEL),
        instance_id=instance_id(spec.get("providerID")),
        instance_type=labels.get("node.kubernetes.io/instance-type"),
        max_pods=int(pods) if pods else None,
        unschedulable=_is_cordoned(spec),
        provisioner=provisioner,
        group=group,
        fargate=labels.get(_COMPUTE_TYPE) == "fargate",
        windows=labels.get(_OS) == "windows",
        own_cni=labels.get(_COMPUTE_TYPE) in ("hybrid", "auto"),
        eni_config=_selected_eni_config(labels, annotations, cni),
    )


def _is_cordoned(spec: dict[str, Any]) -> bool:
    """By the taint that ipamd looks for (ipamd.go, isNodeNonSchedulable); Kubernetes sets it by spec.unschedulable."""
    taints = ((taint.get("key"), taint.get("effect")) for taint in spec.get("taints") or [])
    return bool(spec.get("unschedulable")) or _UNSCHEDULABLE in taints


def _provisioner(labels: dict[str, str]) -> tuple[Provisioner, str | None]:
    """What provisioned the node, and its managed node group or NodePool."""
    pool = next((labels[label] for label in _NODE_POOLS if label in labels), None)
    match labels.get(_COMPUTE_TYPE):
        case "fargate":
            return "fargate", None
        case "hybrid":
            return "hybrid", None
        case "auto":
            return "auto", pool
    if _NODE_GROUP in labels:
        return "managed", labels[_NODE_GROUP]
    return ("karpenter", pool) if pool else ("self-managed", None)


def _selected_eni_config(labels: dict[str, str], annotations: dict[str, str], cni: Cni) -> str:
    """The ENIConfig that ipamd chooses: by the external label, else the annotation, else the label, else `default`."""
    marks = (labels.get(EXTERNAL_ENI_CONFIG_LABEL), annotations.get(cni.eni_config_annotation))
    candidates = (*marks, labels.get(cni.eni_config_label))
    return next((name for name in candidates if name), DEFAULT_ENI_CONFIG)


def _waits(pod: dict[str, Any], failures: dict[str, Any]) -> bool:
    return (
        bool(pod["spec"].get("nodeName"))
        and not pod["spec"].get("hostNetwork")
        and not pod.get("status", {}).get("podIP")
        and not pod["metadata"].get("deletionTimestamp")
        and pod["metadata"]["uid"] in failures
    )


def _marks_of_others(item: dict[str, Any], kind: Literal["labels", "annotations"]) -> dict[str, str]:
    marks = item["metadata"].get(kind) or {}
    return {
        name: value
        for name, value in marks.items()
        if name != _LAST_APPLIED and not name.startswith(_OURS) and value != _OURS
    }


def _holds_address(pod: dict[str, Any]) -> bool:
    own = pod["spec"].get("nodeName") and not pod["spec"].get("hostNetwork") and pod.get("status", {}).get("podIP")
    return bool(own) and _BRANCH_ENI not in (pod["metadata"].get("annotations") or {})


def _stuck_pod(pod: dict[str, Any], event: dict[str, Any]) -> StuckPod:
    return StuckPod(
        namespace=pod["metadata"]["namespace"],
        name=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        node=pod["spec"]["nodeName"],
        since=datetime.fromisoformat(pod["metadata"]["creationTimestamp"]),
        message=event.get("message", "")[:500],
    )


def _time_text(event: dict[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _seen_at(event: dict[str, Any]) -> datetime:
    """When the event was seen. An event without any time counts as just seen, because it counts only while its pod
    still waits."""
    text = _time_text(event)
    return datetime.fromisoformat(text) if text else datetime.max.replace(tzinfo=UTC)


def writer_of_subnet(eni_config: dict[str, Any]) -> str | None:
    """The field manager that wrote the ENIConfig's subnet last. One whose value another took over by force keeps an
    entry for the spec, without its field ("Server-Side Apply" of the Kubernetes documentation, "Conflicts")."""
    entries = entries_of_spec(eni_config)
    return latest_manager([entry for entry in entries if "f:subnet" in entry["fieldsV1"]["f:spec"]] or entries)


def entries_of_spec(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of its managedFields that are about the spec."""
    entries = item["metadata"].get("managedFields") or []
    return [entry for entry in entries if "f:spec" in (entry.get("fieldsV1") or {})]


def latest_manager(entries: Collection[dict[str, Any]]) -> str | None:
    """The field manager of the latest of these entries of managedFields; None of none."""
    return str(max(entries, key=lambda entry: entry.get("time") or "")["manager"]) if entries else None
