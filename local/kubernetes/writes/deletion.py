"""Deletion: grace periods, finalizers, propagation, and when a deleted object is gone."""

from __future__ import annotations

import copy
import datetime as dt
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.kinds.resources import CRDS, NAMESPACES, PODS

if TYPE_CHECKING:
    from local.kubernetes.kinds.resources import Resource

_FINISHED = ("Succeeded", "Failed")
_PERMANENT_NAMESPACES = ("default", "kube-system", "kube-public")
# The finalizer that keeps a definition until its last custom resource is gone.
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


def mark(resource: Resource, obj: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The object as it stands after a DELETE with these DeleteOptions; unchanged when they add nothing.

    Raises ApiError 409 for failed preconditions, 403 for namespaces that may not go.
    """
    _check_preconditions(resource, obj, options.get("preconditions") or {})
    name = obj["metadata"]["name"]
    if resource is NAMESPACES and name in _PERMANENT_NAMESPACES:
        raise errors.forbidden(resource, name, "this namespace may not be deleted")
    seconds = _grace_seconds(resource, obj, options)
    already = obj["metadata"].get("deletionGracePeriodSeconds")
    if obj["metadata"].get("deletionTimestamp") and (already is None or seconds >= already):
        return obj
    marked = copy.deepcopy(obj)
    metadata = marked["metadata"]
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    if "deletionTimestamp" not in metadata and metadata.get("generation"):
        metadata["generation"] += 1
    metadata["deletionTimestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata["deletionGracePeriodSeconds"] = seconds
    policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else "")
    finalizer = CLEANUP if resource is CRDS else _FINALIZERS.get(policy)
    if finalizer and finalizer not in metadata.get("finalizers", ()):
        metadata["finalizers"] = [*metadata.get("finalizers", ()), finalizer]
    if resource is NAMESPACES:
        marked["status"] = {**marked.get("status", {}), "phase": "Terminating"}
    return marked


def is_over(resource: Resource, obj: dict[str, Any]) -> bool:
    """Whether an object that is marked for deletion can go now."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if resource is NAMESPACES and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _grace_seconds(resource: Resource, obj: dict[str, Any], options: dict[str, Any]) -> int:
    """Only pods that a kubelet may be running are deleted with grace; the kubelet ends that with a delete at 0."""
    if resource is not PODS:
        return 0
    spec, status = obj["spec"], obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in _FINISHED:
        return 0
    asked = options.get("gracePeriodSeconds")
    return int(asked if asked is not None else spec.get("terminationGracePeriodSeconds", 30))


def _check_preconditions(resource: Resource, obj: dict[str, Any], wanted: dict[str, Any]) -> None:
    for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        actual = obj["metadata"][field]
        if wanted.get(field, actual) != actual:
            problem = f"Precondition failed: {label} in precondition: {wanted[field]}, {label} in object meta: {actual}"
            raise errors.conflict(resource, obj["metadata"]["name"], problem)
