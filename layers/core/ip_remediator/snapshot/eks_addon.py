"""The managed add-on `vpc-cni` as facts: which of our variables cannot be set through it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.eks import ADDON, Eks
from ip_remediator.clients.aws.eks_addon import parse_configuration
from ip_remediator.clients.aws.eks_addon_schema import configuration_schema, missing_variables
from ip_remediator.common.errors import PermissionDenied, RequestRefused
from ip_remediator.snapshot.model_cluster import (
    CUSTOM_NETWORK_CFG,
    ENI_CONFIG_LABEL_DEF,
    MANAGE_ENIS_NON_SCHEDULABLE,
    WARM_IP_TARGET,
    ManagedAddon,
)
from ip_remediator.snapshot.read_failures import ReadFailures

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

# The variables that plans and rollbacks set.
_OURS = (
    CUSTOM_NETWORK_CFG,
    ENI_CONFIG_LABEL_DEF,
    MANAGE_ENIS_NON_SCHEDULABLE,
    WARM_IP_TARGET,
    "WARM_ENI_TARGET",
    "WARM_PREFIX_TARGET",
    "MINIMUM_IP_TARGET",
    MANAGE_ENIS_NON_SCHEDULABLE,
)


def read_addon(eks: EKSClient, cluster: str, unread: ReadFailures) -> ManagedAddon | None:
    """The add-on, or None when aws-node is self-managed.

    EKS may refuse to say that there is none: authorisation comes first, and an add-on that is absent has no ARN of the
    usual form. That is reported as unread, and does not end the diagnosis.
    """
    try:
        described = Eks(eks, cluster).addon()
    except PermissionDenied as error:
        unread.note(f"whether the managed add-on {ADDON} owns aws-node", error)
        return None
    if described is None:
        return None
    schema = unread.attempt(
        f"what the add-on {ADDON} lets be configured", lambda: configuration_schema(eks, described), None
    )
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
