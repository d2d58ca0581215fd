"""Snapshot -> Diagnosis: is it a lack of addresses, where, and which nodes would be relieved at once.

The event of a failed sandbox proves only that the CNI's ADD failed. So the verdict rests on what EC2 and Kubernetes
report about subnets, ENIs and nodes, and each verdict has its evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.alternatives import alternatives
from ip_remediator.diagnosis.evidence import evidence, unknown
from ip_remediator.diagnosis.groups import AddressGroup, address_groups, free_for
from ip_remediator.diagnosis.judge import describe_recovery, judge
from ip_remediator.diagnosis.model import CURABLE, PODS_SERVED, Diagnosis, GroupDiagnosis, ZoneDiagnosis
from ip_remediator.diagnosis.node_relief import diagnose_node
from ip_remediator.diagnosis.node_subnets import (
    describe_shortages,
    low_cluster_subnets,
    node_launch_reason,
    shortage_beside_pods,
)
from ip_remediator.diagnosis.pod_messages import Words
from ip_remediator.diagnosis.spread import advice_to_spread
from ip_remediator.diagnosis.supply import NodeSupply
from ip_remediator.diagnosis.unselected import lacking_labels
from ip_remediator.diagnosis.unsupported import unsupported
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import ZONE_LABEL, Node, StuckPod
from ip_remediator.snapshot.node_room.eni_subnets import pod_nodes, zone_subnets, zones_of
from ip_remediator.snapshot.node_room.free_space import free_addresses, lasting
from ip_remediator.snapshot.node_room.limits import all_use_prefixes

_SHORTAGES = frozenset({Verdict.SUBNET_EXHAUSTED, Verdict.PREFIX_FRAGMENTED})
# If zones differ, the cluster's verdict is the first of these that any zone has.
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
# Causes that apply to every zone, whichever node reported them.
_REGIONAL = frozenset({Cause.ENI_QUOTA})
# The verdict by the cause of events and signals, if no facts are known; the most specific first.
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
    Verdict.NODE_LIMIT: "add nodes or take larger ones, more addresses do not help these",
    Verdict.NODE_LAUNCH: "give nodes further subnets, more pod subnets do not help",
    Verdict.CLUSTER_SUBNETS: "give the cluster other subnets, more pod subnets do not help",
    Verdict.ENI_QUOTA: "ask for a higher quota, more addresses do not help before",
    Verdict.CNI_FAULT: "put that right first, before any addresses are added",
    Verdict.UNSUPPORTED: "see the alternatives, no plan is possible here",
}
_LARGER_FOR_LOAD_BALANCERS = "give load balancers larger subnets, more pod subnets do not help"
_LABEL_NODES = "label those nodes, the plan prints the commands"
_ON_OUTPOSTS = "make a subnet on the Outpost, the plan prints the commands"
_SHOWN = 4


def diagnose(snapshot: Snapshot, causes: Iterable[Cause] = ()) -> Diagnosis:
    """The verdict on `snapshot`; `causes` are the causes that the incident's signals proved.

    What the stuck pods' own events prove counts as well, each for the zone of its node.
    """
    facts = _in_order(snapshot)
    refused = unsupported(facts)
    if refused:
        return Diagnosis(
            verdict=Verdict.UNSUPPORTED,
            summary=_with_next_step(refused, _NEXT[Verdict.UNSUPPORTED]),
            evidence=(refused, *_waiting(facts)),
            unknown=facts.unread,
            alternatives=alternatives(facts, Verdict.UNSUPPORTED),
        )
    signals = frozenset(causes)
    words = Words.of(facts.stuck_pods)
    supply = NodeSupply(facts)
    judged = [_diagnose_group(facts, group, supply, signals, words) for group in address_groups(facts)]
    zones = tuple(
        _diagnose_zone(facts, zone, [group for group in judged if group.zone == zone]) for zone in zones_of(facts)
    )
    verdict, reason = _overall(facts, zones, signals | words.of_all)
    labelled = {node.name for node in snapshot.nodes if node.zone}
    return Diagnosis(
        verdict=verdict,
        summary=_with_next_step(reason, _next_step(facts, verdict, judged)),
        zones=zones,
        groups=tuple(judged),
        nodes=tuple(
            diagnose_node(facts, node, labelled=node.name in labelled) for node in facts.nodes if node.runs_vpc_cni
        ),
        evidence=(
            *evidence(facts, [zone.zone for zone in zones], signals, words.examples),
            *describe_shortages(facts),
        ),
        unknown=unknown(snapshot),
        alternatives=(*_advice_to_spread(facts, judged), *alternatives(facts, verdict)),
    )


def _advice_to_spread(snapshot: Snapshot, groups: Sequence[GroupDiagnosis]) -> Iterator[str]:
    in_the_region = [group for group in groups if not group.outpost]
    short = {group.zone for group in in_the_region if group.verdict in _SHORTAGES}
    free = Counter[str]()
    for group in in_the_region:
        if group.verdict is Verdict.RECOVERED and group.zone not in short:
            free[group.zone] += group.free or 0
    yield from advice_to_spread(snapshot, sorted(short), free)


def _in_order(snapshot: Snapshot) -> Snapshot:
    """Sorted, because EC2 and Kubernetes promise no order. A node without a zone label gets the zone of its primary
    ENI's subnet."""
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


