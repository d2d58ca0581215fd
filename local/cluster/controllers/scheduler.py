"""The scheduler: binds pending pods to nodes through `pods/binding`."""

from __future__ import annotations

from local.cluster.controllers.placement import Placed, Unschedulable, choose_node
from local.cluster.events import EventRecorder, reference_to
from local.cluster.kube import PODS, ApiError
from local.cluster.objects import Obj, is_deleting, is_finished, key_of, node_of, timestamp, utc_now
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker

_ALL = "pending pods"


class Scheduler:
    """Looks at all pending pods whenever a pod or a node changes."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._recorder = EventRecorder(state.api, "default-scheduler", "", state.pace.now)
        # Bindings which the watch has not shown us yet: pod uid -> node.
        self._assumed: dict[str, str] = {}
        self.worker = Worker("scheduler", self._reconcile)
        state.pods.on_change(self._pod_changed)
        state.nodes.on_change(self._node_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        became_pending = new is not None and _is_pending(new)
        left_a_node = old is not None and node_of(old) is not None and (new is None or is_finished(new))
        if became_pending or left_a_node:
            self.worker.queue.add(_ALL)

    def _node_changed(self, _old: Obj | None, _new: Obj | None) -> None:
        self.worker.queue.add(_ALL)

    def _reconcile(self, _key: str) -> None:
        pods = self._state.pods.all()
        self._assumed = {
            pod["metadata"]["uid"]: self._assumed[pod["metadata"]["uid"]]
            for pod in pods
            if not node_of(pod) and pod["metadata"]["uid"] in self._assumed
        }
        nodes = self._state.nodes.all()
        placed = [self._with_assumption(pod) for pod in pods]
        waiting = [pod for pod in placed if _is_pending(pod)]
        for pod in sorted(waiting, key=_creation):
            decision = choose_node(pod, nodes, placed)
            if isinstance(decision, Placed):
                self._bind(pod, decision.node)
                placed.append({**pod, "spec": {**pod["spec"], "nodeName": decision.node}})
            else:
                self._report(pod, decision)

    def _with_assumption(self, pod: Obj) -> Obj:
        node = self._assumed.get(pod["metadata"]["uid"])
        return {**pod, "spec": {**pod["spec"], "nodeName": node}} if node and not node_of(pod) else pod

    def _bind(self, pod: Obj, node: str) -> None:
        metadata = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            self._state.api.request("POST", PODS.path_of(pod, "binding"), body=binding)
        except ApiError as error:
            # 404: deleted meanwhile. 409: bound or recreated meanwhile. The watch tells which.
            if error.status not in (404, 409):
                raise
            return
        self._assumed[metadata["uid"]] = node
        message = f"Successfully assigned {key_of(pod)} to {node}"
        self._recorder.record(reference_to(pod, "Pod"), "Normal", "Scheduled", message)

    def _report(self, pod: Obj, decision: Unschedulable) -> None:
        conditions = (pod.get("status") or {}).get("conditions") or []
        if any(c["type"] == "PodScheduled" and c.get("message") == decision.reason for c in conditions):
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": decision.reason,
            "lastTransitionTime": timestamp(utc_now()),
        }
        self._state.api.patch(PODS.path_of(pod, "status"), {"status": {"conditions": [condition]}})
        self._recorder.record(reference_to(pod, "Pod"), "Warning", "FailedScheduling", decision.reason)


def _is_pending(pod: Obj) -> bool:
    return node_of(pod) is None and not is_deleting(pod) and not is_finished(pod)


def _creation(pod: Obj) -> tuple[str, str]:
    return pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]
