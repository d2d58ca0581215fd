"""CustomResourceDefinitions: from the stored definition to a served resource and back."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

from local.kubernetes.kinds import schema
from local.kubernetes.kinds.resources import CRDS, PrinterColumn, Resource
from local.kubernetes.writes.deletion import CLEANUP
from local.kubernetes.writes.registry import timestamp

if TYPE_CHECKING:
    from local.kubernetes.writes.registry import Registry

# The real server needs a moment, too. A client that does not wait for `Established` must fail here as well.
ESTABLISH_SECONDS = 0.2


class CustomResources:
    """Serves what the stored definitions define. Must live on a running event loop."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store
        registry.observers.append(self._observe)

    def resume(self) -> None:
        """Serves what was defined before the server was started, and goes on with what was not finished."""
        for stored in self._store.all(CRDS):
            if _is_established(stored.obj):
                self._store.serve(_resource(stored.obj))
            self._definition_changed("PUT", stored.obj)

    def _observe(self, resource: Resource, change: str, obj: dict[str, Any]) -> None:
        if resource is CRDS:
            self._definition_changed(change, obj)
        elif resource.custom and change == "REMOVED":
            self._finish_cleanup(f"{resource.plural}.{resource.group}")

    def _definition_changed(self, change: str, crd: dict[str, Any]) -> None:
        if change == "REMOVED":
            return
        name = crd["metadata"]["name"]
        if not _is_established(crd):
            asyncio.get_running_loop().call_later(ESTABLISH_SECONDS, self._establish, name)
        elif crd["metadata"].get("deletionTimestamp"):
            asyncio.get_running_loop().call_soon(self._clean_up, name)
        else:
            served, defined = self._served(crd), _resource(crd)
            # Only when the served resource changes: serving it again ends its watches.
            if served is None or vars(served) != vars(defined):
                self._store.serve(defined)

    def _establish(self, name: str) -> None:
        stored = self._store.find(CRDS, "", name)
        if stored is None or _is_established(stored.obj):
            return
        crd = copy.deepcopy(stored.obj)
        now = timestamp()
        crd["status"]["acceptedNames"] = crd["spec"]["names"]
        crd["status"]["conditions"] = [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
            _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now),
        ]
        self._registry.replace_in_place(CRDS, crd)

    def _clean_up(self, name: str) -> None:
        """Delete every custom resource of a definition that is being deleted."""
        definition = self._store.find(CRDS, "", name)
        if definition is None:
            return
        resource = self._served(definition.obj)
        if resource is not None:
            for stored in self._store.all(resource):
                metadata = stored.obj["metadata"]
                self._registry.delete(resource, metadata.get("namespace", ""), metadata["name"], {}, dry_run=False)
        self._finish_cleanup(name)

    def _finish_cleanup(self, name: str) -> None:
        """Remove a definition's finalizer once its last custom resource is gone."""
        stored = self._store.find(CRDS, "", name)
        if stored is None or not stored.obj["metadata"].get("deletionTimestamp"):
            return
        resource = self._served(stored.obj)
        if resource is not None:
            if next(self._store.objects(resource), None) is not None:
                return
            self._store.withdraw(resource)
        crd = copy.deepcopy(stored.obj)
        finalizers = [item for item in crd["metadata"].get("finalizers", ()) if item != CLEANUP]
        crd["metadata"]["finalizers"] = finalizers
        self._registry.replace_in_place(CRDS, crd)

    def _served(self, crd: dict[str, Any]) -> Resource | None:
        spec = crd["spec"]
        return self._store.resource(spec["group"], _served_version(spec)["name"], spec["names"]["plural"])


def _is_established(crd: dict[str, Any]) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


def _condition(kind: str, reason: str, message: str, now: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}


def _served_version(spec: dict[str, Any]) -> dict[str, Any]:
    versions: list[dict[str, Any]] = spec["versions"]
    return next((version for version in versions if version.get("served")), versions[0])


def _resource(crd: dict[str, Any]) -> Resource:
    spec = crd["spec"]
    names, version = spec["names"], _served_version(spec)
    columns = tuple(
        PrinterColumn(column["name"], column["type"], column["jsonPath"], column.get("priority", 0))
        for column in version.get("additionalPrinterColumns") or ()
    )
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        schema=schema.for_custom_resource(version["schema"]["openAPIV3Schema"]),
        singular=names["singular"],
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=("status",) if "status" in (version.get("subresources") or {}) else (),
        custom=True,
        has_generation=True,
        unconditional_update=False,
        printer_columns=columns,
    )
