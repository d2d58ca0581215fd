"""Workloads that new addresses may affect: admission webhooks, overlay networks, Karpenter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.common.errors import NotFound
from ip_remediator.snapshot.model_cluster import NodeClass, Webhook
from ip_remediator.snapshot.preflight.node_launchers import node_class

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
WEBHOOK_KINDS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
WORKLOAD_KINDS = {"daemonsets": "DaemonSet", "deployments": "Deployment", "statefulsets": "StatefulSet"}
_WORKLOADS_PER_PAGE = 100
# The API group of EC2NodeClass, which Karpenter's AWS provider brings; Auto Mode has NodePools, but a NodeClass of
# its own. Discovery is open to everyone who is authenticated.
_KARPENTER = "/apis/karpenter.k8s.aws"
_NODE_CLASSES = f"{_KARPENTER}/v1/ec2nodeclasses"
# Tailscale gives its nodes addresses of 100.64.0.0/10 and routes all of it; its operator labels what it makes
# (cmd/k8s-operator/sts.go). NetBird takes a /16 of the same range.
_OVERLAY_LABELS = ("tailscale.com/managed", "tailscale.com/parent-resource")
_OVERLAY_IMAGES = ("tailscale/tailscale", "tailscale/k8s-operator", "tailscale/k8s-proxy", "netbirdio/netbird")


class KubeWorkloads:
    """Raises the errors of `clients.kubernetes.api`."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def webhooks(self, kind: str) -> tuple[Webhook, ...]:
        """The webhooks of one of WEBHOOK_KINDS that a Service of the cluster answers, each once."""
        webhooks = {
            Webhook(
                name=webhook["name"], service=_service(webhook), failure_policy=webhook.get("failurePolicy", "Fail")
            )
            for configuration in self._api.items(f"{_ADMISSION}/{kind}")
            for webhook in configuration.get("webhooks") or []
            if (webhook.get("clientConfig") or {}).get("service")
        }
        return tuple(sorted(webhooks, key=lambda webhook: (webhook.name, webhook.service)))

    def overlays(self, kind: str) -> tuple[str, ...]:
        """The workloads of one of WORKLOAD_KINDS that use 100.64.0.0/10 themselves, as "kind namespace/name"."""
        return tuple(
            f"{WORKLOAD_KINDS[kind]} {item['metadata']['namespace']}/{item['metadata']['name']}"
            for item in self._api.items(f"/apis/apps/v1/{kind}", _WORKLOADS_PER_PAGE)
            if _is_overlay(item)
        )

    def karpenter(self) -> bool:
        """Whether the cluster serves Karpenter's AWS API group."""
        return self._api.find(_KARPENTER) is not None

    def node_classes(self) -> tuple[NodeClass, ...] | None:
        """Where Karpenter starts nodes; nothing without Karpenter, None where its version 1 is not served."""
        try:
            return tuple(node_class(item) for item in self._api.items(_NODE_CLASSES))
        except NotFound:
            return None if self.karpenter() else ()


def _service(webhook: dict[str, Any]) -> str:
    service = webhook["clientConfig"]["service"]
    return f"{service['namespace']}/{service['name']}"


def _is_overlay(item: dict[str, Any]) -> bool:
    labels = item["metadata"].get("labels") or {}
    if any(label in labels for label in _OVERLAY_LABELS):
        return True
    return any(name in image for image in _images(item) for name in _OVERLAY_IMAGES)


def _images(item: dict[str, Any]) -> Iterator[str]:
    spec = item["spec"]["template"]["spec"]
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        yield container.get("image") or ""
