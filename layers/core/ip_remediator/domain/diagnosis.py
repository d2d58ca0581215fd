"""Snapshot -> Diagnosis: is it a lack of addresses, where, and which nodes would be relieved at once.

The event string of a failed sandbox proves only that the CNI's ADD failed; the verdict rests on what EC2 and
Kubernetes say about subnets, ENIs and nodes, and each verdict carries the evidence it rests on.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from ip_remediator.domain.document import Document
from ip_remediator.domain.signals import Cause
from ip_remediator.domain.snapshot import DISCOVERY_TAG, Node, Snapshot, StuckPod, Subnet

PREFIX_SIZE = 16


class Verdict(StrEnum):
    """What is wrong. Only the first three are cured by more address space or its ENIConfigs."""

    SUBNET_EXHAUSTED = "subnet_exhausted"
    PREFIX_FRAGMENTED = "prefix_fragmented"
    ENICONFIG_MISSING = "eniconfig_missing"
    NODE_LIMIT = "node_limit"
    ENI_QUOTA = "eni_quota"
    CNI_FAULT = "cni_fault"
    RECOVERED = "recovered"
    UNSUPPORTED = "unsupported"


CURABLE = frozenset({Verdict.SUBNET_EXHAUSTED, Verdict.PREFIX_FRAGMENTED, Verdict.ENICONFIG_MISSING})
# When zones differ, the whole is judged by the first of these that any zone shows.
_WORST_FIRST = (
    Verdict.SUBNET_EXHAUSTED,
    Verdict.PREFIX_FRAGMENTED,
    Verdict.ENICONFIG_MISSING,
    Verdict.ENI_QUOTA,
    Verdict.CNI_FAULT,
    Verdict.NODE_LIMIT,
    Verdict.RECOVERED,
)
_FAULTS = {
    Cause.CNI_IAM: "EC2 refuses the CNI's calls (IAM): give the aws-node role AmazonEKS_CNI_Policy",
    Cause.CNI_THROTTLED: "EC2 throttles the CNI's calls: wait, or ask for a higher API rate",
    Cause.CNI_DOWN: "ipamd does not answer on the node: look at the aws-node pod",
    Cause.SUBNET_TAGS: "the discovery tags exclude every subnet: correct the kubernetes.io/role/cni tags",
}


class ZoneDiagnosis(Document):
    """One zone: `free` is the sum over the subnets its pods can use, None when EC2 was not asked."""

    zone: str
    verdict: Verdict
    reason: str
    free: int | None
    nodes: int
    stuck_pods: int


class NodeDiagnosis(Document):
    """Whether new address space relieves the node at once, or only its replacement does."""

    name: str
    zone: str | None
    relieved_now: bool
    reason: str


class Diagnosis(Document):
    verdict: Verdict
    summary: str
    zones: tuple[ZoneDiagnosis, ...] = ()
    nodes: tuple[NodeDiagnosis, ...] = ()
    evidence: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def curable(self) -> bool:
        return self.verdict in CURABLE


def diagnose(snapshot: Snapshot, causes: Iterable[Cause] = ()) -> Diagnosis:
    """The verdict on `snapshot`; `causes` are the causes that the incident's signals proved."""
    unsupported = _unsupported(snapshot)
    if unsupported:
        return Diagnosis(verdict=Verdict.UNSUPPORTED, summary=unsupported, evidence=(unsupported,))
    proven = frozenset(causes)
    zones = tuple(_diagnose_zone(snapshot, zone, proven) for zone in _zones(snapshot))
    verdict = _overall(zones)
    return Diagnosis(
        verdict=verdict,
        summary=_summary(verdict, zones),
        zones=zones,
        nodes=tuple(_diagnose_node(snapshot, node) for node in snapshot.nodes if not node.fargate),
        evidence=_evidence(snapshot, zones, proven),
        unknown=_unknown(snapshot),
    )


