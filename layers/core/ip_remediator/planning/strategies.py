"""How pods get to the new addresses: by ENIConfigs, by tagged subnets that the CNI discovers, or on new node groups.

Sources: amazon-vpc-cni-k8s v1.23.1, pkg/awsutils (isSubnetValidForENICreation) and CHANGELOG (v1.18.0, v1.22.1);
EKS User Guide, "Configure subnet selection for Pod IP addresses".
"""

from __future__ import annotations

from dataclasses import dataclass

from ip_remediator.planning.model import RequestedStrategy, Strategy
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.risks.migration import WITH_ENI_CONFIGS
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import (
    CLUSTER_DISCOVERY_TAG,
    CUSTOM_NETWORK_CFG,
    DISCOVERS_SINCE,
    DISCOVERY_TAG,
    ENABLE_SUBNET_DISCOVERY,
    ENI_CONFIG_LABEL_DEF,
    Cni,
)

SCOPES_SINCE = (1, 22, 1)


@dataclass(frozen=True)
class Choice:
    """`reason` tells people why this one."""

    strategy: Strategy
    reason: str

    @property
    def custom_networking(self) -> bool:
        """Whether pods get the addresses by ENIConfigs."""
        return self.strategy in WITH_ENI_CONFIGS


def choose(snapshot: Snapshot, requested: RequestedStrategy) -> Choice:
    """The strategy of a plan for this cluster when `requested` is asked for.

    Raises:
        CannotPlan: the cluster cannot have what was asked for; `field` of the error is "strategy".
    """
    if requested == "auto":
        return _automatic(snapshot)
    if requested == "custom-networking":
        return _custom_networking(snapshot, "it works with every version of the VPC CNI")
    if requested == "reclaim-warm":
        return Choice(requested, "it was asked for: nodes give back what they keep warm")
    refusal = discovery_refusal(snapshot) if requested == "subnet-discovery" else _node_group_refusal(snapshot)
    if refusal:
        raise CannotPlan(f"strategy {requested} is not possible: {refusal}", field="strategy")
    return Choice(requested, "it was asked for")


def _automatic(snapshot: Snapshot) -> Choice:
    """Discovery where that changes nothing about aws-node and reaches no other cluster."""
    refusal = discovery_refusal(snapshot) or _reasons_against_discovery(snapshot)
    if refusal:
        return _custom_networking(snapshot, refusal)
    return Choice(
        "subnet-discovery",
        f"the VPC CNI {snapshot.cni.version} discovers tagged subnets by itself: nothing of aws-node is changed or "
        "restarted, and only zones in need get a subnet",
    )


def _custom_networking(snapshot: Snapshot, reason: str) -> Choice:
    if snapshot.cni.custom_networking:
        return Choice(
            "custom-networking-extension",
            "custom networking is on: its ENIConfigs are pointed at other subnets, and aws-node is not restarted",
        )
    require_configurable_addon(snapshot.cni)
    return Choice("custom-networking", reason)


def require_configurable_addon(cni: Cni) -> None:
    """Turning custom networking on is the last write of a plan: whether EKS takes it is asked before the first.

    Raises:
        CannotPlan: the managed add-on's schema lacks a variable, or its present configuration cannot be read.
    """
    if cni.addon is None:
        return
    missing = [name for name in (CUSTOM_NETWORK_CFG, ENI_CONFIG_LABEL_DEF) if name in cni.addon.lacks]
    if missing:
        raise CannotPlan(
            f"the vpc-cni add-on {cni.addon.version or ''} cannot set {' and '.join(missing)}: its configuration "
            "schema has no such variable. Update the add-on, or use strategy subnet-discovery or node-group",
            field="strategy",
        )
    if cni.addon.unreadable:
        raise CannotPlan(
            f"{cni.addon.unreadable}: custom networking cannot be set beside what is there. Give the add-on a "
            "configuration that is a mapping, or use strategy subnet-discovery or node-group",
            field="strategy",
        )


def discovery_refusal(snapshot: Snapshot) -> str | None:
    """Why the CNI would not discover a tagged subnet, with the remedy; None if it would, or its version is unknown."""
    cni = snapshot.cni
    if cni.custom_networking:
        return (
            "custom networking is on, and the VPC CNI then uses the subnets of ENIConfigs only; use "
            "custom-networking, which points them at other subnets"
        )
    version = cni.release
    if version and version < DISCOVERS_SINCE:
        return (
            f"the VPC CNI {cni.version} does not discover subnets, 1.18.0 and later do; update it, or use "
            "custom-networking"
        )
    if not cni.subnet_discovery:
        return f"aws-node has {ENABLE_SUBNET_DISCOVERY}=false; set it to true, or use custom-networking"
    return None


def _reasons_against_discovery(snapshot: Snapshot) -> str | None:
    version = snapshot.cni.release
    if version is None:
        return "the version of the VPC CNI is unknown, so whether it discovers tagged subnets is as well"
    if snapshot.cni.pod_eni:
        return (
            "ENABLE_POD_ENI=true: branch ENIs of pods with security groups come from the subnet of the node's "
            "ENIConfig, or else of the node itself, and never from a discovered one; trunk ENIs that are attached "
            "already stay in their subnet"
        )
    others = [name for name in (snapshot.vpc.clusters if snapshot.vpc else ()) if name != snapshot.cluster.name]
    if others and version < SCOPES_SINCE:
        return (
            f"below 1.22.1 the VPC CNI ({snapshot.cni.version}) knows no tag that keeps a discovered subnet from the "
            f"VPC's other clusters ({', '.join(sorted(others)[:3])})"
        )
    return None


def _node_group_refusal(snapshot: Snapshot) -> str | None:
    if not snapshot.cni.custom_networking:
        return None
    return (
        "custom networking is on, and pods of new nodes would take addresses of the ENIConfigs' subnets all the same; "
        "use custom-networking, which points them at other subnets"
    )


def discovery_tags(snapshot: Snapshot) -> dict[str, str]:
    """The tags by which the CNI discovers a subnet; for this cluster alone where its version knows how."""
    version = snapshot.cni.release
    scope = {CLUSTER_DISCOVERY_TAG + snapshot.cluster.name: "shared"} if version and version >= SCOPES_SINCE else {}
    return {DISCOVERY_TAG: "1"} | scope
