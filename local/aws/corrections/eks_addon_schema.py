"""What configurationValues of an EKS add-on may contain.

``vpc_cni_schema.json`` has the shape that DescribeAddonConfiguration answers for vpc-cni: closed objects, and strings
for every variable (amazon-vpc-cni-k8s issues #3059 and #2726 show the document of v1.18.6). The variables are those of
the README of v1.23.1. Formats such as "boolean" are notes there: the service does not check them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

VPC_CNI = "vpc-cni"
_FILE = Path(__file__).with_name("vpc_cni_schema.json")


@cache
def schema_of(addon: str, without: str = "") -> dict[str, Any]:
    """The JSON Schema of an add-on's configuration. Only vpc-cni has one here; other add-ons accept any object.

    ``without``: comma-separated variables that it lacks, as the schemas of older versions do.
    """
    if addon != VPC_CNI:
        return {"$schema": "http://json-schema.org/draft-06/schema#", "type": "object"}
    schema: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    for name in filter(None, without.split(",")):
        del schema["definitions"]["Env"]["properties"][name]
    return schema


def parse(values: str) -> Any:
    """configurationValues, which may be JSON or YAML. ValueError when they are neither."""
    try:
        return yaml.safe_load(values)
    except yaml.YAMLError as error:
        raise ValueError("The value is neither JSON nor YAML") from error


def faults(addon: str, values: str, without: str = "") -> list[str]:
    """What is wrong with configurationValues, in EKS's words (issues #2173 and #2491); empty when nothing is."""
    try:
        document = parse(values)
    except ValueError as error:
        return [str(error)]
    validator = jsonschema.Draft6Validator(schema_of(addon, without))
    problems = [words for error in validator.iter_errors(document) for words in _words(error)]
    return sorted(problems)


def _words(error: jsonschema.ValidationError) -> list[str]:
    path = ".".join(["$", *(str(part) for part in error.absolute_path)])
    if error.validator == "additionalProperties" and error.validator_value is False:
        defined = error.schema.get("properties", {})
        return [
            f"{path}.{name}: is not defined in the schema and the schema does not allow additional properties"
            for name in error.instance
            if name not in defined
        ]
    if error.validator == "type":
        return [f"{path}: {_kind(error.instance)} found, {error.validator_value} expected"]
    return [f"{path}: {error.message}"]


def _kind(value: Any) -> str:
    """The JSON type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
