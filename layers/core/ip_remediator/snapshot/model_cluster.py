"""The facts about the cluster: EKS, the VPC CNI, nodes and their ENIs, stuck pods."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from ip_remediator.common.document import Count, Document, Moment
from ip_remediator.snapshot.other_names import negated, renamed

CRD_NAME = "eniconfigs.crd.k8s.amazonaws.com"
CUSTOM_NETWORK_CFG = "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"
ENI_CONFIG_LABEL_DEF = "ENI_CONFIG_LABEL_DEF"
ENI_CONFIG_ANNOTATION_DEF = "ENI_CONFIG_ANNOTATION_DEF"
ENABLE_PREFIX_DELEGATION = "ENABLE_PREFIX_DELEGATION"
ENABLE_SUBNET_DISCOVERY = "ENABLE_SUBNET_DISCOVERY"
EXTERNAL_ENI_CONFIG_LABEL = "vpc.amazonaws.com/externalEniConfig"
DEFAULT_ENI_CONFIG = "default"
DEFAULT_ENI_CONFIG_KEY = "k8s.amazonaws.com/eniConfig"
ZONE_LABEL = "topology.kubernetes.io/zone"
DISCOVERY_TAG = "kubernetes.io/role/cni"
CLUSTER_DISCOVERY_TAG = "cni.networking.k8s.aws/cluster/"
WARM_ENI_TARGET = "WARM_ENI_TARGET"
WARM_IP_TARGET = "WARM_IP_TARGET"
WARM_PREFIX_TARGET = "WARM_PREFIX_TARGET"
MINIMUM_IP_TARGET = "MINIMUM_IP_TARGET"
MAX_ENI = "MAX_ENI"
ENABLE_POD_ENI = "ENABLE_POD_ENI"
DISABLE_NETWORK_RESOURCE_PROVISIONING = "DISABLE_NETWORK_RESOURCE_PROVISIONING"
ENABLE_IMDS_ONLY_MODE = "ENABLE_IMDS_ONLY_MODE"
MANAGE_ENIS_NON_SCHEDULABLE = "AWS_MANAGE_ENIS_NON_SCHEDULABLE"
MANAGE_UNTAGGED_ENI = "MANAGE_UNTAGGED_ENI"
EXTERNAL_SNAT = "AWS_VPC_K8S_CNI_EXTERNALSNAT"
NODE_PORT_SUPPORT = "AWS_VPC_CNI_NODE_PORT_SUPPORT"
PREFIX_SIZE = 16

# strconv.ParseBool of Go.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
# All other variables are off unless they are set (amazon-vpc-cni-k8s v1.23.1: parseBoolEnvVar and
# GetBoolAsStringEnvVar in pkg/ipamd/ipamd.go, getBoolEnvVar in pkg/networkutils/network.go).
_ON_UNLESS_SET = frozenset({ENABLE_SUBNET_DISCOVERY, MANAGE_UNTAGGED_ENI, NODE_PORT_SUPPORT})
# strconv.Atoi of Go, whose int has 64 bits.
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
# A discovered subnet is used since v1.18.0; an ENI in a full subnet is passed over since v1.18.3 (CHANGELOG, #2954).
DISCOVERS_SINCE = (1, 18, 0)
_PASSES_FULL_INTERFACES_SINCE = (1, 18, 3)

CniOwner = Literal["addon", "self-managed", "helm", "gitops"]
Provisioner = Literal["managed", "self-managed", "karpenter", "auto", "fargate", "hybrid"]


class NodeGroup(Document):
    """A managed node group: `auto_scaling_group` is the one behind it.

    What follows the sizes is what a group like it is created with, in the words of EKS's CreateNodegroup.
    """

    name: str
    subnets: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    desired: Count | None = None
    auto_scaling_group: str | None = None
    least: Count | None = None
    most: Count | None = None
    role: str | None = None
    ami_type: str | None = None
    capacity_type: str | None = None
    disk_size: Count | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    launch_template: dict[str, str] = Field(default_factory=dict)
    remote_access: dict[str, Any] = Field(default_factory=dict)
    update_config: dict[str, Any] = Field(default_factory=dict)
    node_repair_config: dict[str, Any] = Field(default_factory=dict)
    warm_pool_config: dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)


class AutoScalingGroup(Document):
    """An Auto Scaling group that starts nodes of the cluster beside the managed node groups. `running`: how many of its
    `desired` instances there are."""

    name: str
    subnets: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    desired: Count | None = None
    running: Count | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class SubnetTerm(Document):
    """One of a NodeClass's subnetSelectorTerms: a subnet that has the id, or all of the tags ("*": any value)."""

    id: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class NodeClass(Document):
    """An EC2NodeClass of Karpenter; `subnets` are those that its status names: where it can start nodes. A subnet that
    one of `selector_terms` fits is among them."""

    name: str
    subnets: tuple[str, ...] = ()
    selector_terms: tuple[SubnetTerm, ...] = ()


