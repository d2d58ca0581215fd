"""The pods of a node, the budgets that guard them, and the pods of a controller."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ip_remediator.clients.kubernetes.addressing import field_equals, namespaced
from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.objects import Budget, NodePod

_BUDGETS = "/apis/policy/v1/poddisruptionbudgets"
_ALIVE = "status.phase!=Succeeded,status.phase!=Failed"


class KubeDrain:
    """Raises the errors of `clients.kubernetes.api`."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def pods_on(self, node: str) -> tuple[NodePod, ...]:
        """Those that have not finished."""
        selector = f"{field_equals('spec.nodeName', node)},{_ALIVE}"
        return tuple(_pod(item) for item in self._api.items("/api/v1/pods", fieldSelector=selector))

    def budgets(self) -> list[Budget]:
        """Every PodDisruptionBudget of the cluster."""
        return [_budget(item) for item in self._api.items(_BUDGETS)]

    def unschedulable(self, since: datetime | None) -> bool:
        """Whether the scheduler finds no node for a pod that was made since then."""
        pending = self._api.items("/api/v1/pods", fieldSelector="status.phase=Pending,spec.nodeName=")
        creation_times = (datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in pending)
        return any(since is None or created >= since for created in creation_times)

    def nodes_of(self, zone: str) -> list[dict[str, Any]]:
        """The zone's Node objects."""
        return list(self._api.items("/api/v1/nodes", labelSelector=f"topology.kubernetes.io/zone={zone}"))

    def pods_of(self, namespace: str, controller: str) -> list[dict[str, Any]]:
        """A controller's pods that have not finished and are not being deleted."""
        listed = self._api.items(namespaced("pods", namespace), fieldSelector=_ALIVE)
        return [
            pod
            for pod in listed
            if (_controller(pod) or {}).get("uid") == controller and "deletionTimestamp" not in pod["metadata"]
        ]


def _pod(item: dict[str, Any]) -> NodePod:
    metadata, controller = item["metadata"], _controller(item) or {}
    return NodePod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        leaving="deletionTimestamp" in metadata,
        has_address=bool((item.get("status") or {}).get("podIP")),
        controller=controller.get("uid"),
        kind=controller.get("kind", ""),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
    )


def _controller(pod: dict[str, Any]) -> dict[str, Any] | None:
    references = pod["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def _budget(item: dict[str, Any]) -> Budget:
    status = item.get("status") or {}
    return Budget(
        namespace=item["metadata"]["namespace"],
        name=item["metadata"]["name"],
        selector=item["spec"].get("selector"),
        allowed=int(status.get("disruptionsAllowed", 0)),
        desired_healthy=int(status.get("desiredHealthy", 0)),
        current_healthy=int(status.get("currentHealthy", 0)),
    )
