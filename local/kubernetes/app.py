"""The HTTP side of the API server: authentication, authorization, routing, discovery."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from local.journal import Journal
from local.kubernetes import bootstrap, errors, parameters
from local.kubernetes.access.authorization import Attributes, Authorizer
from local.kubernetes.access.reviews import KINDS, Reviews
from local.kubernetes.access.tokens import ServiceAccountTokens
from local.kubernetes.call import Call, body_of, json_response
from local.kubernetes.errors import ApiError
from local.kubernetes.faults import PREFIX, Faults
from local.kubernetes.handlers import Handlers
from local.kubernetes.kinds.crds import CustomResources
from local.kubernetes.options import LOOPBACK
from local.kubernetes.reads import discovery
from local.kubernetes.routing import Target, attributes, parse_path, verb_of
from local.kubernetes.store import Store
from local.kubernetes.writes.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from local.kubernetes.access.authentication import Authenticator
    from local.kubernetes.options import Options, User

_LOG = logging.getLogger(__name__)
_HEALTH = ("/healthz", "/livez", "/readyz")
_NOT_FOUND = "404 page not found\n"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Api:
    """The API server. Create it on a running event loop; `close` ends every watch."""

    def __init__(self, authenticator: Authenticator, options: Options) -> None:
        self.store = Store(Journal(options.state))
        self.registry = Registry(self.store)
        self.closing = False
        self.faults = Faults()
        self._git_version = options.version
        self._authenticator = authenticator
        self._authorizer = Authorizer(self.store)
        pki = options.pki
        tokens = ServiceAccountTokens(self.store, pki.service_account_key, pki.service_account_public_key)
        authenticator.accounts = tokens
        self._reviews = Reviews(authenticator, self._authorizer)
        self._handlers = Handlers(self.registry, tokens, lambda: self.closing)
        CustomResources(self.registry).resume()
        bootstrap.install(self.registry, LOOPBACK, options.port)
        self.asgi = Starlette(routes=[Route("/{path:path}", self.handle, methods=_METHODS)])

    def close(self) -> None:
        """Ends all watches, so that the server can stop."""
        self.closing = True
        self.store.wake_all()

    async def handle(self, request: Request) -> Response:
        """Authenticates, routes and answers one request. Errors become a `Status` object."""
        # Read the body in any case: answering before its end would cost the client its connection.
        await request.body()
        try:
            user = await self._authenticator.authenticate(request.headers.get("authorization"))
            if name := request.headers.get("impersonate-user"):
                user = self._authorizer.impersonate(user, name, request.headers.getlist("impersonate-group"))
            return await self._route(request, user)
        except ApiError as error:
            return json_response(error.status(), error.code)
        except Exception:
            _LOG.exception("%s %s failed", request.method, request.url.path)
            failure = ApiError(500, "InternalError", "Internal error occurred: see the server's log")
            return json_response(failure.status(), 500)

    async def _route(self, request: Request, user: User) -> Response:
        path = request.url.path
        if path.startswith(PREFIX):
            self._authorizer.require(user, Attributes(request.method.lower(), path=path))
            return await self.faults.control(request)
        target = parse_path(path)
        if target is None:
            self._authorizer.require(user, Attributes(request.method.lower(), path=path))
            return self._describe(path.rstrip("/") or "/")
        verb = verb_of(request.method, target, watching=parameters.is_set(request.query_params, "watch"))
        asked = attributes(target, verb, request.query_params.get("fieldSelector", ""))
        self._authorizer.require(user, asked)
        return await self.faults.serve(
            user.name, f"{verb} {asked.resource}", lambda: self._serve(request, user, target, verb)
        )

    async def _serve(self, request: Request, user: User, target: Target, verb: str) -> Response:
        if review := KINDS.get((target.group, target.version, target.plural)):
            if verb != "create":
                raise errors.method_not_allowed()
            return json_response(await self._reviews.answer(review[0], await body_of(request), user), 201)
        if target.group and discovery.group(self.store, target.group) is None:
            return PlainTextResponse(_NOT_FOUND, 404)
        resource = self.store.resource(target.group, target.version, target.plural)
        if resource is None or (target.namespace and not resource.namespaced):
            raise errors.path_not_served()
        return await self._handlers.serve(Call(request, target, resource, verb))

    def _describe(self, path: str) -> Response:
        """Everything that is not a resource: health, version, discovery, OpenAPI."""
        if path in _HEALTH:
            return PlainTextResponse("ok")
        documents: dict[str, Callable[[], dict[str, Any]]] = {
            "/version": lambda: discovery.version(self._git_version),
            "/api": discovery.legacy_versions,
            "/apis": lambda: discovery.groups(self.store),
            "/openapi/v3": lambda: discovery.openapi_index(self.store),
        }
        if path in documents:
            return json_response(documents[path]())
        openapi = path.startswith("/openapi/v3/")
        parts = path.removeprefix("/openapi/v3").strip("/").split("/")
        document = None
        if parts[0] in ("api", "apis"):
            group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2] if len(parts) > 2 else "")
            if not version:
                document = discovery.group(self.store, group)
            else:
                document = discovery.resource_list(self.store, group, version)
            if document is None and discovery.group(self.store, group):
                raise errors.path_not_served()
            if openapi and document:
                document = discovery.openapi_document(self.store, group, version, self._git_version)
        return json_response(document) if document else PlainTextResponse(_NOT_FOUND, 404)