class FargateProfile(Document):
    """A Fargate profile and the ids of its subnets."""

    name: str
    subnets: tuple[str, ...] = ()


class Webhook(Document):
    """An admission webhook that pods of the cluster serve: the control plane must reach their addresses."""

    name: str
    service: str = Field(description="namespace/name")
    failure_policy: Literal["Fail", "Ignore"] = "Fail"


class Cluster(Document):
    """What EKS says of the cluster. `service_cidrs` and `remote_cidrs` are taken ranges that pods must not get.

    `subnets` are the cluster's own (DescribeCluster, resourcesVpcConfig.subnetIds): the control plane has its ENIs
    there. None: not read, as for `auto_scaling_groups` and `node_classes`.
    """

    name: str
    arn: str | None = None
    version: str | None = None
    vpc_id: str | None = None
    ip_family: Literal["ipv4", "ipv6"] = "ipv4"
    auto_mode: bool = False
    security_group: str | None = None
    subnets: tuple[str, ...] | None = None
    service_cidrs: tuple[str, ...] = ()
    remote_cidrs: tuple[str, ...] = ()
    node_groups: tuple[NodeGroup, ...] = ()
    auto_scaling_groups: tuple[AutoScalingGroup, ...] | None = None
    node_classes: tuple[NodeClass, ...] | None = None
    fargate_profiles: tuple[FargateProfile, ...] = ()
    karpenter: bool | None = Field(default=None, description="the cluster has Karpenter's NodePools")
    webhooks: tuple[Webhook, ...] = ()
    overlays: tuple[str, ...] = Field(
        default=(), description="workloads that use 100.64.0.0/10 themselves (Tailscale), as kind namespace/name"
    )

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, document: Any) -> Any:
        return renamed(document, {"subnets": ("subnet_ids", "control_plane_subnets", "cluster_subnets")})


class ManagedAddon(Document):
    """The EKS add-on that owns aws-node. `lacks` and `unreadable` tell before the first write what cannot be set
    through it."""

    version: str | None = None
    status: str | None = Field(default=None, description="ACTIVE, UPDATING, DEGRADED, ... (DescribeAddon)")
    issues: tuple[str, ...] = Field(default=(), description="its health issues, in EKS's words")
    lacks: tuple[str, ...] = Field(
        default=(), description="variables that plans set and its configuration schema does not have"
    )
    unreadable: str | None = Field(default=None, description="why its configurationValues cannot be read")


