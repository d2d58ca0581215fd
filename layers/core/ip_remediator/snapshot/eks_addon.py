"""The managed add-on `vpc-cni` as facts: which of our variables cannot be set through it, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.eks import ADDON, Eks
from ip_remediator.clients.aws.eks_addon import parse_configuration
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import PermissionDenied, RequestRefused
from ip_remediator.snapshot.model_cluster import (
    CUSTOM_NETWORK_CFG,
    ENI_CONFIG_LABEL_DEF,
    WARM_IP_TARGET,
    ManagedAddon,
)
from ip_remediator.snapshot.read_failures import ReadFailures

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

# What plans and rollbacks set.
_OURS = (
    CUSTOM_NETWORK_CFG,
    ENI_CONFIG_LABEL_DEF,
    WARM_IP_TARGET,
    "WARM_ENI_TARGET",
    "WARM_PREFIX_TARGET",
    "MINIMUM_IP_TARGET",
)


def read_addon(eks: EKSClient, cluster: str, unread: ReadFailures) -> ManagedAddon | None:
    """The add-on, or None when aws-node is self-managed.

    EKS may refuse to say that there is none: authorisation comes first, and an add-on that is absent has no ARN of the
    usual form. That is told as unread, and does not end the diagnosis.
    """
    try:
        described = Eks(eks, cluster).addon()
    except PermissionDenied as error:
        unread.note(f"whether the managed add-on {ADDON} owns aws-node", error)
        return None
    if described is None:
        return None
    schema = unread.attempt(f"what the add-on {ADDON} lets be configured", lambda: _schema(eks, described), None)
    return addon_facts(described, schema)


def addon_facts(described: Mapping[str, Any], schema: Mapping[str, Any] | None) -> ManagedAddon:
    """DescribeAddon's answer, and the JSON Schema of its configuration (None: not read), as facts."""
    try:
        parse_configuration(described.get("configurationValues"))
        unreadable = None
    except RequestRefused as error:
        unreadable = str(error)
    return ManagedAddon(
        version=described.get("addonVersion"),
        status=described.get("status"),
        issues=tuple(
            str(issue.get("message") or issue.get("code"))
            for issue in (described.get("health") or {}).get("issues") or ()
        ),
        lacks=tuple(missing_variables(schema or {}, _OURS)),
        unreadable=unreadable,
    )


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


def _schema(eks: EKSClient, described: Mapping[str, Any]) -> dict[str, Any] | None:
    version = described.get("addonVersion")
    if not version:
        return None
    with aws_call("DescribeAddonConfiguration"):
        answer = eks.describe_addon_configuration(addonName=ADDON, addonVersion=version)
    try:
        schema = json.loads(answer.get("configurationSchema") or "{}")
    except ValueError as error:
        raise RequestRefused(f"DescribeAddonConfiguration: the schema is not JSON: {error}") from error
    return schema if isinstance(schema, dict) else None
