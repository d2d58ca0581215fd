"""The environment of the aws-node container as ipamd reads it, and what a node's instance type allows.

Line numbers in this package are those of amazon-vpc-cni-k8s v1.23.1: pkg/ipamd/ipamd.go, pkg/ipamd/datastore/
data_store.go, pkg/awsutils/awsutils.go, pkg/eniconfig/eniconfig.go and utils/utils.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_ENI_CONFIG_KEY = "k8s.amazonaws.com/eniConfig"
EXTERNAL_ENI_CONFIG_LABEL = "vpc.amazonaws.com/externalEniConfig"
ADDRESSES_PER_PREFIX = 16
COOLDOWN_SECONDS = 30
_TRUE, _FALSE = (
    frozenset({"1", "t", "T", "TRUE", "true", "True"}),
    frozenset({"0", "f", "F", "FALSE", "false", "False"}),
)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class CniSettings:
    """Defaults are those of the code (ipamd.go:60-190); the manifest of the add-on sets most of them itself."""

    warm_eni_target: int = 1
    warm_ip_target: int = 0
    minimum_ip_target: int = 0
    warm_prefix_target: int = 0
    max_eni: int = 0
    custom_networking: bool = False
    subnet_discovery: bool = True
    prefix_delegation: bool = False
    eni_config_annotation: str = DEFAULT_ENI_CONFIG_KEY
    eni_config_label: str = DEFAULT_ENI_CONFIG_KEY
    cluster_name: str = ""
    manage_enis_when_cordoned: bool = False
    manage_untagged_enis: bool = True
    pod_eni: bool = False
    provisioning: bool = True
    imds_only: bool = False
    cooldown_seconds: int = COOLDOWN_SECONDS

    @property
    def warm_ip_targets_defined(self) -> bool:
        """ipamd.go:1873, warmIPTargetsDefined."""
        return self.warm_ip_target != 0 or self.minimum_ip_target != 0


@dataclass(frozen=True)
class NodeLimits:
    """What the instance type and the kubelet allow.

    `max_enis`: of the instance type, or MAX_ENI when that is less (ipamd.go:1406, getMaxENI). `slots_per_eni`:
    addresses, or prefixes, that fit on one ENI beside its primary address (awsutils.go:1970, GetENIIPv4Limit).
    `unmanaged_enis`: attached ENIs that ipamd leaves alone (ipamd.go:2116, filterUnmanagedENIs).
    """

    max_enis: int
    slots_per_eni: int
    max_pods: int
    unmanaged_enis: int = 0
    trunking_compatible: bool = True
    prefixes_supported: bool = True


def cni_settings(environment: Mapping[str, str]) -> CniSettings:
    """Read as ipamd reads it: what is no number, out of range or no boolean counts as not set."""
    imds_only = _flag(environment, "ENABLE_IMDS_ONLY_MODE", default=False)
    return CniSettings(
        warm_eni_target=_number(environment, "WARM_ENI_TARGET", 1),
        warm_ip_target=_number(environment, "WARM_IP_TARGET", 0),
        minimum_ip_target=_number(environment, "MINIMUM_IP_TARGET", 0),
        warm_prefix_target=_number(environment, "WARM_PREFIX_TARGET", 0),
        max_eni=_number(environment, "MAX_ENI", 0),
        custom_networking=_flag(environment, "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", default=False),
        subnet_discovery=_flag(environment, "ENABLE_SUBNET_DISCOVERY", default=True),
        prefix_delegation=_flag(environment, "ENABLE_PREFIX_DELEGATION", default=False),
        eni_config_annotation=environment.get("ENI_CONFIG_ANNOTATION_DEF") or DEFAULT_ENI_CONFIG_KEY,
        eni_config_label=environment.get("ENI_CONFIG_LABEL_DEF") or DEFAULT_ENI_CONFIG_KEY,
        cluster_name=environment.get("CLUSTER_NAME", ""),
        manage_enis_when_cordoned=_flag(environment, "AWS_MANAGE_ENIS_NON_SCHEDULABLE", default=False),
        manage_untagged_enis=_flag(environment, "MANAGE_UNTAGGED_ENI", default=True),
        pod_eni=_flag(environment, "ENABLE_POD_ENI", default=False),
        # ipamd.go:2059, disableENIProvisioning.
        provisioning=not (imds_only or _flag(environment, "DISABLE_NETWORK_RESOURCE_PROVISIONING", default=False)),
        imds_only=imds_only,
        cooldown_seconds=_integer(environment.get("IP_COOLDOWN_PERIOD", ""), COOLDOWN_SECONDS),
    )


def eni_config_name(settings: CniSettings, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """The ENIConfig of a node (eniconfig.go, GetNodeSpecificENIConfigName): external label, annotation, label, default.

    A key that is there decides, even with an empty value.
    """
    if EXTERNAL_ENI_CONFIG_LABEL in labels:
        return labels[EXTERNAL_ENI_CONFIG_LABEL]
    if settings.eni_config_annotation in annotations:
        return annotations[settings.eni_config_annotation]
    return labels.get(settings.eni_config_label, "default")


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    """ipamd.go:1424-1455 and 2029-2056: a negative number counts as not set."""
    value = _integer(environment.get(name, ""), default)
    return value if value >= 0 else default


def _integer(text: str, default: int) -> int:
    """Go's strconv.Atoi, which takes a sign and ASCII digits; Python's int() takes blanks and underscores as well."""
    if not _INTEGER.fullmatch(text):
        return default
    value = int(text)
    return value if value in _INT64 else default


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Go's strconv.ParseBool (utils.go:26, GetBoolAsStringEnvVar; ipamd.go:2011, parseBoolEnvVar)."""
    text = environment.get(name, "")
    if text in _TRUE:
        return True
    return False if text in _FALSE else default
