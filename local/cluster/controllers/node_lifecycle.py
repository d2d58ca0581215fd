"""The node lifecycle controller: taints that follow the Ready condition and a cordon."""

from __future__ import annotations

from local.cluster.kube import NODES
from local.cluster.objects import Obj, is_ready
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker

NOT_READY_TAINT = "node.kubernetes.io/not-ready"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"


class NodeLifecycleController:
    """The API server taints a new node `not-ready:NoSchedule` (TaintNodesByCondition); this controller removes it."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.worker = Worker("node-lifecycle", self._reconcile)
        state.nodes.on_change(lambda _old, new: self.worker.queue.add(new["metadata"]["name"]) if new else None)

    def _reconcile(self, name: str) -> None:
        node = self._state.nodes.get(name)
        if node is None:
            return
        taints = node["spec"].get("taints") or []
        cordoned = bool(node["spec"].get("unschedulable"))
        wanted = wanted_taints(taints, ready=is_ready(node), cordoned=cordoned)
        if wanted != taints:
            # Taints are an atomic list. Sending the resourceVersion keeps a concurrent change from being undone.
            version = node["metadata"]["resourceVersion"]
            change = {"metadata": {"resourceVersion": version}, "spec": {"taints": wanted or None}}
            self._state.nodes.observe(self._state.api.patch(NODES.path_of(node), change))


def wanted_taints(taints: list[Obj], *, ready: bool, cordoned: bool = False) -> list[Obj]:
    """`taints` with those of the controller added or removed as the node's state demands; the others stay."""
    for key, holds in ((NOT_READY_TAINT, not ready), (UNSCHEDULABLE_TAINT, cordoned)):
        present = any(taint["key"] == key for taint in taints)
        if holds and not present:
            taints = [*taints, {"key": key, "effect": "NoSchedule"}]
        elif present and not holds:
            taints = [taint for taint in taints if taint["key"] != key]
    return taints
