"""What each verb does with a resource and its subresources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from local.kubernetes import errors, subresources
from local.kubernetes.call import body_of, json_response, raw_response
from local.kubernetes.kinds.resources import NAMESPACES, PODS, SERVICE_ACCOUNTS
from local.kubernetes.reads import tables
from local.kubernetes.reads.listing import Lists, Page, encode_list
from local.kubernetes.reads.watch import Watch
from local.kubernetes.writes import patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from local.kubernetes.access.tokens import ServiceAccountTokens
    from local.kubernetes.call import Call
    from local.kubernetes.store import Stored
    from local.kubernetes.writes.registry import Registry

# Subresources with the object's own representation; the others are actions or views.
_SAME_OBJECT = ("status", "approval")


class Handlers:
    """Serves one request for one resource; every watch ends once `is_closing` is true."""

    def __init__(self, registry: Registry, tokens: ServiceAccountTokens, is_closing: Callable[[], bool]) -> None:
        self._registry = registry
        self._store = registry.store
        self._lists = Lists(registry.store)
        self._tokens = tokens
        self._is_closing = is_closing

    async def serve(self, call: Call) -> Response:
        """Answers a call to a resource. Raises ApiError."""
        target, resource = call.target, call.resource
        if call.verb in ("get", "list", "watch"):
            return self._read(call)
        if resource.namespaced and not target.namespace and call.verb != "deletecollection":
            raise errors.method_not_allowed()
        call.body = await body_of(call.request)
        if target.subresource and target.subresource not in _SAME_OBJECT:
            return self._act(call)
        if target.subresource and target.subresource not in resource.subresources:
            raise errors.path_not_served()
        handlers = {
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return handlers[call.verb](call)

    def _read(self, call: Call) -> Response:
        target, resource = call.target, call.resource
        if call.verb == "watch":
            return self._watch(call)
        include = call.query.get("includeObject", "Metadata")
        if call.verb == "list":
            page = self._lists.page(resource, target.namespace, call.query)
            if call.as_table:
                return raw_response(tables.encode_table(resource, page.items, page.metadata, include))
            return raw_response(encode_list(resource, page))
        stored = self._store.get(resource, target.namespace, target.name)
        if target.subresource == "scale" and "scale" in resource.subresources:
            return json_response(subresources.scale_of(stored.obj))
        if target.subresource and target.subresource not in resource.subresources:
            raise errors.path_not_served()
        if call.as_table:
            metadata = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
            return raw_response(tables.encode_table(resource, [stored], metadata, include))
        return raw_response(stored.encoded)

    def _watch(self, call: Call) -> Response:
        resource, query = call.resource, dict(call.query)
        if call.target.name:
            query["fieldSelector"] = f"metadata.name={call.target.name}"
        include = query.get("includeObject", "Metadata")

        def as_table(stored: Stored) -> bytes:
            metadata = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
            return tables.encode_table(resource, [stored], metadata, include)

        render = as_table if call.as_table else _plain
        watch = Watch(self._store, resource, call.target.namespace, query, render, self._is_closing)
        watch.start()
        return StreamingResponse(watch.stream(), media_type="application/json")

    def _create(self, call: Call) -> Response:
        if call.target.name:
            raise errors.method_not_allowed()
        stored = self._registry.create(call.resource, call.target.namespace, call.body, call.write())
        return raw_response(stored.encoded, 201, call.warnings)

    def _update(self, call: Call) -> Response:
        target = call.target
        exists = self._store.find(call.resource, target.namespace, target.name) is not None
        stored = self._registry.update(call.resource, target.namespace, target.name, call.body, call.write())
        return raw_response(stored.encoded, 200 if exists else 201, call.warnings)

    def _patch(self, call: Call) -> Response:
        target = call.target
        stored, created = self._registry.patch(
            call.resource, target.namespace, target.name, call.content_type, call.body, call.write()
        )
        return raw_response(stored.encoded, 201 if created else 200, call.warnings)

    def _delete(self, call: Call) -> Response:
        resource, target = call.resource, call.target
        stored, gone = self._registry.delete(
            resource, target.namespace, target.name, call.delete_options, dry_run=call.dry_run
        )
        if gone and not resource.returns_deleted:
            details = {**resource.details(target.name), "uid": stored.obj["metadata"]["uid"]}
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            return json_response(status)
        return raw_response(stored.encoded)

    def _delete_collection(self, call: Call) -> Response:
        resource, options = call.resource, call.delete_options
        page = self._lists.page(resource, call.target.namespace, call.query)
        deleted = []
        for stored in page.items:
            metadata = stored.obj["metadata"]
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            deleted.append(self._registry.delete(resource, namespace, name, options, dry_run=call.dry_run)[0])
        return raw_response(encode_list(resource, Page(deleted, page.metadata)))

    def _act(self, call: Call) -> Response:
        """Subresources that are not a view of the object itself."""
        resource, target = call.resource, call.target
        action = (resource, call.verb, target.subresource)
        if action == (SERVICE_ACCOUNTS, "create", "token"):
            return json_response(self._tokens.request(target.namespace, target.name, call.body), 201)
        acting: dict[Any, tuple[Callable[..., dict[str, Any]], int]] = {
            (PODS, "create", "binding"): (subresources.bind, 201),
            (PODS, "create", "eviction"): (subresources.evict, 201),
            (NAMESPACES, "update", "finalize"): (subresources.finalize, 200),
        }
        if action in acting:
            act, code = acting[action]
            answer = act(self._registry, target.namespace, target.name, call.body, dry_run=call.dry_run)
            return json_response(answer, code)
        if target.subresource == "scale" and "scale" in resource.subresources:
            return self._scale(call)
        raise errors.path_not_served()

    def _scale(self, call: Call) -> Response:
        target = call.target
        live = self._store.get(call.resource, target.namespace, target.name).obj
        scale = call.body
        if call.verb == "patch":
            scale = patches.merge_patch(subresources.scale_of(live), call.body)
        write = call.write()
        write.subresource = ""
        changed = subresources.scaled(live, scale)
        stored = self._registry.update(call.resource, target.namespace, target.name, changed, write)
        return json_response(subresources.scale_of(stored.obj))


def _plain(stored: Stored) -> bytes:
    return stored.encoded
