"""The namespace controller: empties a namespace that is being deleted, then lets it go.

As pkg/controller/namespace/deletion of Kubernetes: delete everything in it, look whether anything is left, and when
nothing is, take the finalizer `kubernetes` away. What is left (a finalizer of others, a pod whose kubelet has not
ended it) is named in the namespace's conditions.
"""

from __future__ import annotations

from local.cluster.informer import Informer
from local.cluster.kube import NAMESPACES, ApiError, KubeApi, Resource
from local.cluster.objects import Obj, is_deleting, timestamp, utc_now
from local.cluster.workqueue import Worker

FINALIZER = "kubernetes"
_AGAIN_SECONDS = 0.5


class NamespaceController:
    """Empties a namespace that is being deleted, then removes its finalizer."""

    def __init__(self, api: KubeApi, namespaces: Informer) -> None:
        self._api = api
        self._namespaces = namespaces
        self.worker = Worker("namespaces", self._reconcile)
        namespaces.on_change(lambda _old, new: self.worker.queue.add(new["metadata"]["name"]) if new else None)

    def _reconcile(self, name: str) -> float | None:
        namespace = self._namespaces.get(name)
        if namespace is None or not is_deleting(namespace) or FINALIZER not in _finalizers(namespace):
            return None
        remaining = self._empty(name)
        try:
            if remaining:
                self._report(namespace, remaining)
                return _AGAIN_SECONDS
            self._finalize(name)
        except ApiError as error:
            if error.status != 404:
                raise
        return None

    def _empty(self, name: str) -> dict[str, int]:
        """Delete what is in the namespace. Returns what is still there as counts by resource."""
        remaining = {}
        for resource in _namespaced_resources(self._api):
            path = resource.path(name)
            if not self._api.get(path)["items"]:
                continue
            self._api.delete_all(path)
            if items := self._api.get(path)["items"]:
                remaining[f"{resource.plural}.{resource.group}".rstrip(".")] = len(items)
        return remaining

    def _report(self, namespace: Obj, remaining: dict[str, int]) -> None:
        listed = ", ".join(
            f"{resource} has {count} resource instances" for resource, count in sorted(remaining.items())
        )
        message = f"Some resources are remaining: {listed}"
        conditions = (namespace.get("status") or {}).get("conditions") or []
        if any(item["type"] == "NamespaceContentRemaining" and item["message"] == message for item in conditions):
            return
        condition = {
            "type": "NamespaceContentRemaining",
            "status": "True",
            "reason": "SomeResourcesRemain",
            "message": message,
            "lastTransitionTime": timestamp(utc_now()),
        }
        path = NAMESPACES.path_of(namespace, "status")
        self._namespaces.observe(self._api.patch(path, {"status": {"conditions": [condition]}}))

    def _finalize(self, name: str) -> None:
        namespace = self._api.get(NAMESPACES.path(name=name))
        rest = [finalizer for finalizer in _finalizers(namespace) if finalizer != FINALIZER]
        path = NAMESPACES.path(name=name, subresource="finalize")
        self._api.request("PUT", path, body={**namespace, "spec": {"finalizers": rest}})


def _finalizers(namespace: Obj) -> list[str]:
    return (namespace.get("spec") or {}).get("finalizers") or []


def _namespaced_resources(api: KubeApi) -> list[Resource]:
    """Every namespaced resource that can be listed and deleted, custom resources included, each in one version."""
    groups = [(group["name"], group["preferredVersion"]["version"]) for group in api.get("/apis")["groups"]]
    resources: list[Resource] = []
    for group, version in [("", "v1"), *groups]:
        served = _resource_list(api, group, version)
        resources += [Resource(group, version, entry["name"]) for entry in served if _can_be_emptied(entry)]
    return resources


def _can_be_emptied(entry: Obj) -> bool:
    return entry["namespaced"] and "/" not in entry["name"] and {"list", "delete"} <= set(entry["verbs"])


def _resource_list(api: KubeApi, group: str, version: str) -> list[Obj]:
    try:
        answer = api.get(f"/apis/{group}/{version}" if group else f"/api/{version}")
    except ApiError as error:
        # A custom resource's definition was deleted meanwhile, and its group with it.
        if error.status != 404:
            raise
        return []
    return list(answer["resources"])
