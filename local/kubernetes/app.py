"""HTTP: from a request to the right verb on the right resource, and back."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from local.kubernetes import errors, pods
from local.kubernetes.access import reviews
from local.kubernetes.access.authorization import Attributes, Authorizer, install_bootstrap_roles
from local.kubernetes.errors import ApiError
from local.kubernetes.kinds.crds import CustomResources
from local.kubernetes.kinds.resources import NAMESPACES, PODS
from local.kubernetes.reads import discovery, tables
from local.kubernetes.reads.listing import Lists, Page, encode_list
from local.kubernetes.reads.watch import Watch
from local.kubernetes.routing import Target, attributes, parse_path, verb_of
from local.kubernetes.store import Store, Stored, encode
from local.kubernetes.writes import decoding, patches, protobuf
from local.kubernetes.writes.decoding import FieldValidation
from local.kubernetes.writes.registry import Registry, Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from local.kubernetes.access.authentication import Authenticator
    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.options import User

_LOG = logging.getLogger(__name__)
_HEALTH = ("/healthz", "/livez", "/readyz")
_NOT_FOUND = "404 page not found\n"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_MANAGER_LIMIT = 128


@dataclass
class Call:
    """One authenticated request for a resource."""

    request: Request
    target: Target
    resource: Resource
    verb: str
    body: Any = None
    warnings: list[str] = field(default_factory=list)

    @property
    def query(self) -> QueryParams:
        return self.request.query_params

    @property
    def dry_run(self) -> bool:
        return "All" in self.query.getlist("dryRun") or "All" in self._options.get("dryRun", ())

    @property
    def _options(self) -> dict[str, Any]:
        return self.body if isinstance(self.body, dict) and self.body.get("kind") == "DeleteOptions" else {}

    @property
    def as_table(self) -> bool:
        for accepted in self.request.headers.get("accept", "").split(","):
            parameters = accepted.replace(" ", "").split(";")
            if "as=Table" in parameters and "v=v1" in parameters:
                return True
            if parameters[0] in ("application/json", "*/*") and not any("as=" in item for item in parameters):
                return False
        return False

    def write(self) -> Write:
        manager = self.query.get("fieldManager", "")
        content_type = _content_type(self.request)
        if not manager and content_type != patches.APPLY:
            agent = self.request.headers.get("user-agent", "")
            manager = agent.partition("/")[0][:_MANAGER_LIMIT] or "unknown"
        mode = self.query.get("fieldValidation") or "Warn"
        return Write(
            manager=manager,
            subresource=self.target.subresource,
            dry_run=self.dry_run,
            force=_is_true(self.request, "force"),
            validation=FieldValidation(mode, self.warnings),
        )


class Api:
    """The API server. Create it on a running event loop; `closing` set ends every watch."""

    def __init__(self, authenticator: Authenticator, git_version: str) -> None:
        self.store = Store()
        self.registry = Registry(self.store)
        self.closing = False
        self._authenticator = authenticator
        self._authorizer = Authorizer(self.store)
        self._lists = Lists(self.store)
        self._git_version = git_version
        CustomResources(self.registry)
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            body = {"metadata": {"name": name}}
            self.registry.create(NAMESPACES, "", body, Write(manager="kube-apiserver"))
        install_bootstrap_roles(self.registry)
        self.asgi = Starlette(routes=[Route("/{path:path}", self.handle, methods=_METHODS)])

    def close(self) -> None:
        self.closing = True
        self.store.wake_all()

    async def handle(self, request: Request) -> Response:
        # Read in any case: an answer before the end of the body would cost the client its connection.
        await request.body()
        try:
            user = await self._authenticator.authenticate(request.headers.get("authorization"))
            if name := request.headers.get("impersonate-user"):
                user = self._authorizer.impersonate(user, name, request.headers.getlist("impersonate-group"))
            return await self._route(request, user)
        except ApiError as error:
            return _json(error.status(), error.code)
        except Exception:
            _LOG.exception("%s %s failed", request.method, request.url.path)
            return _json(ApiError(500, "InternalError", "Internal error occurred: see the server's log").status(), 500)

    async def _route(self, request: Request, user: User) -> Response:
        path = request.url.path
        target = parse_path(path)
        if target is None:
            self._authorizer.require(user, Attributes(request.method.lower(), path=path))
            return self._describe(path.rstrip("/") or "/")
        verb = verb_of(request.method, target, watching=_is_true(request, "watch"))
        self._authorizer.require(user, attributes(target, verb, request.query_params.get("fieldSelector", "")))
        if kind := reviews.KINDS.get((target.group, target.version, target.plural)):
            if verb != "create":
                raise errors.method_not_allowed()
            body = await _body(request)
            return _json(reviews.answer(kind, body, user, self._authorizer), 201)
        if target.group and discovery.group(self.store, target.group) is None:
            return PlainTextResponse(_NOT_FOUND, 404)
        resource = self.store.resource(target.group, target.version, target.plural)
        if resource is None or (target.namespace and not resource.namespaced):
            raise errors.path_not_served()
        call = Call(request, target, resource, verb)
        return await self._serve(call)

    def _describe(self, path: str) -> Response:
        """Everything that is no resource: health, version, discovery, OpenAPI."""
        if path in _HEALTH:
            return PlainTextResponse("ok")
        documents: dict[str, Callable[[], dict[str, Any]]] = {
            "/version": lambda: discovery.version(self._git_version),
            "/api": discovery.legacy_versions,
            "/apis": lambda: discovery.groups(self.store),
            "/openapi/v3": lambda: discovery.openapi_index(self.store),
        }
        if path in documents:
            return _json(documents[path]())
        openapi = path.startswith("/openapi/v3/")
        parts = path.removeprefix("/openapi/v3").strip("/").split("/")
        found = None
        if parts[0] in ("api", "apis"):
            group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2] if len(parts) > 2 else "")
            if not version:
                found = discovery.group(self.store, group)
            else:
                found = discovery.resource_list(self.store, group, version)
            if found is None and discovery.group(self.store, group):
                raise errors.path_not_served()
            if openapi and found:
                found = discovery.openapi_document(self.store, group, version, self._git_version)
        return _json(found) if found else PlainTextResponse(_NOT_FOUND, 404)

    async def _serve(self, call: Call) -> Response:
        target, resource = call.target, call.resource
        if call.verb in ("get", "list", "watch"):
            return self._read(call)
        if resource.namespaced and not target.namespace and call.verb != "deletecollection":
            raise errors.method_not_allowed()
        call.body = await _body(call.request)
        if target.subresource and target.subresource != "status":
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
                return _raw(tables.encode_table(resource, page.items, page.metadata, include))
            return _raw(encode_list(resource, page))
        stored = self.store.get(resource, target.namespace, target.name)
        if target.subresource == "scale" and "scale" in resource.subresources:
            return _json(pods.scale_of(stored.obj))
        if target.subresource and target.subresource not in resource.subresources:
            raise errors.path_not_served()
        if call.as_table:
            metadata = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
            return _raw(tables.encode_table(resource, [stored], metadata, include))
        return _raw(stored.encoded)

    def _watch(self, call: Call) -> Response:
        resource, query = call.resource, dict(call.query)
        if call.target.name:
            query["fieldSelector"] = f"metadata.name={call.target.name}"
        include = query.get("includeObject", "Metadata")

        def as_table(stored: Stored) -> bytes:
            metadata = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
            return tables.encode_table(resource, [stored], metadata, include)

        render = as_table if call.as_table else _plain
        watch = Watch(self.store, resource, call.target.namespace, query, render, lambda: self.closing)
        watch.start()
        return StreamingResponse(watch.stream(), media_type="application/json")

    def _create(self, call: Call) -> Response:
        if call.target.name:
            raise errors.method_not_allowed()
        stored = self.registry.create(call.resource, call.target.namespace, call.body, call.write())
        return _raw(stored.encoded, 201, call.warnings)

    def _update(self, call: Call) -> Response:
        target = call.target
        known = self.store.find(call.resource, target.namespace, target.name) is not None
        stored = self.registry.update(call.resource, target.namespace, target.name, call.body, call.write())
        return _raw(stored.encoded, 200 if known else 201, call.warnings)

    def _patch(self, call: Call) -> Response:
        target, content_type = call.target, _content_type(call.request)
        stored, created = self.registry.patch(
            call.resource, target.namespace, target.name, content_type, call.body, call.write()
        )
        return _raw(stored.encoded, 201 if created else 200, call.warnings)

    def _delete(self, call: Call) -> Response:
        resource, target = call.resource, call.target
        options = _delete_options(call)
        stored, gone = self.registry.delete(resource, target.namespace, target.name, options, dry_run=call.dry_run)
        if gone and not resource.returns_deleted:
            details = {**resource.details(target.name), "uid": stored.obj["metadata"]["uid"]}
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            return _json(status)
        return _raw(stored.encoded)

    def _delete_collection(self, call: Call) -> Response:
        resource, options = call.resource, _delete_options(call)
        page = self._lists.page(resource, call.target.namespace, call.query)
        deleted = []
        for stored in page.items:
            metadata = stored.obj["metadata"]
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            deleted.append(self.registry.delete(resource, namespace, name, options, dry_run=call.dry_run)[0])
        return _raw(encode_list(resource, Page(deleted, page.metadata)))

    def _act(self, call: Call) -> Response:
        """Subresources that are not a view of the object itself."""
        resource, target, dry_run = call.resource, call.target, call.dry_run
        action = (call.verb, target.subresource)
        if resource is PODS and action == ("create", "binding"):
            return _json(pods.bind(self.registry, target.namespace, target.name, call.body, dry_run=dry_run), 201)
        if resource is PODS and action == ("create", "eviction"):
            return _json(pods.evict(self.registry, target.namespace, target.name, call.body, dry_run=dry_run), 201)
        if resource is NAMESPACES and action == ("update", "finalize"):
            return _json(pods.finalize(self.registry, target.name, call.body, dry_run=dry_run))
        if target.subresource == "scale" and "scale" in resource.subresources:
            return self._scale(call)
        raise errors.path_not_served()

    def _scale(self, call: Call) -> Response:
        target = call.target
        live = self.store.get(call.resource, target.namespace, target.name).obj
        scale = call.body
        if call.verb == "patch":
            scale = patches.merge_patch(pods.scale_of(live), call.body)
        write = call.write()
        write.subresource = ""
        changed = pods.scaled(live, scale)
        stored = self.registry.update(call.resource, target.namespace, target.name, changed, write)
        return _json(pods.scale_of(stored.obj))


def _delete_options(call: Call) -> dict[str, Any]:
    """DeleteOptions from the body and from the query, as kubectl and the Python client send them."""
    options = dict(call.body) if isinstance(call.body, dict) else {}
    if "gracePeriodSeconds" in call.query:
        options["gracePeriodSeconds"] = int(call.query["gracePeriodSeconds"])
    if "propagationPolicy" in call.query:
        options["propagationPolicy"] = call.query["propagationPolicy"]
    return options


async def _body(request: Request) -> Any:
    content_type, body = _content_type(request), await request.body()
    if not body:
        return None
    if content_type == protobuf.CONTENT_TYPE:
        return protobuf.decode(body)
    if content_type not in ("", "application/json", "application/yaml", *_PATCHES):
        raise errors.ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    return decoding.parse_body(body, content_type)


_PATCHES = (patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY)


def _is_true(request: Request, parameter: str) -> bool:
    return request.query_params.get(parameter) in ("true", "1")


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip()


def _plain(stored: Stored) -> bytes:
    return stored.encoded


def _json(document: Any, code: int = 200) -> Response:
    return _raw(encode(document), code)


def _raw(body: bytes, code: int = 200, warnings: list[str] | None = None) -> Response:
    response = Response(body, code, media_type="application/json")
    for warning in warnings or ():
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("warning", f'299 - "{escaped}"')
    return response
