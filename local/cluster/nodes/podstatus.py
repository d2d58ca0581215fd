"""The status documents that a kubelet writes for a pod, and the messages of sandbox failures."""

from __future__ import annotations

import secrets

from local.cluster.objects import Obj, timestamp, utc_now

NO_ADDRESS = "add cmd: failed to assign an IP address to container"
IPAMD_DOWN = (
    "add cmd: Error received from AddNetwork gRPC call: rpc error: code = Unavailable desc = connection error: "
    'desc = "transport: Error while dialing: dial unix /var/run/aws-node/ipamd.sock: connect: connection refused"'
)
NETWORK_NOT_READY = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


def sandbox_failure(cni_error: str) -> str:
    """The message of a FailedCreatePodSandBox event: kubelet around containerd around the CNI plugin's error."""
    return (
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
        f'"{secrets.token_hex(32)}": plugin type="aws-cni" name="aws-cni" failed (add): {cni_error}'
    )


def creating(pod: Obj, host_ip: str) -> Obj:
    """Bound to the node, no container started: `kubectl get pods` shows ContainerCreating."""
    return {
        "phase": "Pending",
        "hostIP": host_ip,
        "startTime": _start_time(pod),
        "conditions": _conditions(pod, ready=False),
        "containerStatuses": [
            _container(spec, {"waiting": {"reason": "ContainerCreating"}}, ready=False) for spec in _containers(pod)
        ],
    }


def running(pod: Obj, host_ip: str, pod_ip: str) -> Obj:
    """The status of a pod whose containers run."""
    return {
        "phase": "Running",
        "hostIP": host_ip,
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": _start_time(pod),
        "conditions": _conditions(pod, ready=True),
        "containerStatuses": [
            _container(spec, {"running": {"startedAt": timestamp(utc_now())}}, ready=True) for spec in _containers(pod)
        ],
    }


def crash_looping(pod: Obj, host_ip: str, container: str, restarts: int, reason: str) -> Obj:
    """One container keeps exiting, the others run."""
    now = timestamp(utc_now())
    crashed = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off restarting failed container: {reason}"}}
    statuses = []
    for spec in _containers(pod):
        failed = spec["name"] == container
        status = _container(spec, crashed if failed else {"running": {"startedAt": now}}, ready=not failed)
        statuses.append(status | ({"restartCount": restarts} if failed else {}))
    return {
        "phase": "Running",
        "hostIP": host_ip,
        "podIP": host_ip,
        "podIPs": [{"ip": host_ip}],
        "startTime": _start_time(pod),
        "conditions": _conditions(pod, ready=False),
        "containerStatuses": statuses,
    }


def _containers(pod: Obj) -> list[Obj]:
    return list(pod["spec"]["containers"])


def _start_time(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("startTime") or timestamp(utc_now()))


def _container(spec: Obj, state: Obj, *, ready: bool) -> Obj:
    status = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": "",
        "state": state,
        "lastState": {},
        "ready": ready,
        "started": ready,
        "restartCount": 0,
    }
    return status | ({"containerID": f"containerd://{secrets.token_hex(32)}"} if ready else {})


def _conditions(pod: Obj, *, ready: bool) -> list[Obj]:
    names = ", ".join(spec["name"] for spec in _containers(pod))
    unready = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names}]"}
    wanted: list[tuple[str, bool]] = [
        ("Initialized", True),
        ("Ready", ready),
        ("ContainersReady", ready),
        ("PodScheduled", True),
    ]
    before = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or []}
    conditions = []
    for kind, holds in wanted:
        status = "True" if holds else "False"
        earlier = before.get(kind, {})
        same = earlier.get("status") == status and earlier.get("lastTransitionTime")
        since = earlier["lastTransitionTime"] if same else timestamp(utc_now())
        condition = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": since}
        conditions.append(condition | ({} if holds else unready))
    return conditions
