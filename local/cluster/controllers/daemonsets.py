"""The DaemonSet controller: one pod on each matching node, replaced a few at a time when the template changes."""

from __future__ import annotations

from local.cluster.controllers import revisions
from local.cluster.controllers.placement import daemon_runs_on
from local.cluster.controllers.revisions import REVISION_LABEL
from local.cluster.informer import owned_by
from local.cluster.kube import CONTROLLER_REVISIONS, DAEMONSETS, ApiError
from local.cluster.objects import (
    Obj,
    controller_of,
    is_deleting,
    is_finished,
    is_ready,
    key_of,
    labels_of,
    node_of,
    scaled_value,
    template_hash,
    uid_of,
)
from local.cluster.pods import create_pod, delete_pod
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker


class DaemonSetController:
    """Keeps one pod of each DaemonSet on each node that it selects, with rolling updates."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.worker = Worker("daemonsets", self._reconcile)
        state.daemonsets.on_change(lambda _old, new: self._enqueue(new))
        state.pods.on_change(self._pod_changed)
        state.nodes.on_change(lambda _old, _new: self._enqueue_all())

    def _enqueue(self, daemonset: Obj | None) -> None:
        if daemonset is not None:
            self.worker.queue.add(key_of(daemonset))

    def _enqueue_all(self) -> None:
        for daemonset in self._state.daemonsets.all():
            self._enqueue(daemonset)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        owner = controller_of(pod) if pod else None
        if pod and owner and owner["kind"] == "DaemonSet":
            self.worker.queue.add(f"{pod['metadata']['namespace']}/{owner['name']}")

    def _reconcile(self, key: str) -> None:
        daemonset = self._state.daemonsets.get(key)
        if daemonset is None or is_deleting(daemonset):
            return
        revision = template_hash(daemonset["spec"]["template"])
        self._record(daemonset, revision)
        by_node = self._pods_by_node(daemonset)
        template = daemonset["spec"]["template"]
        wanted = {
            node["metadata"]["name"]
            for node in self._state.nodes.all()
            if not is_deleting(node) and daemon_runs_on(template, node)
        }
        for name, pods in by_node.items():
            for surplus in pods if name not in wanted else [pod for pod in pods if is_finished(pod)]:
                if not is_deleting(surplus):
                    delete_pod(self._state, surplus)
        for name in sorted(wanted - by_node.keys()):
            create_pod(self._state, daemonset, "DaemonSet", {REVISION_LABEL: revision}, node=name)
        self._roll(daemonset, revision, wanted)
        self._write_status(daemonset, revision, wanted)

    def _record(self, daemonset: Obj, template_hash: str) -> None:
        """Keep a ControllerRevision for each template; the current template has the highest number."""
        stored = list(owned_by(self._state.controllerrevisions, uid_of(daemonset)))
        current = next((one for one in stored if labels_of(one).get(REVISION_LABEL) == template_hash), None)
        others = [one for one in stored if one is not current]
        observe = self._state.controllerrevisions.observe
        if current is None:
            made = revisions.controller_revision(daemonset, template_hash, others)
            observe(self._state.api.create(CONTROLLER_REVISIONS, made))
        elif int(current["revision"]) < revisions.next_revision(others):
            # A PUT, not a patch: a patch would reorder `data`, which is immutable, and the real server compares bytes.
            annotations = revisions.annotations_of(daemonset)
            changed = {**current, "revision": revisions.next_revision(others)}
            changed["metadata"] = {**current["metadata"], "annotations": annotations}
            observe(self._state.api.request("PUT", CONTROLLER_REVISIONS.path_of(current), body=changed))
        pods = owned_by(self._state.pods, uid_of(daemonset))
        used = {template_hash, *(labels_of(pod).get(REVISION_LABEL, "") for pod in pods)}
        for surplus in revisions.surplus_revisions(daemonset, others, used):
            self._forget(surplus)

    def _forget(self, revision: Obj) -> None:
        try:
            self._state.api.delete(CONTROLLER_REVISIONS.path_of(revision), uid=uid_of(revision))
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        self._state.controllerrevisions.forget(key_of(revision))

    def _pods_by_node(self, daemonset: Obj) -> dict[str, list[Obj]]:
        by_node: dict[str, list[Obj]] = {}
        for pod in owned_by(self._state.pods, uid_of(daemonset)):
            by_node.setdefault(node_of(pod) or "", []).append(pod)
        return by_node

    def _roll(self, daemonset: Obj, revision: str, wanted: set[str]) -> None:
        strategy = daemonset["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        limit = scaled_value(
            (strategy.get("rollingUpdate") or {}).get("maxUnavailable"), len(wanted), default=1, round_up=True
        )
        by_node = self._pods_by_node(daemonset)
        available = {name for name in wanted if any(_serves(pod) for pod in by_node.get(name, []))}
        budget = max(limit, 1) - (len(wanted) - len(available))
        outdated = [
            pod
            for name in sorted(wanted)
            for pod in by_node.get(name, [])
            if not is_deleting(pod) and labels_of(pod).get(REVISION_LABEL) != revision
        ]
        # A pod that is not ready can be replaced without using the budget.
        for pod in sorted(outdated, key=_serves):
            if _serves(pod):
                if budget <= 0:
                    return
                budget -= 1
            delete_pod(self._state, pod)

    def _write_status(self, daemonset: Obj, revision: str, wanted: set[str]) -> None:
        by_node = self._pods_by_node(daemonset)
        present = [pod for name in wanted for pod in by_node.get(name, [])[:1]]
        live = [pod for pod in present if not is_deleting(pod)]
        ready = sum(_serves(pod) for pod in present)
        status = {
            "currentNumberScheduled": len(present),
            "desiredNumberScheduled": len(wanted),
            "numberAvailable": ready,
            "numberMisscheduled": sum(name not in wanted for name in by_node),
            "numberReady": ready,
            "numberUnavailable": len(wanted) - ready,
            "observedGeneration": daemonset["metadata"].get("generation", 1),
            "updatedNumberScheduled": sum(labels_of(pod).get(REVISION_LABEL) == revision for pod in live),
        }
        before = daemonset.get("status") or {}
        if any(before.get(field, 0) != value for field, value in status.items()):
            path = DAEMONSETS.path_of(daemonset, "status")
            self._state.daemonsets.observe(self._state.api.patch(path, {"status": status}))


def _serves(pod: Obj) -> bool:
    return is_ready(pod) and not is_deleting(pod) and not is_finished(pod)
