"""What an update may change: the place, metadata, status and generation of the object that it replaces."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.kinds import validation
from local.kubernetes.kinds.resources import DAEMONSETS, DEPLOYMENTS
from local.kubernetes.writes import decoding

if TYPE_CHECKING:
    from local.kubernetes.kinds.resources import Resource

_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_CARRIED = [
    "name",
    "namespace",
    "generateName",
    "uid",
    "creationTimestamp",
    "resourceVersion",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
]


def require_same_place(new: dict[str, Any], old: dict[str, Any]) -> None:
    """Raises ApiError 400 if name or namespace of the new object differ from the stored one."""
    name, given = old["metadata"]["name"], new["metadata"].get("name") or old["metadata"]["name"]
    if given != name:
        raise errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    namespace = old["metadata"].get("namespace")
    if namespace and new["metadata"].get("namespace", namespace) != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_applied(resource: Resource, name: str, body: Any, manager: str) -> None:
    """Checks a server-side apply: field manager, `apiVersion` and name. Raises ApiError 400 or 422."""
    if not manager:
        problem = errors.required("fieldManager", "is required for apply patch")
        raise errors.invalid("PatchOptions", "meta.k8s.io", "", [problem])
    version = body.get("apiVersion", "") if isinstance(body, dict) else ""
    if version != resource.api_version:
        raise errors.bad_request(
            f"Incorrect version specified in apply patch. Specified patch version: {version}, "
            f"expected: {resource.api_version}"
        )
    metadata = body.get("metadata") or {}
    if metadata.get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    given = metadata.get("name", name)
    if given != name:
        raise errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def require_no_uid(resource: Resource, name: str, applied: dict[str, Any]) -> None:
    """Refuses to make an object of a uid: it was somebody's that is gone (applyPatch of k8s.io/apiserver, patch.go)."""
    if uid := applied["metadata"].get("uid"):
        problem = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise errors.conflict(resource, name, problem)


def carry_metadata(resource: Resource, new: dict[str, Any], old: dict[str, Any]) -> None:
    """Keep the metadata that only the server writes. Refuses a stale resourceVersion and another uid."""
    metadata, kept = new["metadata"], old["metadata"]
    name = kept["name"]
    if (metadata.get("resourceVersion") or kept["resourceVersion"]) != kept["resourceVersion"]:
        raise errors.conflict(resource, name)
    if (metadata.get("uid") or kept["uid"]) != kept["uid"]:
        problem = errors.invalid_value("metadata.uid", metadata["uid"], "field is immutable")
        raise errors.invalid(resource.kind, resource.group, name, [problem])
    for field_name in _CARRIED:
        metadata.pop(field_name, None)
        if field_name in kept:
            metadata[field_name] = kept[field_name]
    metadata.pop("selfLink", None)


def restrict(resource: Resource, new: dict[str, Any], old: dict[str, Any], subresource: str) -> dict[str, Any]:
    """Limit a change to its endpoint: `/status` changes the status, the main endpoint everything else."""
    if subresource == "status":
        restricted = copy.deepcopy(old)
        if "status" in new:
            restricted["status"] = new["status"]
        else:
            restricted.pop("status", None)
        if not resource.custom:
            restricted["metadata"] = new["metadata"]
        return restricted
    if "status" in resource.subresources:
        new.pop("status", None)
        if "status" in old:
            new["status"] = copy.deepcopy(old["status"])
    return new


def advance_generation(resource: Resource, new: dict[str, Any], old: dict[str, Any]) -> None:
    """Raises `metadata.generation` when the update changes what the kind counts."""
    if not resource.has_generation:
        return
    changed = _counted(resource, new) != _counted(resource, old)
    if resource is DEPLOYMENTS:
        changed |= new["metadata"].get("annotations") != old["metadata"].get("annotations")
    if changed:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    if resource is DAEMONSETS:
        before = (old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1")
        same = new["spec"]["template"] == old["spec"]["template"]
        annotations = new["metadata"].setdefault("annotations", {})
        annotations[_TEMPLATE_GENERATION] = before if same else str(int(before) + 1)


def _counted(resource: Resource, obj: dict[str, Any]) -> Any:
    """The part of an object that `metadata.generation` counts the changes of."""
    if not resource.custom:
        return obj.get("spec")
    left_out = {"metadata", "status"} if "status" in resource.subresources else {"metadata"}
    return {name: value for name, value in obj.items() if name not in left_out}


def finish(resource: Resource, obj: dict[str, Any], old: dict[str, Any] | None) -> None:
    """Fill in zero values and validate: the last step before an object is stored."""
    if not resource.custom:
        decoding.fill_required(obj, resource.schema)
    problems = validation.problems(resource, obj, old)
    if problems:
        raise errors.invalid(resource.kind, resource.group, obj["metadata"].get("name", ""), problems)