def _unsupported(snapshot: Snapshot) -> str | None:
    """Clusters that a secondary CIDR cannot help, with the reason (field limits of the VPC CNI)."""
    cluster, vpc = snapshot.cluster, snapshot.vpc
    if cluster.ip_family == "ipv6":
        return "the cluster is IPv6: pods get IPv6 addresses, and custom networking does not exist there"
    if cluster.auto_mode:
        return "EKS Auto Mode ignores ENIConfigs: give its NodeClass podSubnetSelectorTerms and subnets of a new CIDR"
    if not snapshot.cni.installed:
        return "the cluster does not run the Amazon VPC CNI (no aws-node DaemonSet): its own CNI hands out addresses"
    if vpc and vpc.owner_id and snapshot.account_id and vpc.owner_id != snapshot.account_id:
        return f"the VPC {vpc.id} is shared by account {vpc.owner_id}: only its owner may add CIDRs and subnets"
    if snapshot.nodes and all(node.fargate for node in snapshot.nodes):
        return "every node is Fargate: pods take addresses of the Fargate profile's subnets, add subnets there"
    return None


def _zones(snapshot: Snapshot) -> list[str]:
    return sorted({node.zone for node in snapshot.nodes if node.zone and not node.fargate})


def pod_subnets(snapshot: Snapshot, zone: str) -> list[Subnet]:
    """The subnets that pods of a zone can get addresses from, as the CNI chooses them today."""
    nodes = [node for node in snapshot.nodes if node.zone == zone and not node.fargate]
    if snapshot.cni.custom_networking:
        selected = {node.eni_config for node in nodes}
        ids = {config.subnet for config in snapshot.eni_configs if config.name in selected}
        return [subnet for subnet in snapshot.subnets if subnet.id in ids]
    ids = {node.primary_subnet for node in nodes}
    return [
        subnet
        for subnet in snapshot.subnets
        if subnet.id in ids
        or (snapshot.cni.subnet_discovery and subnet.zone == zone and subnet.tags.get(DISCOVERY_TAG) == "1")
    ]


def _diagnose_zone(snapshot: Snapshot, zone: str, causes: frozenset[Cause]) -> ZoneDiagnosis:
    nodes = [node for node in snapshot.nodes if node.zone == zone and not node.fargate]
    stuck = stuck_pods_of_zone(snapshot, zone)
    subnets = pod_subnets(snapshot, zone)
    free = None if any(subnet.free is None for subnet in subnets) else sum(subnet.free or 0 for subnet in subnets)
    verdict, reason = _judge_zone(snapshot, nodes, stuck, subnets, free, causes)
    return ZoneDiagnosis(zone=zone, verdict=verdict, reason=reason, free=free, nodes=len(nodes), stuck_pods=len(stuck))


def stuck_pods_of_zone(snapshot: Snapshot, zone: str) -> list[StuckPod]:
    names = {node.name for node in snapshot.nodes if node.zone == zone}
    return [pod for pod in snapshot.stuck_pods if pod.node in names]


def _judge_zone(
    snapshot: Snapshot,
    nodes: list[Node],
    stuck: list[StuckPod],
    subnets: list[Subnet],
    free: int | None,
    causes: frozenset[Cause],
) -> tuple[Verdict, str]:
    missing = _missing_eni_configs(snapshot, nodes)
    if missing:
        return (
            Verdict.ENICONFIG_MISSING,
            f"custom networking is on, but there is no ENIConfig {', '.join(missing)}",
        )
    names = ", ".join(subnet.id for subnet in subnets) or "(unknown)"
    if free is not None and subnets and free < max(1, len(stuck)):
        return Verdict.SUBNET_EXHAUSTED, f"{free} free addresses in {names} for {len(stuck)} stuck pods"
    if not stuck:
        return Verdict.RECOVERED, f"no pod waits for an address; {free if free is not None else '?'} are free"
    if Cause.PREFIX_FRAGMENTED in causes and snapshot.cni.prefix_delegation:
        return (
            Verdict.PREFIX_FRAGMENTED,
            f"prefix delegation needs {PREFIX_SIZE} contiguous addresses; {names} has {free} free, none contiguous",
        )
    return _judge_with_free_addresses(nodes, stuck, free, causes)


