"""Snapshot -> Diagnosis: is it a lack of addresses, where, and which nodes would be relieved at once.

The event string of a failed sandbox proves only that the CNI's ADD failed; the verdict rests on what EC2 and
Kubernetes say about subnets, ENIs and nodes, and each verdict carries the evidence it rests on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from ip_remediator.domain.alternatives import alternatives
from ip_remediator.domain.capacity import free_addresses, next_eni_subnets, pod_nodes, zone_subnets
from ip_remediator.domain.document import Document
from ip_remediator.domain.outlook import lasting, zones_of
from ip_remediator.domain.plural import counted
from ip_remediator.domain.shortage import Hosts, Supply, hosts_of
from ip_remediator.domain.signals import Cause
from ip_remediator.domain.snapshot import ZONE_LABEL, EniConfig, Node, Snapshot, StuckPod, Subnet


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
_SHORTAGES = {Supply.EXHAUSTED: Verdict.SUBNET_EXHAUSTED, Supply.FRAGMENTED: Verdict.PREFIX_FRAGMENTED}
_FAULTS = {
    Cause.CNI_IAM: "EC2 refuses the CNI's calls (IAM): give the aws-node role AmazonEKS_CNI_Policy",
    Cause.CNI_THROTTLED: "EC2 throttles the CNI's calls: wait, or ask for a higher API rate",
    Cause.CNI_DOWN: "ipamd does not answer on the node: look at the aws-node pod",
    Cause.SUBNET_TAGS: "the discovery tags exclude every subnet: correct the kubernetes.io/role/cni tags",
    Cause.ENICONFIG_MISSING: "the ENIConfigs are there and their subnets fit, yet ipamd attaches no ENI by them: are "
    "their security groups of the cluster's VPC?",
}


class ZoneDiagnosis(Document):
    """One zone: `free` is the sum over the subnets its pods can use, None when EC2 was not asked. `full_at`: when none
    of them will have a free address, as far as that is foreseen and no pod waits yet."""

    zone: str
    verdict: Verdict
    reason: str
    free: int | None
    nodes: int
    stuck_pods: int
    full_at: datetime | None = None


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
    alternatives: tuple[str, ...] = Field(default=(), description="what else would help, or where nothing else does")

    @property
    def curable(self) -> bool:
        return self.verdict in CURABLE


def diagnose(snapshot: Snapshot, causes: Iterable[Cause] = ()) -> Diagnosis:
    """The verdict on `snapshot`; `causes` are the causes that the incident's signals proved."""
    unsupported = _unsupported(snapshot)
    if unsupported:
        return Diagnosis(
            verdict=Verdict.UNSUPPORTED,
            summary=unsupported,
            evidence=(unsupported,),
            alternatives=alternatives(snapshot, Verdict.UNSUPPORTED),
        )
    proven = frozenset(causes)
    zones = tuple(_diagnose_zone(snapshot, zone, proven) for zone in zones_of(snapshot))
    verdict, summary = _overall(snapshot, zones)
    return Diagnosis(
        verdict=verdict,
        summary=summary,
        zones=zones,
        nodes=tuple(_diagnose_node(snapshot, node) for node in snapshot.nodes if node.runs_vpc_cni),
        evidence=_evidence(snapshot, zones, proven),
        unknown=_unknown(snapshot),
        alternatives=alternatives(snapshot, verdict),
    )


def _unsupported(snapshot: Snapshot) -> str | None:
    """Clusters that a secondary CIDR cannot help, with the reason (field limits of the VPC CNI)."""
    cluster, vpc = snapshot.cluster, snapshot.vpc
    if cluster.ip_family == "ipv6":
        return "the cluster is IPv6: pods get IPv6 addresses, and custom networking does not exist there"
    if cluster.auto_mode:
        return "EKS Auto Mode ignores ENIConfigs: give its NodeClass podSubnetSelectorTerms and subnets of a new CIDR"
    if not snapshot.cni.installed:
        return "the cluster does not run the Amazon VPC CNI (no pods of aws-node): its own CNI hands out addresses"
    if vpc and vpc.owner_id and snapshot.account_id and vpc.owner_id != snapshot.account_id:
        return f"the VPC {vpc.id} is shared by account {vpc.owner_id}: only its owner may add CIDRs and subnets"
    return _served_by_others(snapshot)


