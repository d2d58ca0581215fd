"""Failures in the words of the Kubernetes API: each is a `v1 Status` object."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.kubernetes.kinds.resources import Resource

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class ApiError(Exception):
    """One failed request.

    Raised anywhere below the HTTP layer, answered as `status()` with the HTTP status `code`.
    `reason` is empty where the real server leaves it out (most of its 500s).
    """

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> dict[str, Any]:
        """The error as a `Status` object, the body of the response."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


@dataclass(frozen=True)
class FieldError:
    """One invalid field; `reason` is a CauseType such as `FieldValueRequired`."""

    reason: str
    field: str
    message: str


def required(field: str, more: str = "") -> FieldError:
    """A field that must be set."""
    return FieldError("FieldValueRequired", field, "Required value" + (f": {more}" if more else ""))


def invalid_value(field: str, value: object, problem: str) -> FieldError:
    """A field whose value is wrong; `problem` ends the sentence."""
    shown = json.dumps(value)
    return FieldError("FieldValueInvalid", field, f"Invalid value: {shown}: {problem}")


def forbidden_value(field: str, problem: str) -> FieldError:
    """A field that must not be set."""
    return FieldError("FieldValueForbidden", field, f"Forbidden: {problem}")


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: no token, or one that nobody knows."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def path_not_served() -> ApiError:
    """404 of a path that is no resource."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    """405: the resource does not have this verb."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def not_found(resource: Resource, name: str) -> ApiError:
    """404 of an object."""
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', resource.details(name))


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 for a create whose name is taken."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, resource.details(name))


def conflict(resource: Resource, name: str, problem: str = MODIFIED) -> ApiError:
    """409 for a write to an object that has changed meanwhile, or for another conflicting state."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {problem}'
    return ApiError(409, "Conflict", message, resource.details(name))


def forbidden(resource: Resource, name: str, problem: str) -> ApiError:
    """403: RBAC or an admission rule refuses."""
    message = f'{resource.qualified} "{name}" is forbidden: {problem}'
    return ApiError(403, "Forbidden", message, resource.details(name))


def invalid(kind: str, group: str, name: str, problems: Sequence[FieldError]) -> ApiError:
    """422 with one cause per problem; several problems are listed in brackets."""
    texts = [f"{problem.field}: {problem.message}" for problem in problems]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    details["causes"] = [
        {"reason": problem.reason, "message": problem.message, "field": problem.field} for problem in problems
    ]
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {listed}', details)


def unprocessable_patch() -> ApiError:
    """422 for a JSON patch that does not apply."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def unsupported_patch(accepted: Sequence[str]) -> ApiError:
    """415 for a patch of an unknown media type; `accepted` are the known ones."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return ApiError(415, "UnsupportedMediaType", message)


def expired(message: str) -> ApiError:
    """410 for a resource version or a continue token that is too old."""
    return ApiError(410, "Expired", message)


def internal(message: str) -> ApiError:
    """500, without a reason."""
    return ApiError(500, "", message)
