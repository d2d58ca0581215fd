"""The facts about the cluster: EKS, the VPC CNI, nodes and their ENIs, stuck pods."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from ip_remediator.common.document import Count, Document, Moment

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
WARM_IP_TARGET = "WARM_IP_TARGET"
MAX_ENI = "MAX_ENI"
PREFIX_SIZE = 16

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}

CniOwner = Literal["addon", "self-managed", "helm", "gitops"]
Provisioner = Literal["managed", "self-managed", "karpenter", "auto", "fargate", "hybrid"]


class NodeGroup(Document):
    """A managed node group: `auto_scaling_group` is the one behind it."""

    name: str
    subnets: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    desired: Count | None = None
    auto_scaling_group: str | None = None


class FargateProfile(Document):
    name: str
    subnets: tuple[str, ...] = ()


class Webhook(Document):
    """An admission webhook that pods of the cluster serve: the control plane must reach their addresses."""

    name: str
    service: str = Field(description="namespace/name")
    failure_policy: Literal["Fail", "Ignore"] = "Fail"


class Cluster(Document):
    """What EKS says of the cluster. `service_cidrs` and `remote_cidrs` are taken ranges that pods must not get."""

    name: str
    arn: str | None = None
    version: str | None = None
    vpc_id: str | None = None
    ip_family: Literal["ipv4", "ipv6"] = "ipv4"
    auto_mode: bool = False
    security_group: str | None = None
    service_cidrs: tuple[str, ...] = ()
    remote_cidrs: tuple[str, ...] = ()
    node_groups: tuple[NodeGroup, ...] = ()
    fargate_profiles: tuple[FargateProfile, ...] = ()
    karpenter: bool | None = Field(default=None, description="the cluster has Karpenter's NodePools")
    webhooks: tuple[Webhook, ...] = ()
    overlays: tuple[str, ...] = Field(
        default=(), description="workloads that use 100.64.0.0/10 themselves (Tailscale), as kind namespace/name"
    )


class Cni(Document):
    """The Amazon VPC CNI as it runs: the `aws-node` DaemonSet and, where there is one, the EKS add-on that owns it."""

    installed: bool = True
    version: str | None = None
    owner: CniOwner = "self-managed"
    owned_by: str | None = Field(default=None, description="the Helm release, Argo CD or Flux object, if known")
    managers: tuple[str, ...] = Field(default=(), description="the field managers that wrote the DaemonSet's spec")
    env: dict[str, str] = Field(default_factory=dict, description="the CNI's own variables, none else")
    eni_config_crd: bool | None = None

    @property
    def custom_networking(self) -> bool:
        return self._flag(CUSTOM_NETWORK_CFG, default=False)

    @property
    def prefix_delegation(self) -> bool:
        return self._flag(ENABLE_PREFIX_DELEGATION, default=False)

    @property
    def subnet_discovery(self) -> bool:
        """On by default since v1.18, unknown before; has no effect while custom networking is on."""
        return not self.custom_networking and self.passes_full_interfaces

    @property
    def passes_full_interfaces(self) -> bool:
        """Whether ipamd goes on to a further ENI when EC2 has no address for one that has room.

        Since v1.18.3, with ENABLE_SUBNET_DISCOVERY, custom networking or not (pkg/ipamd, tryAssignIPs). Else it asks
        for addresses of the same full subnet for ever.
        """
        knows_it = self.release is None or self.release >= (1, 18)
        return knows_it and self._flag(ENABLE_SUBNET_DISCOVERY, default=True)

    @property
    def release(self) -> tuple[int, int] | None:
        """(1, 19) of "v1.19.0-eksbuild.1"; None when the version is no such name."""
        found = re.match(r"v?(\d+)\.(\d+)", self.version or "")
        return (int(found[1]), int(found[2])) if found else None

    def _flag(self, name: str, *, default: bool) -> bool:
        """As ipamd reads it, with Go's strconv.ParseBool: what that does not know counts as not set."""
        return _BOOLEANS.get(self.env.get(name, ""), default)

    @property
    def eni_config_label(self) -> str:
        return self.env.get(ENI_CONFIG_LABEL_DEF, DEFAULT_ENI_CONFIG_KEY)


class EniConfig(Document):
    """One ENIConfig; `managed_by` is the field manager that wrote its spec."""

    name: str
    subnet: str | None = None
    security_groups: tuple[str, ...] = ()
    managed_by: str | None = None


class NetworkInterface(Document):
    """An ENI of a node. `addresses` counts the primary one too; a prefix holds 16 addresses."""

    id: str
    subnet_id: str
    primary: bool = False
    addresses: Count = 1
    prefixes: Count = 0
    security_groups: tuple[str, ...] = ()


class Node(Document):
    """A node and what its instance type allows (`max_enis`, `addresses_per_eni` from DescribeInstanceTypes).

    `max_enis` is the smaller of that and of the CNI's MAX_ENI.
    """

    name: str
    zone: str | None = None
    instance_id: str | None = None
    instance_type: str | None = None
    max_enis: Count | None = None
    addresses_per_eni: Count | None = None
    max_pods: Count | None = None
    provisioner: Provisioner | None = None
    group: str | None = Field(default=None, description="its managed node group or Karpenter NodePool")
    fargate: bool = False
    windows: bool = False
    own_cni: bool = Field(default=False, description="a hybrid or Auto Mode node: aws-node does not run there")
    eni_config: str | None = Field(default=None, description="the ENIConfig its labels or annotations select")
    interfaces: tuple[NetworkInterface, ...] = ()

    @property
    def runs_vpc_cni(self) -> bool:
        """Pods of the other kinds get their addresses from others than aws-node, and know no ENIConfig."""
        return not (self.fargate or self.windows or self.own_cni)

    @property
    def selected_eni_config(self) -> str:
        return self.eni_config or DEFAULT_ENI_CONFIG

    @property
    def free_eni_slots(self) -> int | None:
        if self.max_enis is None or not self.interfaces:
            return None
        return max(0, self.max_enis - len(self.interfaces))

    @property
    def primary_subnet(self) -> str | None:
        """Where none is marked as primary, as in documents written by hand, the first one is."""
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
