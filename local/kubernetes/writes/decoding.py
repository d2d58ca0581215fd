"""Decodes a request's body into an object of the kind that the URL names."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from local.kubernetes import errors
from local.kubernetes.errors import FieldError
from local.kubernetes.kinds import schema

if TYPE_CHECKING:
    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.kinds.schema import Problem

_ZERO = {"string": "", "integer": 0, "number": 0, "boolean": False}


@dataclass
class FieldValidation:
    """The request's `fieldValidation`: what to do about fields that the kind does not have."""

    mode: str = "Warn"  # Strict, Warn or Ignore
    warnings: list[str] = field(default_factory=list)


def parse_body(body: bytes, content_type: str) -> Any:
    """The body as JSON or YAML. Raises ApiError 400."""
    try:
        if "yaml" not in content_type:
            return json.loads(body)
        # Most clients send JSON, which is YAML too and read many times faster.
        with suppress(ValueError):
            return json.loads(body)
        return yaml.safe_load(body)
    except (ValueError, yaml.YAMLError) as error:
        raise errors.bad_request(f"couldn't get version/kind; json parse error: {error}") from None


def decode(resource: Resource, body: Any, validation: FieldValidation, *, partial: bool = False) -> dict[str, Any]:
    """A pruned copy of `body` as an object of `resource`, without defaults; `partial` lets required fields be missing.

    Raises ApiError 400 for another kind, for wrong types and with Strict for unknown fields; wrong types in custom
    resources are 422, as their schema belongs to validation.
    """
    if not isinstance(body, dict) or not isinstance(body.get("metadata") or {}, dict):
        raise errors.bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
    _check_kind(resource, body)
    problems = list(schema.check(body, resource.schema))
    _unknown_fields(resource, [item.path for item in problems if item.kind == "unknown"], validation)
    obj = schema.prune(body, resource.schema)
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, **_without_type(obj)}
    obj.setdefault("metadata", {})
    if resource.custom:
        if not partial:
            require_structure(resource, obj)
        return obj
    wrong = next((item for item in problems if item.kind == "type"), None)
    if wrong is not None:
        raise _undecodable(resource, _type_problem(resource, wrong))
    return obj


def require_structure(resource: Resource, obj: dict[str, Any]) -> None:
    """Raise ApiError 422 for a custom resource that does not fit its definition's schema."""
    if not resource.custom:
        return
    problems = [item for item in schema.check(obj, resource.schema) if not item.path.startswith("metadata.")]
    if problems:
        name = obj["metadata"].get("name", "")
        raise errors.invalid(resource.kind, resource.group, name, [_field_error(item) for item in problems])


def fill_required(value: Any, declared: dict[str, Any]) -> None:
    """Give required scalars of built-in kinds the zero value that Go decoding gives them. Changes `value`.

    The real server always sends such fields (`containerStatuses[].restartCount`), and typed clients rely on it.
    """
    declared = schema.resolve(declared)
    if isinstance(value, list):
        for item in value:
            fill_required(item, declared.get("items") or {})
    elif isinstance(value, dict):
        for name, item in value.items():
            fill_required(item, schema.child(declared, name) or {})
        for name in declared.get("required") or ():
            zero = _ZERO.get(declared["properties"][name].get("type", ""))
            if zero is not None and "format" not in declared["properties"][name]:
                value.setdefault(name, zero)


def _without_type(obj: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}


def _check_kind(resource: Resource, body: dict[str, Any]) -> None:
    kind, version = body.get("kind"), body.get("apiVersion")
    if resource.custom:
        if not kind or not version:
            missing = "Kind" if not kind else "apiVersion"
            raise errors.bad_request(f"Object '{missing}' is missing in '{json.dumps(body)}'")
        name = (body.get("metadata") or {}).get("name", "")
        for label, given, wanted in (
            ("kind", kind, resource.kind),
            ("apiVersion", version, resource.api_version),
        ):
            if given != wanted:
                problem = errors.invalid_value(label, given, f"must be {wanted}")
                raise errors.invalid(str(kind), resource.group, name, [problem])
    elif (kind or resource.kind, version or resource.api_version) != (resource.kind, resource.api_version):
        raise errors.bad_request(
            f'{kind} in version "{version}" cannot be handled as a {resource.kind}: '
            f"no kind {kind} is registered for version {version}"
        )


def _unknown_fields(resource: Resource, paths: list[str], validation: FieldValidation) -> None:
    if not paths or validation.mode == "Ignore":
        return
    texts = [f'unknown field "{path}"' for path in paths]
    if validation.mode == "Strict":
        raise _undecodable(resource, f"strict decoding error: {', '.join(texts)}")
    validation.warnings += texts


def _undecodable(resource: Resource, problem: str) -> errors.ApiError:
    return errors.bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {problem}'
    )


def _type_problem(resource: Resource, problem: Problem) -> str:
    return (
        f"json: cannot unmarshal {problem.got} into Go struct field {resource.kind}.{problem.path} "
        f"of type {problem.expected}"
    )


def _field_error(problem: Problem) -> FieldError:
    if problem.kind == "required":
        return errors.required(problem.path)
    if problem.kind == "type":
        rule = f'{problem.path} in body must be of type {problem.expected}: "{problem.got}"'
        # Kubernetes reports the value's type instead of the value.
        path = problem.path.partition("[")[0]
        return errors.invalid_value(path, problem.got, rule.replace(problem.path, path))
    if problem.kind == "enum":
        text = f"Unsupported value: {problem.got}: supported values: {problem.expected}"
        return FieldError("FieldValueNotSupported", problem.path, text)
    rule = f"{problem.path} in body should satisfy {problem.kind} '{problem.expected}'"
    return errors.invalid_value(problem.path, problem.got, rule)
