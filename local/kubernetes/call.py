"""One request for a resource: its parameters, its decoded body, and how the client wants the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from local.kubernetes import errors, parameters
from local.kubernetes.store import encode
from local.kubernetes.writes import decoding, patches, protobuf
from local.kubernetes.writes.decoding import FieldValidation
from local.kubernetes.writes.registry import Write

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.routing import Target

_MANAGER_LIMIT = 128
_PATCHES = (patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY)


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
        """The query parameters of the request."""
        return self.request.query_params

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return content_type(self.request)

    @property
    def dry_run(self) -> bool:
        """Whether nothing is stored: `dryRun=All` in the query or in DeleteOptions."""
        in_body = self.body.get("dryRun") if _is_delete_options(self.body) else None
        return "All" in self.query.getlist("dryRun") or "All" in (in_body or ())

    @property
    def as_table(self) -> bool:
        """Whether the client prefers a server-side Table (kubectl get) to the objects themselves."""
        for accepted in self.request.headers.get("accept", "").split(","):
            options = accepted.replace(" ", "").split(";")
            if "as=Table" in options and "v=v1" in options:
                return True
            if options[0] in ("application/json", "*/*") and not any("as=" in item for item in options):
                return False
        return False

    @property
    def delete_options(self) -> dict[str, Any]:
        """DeleteOptions from the body and from the query, as kubectl and the Python client send them."""
        options = dict(self.body) if isinstance(self.body, dict) else {}
        if "gracePeriodSeconds" in self.query:
            options["gracePeriodSeconds"] = parameters.integer(self.query["gracePeriodSeconds"])
        if "propagationPolicy" in self.query:
            options["propagationPolicy"] = self.query["propagationPolicy"]
        if "orphanDependents" in self.query:
            options["orphanDependents"] = parameters.is_set(self.query, "orphanDependents")
        return options

    def write(self) -> Write:
        """How the write is recorded and checked. Without `fieldManager` the manager is taken from the user agent."""
        manager = self.query.get("fieldManager", "")
        if not manager and self.content_type != patches.APPLY:
            agent = self.request.headers.get("user-agent", "")
            manager = agent.partition("/")[0][:_MANAGER_LIMIT] or "unknown"
        mode = self.query.get("fieldValidation") or "Warn"
        return Write(
            manager=manager,
            subresource=self.target.subresource,
            dry_run=self.dry_run,
            force=parameters.is_set(self.query, "force"),
            validation=FieldValidation(mode, self.warnings),
        )


def _is_delete_options(body: Any) -> bool:
    return isinstance(body, dict) and body.get("kind") == "DeleteOptions"


def content_type(request: Request) -> str:
    """The media type of the body, without parameters; empty if the request names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip()


async def body_of(request: Request) -> Any:
    """The decoded body, None for an empty one. Raises ApiError 400 for garbage, 415 for an unknown encoding."""
    kind, body = content_type(request), await request.body()
    if not body:
        return None
    if kind == protobuf.CONTENT_TYPE:
        return protobuf.decode(body)
    if kind not in ("", "application/json", "application/yaml", *_PATCHES):
        raise errors.ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    return decoding.parse_body(body, kind)


def json_response(document: Any, code: int = 200) -> Response:
    """The document as JSON with that HTTP status."""
    return raw_response(encode(document), code)


def raw_response(body: bytes, code: int = 200, warnings: list[str] | None = None) -> Response:
    """A JSON answer that is encoded already; `warnings` become headers that kubectl prints."""
    response = Response(body, code, media_type="application/json")
    for warning in warnings or ():
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("warning", f'299 - "{escaped}"')
    return response
