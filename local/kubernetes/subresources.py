"""Subresources that act on an object: binding and eviction of pods, scale of workloads, finalize of namespaces."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.kinds.resources import NAMESPACES, PDBS, PODS
from local.kubernetes.reads import selectors
from local.kubernetes.writes.registry import timestamp

if TYPE_CHECKING:
    from local.kubernetes.writes.registry import Registry

_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_FINISHED = ("Succeeded", "Failed")
_NOT_EVICTABLE = "Cannot evict pod as it would violate the pod's disruption budget."


def bind(registry: Registry, namespace: str, name: str, binding: Any, *, dry_run: bool) -> dict[str, Any]:
    """Assign a pod to a node; the only way to set spec.nodeName of an existing pod."""
    if not isinstance(binding, dict):
        raise errors.bad_request("the object provided is unrecognized (must be of type Binding)")
    given = (binding.get("metadata") or {}).get("name") or name
    if given != name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    target = binding.get("target") or {}
    if target.get("kind", "Node") not in ("", "Node"):
        raise errors.internal('target.kind: Unsupported value: supported values: "Node", "<empty>"')
    if not target.get("name"):
        raise errors.internal("target.name: Required value")
    pod = copy.deepcopy(registry.store.get(PODS, namespace, name).obj)
    if pod["metadata"].get("deletionTimestamp"):
        raise _binding_conflict(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if pod["spec"].get("nodeName"):
        node = pod["spec"]["nodeName"]
        raise _binding_conflict(name, f'pod {name} is already assigned to node "{node}"')
    pod["spec"]["nodeName"] = target["name"]
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(),
    }
    conditions = [item for item in pod["status"].get("conditions") or () if item["type"] != "PodScheduled"]
    pod["status"]["conditions"] = [*conditions, scheduled]
    registry.replace_in_place(PODS, pod, dry_run=dry_run)
    return _SUCCESS


def _binding_conflict(name: str, problem: str) -> errors.ApiError:
    message = f'Operation cannot be fulfilled on pods/binding "{name}": {problem}'
    return errors.ApiError(409, "Conflict", message, {"name": name, "kind": "pods/binding"})


def evict(registry: Registry, namespace: str, name: str, eviction: Any, *, dry_run: bool) -> dict[str, Any]:
    """Delete a pod unless that breaks its disruption budget (429).

    Like the real server this trusts `status.disruptionsAllowed` of the budget, which the disruption controller keeps;
    it takes one from it and notes the pod in `disruptedPods` so that two evictions never use the same allowance.
    """
    eviction = eviction if isinstance(eviction, dict) else {}
    options = eviction.get("deleteOptions") or {}
    dry_run = dry_run or "All" in (options.get("dryRun") or ())
    pod = registry.store.get(PODS, namespace, name).obj
    status = pod.get("status") or {}
    unguarded = status.get("phase") in (*_FINISHED, "Pending") or pod["metadata"].get("deletionTimestamp")
    if not unguarded:
        _use_budget(registry, namespace, pod, dry_run=dry_run)
    registry.delete(PODS, namespace, name, options, dry_run=dry_run)
    return _SUCCESS


def _use_budget(registry: Registry, namespace: str, pod: dict[str, Any], *, dry_run: bool) -> None:
    budgets = [
        budget
        for budget in registry.store.objects(PDBS, namespace)
        if selectors.match_labels(budget["spec"].get("selector"))(pod)
    ]
    if len(budgets) > 1:
        raise errors.internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if not budgets:
        return
    budget = copy.deepcopy(budgets[0])
    name, status = budget["metadata"]["name"], budget["status"]
    if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        raise _refused(f"The disruption budget {name} is still being processed by the server.")
    if status.get("disruptionsAllowed", 0) <= 0:
        raise _refused(
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods "
            f"and has {status.get('currentHealthy', 0)} currently"
        )
    status["disruptionsAllowed"] -= 1
    status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = timestamp()
    registry.replace_in_place(PDBS, budget, dry_run=dry_run)


def _refused(why: str) -> errors.ApiError:
    details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    return errors.ApiError(429, "TooManyRequests", _NOT_EVICTABLE, details)


def finalize(registry: Registry, _namespace: str, name: str, body: Any, *, dry_run: bool) -> dict[str, Any]:
    """PUT namespaces/{name}/finalize, by which the namespace controller completes a deletion."""
    namespace = copy.deepcopy(registry.store.get(NAMESPACES, "", name).obj)
    finalizers = ((body.get("spec") or {}) if isinstance(body, dict) else {}).get("finalizers") or []
    namespace["spec"] = {"finalizers": finalizers} if finalizers else {}
    return registry.replace_in_place(NAMESPACES, namespace, dry_run=dry_run).obj


def scale_of(obj: dict[str, Any]) -> dict[str, Any]:
    """A workload as autoscaling/v1 Scale."""
    metadata = {
        name: obj["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def scaled(obj: dict[str, Any], scale: Any) -> dict[str, Any]:
    """The workload with the replicas of a Scale; the Scale's resourceVersion is a precondition."""
    replicas = ((scale.get("spec") or {}) if isinstance(scale, dict) else {}).get("replicas", 0)
    if type(replicas) is not int or replicas < 0:
        problem = errors.invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise errors.invalid("Scale", "autoscaling", obj["metadata"]["name"], [problem])
    changed = copy.deepcopy(obj)
    changed["spec"]["replicas"] = replicas
    version = (scale.get("metadata") or {}).get("resourceVersion")
    changed["metadata"]["resourceVersion"] = version or obj["metadata"]["resourceVersion"]
    return changed
