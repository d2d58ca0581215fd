"""The disruption controller: keeps the status of PodDisruptionBudgets, which the API server trusts for evictions."""

from __future__ import annotations

import threading

from local.cluster.informer import Informer
from local.cluster.kube import KubeApi, Resource
from local.cluster.objects import (
    Obj,
    controller_of,
    is_deleting,
    is_finished,
    is_ready,
    key_of,
    labels_of,
    matches,
    scaled_value,
)
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker


class DisruptionController:
    """Keeps the status of PodDisruptionBudgets, which evictions are checked against."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._budgets: Informer | None = None
        self.worker = Worker("disruption", self._reconcile)
        state.pods.on_change(lambda old, new: self._pod_changed(new or old))

    def start(self, stop: threading.Event) -> None:
        """Call it once the API answers: the version to watch depends on what the server offers."""
        budgets = Informer(self._state.api, budget_resource(self._state.api))
        budgets.on_change(lambda _old, new: self.worker.queue.add(key_of(new)) if new else None)
        self._budgets = budgets
        budgets.start(stop)
        self.worker.start()

    def _pod_changed(self, pod: Obj | None) -> None:
        if self._budgets is None or pod is None:
            return
        for budget in self._budgets.all():
            if _covers(budget, pod):
                self.worker.queue.add(key_of(budget))

    def _reconcile(self, key: str) -> None:
        budget = self._budgets.get(key) if self._budgets is not None else None
        if self._budgets is None or budget is None:
            return
        pods = [pod for pod in self._state.pods.all() if _covers(budget, pod) and not is_finished(pod)]
        status = budget_status(budget, pods, self._state.replicasets.all())
        before = budget.get("status") or {}
        if any(before.get(field) != value for field, value in status.items()):
            # In a merge patch an entry goes away only if it is named with null.
            forgotten = (before.get("disruptedPods") or {}).keys() - status["disruptedPods"].keys()
            disrupted = {**status["disruptedPods"], **dict.fromkeys(forgotten)}
            change = {"status": {**status, "disruptedPods": disrupted}}
            path = self._budgets.resource.path_of(budget, "status")
            self._budgets.observe(self._state.api.patch(path, change))


def budget_resource(api: KubeApi) -> Resource:
    """policy/v1, or policy/v1beta1 on servers before 1.21."""
    served = {version["version"] for version in api.get("/apis/policy")["versions"]}
    return Resource("policy", "v1" if "v1" in served else "v1beta1", "poddisruptionbudgets")


def budget_status(budget: Obj, pods: list[Obj], replicasets: list[Obj]) -> Obj:
    """What the budget allows now. `pods` are those it covers.

    Evicted pods are in `disruptedPods` from the eviction until their deletion shows: they no longer count as healthy.
    """
    spec = budget["spec"]
    recorded = (budget.get("status") or {}).get("disruptedPods") or {}
    staying = {pod["metadata"]["name"] for pod in pods if not is_deleting(pod)}
    disrupted = {name: since for name, since in recorded.items() if name in staying}
    healthy = sum(is_ready(pod) and not is_deleting(pod) and pod["metadata"]["name"] not in disrupted for pod in pods)
    expected = _expected(pods, replicasets)
    if spec.get("maxUnavailable") is not None:
        desired = max(expected - scaled_value(spec["maxUnavailable"], expected, default=0, round_up=True), 0)
    else:
        desired = scaled_value(spec.get("minAvailable"), expected, default=1, round_up=True)
    return {
        "observedGeneration": budget["metadata"].get("generation", 1),
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": max(healthy - desired, 0) if expected else 0,
        "disruptedPods": disrupted,
    }


def _expected(pods: list[Obj], replicasets: list[Obj]) -> int:
    """The desired replicas of the pods' ReplicaSets; a pod without one counts as one."""
    owners = {uid for pod in pods if (uid := (controller_of(pod) or {}).get("uid"))}
    scales = {s["metadata"]["uid"]: int(s["spec"].get("replicas", 1)) for s in replicasets}
    alone = sum((controller_of(pod) or {}).get("uid") not in scales for pod in pods)
    return alone + sum(scales.get(uid, 0) for uid in owners)


def _covers(budget: Obj, pod: Obj) -> bool:
    same_namespace = budget["metadata"]["namespace"] == pod["metadata"].get("namespace")
    return same_namespace and matches(budget["spec"].get("selector"), labels_of(pod))
