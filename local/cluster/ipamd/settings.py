"""The environment of the aws-node container, and what a node's instance type allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_ENI_CONFIG_KEY = "k8s.amazonaws.com/eniConfig"
EXTERNAL_ENI_CONFIG_LABEL = "vpc.amazonaws.com/externalEniConfig"
ADDRESSES_PER_PREFIX = 16


@dataclass(frozen=True)
class CniSettings:
    """Defaults are those of the code (pkg/ipamd/ipamd.go); the manifest of the add-on sets most of them itself."""

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

    @property
    def warm_ip_targets_defined(self) -> bool:
        return self.warm_ip_target > 0 or self.minimum_ip_target > 0


@dataclass(frozen=True)
class NodeLimits:
    """`slots_per_eni`: secondary addresses (or prefixes) that fit on one ENI beside its primary address."""

    max_enis: int
    slots_per_eni: int
    max_pods: int


def cni_settings(environment: Mapping[str, str]) -> CniSettings:
    """Read as ipamd reads it: what is no number, or negative, counts as not set."""
    default = CniSettings()
    return CniSettings(
        warm_eni_target=_number(environment, "WARM_ENI_TARGET", default.warm_eni_target),
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
    )


def eni_config_name(settings: CniSettings, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """The ENIConfig a node uses (pkg/eniconfig): external label, then annotation, then label, then `default`."""
    if EXTERNAL_ENI_CONFIG_LABEL in labels:
        return labels[EXTERNAL_ENI_CONFIG_LABEL]
    if settings.eni_config_annotation in annotations:
        return annotations[settings.eni_config_annotation]
    return labels.get(settings.eni_config_label, "default")


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    try:
        value = int(environment.get(name, ""))
    except ValueError:
        return default
    return value if value >= 0 else default


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    # Go's strconv.ParseBool, which ipamd uses.
    text = environment.get(name, "")
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    return False if text in ("0", "f", "F", "FALSE", "false", "False") else default