class Cni(Document):
    """The Amazon VPC CNI as it runs: the `aws-node` DaemonSet and, where there is one, the EKS add-on that owns it."""

    installed: bool = True
    version: str | None = None
    owner: CniOwner = "self-managed"
    addon: ManagedAddon | None = None
    owned_by: str | None = Field(default=None, description="the Helm release, Argo CD or Flux object, if known")
    managers: tuple[str, ...] = Field(default=(), description="the field managers that wrote the DaemonSet's spec")
    env: dict[str, str] = Field(default_factory=dict, description="the CNI's own variables, none else")
    eni_config_crd: bool | None = None

    def flag(self, name: str) -> bool:
        """A variable as the CNI reads it: by Go's strconv.ParseBool; what that does not know counts as not set."""
        return _BOOLEANS.get(self.env.get(name, ""), name in _ON_UNLESS_SET)

    def number(self, name: str, default: int = 0) -> int:
        """A variable as ipamd reads it: by Go's strconv.Atoi; what is no number, or negative, counts as not set."""
        text = self.env.get(name, "")
        value = int(text) if _NUMBER.fullmatch(text) else -1
        return value if value >= 0 else default

    @property
    def release(self) -> tuple[int, int, int] | None:
        """(1, 19, 0) of "v1.19.0-eksbuild.1", (1, 23, 0) of "v1.23"; None when the version is no such name."""
        match = _VERSION.match(self.version or "")
        return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None

    @property
    def custom_networking(self) -> bool:
        """Whether pods get addresses of the ENIConfigs' subnets."""
        return self.flag(CUSTOM_NETWORK_CFG)

    @property
    def prefix_delegation(self) -> bool:
        """Whether the variable is on. Nodes that cannot have prefixes still get single addresses: see node_room."""
        return self.flag(ENABLE_PREFIX_DELEGATION)

    @property
    def pod_eni(self) -> bool:
        """Security groups for pods: nodes get a trunk ENI."""
        return self.flag(ENABLE_POD_ENI)

    @property
    def not_provisioning(self) -> str | None:
        """The variable that keeps ipamd from attaching ENIs and addresses (pkg/ipamd, disableENIProvisioning)."""
        names = (DISABLE_NETWORK_RESOURCE_PROVISIONING, ENABLE_IMDS_ONLY_MODE)
        return next((name for name in names if self.flag(name)), None)

    @property
    def subnet_discovery(self) -> bool:
        """On by default since v1.18, unknown before; has no effect while custom networking is on."""
        knows_it = self.release is None or self.release >= DISCOVERS_SINCE
        return not self.custom_networking and knows_it and self.flag(ENABLE_SUBNET_DISCOVERY)

    @property
    def passes_full_interfaces(self) -> bool:
        """Whether ipamd goes on to another ENI when EC2 has no address for one that has room. It does so since v1.18.3
        with ENABLE_SUBNET_DISCOVERY, with and without custom networking (pkg/ipamd, tryAssignIPs). Otherwise it
        keeps asking for addresses of the same full subnet."""
        knows_it = self.release is None or self.release >= _PASSES_FULL_INTERFACES_SINCE
        return knows_it and self.flag(ENABLE_SUBNET_DISCOVERY)

    @property
    def eni_config_label(self) -> str:
        """An empty value counts as not set (pkg/eniconfig, getEniConfigLabelDef)."""
        return self.env.get(ENI_CONFIG_LABEL_DEF) or DEFAULT_ENI_CONFIG_KEY

    @property
    def eni_config_annotation(self) -> str:
        """The key of the node annotation that names the node's ENIConfig."""
        return self.env.get(ENI_CONFIG_ANNOTATION_DEF) or DEFAULT_ENI_CONFIG_KEY


class EniConfig(Document):
    """One ENIConfig; `managed_by` is the field manager that wrote its spec. `labels` and `annotations` without those
    that we and kubectl set."""

    name: str
    subnet: str | None = None
    security_groups: tuple[str, ...] = ()
    managed_by: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class NetworkInterface(Document):
    """An ENI of a node. `addresses` counts the primary one too; a prefix holds 16 addresses.

    `network_card` is the index of the card it is attached to, `interface_type` what DescribeNetworkInterfaces calls
    InterfaceType ("interface", "trunk", "efa", "efa-only", ...). None: not read. `unmanaged`: ipamd leaves it alone,
    for its tag node.k8s.amazonaws.com/no_manage is true (or MANAGE_UNTAGGED_ENI=false and it has no tag).
    """

    id: str
    subnet_id: str
    primary: bool = False
    addresses: Count = 1
    prefixes: Count = 0
    security_groups: tuple[str, ...] = ()
    network_card: Count | None = None
    interface_type: str | None = None
    unmanaged: bool = False

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, document: Any) -> Any:
        document = renamed(
            document,
            {
                "network_card": ("network_card_index", "card", "card_index"),
                "interface_type": ("type", "kind", "trunk", "is_trunk", "efa_only", "efa"),
                "unmanaged": ("no_manage",),
            },
            {"trunk": _type_of("trunk"), "is_trunk": _type_of("trunk"), "efa_only": _type_of("efa-only"),
             "efa": _type_of("efa")},
        )  # fmt: skip
        kind = document.get("interface_type") if isinstance(document, Mapping) else None
        return {**document, "interface_type": kind.replace("_", "-")} if isinstance(kind, str) else document


