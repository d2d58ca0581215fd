"""Snapshot -> Diagnosis: is it a lack of addresses, where, and which nodes would be relieved at once.

The event string of a failed sandbox proves only that the CNI's ADD failed; the verdict rests on what EC2 and
Kubernetes say about subnets, ENIs and nodes, and each verdict carries the evidence it rests on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from ip_remediator.common.document import Document
from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.alternatives import alternatives
from ip_remediator.diagnosis.evidence import evidence, told_forecast, unknown
from ip_remediator.diagnosis.node_relief import NodeDiagnosis, diagnose_node
from ip_remediator.diagnosis.node_subnets import node_launch_reason, shortage_beside_pods, told_shortages
from ip_remediator.diagnosis.pod_messages import Words
from ip_remediator.diagnosis.supply import AddressSupply, ZoneNodes, hosts_of
from ip_remediator.diagnosis.unsupported import unsupported
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.ipamd import free_addresses, lasting, next_eni_subnets, pod_nodes, zone_subnets, zones_of
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import ZONE_LABEL, EniConfig, Node, StuckPod

__all__ = ["CURABLE", "Diagnosis", "NodeDiagnosis", "Verdict", "ZoneDiagnosis", "diagnose", "stuck_pods_of_zone"]


CURABLE = frozenset({Verdict.SUBNET_EXHAUSTED, Verdict.PREFIX_FRAGMENTED, Verdict.ENICONFIG_MISSING})
# When zones differ, the whole is judged by the first of these that any zone shows.
WORST_FIRST = (
    Verdict.SUBNET_EXHAUSTED,
    Verdict.PREFIX_FRAGMENTED,
    Verdict.ENICONFIG_MISSING,
    Verdict.ENI_QUOTA,
    Verdict.CNI_FAULT,
    Verdict.NODE_LIMIT,
    Verdict.NODE_LAUNCH,
    Verdict.CLUSTER_SUBNETS,
    Verdict.RECOVERED,
)
# Every pod has its address, whatever nodes or the cluster lack.
PODS_SERVED = frozenset({Verdict.RECOVERED, Verdict.NODE_LAUNCH, Verdict.CLUSTER_SUBNETS})
_SHORTAGES = {AddressSupply.EXHAUSTED: Verdict.SUBNET_EXHAUSTED, AddressSupply.FRAGMENTED: Verdict.PREFIX_FRAGMENTED}
_WORDS_ABOUT_SUBNETS = frozenset({Cause.SUBNET_FULL, Cause.PREFIX_FRAGMENTED})
# What holds in every zone, wherever it was said.
_REGIONAL = frozenset({Cause.ENI_QUOTA})
_FAULTS = {
    Cause.CNI_IAM: "EC2 refuses the CNI's calls (IAM): give the aws-node role AmazonEKS_CNI_Policy",
    Cause.CNI_THROTTLED: "EC2 throttles the CNI's calls: wait, or ask for a higher API rate",
    Cause.CNI_DOWN: "ipamd does not answer on the node, it is down: look at the aws-node pod",
    Cause.SUBNET_TAGS: "the discovery tags exclude every subnet: correct the kubernetes.io/role/cni tags",
    Cause.ENICONFIG_MISSING: "the ENIConfigs are there and their subnets fit, yet ipamd attaches no ENI by them: are "
    "their security groups of the cluster's VPC?",
}
# What the words of events and signals come to where no fact can be held against them, the most telling first.
_BY_WORD = {
    Cause.ENI_QUOTA: Verdict.ENI_QUOTA,
    Cause.SUBNET_FULL: Verdict.SUBNET_EXHAUSTED,
    Cause.PREFIX_FRAGMENTED: Verdict.PREFIX_FRAGMENTED,
    Cause.ENICONFIG_MISSING: Verdict.ENICONFIG_MISSING,
    **dict.fromkeys((Cause.CNI_IAM, Cause.CNI_THROTTLED, Cause.CNI_DOWN, Cause.SUBNET_TAGS), Verdict.CNI_FAULT),
    Cause.NODE_LIMIT: Verdict.NODE_LIMIT,
}
_NEXT = {
    Verdict.SUBNET_EXHAUSTED: "give pods further addresses, as the plan does",
    Verdict.PREFIX_FRAGMENTED: "give pods a subnet with whole /28 blocks, as the plan does",
    Verdict.ENICONFIG_MISSING: "put those ENIConfigs right, as the plan does",
    Verdict.NODE_LIMIT: "add nodes or take larger ones, more addresses do not help",
    Verdict.NODE_LAUNCH: "give nodes further subnets, more pod subnets do not help",
    Verdict.CLUSTER_SUBNETS: "give the cluster other subnets, more pod subnets do not help",
    Verdict.ENI_QUOTA: "ask for a higher quota, more addresses do not help before",
    Verdict.CNI_FAULT: "put that right first, before any addresses are added",
    Verdict.UNSUPPORTED: "see the alternatives, no plan is possible here",
}
_SHOWN = 4


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
    """The verdict on `snapshot`; `causes` are the causes that the incident's signals proved.

    What the stuck pods' own events prove counts as well, each for the zone of its node.
    """
    facts = _in_order(snapshot)
    refused = unsupported(facts)
    if refused:
        return Diagnosis(
            verdict=Verdict.UNSUPPORTED,
            summary=_with_next_step(Verdict.UNSUPPORTED, refused),
            evidence=(refused, *_waiting(facts)),
            unknown=facts.unread,
            alternatives=alternatives(facts, Verdict.UNSUPPORTED),
        )
    signals = frozenset(causes)
    words = Words.of(facts.stuck_pods)
    zones = tuple(_diagnose_zone(facts, zone, signals, words) for zone in zones_of(facts))
    verdict, reason = _overall(facts, zones, signals | words.of_all)
    labelled = {node.name for node in snapshot.nodes if node.zone}
    return Diagnosis(
        verdict=verdict,
        summary=_with_next_step(verdict, reason),
        zones=zones,
        nodes=tuple(
            diagnose_node(facts, node, labelled=node.name in labelled) for node in facts.nodes if node.runs_vpc_cni
        ),
        evidence=(
            *evidence(facts, [zone.zone for zone in zones], signals, words.examples),
            *told_shortages(facts),
        ),
        unknown=unknown(snapshot),
        alternatives=alternatives(facts, verdict),
    )


def _in_order(snapshot: Snapshot) -> Snapshot:
    """In an order of its own, for EC2 and Kubernetes promise none; a node without the label of its zone is where the
    subnet of its primary ENI is."""
    return snapshot.model_copy(
        update={
            "nodes": tuple(sorted((_placed(snapshot, node) for node in snapshot.nodes), key=lambda node: node.name)),
            "stuck_pods": tuple(sorted(snapshot.stuck_pods, key=lambda pod: (pod.namespace, pod.name, pod.uid or ""))),
            "subnets": tuple(sorted(snapshot.subnets, key=lambda subnet: subnet.id)),
            "eni_configs": tuple(sorted(snapshot.eni_configs, key=lambda config: config.name)),
        }
    )


def _placed(snapshot: Snapshot, node: Node) -> Node:
    home = None if node.zone else snapshot.subnet(node.primary_subnet)
    return node.model_copy(update={"zone": home.zone}) if home else node


def _with_next_step(verdict: Verdict, reason: str) -> str:
    return f"{reason}; next: {_NEXT[verdict]}" if verdict in _NEXT else reason


def _waiting(snapshot: Snapshot) -> tuple[str, ...]:
    return (f"{counted(len(snapshot.stuck_pods), 'pod')} without an address",) if snapshot.stuck_pods else ()


def stuck_pods_of_zone(snapshot: Snapshot, zone: str) -> list[StuckPod]:
    names = {node.name for node in pod_nodes(snapshot, zone)}
    return [pod for pod in snapshot.stuck_pods if pod.node in names]


def _diagnose_zone(snapshot: Snapshot, zone: str, signals: frozenset[Cause], words: Words) -> ZoneDiagnosis:
    nodes = pod_nodes(snapshot, zone)
    stuck = stuck_pods_of_zone(snapshot, zone)
    causes = signals | words.on(node.name for node in nodes) | (words.of_all & _REGIONAL)
    verdict, reason = _judge_zone(snapshot, nodes, stuck, causes)
    if verdict is Verdict.RECOVERED and (unlaunchable := node_launch_reason(snapshot, zone)):
        verdict, reason = Verdict.NODE_LAUNCH, unlaunchable
    subnets = zone_subnets(snapshot, zone)
    last = None if stuck else lasting(subnets)
    return ZoneDiagnosis(
        zone=zone,
        verdict=verdict,
        reason=reason,
        free=free_addresses(subnets or [subnet for subnet in snapshot.subnets if subnet.zone == zone]),
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
        return Verdict.ENICONFIG_MISSING, f"custom networking is on, but {some_of(faulty, _SHOWN)}"
    if not stuck:
        return _judge_without_stuck_pods(snapshot, nodes)
    hosts = hosts_of(snapshot, nodes, stuck, causes)
    refused = _refused_by_ec2(snapshot, hosts, causes)
    if refused:
        return refused
    for supply, verdict in _SHORTAGES.items():
        short = sorted(group.reason for group in hosts if group.supply is supply)
        if short:
            return verdict, some_of(short, _SHOWN)
    return _judge_with_free_addresses(hosts, causes)


def _refused_by_ec2(snapshot: Snapshot, hosts: list[ZoneNodes], causes: frozenset[Cause]) -> tuple[Verdict, str] | None:
    """What EC2 answers before it looks into a subnet, however full that is: no cure works until it is put right,
    because each needs new ENIs. Nodes at their limit ask for none."""
    asking = [group for group in hosts if group.supply is not AddressSupply.AT_LIMIT]
    if not asking:
        return None
    full = any(group.supply in _SHORTAGES for group in asking)
    if Cause.ENI_QUOTA in causes:
        limit = f"{snapshot.quotas.interfaces_per_zone:,}"
        also = ", and subnets are short of addresses besides" if full else ""
        return Verdict.ENI_QUOTA, f"the region's quota of network interfaces (L-DF5E4CA3, {limit}) is used up{also}"
    # EC2 checks permissions first, so words about a subnet prove that it was permitted to ask.
    if full and Cause.CNI_IAM in causes and not causes & _WORDS_ABOUT_SUBNETS:
        return Verdict.CNI_FAULT, f"{_FAULTS[Cause.CNI_IAM]}; subnets are short of addresses besides"
    return None


def _judge_without_stuck_pods(snapshot: Snapshot, nodes: list[Node]) -> tuple[Verdict, str]:
    ids = {id_ for node in nodes for id_ in next_eni_subnets(snapshot, node)}
    free = free_addresses(snapshot.subnet(id_) for id_ in ids)
    if free == 0:
        return Verdict.SUBNET_EXHAUSTED, f"no free address in {some_of(sorted(ids))}; no pod waits for one yet"
    last = lasting(subnet for id_ in ids if (subnet := snapshot.subnet(id_)))
    if last and last.full_at:
        left = f"{some_of(sorted(ids))} {'have' if len(ids) > 1 else 'has'} {free} free"
        return Verdict.SUBNET_EXHAUSTED, f"{left} and {told_forecast(snapshot, last.full_at)}; no pod waits yet"
    known = "an unknown number of addresses" if free is None else counted(free, "address", "addresses")
    return Verdict.RECOVERED, f"no pod waits for an address; {known} {'is' if free == 1 else 'are'} free"


def _judge_with_free_addresses(hosts: list[ZoneNodes], causes: frozenset[Cause]) -> tuple[Verdict, str]:
    """No subnet is short: what else keeps the pods from an address."""
    told = {supply: sorted(group.reason for group in hosts if group.supply is supply) for supply in AddressSupply}
    others = sorted(group.reason for group in hosts if group.supply is not AddressSupply.AT_LIMIT)
    at_limit = some_of(told[AddressSupply.AT_LIMIT], _SHOWN)
    if not others:
        return Verdict.NODE_LIMIT, at_limit
    if told[AddressSupply.BARRED]:
        return Verdict.CNI_FAULT, some_of(told[AddressSupply.BARRED], _SHOWN)
    fault = next((cause for cause in _FAULTS if cause in causes), None)
    if fault:
        return Verdict.CNI_FAULT, _FAULTS[fault]
    if at_limit:
        return Verdict.NODE_LIMIT, at_limit
    if Cause.NODE_LIMIT in causes and told[AddressSupply.UNKNOWN]:
        return Verdict.NODE_LIMIT, "EC2 or ipamd says that the node's limit of ENIs or addresses is reached"
    return Verdict.CNI_FAULT, some_of(others, _SHOWN)


def _faulty_eni_configs(snapshot: Snapshot, nodes: list[Node]) -> list[str]:
    """What is wrong with the ENIConfigs that the nodes select: ipamd can attach no ENI by such a one."""
    if not snapshot.cni.custom_networking:
        return []
    told = (_fault_of(snapshot, node, snapshot.eni_config(node.selected_eni_config)) for node in nodes)
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


def _overall(snapshot: Snapshot, zones: tuple[ZoneDiagnosis, ...], causes: frozenset[Cause]) -> tuple[Verdict, str]:
    """The worst of the zones in which pods hang: a full subnet elsewhere must not hide why they do."""
    in_need = [zone for zone in zones if zone.stuck_pods or zone.verdict is Verdict.ENICONFIG_MISSING]
    judged = in_need or list(zones)
    shown = {zone.verdict for zone in judged}
    verdict = next((verdict for verdict in WORST_FIRST if verdict in shown), Verdict.RECOVERED)
    if verdict in PODS_SERVED and (lost := _lost(snapshot, causes)):
        return lost
    if verdict in PODS_SERVED and (beside := shortage_beside_pods(snapshot)):
        return beside
    told = [f"{zone.zone}: {zone.reason}" for zone in judged if zone.verdict == verdict]
    return verdict, "; ".join(told) or "no node and no stuck pod was found: there is nothing to cure"


def _lost(snapshot: Snapshot, causes: frozenset[Cause]) -> tuple[Verdict, str] | None:
    """Pods that hang on nodes of which nothing is known that a verdict could rest on, but for the words of EC2."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    unplaced = [node.name for node in snapshot.nodes if node.runs_vpc_cni and not node.zone and node.name in hosts]
    if unplaced:
        told = f"pods hang on {some_of(unplaced)}, whose zone is unknown: they lack the label {ZONE_LABEL}"
        return Verdict.CNI_FAULT, told
    # The host of a pod that is not among the nodes is gone, unless no node was read at all.
    lost = [pod for pod in snapshot.stuck_pods if not pod.node or not snapshot.nodes]
    if not lost:
        return None
    told = f"{counted(len(lost), 'pod')} without an address, on nodes that the snapshot does not tell"
    verdict = next((verdict for cause, verdict in _BY_WORD.items() if cause in causes), None)
    if verdict is None:
        return Verdict.CNI_FAULT, f"{told}: add those nodes with their interfaces, and the subnets"
    proven = ", ".join(sorted(cause for cause in causes if cause in _BY_WORD))
    return verdict, f"{told}; their events or the signals prove {proven}"
