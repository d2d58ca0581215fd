"""The garbage collector and the pod collector: nothing outlives its owner or its node."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from local.cluster.informer import Informer
from local.cluster.kube import ApiError, Resource
from local.cluster.nodes import leases
from local.cluster.objects import Obj, controller_of, is_deleting, key_of, node_of, uid_of
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"
_LEASE = "lease"


class GarbageCollector:
    """Keys are `plural|namespace/name` of an object to check against its owner, node and finalizers."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._owners: dict[str, Informer] = {
            "Deployment": state.deployments,
            "ReplicaSet": state.replicasets,
            "DaemonSet": state.daemonsets,
        }
        self._dependents = {
            "pods": state.pods,
            "replicasets": state.replicasets,
            "controllerrevisions": state.controllerrevisions,
        }
        self._all = {**self._dependents, "deployments": state.deployments, "daemonsets": state.daemonsets}
        self.worker = Worker("garbage-collector", self._reconcile)
        for plural in ("deployments", "replicasets", "daemonsets"):
            self._all[plural].on_change(partial(self._owner_changed, plural))
        for plural, dependent in self._dependents.items():
            dependent.on_change(partial(self._dependent_changed, plural))
        state.nodes.on_change(self._node_changed)

    def _owner_changed(self, plural: str, old: Obj | None, new: Obj | None) -> None:
        owner = new or old
        if owner is None or (new is not None and not is_deleting(new)):
            return
        for child_plural, child in self._children(uid_of(owner)):
            self._enqueue(child_plural, child)
        self._enqueue(plural, owner)

    def _dependent_changed(self, plural: str, old: Obj | None, new: Obj | None) -> None:
        if new is not None and old is None:
            self._enqueue(plural, new)
        reference = controller_of(old) if old is not None and new is None else None
        if old is not None and reference is not None:
            owners = f"{reference['kind'].lower()}s"
            if owners in self._all:
                self.worker.queue.add(f"{owners}|{old['metadata']['namespace']}/{reference['name']}")

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is None:
            self.worker.queue.add(f"{_LEASE}|{old['metadata']['name']}")
            for pod in self._state.pods.all():
                if node_of(pod) == old["metadata"]["name"]:
                    self._enqueue("pods", pod)

    def _enqueue(self, plural: str, obj: Obj) -> None:
        self.worker.queue.add(f"{plural}|{key_of(obj)}")

    def _children(self, uid: str) -> Iterator[tuple[str, Obj]]:
        for plural, informer in self._dependents.items():
            for obj in informer.all():
                if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or []):
                    yield plural, obj

    def _find_owner(self, obj: Obj) -> Obj | None:
        reference = controller_of(obj)
        informer = self._owners.get(reference["kind"]) if reference else None
        if reference is None or informer is None:
            return None
        owner = informer.get(f"{obj['metadata']['namespace']}/{reference['name']}")
        return owner if owner is not None and uid_of(owner) == reference["uid"] else None

    def _reconcile(self, key: str) -> None:
        plural, _, name = key.partition("|")
        if plural == _LEASE:
            leases.remove(self._state.api, name)
            return
        informer = self._all[plural]
        obj = informer.get(name)
        if obj is None:
            return
        if is_deleting(obj):
            self._finalize(informer.resource, obj)
        elif self._is_orphaned(obj):
            self._delete(informer.resource, obj)
        if plural == "pods" and self._node_is_gone(obj):
            self._delete(informer.resource, obj, grace_seconds=0)

    def _is_orphaned(self, obj: Obj) -> bool:
        """Whether the owner is gone (by the API server: the informer may lag) or is being deleted in the foreground."""
        reference = controller_of(obj)
        if reference is None or reference["kind"] not in self._owners:
            return False
        owner = self._find_owner(obj)
        if owner is not None:
            return _FOREGROUND in (owner["metadata"].get("finalizers") or []) and is_deleting(owner)
        resource = self._owners[reference["kind"]].resource
        owner = self._read(resource.path(obj["metadata"]["namespace"], reference["name"]))
        return owner is None or uid_of(owner) != reference["uid"]

    def _node_is_gone(self, pod: Obj) -> bool:
        node = node_of(pod)
        if node is None or self._state.nodes.get(node) is not None:
            return False
        return self._read(self._state.nodes.resource.path(name=node)) is None

    def _finalize(self, resource: Resource, obj: Obj) -> None:
        finalizers = obj["metadata"].get("finalizers") or []
        children = [(plural, child) for plural, child in self._children(uid_of(obj))]
        if _ORPHAN in finalizers:
            for plural, child in children:
                references = [r for r in child["metadata"]["ownerReferences"] if r["uid"] != uid_of(obj)]
                path = self._all[plural].resource.path_of(child)
                self._state.api.patch(path, {"metadata": {"ownerReferences": references or None}})
        elif _FOREGROUND not in finalizers or children:
            return
        remaining = [name for name in finalizers if name not in (_ORPHAN, _FOREGROUND)]
        try:
            self._state.api.patch(resource.path_of(obj), {"metadata": {"finalizers": remaining or None}})
        except ApiError as error:
            if error.status != 404:
                raise

    def _delete(self, resource: Resource, obj: Obj, grace_seconds: int | None = None) -> None:
        try:
            self._state.api.delete(resource.path_of(obj), uid=uid_of(obj), grace_seconds=grace_seconds)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def _read(self, path: str) -> Obj | None:
        try:
            return self._state.api.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None
