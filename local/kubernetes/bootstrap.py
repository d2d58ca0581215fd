"""What an API server creates when it starts, unless it is there: namespaces, roles, and the service by which pods reach
it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.kubernetes.access.authorization import install_bootstrap_roles
from local.kubernetes.kinds.resources import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    PRIORITY_CLASSES,
    SERVICES,
)
from local.kubernetes.writes.registry import Registry, Write

if TYPE_CHECKING:
    from local.kubernetes.kinds.resources import Resource

NAMESPACE_NAMES = ("default", "kube-system", "kube-public", "kube-node-lease")
SERVICE_PORT = 443
_SERVICE = "kubernetes"
# pkg/apis/scheduling/v1/helpers.go of Kubernetes
_PRIORITIES = {
    "system-cluster-critical": (2_000_000_000, "Used for system critical pods that must run in the cluster."),
    "system-node-critical": (2_000_001_000, "Used for system critical pods that must not be moved from their node."),
}


def install(registry: Registry, address: str, port: int) -> None:
    """`address` and `port`: where this server listens, the endpoint behind the `kubernetes` service."""
    for name in NAMESPACE_NAMES:
        _ensure(registry, NAMESPACES, "", {"metadata": {"name": name}})
    install_bootstrap_roles(registry)
    for name, (value, description) in _PRIORITIES.items():
        body = {"metadata": {"name": name}, "value": value, "description": description}
        _ensure(registry, PRIORITY_CLASSES, "", body)
    _install_service(registry, address, port)


def _install_service(registry: Registry, address: str, port: int) -> None:
    labels = {"component": "apiserver", "provider": "kubernetes"}
    ports = [{"name": "https", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": port}]
    service = {"metadata": {"name": _SERVICE, "labels": labels}, "spec": {"type": "ClusterIP", "ports": ports}}
    _ensure(registry, SERVICES, "default", service)
    served = {"name": "https", "port": port, "protocol": "TCP"}
    unmirrored = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    endpoints = {
        "metadata": {"name": _SERVICE, "labels": unmirrored},
        "subsets": [{"addresses": [{"ip": address}], "ports": [served]}],
    }
    _ensure(registry, ENDPOINTS, "default", endpoints)
    slice_ = {
        "metadata": {"name": _SERVICE, "labels": {"kubernetes.io/service-name": _SERVICE}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [served],
    }
    _ensure(registry, ENDPOINT_SLICES, "default", slice_)


def _ensure(registry: Registry, resource: Resource, namespace: str, body: dict[str, Any]) -> None:
    registry.ensure(resource, namespace, body, Write(manager="kube-apiserver"))