def _next_step(snapshot: Snapshot, verdict: Verdict, groups: Sequence[GroupDiagnosis]) -> str | None:
    """What people do now, as the plan for these groups says."""
    if verdict is Verdict.CLUSTER_SUBNETS and not low_cluster_subnets(snapshot):
        return _LARGER_FOR_LOAD_BALANCERS
    concerned = [group for group in _in_need(groups) if group.verdict is verdict]
    if verdict is Verdict.ENICONFIG_MISSING:
        return _labels_or_eni_configs(snapshot, concerned)
    on_outposts = bool(concerned) and all(group.outpost for group in concerned)
    return _ON_OUTPOSTS if verdict in CURABLE and on_outposts else _NEXT.get(verdict)


def _labels_or_eni_configs(snapshot: Snapshot, concerned: Sequence[GroupDiagnosis]) -> str:
    """Labels where an ENIConfig that fits is there, and the plan's ENIConfigs for the rest."""
    keys = {(group.zone, group.eni_config) for group in concerned}
    labels = {(group.zone, group.eni_config) for group, _ in lacking_labels(snapshot, keys)}
    if labels == keys:
        return _LABEL_NODES
    put_right = _NEXT[Verdict.ENICONFIG_MISSING]
    return f"{put_right}, and {_LABEL_NODES}" if labels else put_right


def _with_next_step(reason: str, next_step: str | None) -> str:
    return f"{reason}; next: {next_step}" if next_step else reason


def _waiting(snapshot: Snapshot) -> tuple[str, ...]:
    return (f"{counted(len(snapshot.stuck_pods), 'pod')} without an address",) if snapshot.stuck_pods else ()


def stuck_pods_of_zone(snapshot: Snapshot, zone: str) -> list[StuckPod]:
    """The stuck pods on the zone's nodes that run the VPC CNI."""
    names = {node.name for node in pod_nodes(snapshot, zone)}
    return [pod for pod in snapshot.stuck_pods if pod.node in names]


def _diagnose_group(
    snapshot: Snapshot, group: AddressGroup, supply: NodeSupply, signals: frozenset[Cause], words: Words
) -> GroupDiagnosis:
    causes = signals | words.on(node.name for node in group.nodes) | (words.of_all & _REGIONAL)
    verdict, reason = judge(snapshot, group, supply, causes)
    return GroupDiagnosis(
        zone=group.zone,
        outpost=group.outpost,
        eni_config=group.eni_config,
        subnets=group.subnets,
        verdict=verdict,
        reason=reason,
        free=free_for(snapshot, group),
        nodes=len(group.nodes),
        stuck_pods=sum(supply.waiting.get(node.name, 0) for node in group.nodes),
    )


def _diagnose_zone(snapshot: Snapshot, zone: str, groups: list[GroupDiagnosis]) -> ZoneDiagnosis:
    subnets = zone_subnets(snapshot, zone)
    prefixes = all_use_prefixes(snapshot.cni, pod_nodes(snapshot, zone))
    in_zone = subnets or [subnet for subnet in snapshot.subnets if subnet.zone == zone]
    free = free_addresses(in_zone, prefixes=prefixes)
    stuck = sum(group.stuck_pods for group in groups)
    last = None if stuck else lasting(subnets)
    verdict, reason = _judge_zone(snapshot, zone, groups, free)
    return ZoneDiagnosis(
        zone=zone,
        verdict=verdict,
        reason=reason,
        free=free,
        nodes=sum(group.nodes for group in groups),
        stuck_pods=stuck,
        full_at=last.full_at if last else None,
    )