def _served_by_others(snapshot: Snapshot) -> str | None:
    """Whether all nodes, or the nodes of all stuck pods, are of a kind that no ENIConfig reaches."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    concerned = [node for node in snapshot.nodes if node.name in hosts] or list(snapshot.nodes)
    if not concerned or any(node.runs_vpc_cni for node in concerned):
        return None
    whose = "every node is" if len(concerned) == len(snapshot.nodes) else "the pods wait on nodes that all are"
    if any(node.fargate for node in concerned):
        return f"{whose} Fargate: pods take addresses of the Fargate profile's subnets, add subnets there"
    if any(node.own_cni for node in concerned):
        return f"{whose} hybrid or of EKS Auto Mode: aws-node does not run there"
    return f"{whose} Windows: their pods take addresses of the node's own ENI, and ENIConfigs do not apply"


def stuck_pods_of_zone(snapshot: Snapshot, zone: str) -> list[StuckPod]:
    names = {node.name for node in pod_nodes(snapshot, zone)}
    return [pod for pod in snapshot.stuck_pods if pod.node in names]


def _diagnose_zone(snapshot: Snapshot, zone: str, causes: frozenset[Cause]) -> ZoneDiagnosis:
    nodes = pod_nodes(snapshot, zone)
    stuck = stuck_pods_of_zone(snapshot, zone)
    verdict, reason = _judge_zone(snapshot, nodes, stuck, causes)
    subnets = zone_subnets(snapshot, zone)
    last = None if stuck else lasting(subnets)
    return ZoneDiagnosis(
        zone=zone,
        verdict=verdict,
        reason=reason,
        free=free_addresses(subnets),
        nodes=len(nodes),
        stuck_pods=len(stuck),
        full_at=last.full_at if last else None,
    )


def _judge_zone(
    snapshot: Snapshot, nodes: list[Node], stuck: list[StuckPod], causes: frozenset[Cause]
) -> tuple[Verdict, str]:
    """Facts come before what signals prove: signals are of the whole cluster, and some minutes old."""
    faulty = _faulty_eni_configs(snapshot, nodes)
    if faulty:
        return Verdict.ENICONFIG_MISSING, f"custom networking is on, but {'; '.join(faulty)}"
    if not stuck:
        return _judge_without_stuck_pods(snapshot, nodes)
    if Cause.ENI_QUOTA in causes:
        # Before a full subnet: custom networking needs new ENIs, so no subnet helps until the quota is raised.
        return Verdict.ENI_QUOTA, "the region's network interface quota (L-DF5E4CA3) is used up: ask for more"
    hosts = hosts_of(snapshot, nodes, stuck, causes)
    for supply, verdict in _SHORTAGES.items():
        short = [group for group in hosts if group.supply is supply]
        if short:
            return verdict, "; ".join(group.reason for group in short)
    return _judge_with_free_addresses(hosts, causes)


def _judge_without_stuck_pods(snapshot: Snapshot, nodes: list[Node]) -> tuple[Verdict, str]:
    ids = {id_ for node in nodes for id_ in next_eni_subnets(snapshot, node)}
    free = free_addresses(snapshot.subnet(id_) for id_ in ids)
    if free == 0:
        return Verdict.SUBNET_EXHAUSTED, f"no free address in {', '.join(sorted(ids))}; no pod waits for one yet"
    last = lasting(subnet for id_ in ids if (subnet := snapshot.subnet(id_)))
    if last and last.full_at:
        left = f"{', '.join(sorted(ids))} {'have' if len(ids) > 1 else 'has'} {free} free"
        return Verdict.SUBNET_EXHAUSTED, f"{left} and {_told_forecast(snapshot, last.full_at)}; no pod waits yet"
    known = "an unknown number of addresses" if free is None else counted(free, "address", "addresses")
    return Verdict.RECOVERED, f"no pod waits for an address; {known} {'is' if free == 1 else 'are'} free"


def _told_forecast(snapshot: Snapshot, full_at: datetime) -> str:
    hours = round((full_at - snapshot.taken_at).total_seconds() / 3600) if snapshot.taken_at else None
    about = f" in about {hours} h" if hours else ""
    return f"will be full{about}, at {full_at:%Y-%m-%d %H:%M} UTC"


def _judge_with_free_addresses(hosts: list[Hosts], causes: frozenset[Cause]) -> tuple[Verdict, str]:
    """No subnet is short: what else keeps the pods from an address."""
    at_limit = [group for group in hosts if group.supply is Supply.AT_LIMIT]
    others = [group for group in hosts if group.supply is not Supply.AT_LIMIT]
    if not others:
        return Verdict.NODE_LIMIT, "; ".join(group.reason for group in at_limit)
    fault = next((cause for cause in _FAULTS if cause in causes), None)
    if fault:
        return Verdict.CNI_FAULT, _FAULTS[fault]
    if at_limit:
        return Verdict.NODE_LIMIT, "; ".join(group.reason for group in at_limit)
    if Cause.NODE_LIMIT in causes and any(group.supply is Supply.UNKNOWN for group in others):
        return Verdict.NODE_LIMIT, "EC2 or ipamd says that the node's limit of ENIs or addresses is reached"
    return Verdict.CNI_FAULT, "; ".join(group.reason for group in others)


def _faulty_eni_configs(snapshot: Snapshot, nodes: list[Node]) -> list[str]:
    """What is wrong with the ENIConfigs that the nodes select: ipamd can attach no ENI by such a one."""
    if not snapshot.cni.custom_networking:
        return []
    present = {config.name: config for config in snapshot.eni_configs}
    told = (_fault_of(snapshot, node, present.get(node.selected_eni_config)) for node in nodes)
    return sorted({fault for fault in told if fault})


def _fault_of(snapshot: Snapshot, node: Node, config: EniConfig | None) -> str | None:
    if config is None:
        return f"there is no ENIConfig {node.selected_eni_config}"
    if not config.subnet:
        return f"ENIConfig {config.name} names no subnet"
    subnet = snapshot.subnet(config.subnet)
    if subnet is None:
        missing = f"ENIConfig {config.name} names {config.subnet}, which the VPC does not have"
        return missing if snapshot.subnets else None  # no subnet was read: nothing is known
    if subnet.zone != node.zone:
        return f"ENIConfig {config.name} names {subnet.id} of {subnet.zone}, and nodes of {node.zone} select it"
    return None


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


def _overall(snapshot: Snapshot, zones: tuple[ZoneDiagnosis, ...]) -> tuple[Verdict, str]:
    """The worst of the zones in which pods hang: a full subnet elsewhere must not hide why they do."""
    in_need = [zone for zone in zones if zone.stuck_pods or zone.verdict is Verdict.ENICONFIG_MISSING]
    judged = in_need or list(zones)
    shown = {zone.verdict for zone in judged}
    verdict = next((verdict for verdict in _WORST_FIRST if verdict in shown), Verdict.RECOVERED)
    lost = _nodes_without_zone(snapshot)
    if verdict is Verdict.RECOVERED and lost:
        return (
            Verdict.CNI_FAULT,
            f"pods hang on {', '.join(lost)}, whose zone is unknown: they lack the label {ZONE_LABEL}",
        )
    told = [f"{zone.zone}: {zone.reason}" for zone in judged if zone.verdict == verdict]
    return verdict, "; ".join(told) or "no node and no stuck pod was found: there is nothing to cure"


def _nodes_without_zone(snapshot: Snapshot) -> list[str]:
    hosts = {pod.node for pod in snapshot.stuck_pods}
    return [node.name for node in snapshot.nodes if node.runs_vpc_cni and not node.zone and node.name in hosts]


def _evidence(snapshot: Snapshot, zones: tuple[ZoneDiagnosis, ...], causes: frozenset[Cause]) -> tuple[str, ...]:
    facts = [
        f"subnet {subnet.id} ({subnet.cidr}, {zone.zone}) has {_told_free(snapshot, subnet)}"
        for zone in zones
        for subnet in zone_subnets(snapshot, zone.zone)
    ]
    facts += [
        f"subnet {subnet.id} {_told_forecast(snapshot, subnet.full_at)}, by its free addresses of the last 14 days"
        for zone in zones
        for subnet in zone_subnets(snapshot, zone.zone)
        if subnet.full_at and subnet.free
    ]
    facts += [
        f"{counted(zone.stuck_pods, 'pod')} without an address in {zone.zone}" for zone in zones if zone.stuck_pods
    ]
    facts += [f"the signals prove {cause}" for cause in sorted(causes)]
    state = "on" if snapshot.cni.custom_networking else "off"
    facts.append(f"the VPC CNI {snapshot.cni.version or '(version unknown)'} runs with custom networking {state}")
    return tuple(facts)


def _told_free(snapshot: Snapshot, subnet: Subnet) -> str:
    if subnet.free is None:
        return "an unknown number of free addresses"
    free = counted(subnet.free, "free address", "free addresses")
    if not snapshot.cni.prefix_delegation:
        return free
    known = subnet.free_prefixes is not None
    return f"{free}, {subnet.free_prefixes if known else 'an unknown number of'} free /28 prefixes"


def _unknown(snapshot: Snapshot) -> tuple[str, ...]:
    gaps = [f"free addresses of {subnet.id}" for subnet in snapshot.subnets if subnet.free is None]
    gaps += [
        f"ENI slots of {node.name}" for node in snapshot.nodes if node.runs_vpc_cni and node.free_eni_slots is None
    ]
    if snapshot.vpc is None:
        gaps.append("the VPC's CIDRs, peers and routes")
    return tuple(gaps)
