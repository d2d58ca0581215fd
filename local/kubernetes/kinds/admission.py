"""What the API server and its default admission plugins put on an object when it is created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.kubernetes.kinds import resources
from local.kubernetes.kinds.defaults import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.kubernetes.kinds.resources import Resource

_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def admit_new(resource: Resource, obj: dict[str, Any]) -> None:
    """Apply the kind's create strategy and the default admission plugins. Changes `obj`."""
    if "status" in resource.subresources and not resource.keeps_status_on_create:
        obj.pop("status", None)
    if resource.has_generation or resource is resources.PODS:
        obj["metadata"].pop("generation", None)
    admission = _ADMISSION.get(resource)
    if admission is not None:
        admission(obj)


def _new_pod(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    fill(spec, priority=0, preemptionPolicy="PreemptLowerPriority")
    pod["status"] = {"phase": "Pending", "qosClass": _qos_class(spec)}


def _qos_class(spec: dict[str, Any]) -> str:
    limits = [
        (container["resources"].get("requests") or {}, container["resources"].get("limits") or {})
        for container in spec.get("containers") or ()
    ]
    if not any(requests or limit for requests, limit in limits):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= limit.keys() and all(requests.get(name, limit[name]) == limit[name] for name in limit)
        for requests, limit in limits
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _new_node(node: dict[str, Any]) -> None:
    # TaintNodesByCondition: a node starts tainted, and the node controller removes the taint.
    taints = node["spec"].setdefault("taints", [])
    if not any(taint["key"] == _NOT_READY["key"] for taint in taints):
        taints.append(dict(_NOT_READY))


def _new_namespace(namespace: dict[str, Any]) -> None:
    namespace.setdefault("spec", {})["finalizers"] = ["kubernetes"]
    namespace["status"] = {"phase": "Active"}


def _zero_status(*counters: str) -> Callable[[dict[str, Any]], None]:
    def admit(obj: dict[str, Any]) -> None:
        obj["status"] = dict.fromkeys(counters, 0)

    return admit


def _new_daemon_set(obj: dict[str, Any]) -> None:
    counters = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    obj["status"] = dict.fromkeys(counters, 0)
    obj["metadata"].setdefault("annotations", {})["deprecated.daemonset.template.generation"] = "1"


def _new_job(job: dict[str, Any]) -> None:
    """Jobs select their pods by their own uid (pkg/registry/batch/job/strategy.go)."""
    job["status"] = {}
    spec = job["spec"]
    if spec.get("manualSelector"):
        return
    uid, name = job["metadata"]["uid"], job["metadata"].get("name", "")
    labels = spec["template"]["metadata"].setdefault("labels", {})
    labels |= {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
    labels |= {"controller-uid": uid, "job-name": name}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def _new_crd(obj: dict[str, Any]) -> None:
    stored = [version["name"] for version in obj["spec"].get("versions") or () if version.get("storage")]
    obj["status"] = {"acceptedNames": {"plural": "", "kind": ""}, "conditions": [], "storedVersions": stored}


_ADMISSION: dict[Resource, Callable[[dict[str, Any]], None]] = {
    resources.PODS: _new_pod,
    resources.NODES: _new_node,
    resources.NAMESPACES: _new_namespace,
    resources.DAEMONSETS: _new_daemon_set,
    resources.DEPLOYMENTS: _zero_status(),
    resources.REPLICASETS: _zero_status("replicas"),
    resources.STATEFULSETS: _zero_status("replicas", "availableReplicas"),
    resources.PDBS: _zero_status("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"),
    resources.CRDS: _new_crd,
    resources.JOBS: _new_job,
    resources.CRON_JOBS: _zero_status(),
    resources.REPLICATION_CONTROLLERS: _zero_status("replicas"),
    resources.SERVICES: lambda service: service.update(status={"loadBalancer": {}}),
    resources.INGRESSES: lambda ingress: ingress.update(status={"loadBalancer": {}}),
    resources.VOLUME_CLAIMS: lambda claim: claim.update(status={"phase": "Pending"}),
    resources.VOLUMES: lambda volume: volume.update(status={"phase": "Pending"}),
    resources.QUOTAS: _zero_status(),
}
