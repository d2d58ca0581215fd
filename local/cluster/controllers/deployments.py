"""The Deployment and ReplicaSet controllers: rolling updates and replica counts."""

from __future__ import annotations

import copy

from local.cluster.controllers import revisions
from local.cluster.controllers.revisions import REVISION_ANNOTATION
from local.cluster.informer import owned_by
from local.cluster.kube import DEPLOYMENTS, REPLICASETS, ApiError
from local.cluster.objects import (
    Obj,
    controller_of,
    is_deleting,
    is_ready,
    key_of,
    labels_of,
    node_of,
    owner_reference,
    parse_timestamp,
    scaled_value,
    template_hash,
    timestamp,
    uid_of,
    utc_now,
)
from local.cluster.pods import active, create_pod, delete_pod
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker

HASH_LABEL = "pod-template-hash"


class DeploymentController:
    """Rolls Deployments out through ReplicaSets, one for each pod template."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.worker = Worker("deployments", self._reconcile)
        state.deployments.on_change(lambda _old, new: self.worker.queue.add(key_of(new)) if new else None)
        state.replicasets.on_change(self._replicaset_changed)

    def _replicaset_changed(self, old: Obj | None, new: Obj | None) -> None:
        replicaset = new or old
        owner = controller_of(replicaset) if replicaset else None
        if replicaset and owner and owner["kind"] == "Deployment":
            self.worker.queue.add(f"{replicaset['metadata']['namespace']}/{owner['name']}")

    def _reconcile(self, key: str) -> None:
        deployment = self._state.deployments.get(key)
        if deployment is None or is_deleting(deployment):
            return
        revision = template_hash(deployment["spec"]["template"])
        sets = list(owned_by(self._state.replicasets, uid_of(deployment)))
        current = next((s for s in sets if labels_of(s).get(HASH_LABEL) == revision), None)
        old = [s for s in sets if s is not current]
        annotations = revisions.replicaset_annotations(deployment, current, old)
        if current is None:
            current = self._create_set(deployment, revision, annotations, empty=bool(old))
        elif annotations != revisions.annotations_of(current):
            change = {"metadata": {"annotations": annotations}}
            current = self._state.api.patch(REPLICASETS.path_of(current), change)
            self._state.replicasets.observe(current)
        if not deployment["spec"].get("paused"):
            self._roll(deployment, current, old)
        self._write_status(deployment, revision, annotations[REVISION_ANNOTATION])
        for surplus in revisions.surplus_replicasets(deployment, old):
            self._forget(surplus)

    def _forget(self, replicaset: Obj) -> None:
        try:
            self._state.api.delete(REPLICASETS.path_of(replicaset), uid=uid_of(replicaset))
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        self._state.replicasets.forget(key_of(replicaset))

    def _create_set(self, deployment: Obj, revision: str, annotations: dict[str, str], *, empty: bool) -> Obj:
        spec = deployment["spec"]
        template = copy.deepcopy(spec["template"])
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[HASH_LABEL] = revision
        selector = copy.deepcopy(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH_LABEL] = revision
        created = self._state.api.create(
            REPLICASETS,
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{deployment['metadata']['name']}-{revision}",
                    "namespace": deployment["metadata"]["namespace"],
                    "labels": dict(labels),
                    "annotations": annotations,
                    "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
                },
                "spec": {"replicas": 0 if empty else _replicas(deployment), "selector": selector, "template": template},
            },
        )
        self._state.replicasets.observe(created)
        return created

    def _roll(self, deployment: Obj, current: Obj, old: list[Obj]) -> None:
        desired = _replicas(deployment)
        surge, unavailable = _rolling_limits(deployment, desired)
        old_total = sum(_replicas(replicaset) for replicaset in old)
        self._scale(current, min(desired, max(desired + surge - old_total, _replicas(current))) if old else desired)
        available = sum((s.get("status") or {}).get("availableReplicas", 0) for s in [current, *old])
        removable = available - (desired - unavailable)
        for replicaset in sorted(old, key=lambda s: s["metadata"]["creationTimestamp"]):
            idle = _replicas(replicaset) - (replicaset.get("status") or {}).get("availableReplicas", 0)
            remove = min(_replicas(replicaset), max(idle, 0) + max(removable, 0))
            if remove > 0:
                removable -= max(remove - idle, 0)
                self._scale(replicaset, _replicas(replicaset) - remove)

    def _scale(self, replicaset: Obj, replicas: int) -> None:
        if _replicas(replicaset) != replicas:
            path = REPLICASETS.path_of(replicaset)
            self._state.replicasets.observe(self._state.api.patch(path, {"spec": {"replicas": replicas}}))

    def _write_status(self, deployment: Obj, revision: str, number: str) -> None:
        sets = list(owned_by(self._state.replicasets, uid_of(deployment)))
        totals = {
            field: sum((s.get("status") or {}).get(field, 0) for s in sets)
            for field in ("replicas", "readyReplicas", "availableReplicas")
        }
        desired = _replicas(deployment)
        updated = sum(
            (s.get("status") or {}).get("replicas", 0) for s in sets if labels_of(s).get(HASH_LABEL) == revision
        )
        status: Obj = {
            **totals,
            "updatedReplicas": updated,
            "unavailableReplicas": max(desired - totals["availableReplicas"], 0),
            "observedGeneration": deployment["metadata"].get("generation", 1),
        }
        before = deployment.get("status") or {}
        _, unavailable = _rolling_limits(deployment, desired)
        done = updated == totals["replicas"] == desired <= totals["availableReplicas"]
        conditions = [
            _availability(totals["availableReplicas"] >= desired - unavailable),
            _progress(f"{deployment['metadata']['name']}-{revision}", done=done),
        ]
        numbered = revisions.annotations_of(deployment).get(REVISION_ANNOTATION) == number
        counted = all(before.get(field, 0) == value for field, value in status.items())
        if numbered and counted and _reasons(before.get("conditions")) == _reasons(conditions):
            return
        status["conditions"] = conditions
        # Through the status endpoint, so that the annotation does not count as a new generation.
        change = {"metadata": {"annotations": {REVISION_ANNOTATION: number}}, "status": status}
        path = DEPLOYMENTS.path_of(deployment, "status")
        self._state.deployments.observe(self._state.api.patch(path, change))


class ReplicaSetController:
    """Keeps the number of pods that each ReplicaSet asks for."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.worker = Worker("replicasets", self._reconcile)
        state.replicasets.on_change(lambda _old, new: self.worker.queue.add(key_of(new)) if new else None)
        state.pods.on_change(self._pod_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        owner = controller_of(pod) if pod else None
        if pod and owner and owner["kind"] == "ReplicaSet":
            self.worker.queue.add(f"{pod['metadata']['namespace']}/{owner['name']}")

    def _reconcile(self, key: str) -> None:
        replicaset = self._state.replicasets.get(key)
        if replicaset is None:
            return
        pods = active(owned_by(self._state.pods, uid_of(replicaset)))
        missing = _replicas(replicaset) - len(pods)
        if not is_deleting(replicaset):
            for _ in range(missing):
                create_pod(self._state, replicaset, "ReplicaSet", {})
            for pod in sorted(pods, key=_keep_last)[: max(-missing, 0)]:
                delete_pod(self._state, pod)
        self._write_status(replicaset)

    def _write_status(self, replicaset: Obj) -> None:
        pods = active(owned_by(self._state.pods, uid_of(replicaset)))
        ready = sum(is_ready(pod) for pod in pods)
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": replicaset["metadata"].get("generation", 1),
        }
        before = replicaset.get("status") or {}
        if all(before.get(field, 0) == value for field, value in status.items()):
            return
        try:
            changed = self._state.api.patch(REPLICASETS.path_of(replicaset, "status"), {"status": status})
        except ApiError as error:
            if error.status != 404:
                raise
            return
        self._state.replicasets.observe(changed)