def _judge_zone(snapshot: Snapshot, zone: str, groups: list[GroupDiagnosis], free: int | None) -> tuple[Verdict, str]:
    """The worst verdict of the groups in need; with several reasons each names its group. Groups in need of something
    else are named besides, and those that are short before a pod waits."""
    in_need = _in_need(groups)
    verdict = _worst(in_need)
    reasons = list(dict.fromkeys(group.reason for group in in_need if group.verdict is verdict))
    if verdict is Verdict.RECOVERED and (unlaunchable := node_launch_reason(snapshot, zone)):
        verdict, reasons = Verdict.NODE_LAUNCH, [unlaunchable]
    if verdict is Verdict.RECOVERED and len(reasons) > 1:
        return verdict, describe_recovery(free)
    besides = [group.reason for group in groups if _is_named_besides(group, in_need, verdict)]
    return verdict, some_of(reasons, _SHOWN) + (f"; besides, {some_of(besides, _SHOWN)}" if besides else "")


def _is_named_besides(group: GroupDiagnosis, in_need: Sequence[GroupDiagnosis], verdict: Verdict) -> bool:
    """Whether the group lacks something else than the zone's verdict says, or is short before a pod of it waits."""
    return group.verdict is not verdict if group in in_need else group.verdict in CURABLE


_Judged = TypeVar("_Judged", GroupDiagnosis, ZoneDiagnosis)


def _in_need(judged: Sequence[_Judged]) -> list[_Judged]:
    """Those with stuck pods or without ENIs; all, if there are none."""
    in_need = [part for part in judged if part.stuck_pods or part.verdict is Verdict.ENICONFIG_MISSING]
    return in_need or list(judged)


def _worst(judged: Iterable[GroupDiagnosis | ZoneDiagnosis]) -> Verdict:
    verdicts = {part.verdict for part in judged}
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), Verdict.RECOVERED)


def _overall(snapshot: Snapshot, zones: tuple[ZoneDiagnosis, ...], causes: frozenset[Cause]) -> tuple[Verdict, str]:
    """The worst of the zones with stuck pods: a full subnet elsewhere must not hide their cause."""
    in_need = _in_need(zones)
    verdict = _worst(in_need)
    if verdict in PODS_SERVED:
        outside_zones = (
            _on_nodes_without_zone(snapshot) or _on_unknown_nodes(snapshot, causes) or shortage_beside_pods(snapshot)
        )
        if outside_zones:
            return outside_zones
    reasons = [f"{zone.zone}: {zone.reason}" for zone in in_need if zone.verdict == verdict]
    return verdict, "; ".join(reasons) or "no node and no stuck pod was found: there is nothing to cure"


def _on_nodes_without_zone(snapshot: Snapshot) -> tuple[Verdict, str] | None:
    """Pods that hang on nodes whose zone neither a label nor a subnet tells."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    unplaced = [node.name for node in snapshot.nodes if node.runs_vpc_cni and not node.zone and node.name in hosts]
    if not unplaced:
        return None
    reason = f"pods hang on {some_of(unplaced)}, whose zone is unknown: they lack the label {ZONE_LABEL}"
    return Verdict.CNI_FAULT, reason


def _on_unknown_nodes(snapshot: Snapshot, causes: frozenset[Cause]) -> tuple[Verdict, str] | None:
    """The verdict for pods on nodes of which nothing is known, except what EC2's messages prove."""
    # The host of a pod that is not among the nodes is gone, unless no node was read at all.
    pods = [pod for pod in snapshot.stuck_pods if not pod.node or not snapshot.nodes]
    if not pods:
        return None
    reason = f"{counted(len(pods), 'pod')} without an address, on nodes that the snapshot does not tell"
    verdict = next((verdict for cause, verdict in _BY_WORD.items() if cause in causes), None)
    if verdict is None:
        return Verdict.CNI_FAULT, f"{reason}: add those nodes with their interfaces, and the subnets"
    proven = ", ".join(sorted(causes & _BY_WORD.keys()))
    return verdict, f"{reason}; their events or the signals prove {proven}"