_OF_EACH_CARD = ("max_enis_per_card", "enis_per_card", "card_enis")


def _of_first(value: Any) -> Any:
    """The number of the default card, where all cards are listed."""
    return value[0] if isinstance(value, list | tuple) and value else value


def _has_prefixes(hypervisor: Any) -> Any:
    """From DescribeInstanceTypes' Hypervisor; what is neither is left for the model to refuse."""
    return {"nitro": True, "xen": False}.get(str(hypervisor).lower(), hypervisor)


def _type_of(name: str) -> Callable[[Any], Any]:
    """From a boolean to EC2's InterfaceType."""
    return lambda value: (name if value else "interface") if isinstance(value, bool) else value


class Node(Document):
    """A node and what its instance type allows.

    `default_card_enis` is the number of ENIs that fit on the default network card (DescribeInstanceTypes,
    NetworkInfo.NetworkCards[DefaultNetworkCardIndex].MaximumNetworkInterfaces), `addresses_per_eni` that of IPv4
    addresses of each. `max_enis` is what snapshots had before: the sum over all cards, lowered to the CNI's MAX_ENI.
    `supports_prefixes`: the hypervisor is Nitro, or there is none. None: not read; `snapshot.node_room` knows more.
    `unschedulable`: cordoned (spec.unschedulable, or the taint that follows from it). `pods`: those that have an
    address of the node's pool. None: not counted.
    """

    name: str
    zone: str | None = None
    outpost_arn: str | None = None
    instance_id: str | None = None
    instance_type: str | None = None
    max_enis: Count | None = None
    default_card_enis: Count | None = None
    addresses_per_eni: Count | None = None
    supports_prefixes: bool | None = None
    max_pods: Count | None = None
    pods: Count | None = None
    unschedulable: bool = False
    provisioner: Provisioner | None = None
    group: str | None = Field(default=None, description="its managed node group or Karpenter NodePool")
    fargate: bool = False
    windows: bool = False
    own_cni: bool = Field(default=False, description="a hybrid or Auto Mode node: aws-node does not run there")
    eni_config: str | None = Field(default=None, description="the ENIConfig its labels or annotations select")
    interfaces: tuple[NetworkInterface, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, document: Any) -> Any:
        return renamed(
            document,
            {
                "outpost_arn": ("outpost", "outpost_id"),
                "default_card_enis": (
                    "default_card_max_enis", "max_enis_default_card", "max_enis_per_card", "enis_per_card", "card_enis",
                ),
                "supports_prefixes": ("prefixes_supported", "prefix_delegation", "nitro", "hypervisor"),
                "unschedulable": ("cordoned", "schedulable"),
            },
            {"hypervisor": _has_prefixes, "schedulable": negated, **dict.fromkeys(_OF_EACH_CARD, _of_first)},
        )  # fmt: skip

    @property
    def runs_vpc_cni(self) -> bool:
        """Whether the node's pods get their addresses from aws-node. Pods of other kinds of nodes use no ENIConfig."""
        return not (self.fargate or self.windows or self.own_cni)

    @property
    def selected_eni_config(self) -> str:
        """The name of the ENIConfig that the node selects; `default` where neither label nor annotation names one."""
        return self.eni_config or DEFAULT_ENI_CONFIG

    @property
    def primary_subnet(self) -> str | None:
        """The subnet of the primary ENI; of the first ENI if none is marked as primary, as in hand-written
        documents."""
        marked = (eni.subnet_id for eni in self.interfaces if eni.primary)
        return next(marked, self.interfaces[0].subnet_id if self.interfaces else None)


class StuckPod(Document):
    """A pod that is scheduled but has no address, with the newest `FailedCreatePodSandBox` message."""

    namespace: str
    name: str
    uid: str | None = None
    node: str | None = None
    since: Moment | None = None
    message: str | None = None
