"""The kubelet of one node: sandboxes, pod statuses, the node's Ready condition, and the aws-node pod's ipamd."""

from __future__ import annotations

import logging
import random
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Protocol

from local.cluster.events import EventRecorder, reference_to
from local.cluster.ipamd.agent import MONITOR_SECONDS, InitError, Ipamd
from local.cluster.ipamd.ec2 import Ec2Failure
from local.cluster.kube import NODES, PODS, ApiError
from local.cluster.nodes import leases, podstatus
from local.cluster.objects import (
    Obj,
    condition_status,
    is_deleting,
    is_finished,
    is_ready,
    key_of,
    labels_of,
    node_of,
    timestamp,
    uid_of,
    utc_now,
)
from local.cluster.workqueue import Worker

if TYPE_CHECKING:
    from local.cluster.state import ClusterState

SANDBOX_RETRY_SECONDS = 10.0
"""podWorkers' backOffPeriod; each wait is stretched by up to half of it (jitter)."""

_HEARTBEAT_SECONDS = 60.0
_CRASH_BACKOFF_SECONDS = (10.0, 300.0)
_LOG = logging.getLogger(__name__)
_MONITOR = "ipamd"
_NODE = "node"
_LEASE = "lease"
_POD = "pod "
_HEALTHY = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


class CniRuntime(Protocol):
    """Creates the ipamd of a node."""

    def create(self, node: Obj, aws_node_pod: Obj, environment: dict[str, str], recorder: EventRecorder) -> Ipamd:
        """Starts the CNI's daemon of a node with the environment of its aws-node pod."""