def _judge_with_free_addresses(
    nodes: list[Node], stuck: list[StuckPod], free: int | None, causes: frozenset[Cause]
) -> tuple[Verdict, str]:
    if Cause.ENI_QUOTA in causes:
        return Verdict.ENI_QUOTA, "the region's network interface quota (L-DF5E4CA3) is used up: ask for more"
    fault = next((cause for cause in _FAULTS if cause in causes), None)
    if fault:
        return Verdict.CNI_FAULT, _FAULTS[fault]
    hosts = {pod.node for pod in stuck}
    if all(node.free_eni_slots == 0 for node in nodes if node.name in hosts) or Cause.NODE_LIMIT in causes:
        return (
            Verdict.NODE_LIMIT,
            f"the nodes of the stuck pods have every ENI of their instance type attached; {free} addresses are free",
        )
    return (
        Verdict.CNI_FAULT,
        f"{free} addresses are free and ENIs can be attached, yet pods hang: look at aws-node",
    )


def _missing_eni_configs(snapshot: Snapshot, nodes: list[Node]) -> list[str]:
    if not snapshot.cni.custom_networking:
        return []
    present = {config.name for config in snapshot.eni_configs}
    return sorted({node.eni_config or "default" for node in nodes} - present)


def _diagnose_node(snapshot: Snapshot, node: Node) -> NodeDiagnosis:
    slots = node.free_eni_slots
    attached = f"{len(node.interfaces)} of {node.max_enis} ENIs attached"
    if slots is None:
        relieved, reason = False, "its ENIs or its instance type's limits are unknown"
    elif slots == 0:
        relieved, reason = False, f"{attached}: no slot for an ENI in a new subnet, replace the node"
    elif snapshot.cni.prefix_delegation and not snapshot.cni.custom_networking:
        relieved, reason = (
            True,
            f"{attached}; prefix mode: turning on custom networking may drop its present prefixes",
        )
    else:
        relieved, reason = True, f"{attached}: the next ENI comes from the new subnet"
    return NodeDiagnosis(name=node.name, zone=node.zone, relieved_now=relieved, reason=reason)


def _overall(zones: tuple[ZoneDiagnosis, ...]) -> Verdict:
    shown = {zone.verdict for zone in zones}
    return next((verdict for verdict in _WORST_FIRST if verdict in shown), Verdict.RECOVERED)


def _summary(verdict: Verdict, zones: tuple[ZoneDiagnosis, ...]) -> str:
    told = [f"{zone.zone}: {zone.reason}" for zone in zones if zone.verdict == verdict]
    return "; ".join(told) or "no node and no stuck pod was found: there is nothing to cure"


def _evidence(snapshot: Snapshot, zones: tuple[ZoneDiagnosis, ...], causes: frozenset[Cause]) -> tuple[str, ...]:
    facts = [
        f"subnet {subnet.id} ({subnet.cidr}, {zone.zone}) has {subnet.free} free addresses"
        for zone in zones
        for subnet in pod_subnets(snapshot, zone.zone)
    ]
    facts += [f"{zone.stuck_pods} pods wait for an address in {zone.zone}" for zone in zones if zone.stuck_pods]
    facts += [f"the signals prove {cause}" for cause in sorted(causes)]
    state = "on" if snapshot.cni.custom_networking else "off"
    facts.append(f"the VPC CNI {snapshot.cni.version or '(version unknown)'} runs with custom networking {state}")
    return tuple(facts)


def _unknown(snapshot: Snapshot) -> tuple[str, ...]:
    gaps = [f"free addresses of {subnet.id}" for subnet in snapshot.subnets if subnet.free is None]
    gaps += [f"ENI slots of {node.name}" for node in snapshot.nodes if node.free_eni_slots is None]
    if snapshot.vpc is None:
        gaps.append("the VPC's CIDRs, peers and routes")
    return tuple(gaps)
