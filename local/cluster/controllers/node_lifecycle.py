"""The node lifecycle controller: taints that follow the Ready condition."""

from __future__ import annotations

from local.cluster.kube import NODES
from local.cluster.objects import Obj, is_ready
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker

NOT_READY_TAINT = "node.kubernetes.io/not-ready"


class NodeLifecycleController:
    """The API server taints a new node `not-ready:NoSchedule` (TaintNodesByCondition); somebody must take it away."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.worker = Worker("node-lifecycle", self._reconcile)
        state.nodes.on_change(lambda _old, new: self.worker.queue.add(new["metadata"]["name"]) if new else None)

    def _reconcile(self, name: str) -> None:
        node = self._state.nodes.get(name)
        if node is None:
            return
        taints = node["spec"].get("taints") or []
        wanted = wanted_taints(taints, ready=is_ready(node))
        if wanted != taints:
            # Taints are an atomic list: send the version read, so that a change made meanwhile is not undone.
            version = node["metadata"]["resourceVersion"]
            change = {"metadata": {"resourceVersion": version}, "spec": {"taints": wanted or None}}
            self._state.nodes.observe(self._state.api.patch(NODES.path_of(node), change))


def wanted_taints(taints: list[Obj], *, ready: bool) -> list[Obj]:
    """`taints` with the not-ready taint added or removed as the condition demands."""
    others = [taint for taint in taints if taint["key"] != NOT_READY_TAINT]
    if ready:
        return others
    present = [taint for taint in taints if taint["key"] == NOT_READY_TAINT]
    return taints if present else [*others, {"key": NOT_READY_TAINT, "effect": "NoSchedule"}]
