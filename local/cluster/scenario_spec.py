"""A scenario as data: what to seed, so that demos and tests can ask for variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Zone:
    """An availability zone and the CIDR of its node subnet."""

    name: str
    cidr: str


@dataclass(frozen=True)
class NodeSpec:
    """`pod_addresses`: secondary addresses put on the primary ENI at launch. `free_eni_slots`: as of a Scenario."""

    zone: str
    instance_type: str = "t3.medium"
    pod_addresses: int = 5
    free_eni_slots: bool = True


@dataclass(frozen=True)
class Scenario:
    """The default is the reference scenario: two full /28 subnets, 8 nginx pods running, 2 without an address.

    free_per_subnet: addresses left free in each node subnet (the rest is taken by other ENIs).
    managed_addon: the VPC CNI as EKS add-on; otherwise a self-managed DaemonSet.
    eniconfig_crd: whether the CRD that comes with the CNI is there.
    free_eni_slots: False attaches every further ENI the instance type allows, each with its primary address only.
    provisioner: who replaces nodes. "managed": an Auto Scaling group in each zone; "self-managed": the same, which EKS
        knows nothing of; "karpenter": a NodeClaim for each node; None: nobody, the instances stand alone.
    extra_cidrs: secondary CIDRs of the VPC, such as enough of them to use up its quota.
    cni_environment: environment of aws-node that differs from the add-on's defaults.
    endpoint_tags: tags of the EKS cluster that tell where its Kubernetes API is, if not at the stack's place.
    vpc_id: a VPC that is there already, another cluster's for one; `zones` name ranges of it that are free.
    """

    cluster: str = "demo"
    kubernetes_version: str = "1.33"
    vpc_cidr: str = "10.0.0.0/16"
    zones: tuple[Zone, ...] = (Zone("ap-northeast-2a", "10.0.0.0/28"), Zone("ap-northeast-2b", "10.0.1.0/28"))
    nodes: tuple[NodeSpec, ...] = (NodeSpec("ap-northeast-2a"), NodeSpec("ap-northeast-2b"))
    free_per_subnet: int = 0
    coredns_replicas: int = 2
    nginx_replicas: int = 10
    managed_addon: bool = True
    eniconfig_crd: bool = True
    free_eni_slots: bool = True
    provisioner: Literal["managed", "self-managed", "karpenter"] | None = None
    extra_cidrs: tuple[str, ...] = ()
    cni_environment: Mapping[str, str] = field(default_factory=dict)
    endpoint_tags: Mapping[str, str] = field(default_factory=dict)
    vpc_id: str | None = None


@dataclass(frozen=True)
class SeededNode:
    """An instance that was launched as a node."""

    name: str
    instance_id: str
    zone: str
    internal_ip: str
    instance_type: str


@dataclass(frozen=True)
class SeededNetwork:
    """Identifiers of what was made, by zone name where there is one per zone."""

    vpc_id: str
    subnets: Mapping[str, str]
    route_tables: Mapping[str, str]
    network_acls: Mapping[str, str]
    security_group: str
