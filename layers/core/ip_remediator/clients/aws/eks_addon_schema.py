"""What the configuration of the managed add-on `vpc-cni` may set, by the JSON Schema of its version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.eks import ADDON
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import RequestRefused

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient


def missing_variables(schema: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Those of `names` that the schema does not let be set under `env`.

    The add-on's schema is closed (`additionalProperties: false`), and its parts stand behind `$ref`
    (DescribeAddonConfiguration; amazon-vpc-cni-k8s issues #3059 and #2726). One that says nothing forbids nothing.
    """
    top = _resolved(schema, schema)
    properties = top.get("properties") or {}
    if "env" not in properties:
        return list(names) if top.get("additionalProperties") is False else []
    env = _resolved(schema, properties["env"])
    if env.get("additionalProperties") is not False:
        return []
    return [name for name in names if name not in (env.get("properties") or {})]


def _resolved(schema: Mapping[str, Any], part: Any) -> Mapping[str, Any]:
    """`part`, or what its `$ref` inside the same document points at."""
    for _ in range(10):
        reference = part.get("$ref") if isinstance(part, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        target: Any = schema
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(step, {}) if step and isinstance(target, Mapping) else target
        part = target
    return part if isinstance(part, Mapping) else {}


def configuration_schema(eks: EKSClient, described: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of this add-on's version; None where it has no version or the schema is no mapping."""
    version = described.get("addonVersion")
    if not version:
        return None
    with aws_call("DescribeAddonConfiguration"):
        answer = eks.describe_addon_configuration(addonName=ADDON, addonVersion=version)
    try:
        schema = json.loads(answer.get("configurationSchema") or "{}")
    except ValueError as error:
        raise RequestRefused("DescribeAddonConfiguration: the schema is not JSON") from error
    return schema if isinstance(schema, dict) else None