def _replicas(obj: Obj) -> int:
    return int(obj["spec"].get("replicas", 1))


def _rolling_limits(deployment: Obj, desired: int) -> tuple[int, int]:
    """(maxSurge, maxUnavailable); `Recreate` is treated as a rolling update that may remove all old pods first."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, desired
    rolling = strategy.get("rollingUpdate") or {}
    surge = scaled_value(rolling.get("maxSurge"), desired, default="25%", round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable"), desired, default="25%", round_up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _availability(enough: bool) -> Obj:
    now = timestamp(utc_now())
    return {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": "Deployment has minimum availability."
        if enough
        else "Deployment does not have minimum availability.",
        "lastTransitionTime": now,
        "lastUpdateTime": now,
    }


def _progress(replicaset: str, *, done: bool) -> Obj:
    """The Progressing condition. `progressDeadlineSeconds` is not simulated: a stuck rollout stays in progress."""
    now = timestamp(utc_now())
    verb, reason = (
        ("successfully progressed", "NewReplicaSetAvailable") if done else ("is progressing", "ReplicaSetUpdated")
    )
    return {
        "type": "Progressing",
        "status": "True",
        "reason": reason,
        "message": f'ReplicaSet "{replicaset}" {"has " if done else ""}{verb}.',
        "lastTransitionTime": now,
        "lastUpdateTime": now,
    }


def _reasons(conditions: list[Obj] | None) -> set[tuple[str, str, str]]:
    return {(item["type"], item["status"], item.get("reason", "")) for item in conditions or ()}


def _keep_last(pod: Obj) -> tuple[bool, bool, float]:
    """Sort key: pods that a ReplicaSet deletes first come first (unbound, then not ready, then most recently ready)."""
    since = next(
        (
            parse_timestamp(condition["lastTransitionTime"]).timestamp()
            for condition in (pod.get("status") or {}).get("conditions") or []
            if condition["type"] == "Ready" and condition.get("lastTransitionTime")
        ),
        0.0,
    )
    return node_of(pod) is not None, is_ready(pod), -since
