"""The progress of a rollout of aws-node, and the nodes that delay it."""

from __future__ import annotations

from typing import Any

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.objects import is_ready
from ip_remediator.common.errors import PermissionDenied, ServiceUnavailable
from ip_remediator.common.text import some_of

_PODS = "/api/v1/namespaces/kube-system/pods"
_NODES = "/api/v1/nodes"


def progress(daemonset: dict[str, Any]) -> tuple[bool, str]:
    """As `kubectl rollout status` decides it: (done, in words)."""
    status = daemonset.get("status") or {}
    if status.get("observedGeneration", 0) < daemonset["metadata"].get("generation", 0):
        return False, "the DaemonSet controller has not seen the change yet"
    wanted = status.get("desiredNumberScheduled", 0)
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    return updated >= wanted and available >= wanted, f"{updated} of {wanted} updated, {available} available"


def laggards(kube: KubeApi, daemonset: dict[str, Any]) -> str:
    """The nodes whose pod of the DaemonSet is not ready, each with the reason; "" if there are none, or if they cannot
    be read: this text explains an error and must not replace it."""
    labels = (daemonset["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    try:
        pods = [pod for pod in kube.items(_PODS, labelSelector=selector) if not is_ready(pod)]
        states = {node["metadata"]["name"]: node for node in kube.items(_NODES)} if pods else {}
    except (PermissionDenied, ServiceUnavailable):
        return ""
    reasons = sorted(_reason(pod, states.get(pod["spec"].get("nodeName", ""))) for pod in pods)
    return f"; not ready: {some_of(reasons)}" if reasons else ""


def _reason(pod: dict[str, Any], node: dict[str, Any] | None) -> str:
    name = pod["spec"].get("nodeName") or pod["metadata"]["name"]
    if node is not None and not is_ready(node):
        return f"{name} (the node is NotReady)"
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    waiting = [(status.get("state") or {}).get("waiting", {}).get("reason") for status in statuses]
    return f"{name} ({next(filter(None, waiting), None) or (pod.get('status') or {}).get('phase', 'Pending')})"
