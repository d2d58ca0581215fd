"""Create, update, patch and delete: everything between a decoded request and the store."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.errors import FieldError
from local.kubernetes.kinds import admission, defaults, go_types, service_addresses
from local.kubernetes.kinds.resources import NAMESPACES, PODS, SERVICES
from local.kubernetes.store import Stored
from local.kubernetes.writes import apply, decoding, deletion, ownership, patches, updates
from local.kubernetes.writes.decoding import FieldValidation
from local.kubernetes.writes.ownership import Entry
from local.kubernetes.writes.strategic_merge import strategic_merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.store import Store

# No vowels and no look-alikes: Kubernetes' alphabet for generated names.
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5


@dataclass
class Write:
    """The parameters of one write request."""

    manager: str
    subresource: str = ""
    dry_run: bool = False
    force: bool = False
    validation: FieldValidation = field(default_factory=FieldValidation)

    def entry(self, resource: Resource, operation: str) -> Entry:
        """The `managedFields` entry of this write."""
        return Entry(self.manager, operation, resource.api_version, self.subresource, timestamp())


class Registry:
    """Writes to the store by Kubernetes' rules and calls `observers` after each stored change."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.observers: list[Callable[[Resource, str, dict[str, Any]], None]] = []

    def create(self, resource: Resource, namespace: str, body: Any, write: Write) -> Stored:
        """Stores a new object, with defaults and validation. Raises ApiError."""
        obj = decoding.decode(resource, body, write.validation)
        self._place(resource, namespace, obj)
        if obj["metadata"].get("resourceVersion"):
            raise errors.internal("resourceVersion should not be set on objects to be created")
        self._prepare_new(resource, obj)
        managed = ownership.record_update(None, obj, resource, write.entry(resource, "Update"))
        return self._insert(resource, obj, managed, write)

    def ensure(self, resource: Resource, namespace: str, body: dict[str, Any], write: Write) -> None:
        """Stores a new object unless there is one of its name."""
        if self.store.find(resource, namespace, body["metadata"]["name"]) is None:
            self.create(resource, namespace, body, write)

    def update(self, resource: Resource, namespace: str, name: str, body: Any, write: Write) -> Stored:
        """Replaces an object (PUT). Raises ApiError: 404, 409 if it has changed, 422."""
        if self.store.find(resource, namespace, name) is None and resource.create_on_update:
            return self.create(resource, namespace, body, write)
        old = self.store.get(resource, namespace, name).obj
        new = decoding.decode(resource, body, write.validation)
        updates.require_same_place(new, old)
        if not new["metadata"].get("resourceVersion") and not resource.unconditional_update:
            # The zero value of the field's Go type, as the real server prints it.
            problem = FieldError(
                "FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update"
            )
            raise errors.invalid(resource.plural, resource.group, name, [problem])
        return self._replace(resource, old, new, write, None)

    def patch(
        self, resource: Resource, namespace: str, name: str, content_type: str, patch: Any, write: Write
    ) -> tuple[Stored, bool]:
        """The patched object, and whether the patch created it (server-side apply only)."""
        if content_type == patches.APPLY:
            return self._apply(resource, namespace, name, patch, write)
        old = self.store.get(resource, namespace, name).obj
        if content_type == patches.JSON:
            body = patches.json_patch(old, patch)
        elif content_type == patches.MERGE:
            body = patches.merge_patch(old, patch)
        elif content_type == patches.STRATEGIC and not resource.custom:
            body = strategic_merge(old, patch, go_types.type_of(resource.api_version, resource.kind))
        else:
            accepted = [patches.JSON, patches.MERGE, patches.APPLY]
            raise errors.unsupported_patch(accepted if resource.custom else [*accepted, patches.STRATEGIC])
        new = decoding.decode(resource, body, write.validation)
        updates.require_same_place(new, old)
        return self._replace(resource, old, new, write, None), False

    def _apply(self, resource: Resource, namespace: str, name: str, body: Any, write: Write) -> tuple[Stored, bool]:
        updates.check_applied(resource, name, body, write.manager)
        undeclared = FieldValidation("Warn")
        applied = decoding.decode(resource, body, undeclared, partial=True)
        if undeclared.warnings:
            path = undeclared.warnings[0].split('"')[1]
            raise errors.internal(f"failed to create typed patch object: .{path}: field not declared in schema")
        live = self.store.find(resource, namespace, name)
        if live is None and write.subresource:
            raise errors.not_found(resource, name)
        old = live.obj if live else None
        applied["metadata"].setdefault("name", name)
        if old is None:
            updates.require_no_uid(resource, name, applied)
            self._place(resource, namespace, applied)
        entry = write.entry(resource, "Apply")
        wanted_version = applied["metadata"].get("resourceVersion")
        merged, managed = apply.apply(old, applied, resource, entry, force=write.force)
        decoding.require_structure(resource, merged)
        if old is not None:
            merged["metadata"]["resourceVersion"] = wanted_version
            return self._replace(resource, old, merged, write, managed), False
        self._prepare_new(resource, merged)
        return self._insert(resource, merged, managed, write), True

    def delete(
        self, resource: Resource, namespace: str, name: str, options: dict[str, Any], *, dry_run: bool
    ) -> tuple[Stored, bool]:
        """The object's last state, and whether it is gone. If not, a finalizer or a kubelet still holds it."""
        stored = self.store.get(resource, namespace, name)
        marked = deletion.mark(resource, stored.obj, options)
        gone = deletion.is_over(resource, marked)
        if dry_run:
            return Stored(marked, stored.typed), gone
        if gone:
            if resource is PODS and marked != stored.obj:
                # Pods are always marked before they go, even without grace: watches see both steps.
                marked = self._put(resource, marked).obj
            return self._remove(resource, marked), True
        return (stored if marked == stored.obj else self._put(resource, marked)), False

    def replace_in_place(self, resource: Resource, obj: dict[str, Any], *, dry_run: bool = False) -> Stored:
        """Store an object that a subresource (binding, finalize, eviction) has already checked."""
        return Stored(obj, typed=not resource.custom) if dry_run else self._settle(resource, obj)

    def _place(self, resource: Resource, namespace: str, obj: dict[str, Any]) -> None:
        """Put a new object into the URL's namespace, which must exist and must not be terminating."""
        metadata = obj["metadata"]
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.setdefault("namespace", namespace) != namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        owner = self.store.get(NAMESPACES, "", namespace).obj
        if owner["metadata"].get("deletionTimestamp"):
            problem = f"unable to create new content in namespace {namespace} because it is being terminated"
            error = errors.forbidden(resource, metadata.get("name", ""), problem)
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            error.details = {**(error.details or {}), "causes": [cause]}
            raise error

    def _prepare_new(self, resource: Resource, obj: dict[str, Any]) -> None:
        metadata = obj["metadata"]
        for name in ("uid", "resourceVersion", "selfLink", "managedFields", "deletionTimestamp"):
            metadata.pop(name, None)
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
            metadata["name"] = metadata["generateName"] + suffix
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp()
        defaults.set_defaults(resource, obj)
        admission.admit_new(resource, obj)
        if resource is SERVICES:
            service_addresses.allocate(obj, None, self.store.objects(SERVICES))
        if resource.has_generation:
            metadata["generation"] = 1
        updates.finish(resource, obj, None)

    def _insert(self, resource: Resource, obj: dict[str, Any], managed: list[dict[str, Any]], write: Write) -> Stored:
        metadata = obj["metadata"]
        if self.store.find(resource, metadata.get("namespace", ""), metadata["name"]):
            raise errors.already_exists(resource, metadata["name"])
        metadata["managedFields"] = managed
        if write.dry_run:
            return Stored(obj, typed=not resource.custom)
        return self._put(resource, obj)

    def _replace(
        self,
        resource: Resource,
        old: dict[str, Any],
        new: dict[str, Any],
        write: Write,
        managed: list[dict[str, Any]] | None,
    ) -> Stored:
        """Replace `old` by `new`. Without a change the old version stays, with its resourceVersion."""
        updates.carry_metadata(resource, new, old)
        new = updates.restrict(resource, new, old, write.subresource)
        defaults.set_defaults(resource, new)
        if resource is SERVICES:
            service_addresses.allocate(new, old, self.store.objects(SERVICES))
        if not write.subresource:
            updates.advance_generation(resource, new, old)
        updates.finish(resource, new, old)
        if managed is None:
            managed = ownership.record_update(old, new, resource, write.entry(resource, "Update"))
        new["metadata"]["managedFields"] = managed
        if new == old or write.dry_run:
            return Stored(new, typed=not resource.custom)
        return self._settle(resource, new)

    def _settle(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        """Store an object, or remove it if this change completes its deletion."""
        if deletion.is_over(resource, obj):
            return self._remove(resource, obj)
        return self._put(resource, obj)

    def _put(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        stored = self.store.put(resource, obj)
        self._notify(resource, "PUT", stored.obj)
        return stored

    def _remove(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        stored = self.store.remove(resource, obj)
        self._notify(resource, "REMOVED", stored.obj)
        return stored

    def _notify(self, resource: Resource, change: str, obj: dict[str, Any]) -> None:
        for observer in self.observers:
            observer(resource, change, obj)


def timestamp() -> str:
    """Now in UTC, in whole seconds, as `metav1.Time` is written."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