class Kubelet:
    """One thread does all work of the node, in the order of the queue."""

    def __init__(self, state: ClusterState, node_name: str, cni: CniRuntime) -> None:
        self._state = state
        self._name = node_name
        self._cni = cni
        self._recorder = EventRecorder(state.api, "kubelet", node_name, state.pace.now)
        self._ipamd: Ipamd | None = None
        self._aws_node_uid: str | None = None
        self._crashes = 0
        self._checkpoint: dict[str, IPv4Address] = {}
        self._sandboxes: dict[str, str] = {}
        self._network_ready = False
        self.worker = Worker(f"kubelet-{node_name}", self._reconcile)

    def start(self) -> None:
        """Adopt the pods that run on the node already, then follow changes.

        After a restart a real node knows them from the runtime's sandboxes, and ipamd their addresses from its
        checkpoint (/var/run/aws-node/ipam.json, data_store.go: ReadBackingStore). The pods' statuses say the same, but
        for an address that was handed out and never reported, which nobody has used. Cool-downs are in neither.
        """
        node = self._state.nodes.get(self._name)
        self._network_ready = node is not None and is_ready(node)
        for pod in self._pods():
            if not is_finished(pod) and not pod["spec"].get("hostNetwork") and _pod_ip(pod):
                self._checkpoint[uid_of(pod)] = IPv4Address(_pod_ip(pod))
                self._sandboxes[key_of(pod)] = uid_of(pod)
        self.worker.start()
        self.worker.queue.add(_NODE)
        self.worker.queue.add(_LEASE)
        for pod in self._pods():
            self.pod_changed(pod)

    def pod_changed(self, pod: Obj) -> None:
        """Queues a pod of this node."""
        self.worker.queue.add(_POD + key_of(pod))

    def _pods(self) -> list[Obj]:
        return [pod for pod in self._state.pods.all() if node_of(pod) == self._name]

    def _reconcile(self, key: str) -> float | None:
        if key == _NODE:
            return self._sync_node()
        if key == _LEASE:
            return self._renew_lease()
        if key == _MONITOR:
            return self._monitor()
        name = key.removeprefix(_POD)
        pod = self._state.pods.get(name)
        sandbox = self._sandboxes.get(name)
        if sandbox is not None and (pod is None or uid_of(pod) != sandbox):
            self._remove_sandbox(name)
        if pod is None or node_of(pod) != self._name:
            return None
        if is_deleting(pod):
            self._terminate(pod)
            return None
        return None if is_finished(pod) else self._sync_pod(pod)

    def _sync_pod(self, pod: Obj) -> float | None:
        if _is_aws_node(pod):
            return self._sync_aws_node(pod)
        if pod["spec"].get("hostNetwork"):
            self._set_running(pod, self._host_ip())
            return None
        if (pod.get("status") or {}).get("phase") == "Running" and self._sandboxes.get(key_of(pod)) == uid_of(pod):
            return None
        failure = self._add_network(pod)
        if failure is None:
            return None
        self._recorder.record(reference_to(pod, "Pod"), "Warning", *failure)
        if not (pod.get("status") or {}).get("containerStatuses"):
            self._write_status(pod, podstatus.creating(pod, self._host_ip()))
        return self._state.pace.real(SANDBOX_RETRY_SECONDS * random.uniform(1.0, 1.5))

    def _add_network(self, pod: Obj) -> tuple[str, str] | None:
        """CNI ADD. None when the pod runs, else reason and message of the event."""
        if not self._network_ready:
            return "NetworkNotReady", f"network is not ready: {podstatus.NETWORK_NOT_READY}"
        if self._ipamd is None:
            return "FailedCreatePodSandBox", podstatus.sandbox_failure(podstatus.IPAMD_DOWN)
        address = self._ipamd.assign(uid_of(pod))
        if address is None:
            return "FailedCreatePodSandBox", podstatus.sandbox_failure(podstatus.NO_ADDRESS)
        self._sandboxes[key_of(pod)] = uid_of(pod)
        self._set_running(pod, str(address))
        return None

    def _sync_aws_node(self, pod: Obj) -> float | None:
        if self._aws_node_uid == uid_of(pod) and self._ipamd is not None:
            self._set_running(pod, self._host_ip())
            return None
        node = self._state.nodes.get(self._name)
        if node is None:
            return None
        self._stop_ipamd()
        ipamd = self._cni.create(node, pod, _environment(pod, "aws-node"), self._recorder)
        try:
            ipamd.start(self._checkpoint)
        except (InitError, Ec2Failure) as error:
            return self._crash(pod, error)
        self._ipamd, self._aws_node_uid, self._crashes = ipamd, uid_of(pod), 0
        self._set_running(pod, self._host_ip())
        # aws-node's entry point writes the CNI configuration once ipamd serves, and the file stays.
        self._network_ready = True
        self.worker.queue.add(_NODE)
        self.worker.queue.add(_MONITOR, self._state.pace.real(MONITOR_SECONDS))
        return None

    def _crash(self, pod: Obj, error: Exception) -> float:
        _LOG.warning("%s: aws-node fails to start: %s", self._name, error)
        self._crashes += 1
        status = podstatus.crash_looping(pod, self._host_ip(), "aws-node", self._crashes, str(error))
        self._write_status(pod, status)
        first, last = _CRASH_BACKOFF_SECONDS
        return self._state.pace.real(min(first * 2 ** (self._crashes - 1), last))

    def _stop_ipamd(self) -> None:
        if self._ipamd is not None:
            self._checkpoint = self._ipamd.checkpoint()
        self._ipamd = self._aws_node_uid = None

    def _monitor(self) -> float | None:
        if self._ipamd is None:
            return None
        self._ipamd.monitor()
        return self._state.pace.real(MONITOR_SECONDS)

    def _terminate(self, pod: Obj) -> None:
        if uid_of(pod) == self._aws_node_uid:
            self._stop_ipamd()
        self._remove_sandbox(key_of(pod))
        try:
            self._state.api.delete(PODS.path_of(pod), uid=uid_of(pod), grace_seconds=0)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def _remove_sandbox(self, pod_key: str) -> None:
        """CNI DEL."""
        uid = self._sandboxes.pop(pod_key, None)
        if uid is None:
            return
        self._checkpoint.pop(uid, None)
        if self._ipamd is not None:
            self._ipamd.release(uid)

    def _set_running(self, pod: Obj, address: str) -> None:
        if not (is_ready(pod) and _pod_ip(pod) == address):
            self._write_status(pod, podstatus.running(pod, self._host_ip(), address))

    def _write_status(self, pod: Obj, status: Obj) -> None:
        path = PODS.path_of(pod, "status")
        try:
            changed = self._state.api.patch(path, {"metadata": {"uid": uid_of(pod)}, "status": status})
        except ApiError as error:
            # The pod is gone or replaced by one of the same name; the watch will show it.
            if error.status not in (404, 409):
                raise
            return
        self._state.pods.observe(changed)

    def _host_ip(self) -> str:
        node = self._state.nodes.get(self._name)
        addresses = ((node or {}).get("status") or {}).get("addresses") or []
        return next((str(item["address"]) for item in addresses if item["type"] == "InternalIP"), "")

    def _renew_lease(self) -> float | None:
        node = self._state.nodes.get(self._name)
        if node is None:
            return None
        leases.renew(self._state.api, node)
        return leases.RENEW_SECONDS

    def _sync_node(self) -> float | None:
        node = self._state.nodes.get(self._name)
        if node is None:
            return None
        conditions = [_condition(node, kind, holds=False, why=why) for kind, why in _HEALTHY.items()]
        why = ("KubeletReady", "kubelet is posting ready status")
        if not self._network_ready:
            why = ("KubeletNotReady", podstatus.NETWORK_NOT_READY)
        conditions.append(_condition(node, "Ready", holds=self._network_ready, why=why))
        changed = self._state.api.patch(NODES.path_of(node, "status"), {"status": {"conditions": conditions}})
        self._state.nodes.observe(changed)
        return _HEARTBEAT_SECONDS


def _condition(node: Obj, kind: str, *, holds: bool, why: tuple[str, str]) -> Obj:
    status = "True" if holds else "False"
    now = timestamp(utc_now())
    since = now
    if condition_status(node, kind) == status:
        since = next(c["lastTransitionTime"] for c in node["status"]["conditions"] if c["type"] == kind)
    return {
        "type": kind,
        "status": status,
        "reason": why[0],
        "message": why[1],
        "lastHeartbeatTime": now,
        "lastTransitionTime": since,
    }


def _is_aws_node(pod: Obj) -> bool:
    return pod["metadata"]["namespace"] == "kube-system" and labels_of(pod).get("k8s-app") == "aws-node"


def _environment(pod: Obj, container: str) -> dict[str, str]:
    """Literal environment values; those from field references are left out."""
    spec = next(item for item in pod["spec"]["containers"] if item["name"] == container)
    return {item["name"]: item.get("value", "") for item in spec.get("env") or [] if "valueFrom" not in item}


def _pod_ip(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("podIP") or "")
