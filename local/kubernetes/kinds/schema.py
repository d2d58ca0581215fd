"""What fields a kind has: one schema language for built-in kinds and for custom resources.

A schema is an OpenAPI v3 schema as a plain dict. Custom resources bring theirs in their definition; those of
built-in kinds are derived from the models of the official Python client, which are generated from Kubernetes' own
OpenAPI document. The same schemas decode requests, drive server-side apply and answer `kubectl explain`.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import kubernetes.client.models as models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REF_PREFIX = "#/components/schemas/"
_SCALARS: Mapping[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
    "bytearray": {"type": "string", "format": "byte"},
    "object": {},
}
# Quantities may be sent as numbers; they are stored and shown as strings.
_QUANTITIES = frozenset({"capacity", "allocatable", "limits", "requests", "overhead"})
_JSON_TYPES = (("boolean", bool), ("integer", int), ("number", float), ("string", str))


@dataclass(frozen=True)
class Problem:
    """A value that does not fit its schema."""

    path: str
    kind: str  # "unknown", "type", "required", "enum", "pattern", ...
    expected: str = ""
    got: str = ""


def component_name(model: str) -> str:
    """`V1PodSpec` -> `io.k8s.v1.PodSpec`, `CoreV1Event` -> `io.k8s.core.v1.Event`."""
    match = re.fullmatch(r"([A-Z][a-z]+)??(V\d+(?:(?:alpha|beta)\d+)?)([A-Z]\w*)", model)
    if match is None:
        return f"io.k8s.{model}"
    group = f"{match[1].lower()}." if match[1] else ""
    return f"io.k8s.{group}{match[2].lower()}.{match[3]}"


_MODELS: dict[str, str] = {}


def ref(model: str) -> dict[str, Any]:
    """A reference to the schema of a client model, resolved by `definition`."""
    name = component_name(model)
    _MODELS[name] = model
    return {"$ref": REF_PREFIX + name}


METADATA = ref("V1ObjectMeta")


@functools.cache
def definition(component: str) -> dict[str, Any]:
    """The object schema of one client model."""
    model = getattr(models, _MODELS[component])
    properties: dict[str, Any] = {}
    required: list[str] = []
    for attribute, json_name in model.attribute_map.items():
        field = model.model_fields.get(attribute) or model.model_fields.get(f"{attribute}_")
        schema = _typed(model.openapi_types[attribute])
        if field is not None and field.description:
            schema = {**schema, "description": field.description}
        if json_name in _QUANTITIES and schema.get("additionalProperties") == _SCALARS["str"]:
            schema = {**schema, "additionalProperties": {"type": "string", "format": "quantity"}}
        properties[json_name] = schema
        if field is not None and field.is_required():
            required.append(json_name)
    result: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        result["required"] = required
    description = (model.__doc__ or "").split("Attributes:")[0].strip()
    if description:
        result["description"] = description
    return result


def _typed(openapi_type: str) -> dict[str, Any]:
    if openapi_type in _SCALARS:
        return dict(_SCALARS[openapi_type])
    if openapi_type.startswith("List["):
        return {"type": "array", "items": _typed(openapi_type[5:-1])}
    if openapi_type.startswith("Dict["):
        return {"type": "object", "additionalProperties": _typed(openapi_type[5:-1].split(",", 1)[1].strip())}
    return ref(openapi_type)


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or the definition that its `$ref` names."""
    target = schema.get("$ref")
    return definition(target.removeprefix(REF_PREFIX)) if target else schema


def child(schema: dict[str, Any], field: str) -> dict[str, Any] | None:
    """The schema of a field of an object; None where the schema does not declare it."""
    resolved = resolve(schema)
    properties = resolved.get("properties") or {}
    if field in properties:
        schema_of_field: dict[str, Any] = properties[field]
        return schema_of_field
    extra = resolved.get("additionalProperties")
    if isinstance(extra, dict):
        return extra
    free = extra is True or resolved.get("x-kubernetes-preserve-unknown-fields") or not resolved.get("type")
    return {} if free else None


def components(schema: dict[str, Any], collected: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every component schema that `schema` refers to, by name."""
    collected = {} if collected is None else collected
    for name in set(re.findall(rf'"{REF_PREFIX}([^"]+)"', json.dumps(schema))) - collected.keys():
        collected[name] = definition(name)
        components(collected[name], collected)
    return collected


def for_custom_resource(declared: dict[str, Any]) -> dict[str, Any]:
    """The declared schema plus apiVersion, kind and metadata."""
    base = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA}
    return {**declared, "properties": {**(declared.get("properties") or {}), **base}}


def check(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[Problem]:
    """Yield what does not fit the schema, in document order; null counts as not set."""
    schema = resolve(schema)
    expected = schema.get("type")
    if value is None or not (expected or schema.get("properties")):
        return
    if schema.get("x-kubernetes-int-or-string"):
        if type(value) not in (int, str):
            yield Problem(path, "type", "integer,string", json_type(value))
        return
    if not _fits(value, expected, schema):
        yield Problem(path, "type", str(expected), json_type(value))
        return
    yield from _limits(value, schema, path)
    if isinstance(value, dict):
        yield from _check_object(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check(item, schema.get("items") or {}, f"{path}[{index}]")


def _check_object(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[Problem]:
    for name in schema.get("required") or ():
        if value.get(name) is None:
            yield Problem(join(path, name), "required")
    for name, item in value.items():
        declared = child(schema, name)
        if declared is None:
            yield Problem(join(path, name), "unknown")
        else:
            yield from check(item, declared, join(path, name))


def _limits(value: Any, schema: dict[str, Any], path: str) -> Iterator[Problem]:
    if schema.get("enum") and value not in schema["enum"]:
        supported = ", ".join(json.dumps(item) for item in schema["enum"])
        yield Problem(path, "enum", supported, json.dumps(value))
    if schema.get("format") == "byte" and isinstance(value, str) and not _is_base64(value):
        yield Problem(path, "type", "base64", "string")
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield Problem(path, "pattern", schema["pattern"], value)
    for keyword, size in (("minLength", 1), ("minItems", 1), ("maxLength", -1), ("maxItems", -1)):
        fits = isinstance(value, str) if keyword.endswith("Length") else isinstance(value, list)
        if fits and keyword in schema and (len(value) - schema[keyword]) * size < 0:
            yield Problem(path, keyword, str(schema[keyword]), str(len(value)))


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def _fits(value: Any, expected: str | None, schema: dict[str, Any]) -> bool:
    if expected in (None, "object"):
        return isinstance(value, dict)
    if expected == "array":
        return isinstance(value, list)
    if expected == "string" and schema.get("format") == "quantity":
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    if expected == "integer":
        return type(value) is int or (isinstance(value, float) and value.is_integer())
    if expected == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, bool if expected == "boolean" else str)


def json_type(value: Any) -> str:
    """The JSON Schema type of a value; `null` for None."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return next((name for name, kind in _JSON_TYPES if isinstance(value, kind)), "null")


def prune(value: Any, schema: dict[str, Any]) -> Any:
    """A copy without undeclared fields and nulls, quantities as strings."""
    schema = resolve(schema)
    if isinstance(value, dict):
        pruned: dict[str, Any] = {}
        for name, item in value.items():
            declared = child(schema, name)
            if item is not None and declared is not None:
                pruned[name] = prune(item, declared)
        return pruned
    if isinstance(value, list):
        return [prune(item, schema.get("items") or {}) for item in value]
    return str(value) if schema.get("format") == "quantity" else value


def join(path: str, name: str) -> str:
    """The path of a field inside the object at `path`."""
    return f"{path}.{name}" if path else name
