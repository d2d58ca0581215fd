"""Where stuck pods wait, and whether the subnets that their nodes can grow into have what those nodes need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ip_remediator.common.text import counted, some_of
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.ipamd import MINIMUM_IP_TARGET, GrowthOption, free_addresses, held_back, ways
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, Node, StuckPod
from ip_remediator.snapshot.model_vpc import Subnet


class AddressSupply(StrEnum):
    """What the nodes of a group can still get. `OPEN`: enough for the pods, so addresses are not what they lack.
    `BARRED`: settings or tags keep ipamd from every subnet."""

    OPEN = "open"
    EXHAUSTED = "exhausted"
    FRAGMENTED = "fragmented"
    AT_LIMIT = "at_limit"
    BARRED = "barred"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ZoneNodes:
    """Nodes with stuck pods that can grow in the same ways: they compete for the same subnets."""

    nodes: tuple[str, ...]
    supply: AddressSupply
    reason: str


def hosts_of(
    snapshot: Snapshot, nodes: Iterable[Node], stuck: Iterable[StuckPod], causes: frozenset[Cause]
) -> list[ZoneNodes]:
    """The nodes of the stuck pods in groups, each with its supply."""
    waiting: dict[str | None, int] = {}
    for pod in stuck:
        waiting[pod.node] = waiting.get(pod.node, 0) + 1
    groups: dict[tuple[frozenset[GrowthOption], AddressSupply | None], list[Node]] = {}
    for node in nodes:
        if node.name in waiting:
            options = ways(snapshot, node)
            groups.setdefault((options, None if options else _obstacle(snapshot, node)), []).append(node)
    return [
        _judge(snapshot, options, members, sum(waiting[node.name] for node in members), causes)
        if obstacle is None
        else _without_ways(snapshot, obstacle, members, sum(waiting[node.name] for node in members))
        for (options, obstacle), members in groups.items()
    ]


def _obstacle(snapshot: Snapshot, node: Node) -> AddressSupply:
    """Why no subnet can help the node."""
    if not node.interfaces:
        return AddressSupply.UNKNOWN
    return (
        AddressSupply.AT_LIMIT if node.free_eni_slots == 0 and not held_back(snapshot, node) else AddressSupply.BARRED
    )


def _judge(
    snapshot: Snapshot, options: frozenset[GrowthOption], nodes: list[Node], pods: int, causes: frozenset[Cause]
) -> ZoneNodes:
    names = tuple(sorted(node.name for node in nodes))
    subnets = {way.subnet: snapshot.subnet(way.subnet) for way in options}
    told = some_of(sorted(subnets))
    free = free_addresses(subnets.values())
    if free is None:
        return _by_word(names, told, pods, causes)
    found = sorted((way for way in options if _has(subnets[way.subnet], way)), key=lambda way: way.subnet)
    serving = free_addresses(subnets[id_] for id_ in {way.subnet for way in found}) or 0
    if serving < pods:
        need = min(way.addresses for way in options)
        at_once = f", of which a node needs {need} at once" if free and need > 1 else ""
        return ZoneNodes(
            names,
            AddressSupply.EXHAUSTED,
            f"{counted(free, 'free address', 'free addresses')} in {told} for {counted(pods, 'stuck pod')}{at_once}",
        )
    if snapshot.cni.prefix_delegation and _fragmented(found, subnets, causes):
        return ZoneNodes(names, AddressSupply.FRAGMENTED, _told_fragments(options, subnets, told, free))
    can = f"{counted(free, 'address', 'addresses')} {'is' if free == 1 else 'are'} free in {told}"
    hang = f"{counted(pods, 'pod')} {'hangs' if pods == 1 else 'hang'}"
    reason = (
        f"{can} and {some_of(names)} can use that, yet {hang}: ipamd asks again two minutes after a refusal; "
        "if it is still so then, look at aws-node"
    )
    return ZoneNodes(names, AddressSupply.OPEN, reason)


def _told_fragments(options: frozenset[GrowthOption], subnets: dict[str, Subnet | None], told: str, free: int) -> str:
    whole = sum(subnet.free_prefixes or 0 for subnet in subnets.values() if subnet)
    needed = min(way.prefixes for way in options)
    if whole:
        return f"a node asks for {needed} /28 at once, and {told} has {free} free addresses in {whole} whole /28"
    return f"prefix delegation needs {PREFIX_SIZE} contiguous addresses; {told} has {free} free, none contiguous"


def _without_ways(snapshot: Snapshot, obstacle: AddressSupply, nodes: list[Node], pods: int) -> ZoneNodes:
    names = tuple(sorted(node.name for node in nodes))
    told = some_of(names)
    if obstacle is AddressSupply.AT_LIMIT:
        reason = f"{told}: every ENI of the instance type is attached and full; more pods need more nodes"
        return ZoneNodes(names, obstacle, reason)
    if obstacle is AddressSupply.UNKNOWN:
        return _wherever_they_are(snapshot, nodes, names, pods)
    minimum = snapshot.cni.env.get(MINIMUM_IP_TARGET)
    if any(held_back(snapshot, node) for node in nodes):
        reason = (
            f"{MINIMUM_IP_TARGET}={minimum} without WARM_IP_TARGET keeps ipamd from asking for more on {told}, however "
            "many addresses are free: set WARM_IP_TARGET to 1 or more on aws-node"
        )
    else:
        reason = f"{told}: the kubernetes.io/role/cni tags exclude every subnet that they could use: correct the tags"
    return ZoneNodes(names, obstacle, reason)


def _wherever_they_are(snapshot: Snapshot, nodes: list[Node], names: tuple[str, ...], pods: int) -> ZoneNodes:
    """The nodes' ENIs are unknown: they lack addresses if all known subnets of their zone together have too few."""
    zones = {node.zone for node in nodes}
    subnets = [subnet for subnet in snapshot.subnets if subnet.zone in zones]
    free = free_addresses(subnets)
    if free is not None and free < pods:
        told = some_of(sorted(subnet.id for subnet in subnets))
        left = counted(free, "free address", "free addresses")
        reason = f"{left} in {told}, the known subnets of {', '.join(sorted(z for z in zones if z))}, for "
        return ZoneNodes(names, AddressSupply.EXHAUSTED, reason + counted(pods, "stuck pod"))
    reason = f"the ENIs of {some_of(names)} are unknown, so nothing proves a lack of addresses"
    return ZoneNodes(
        names, AddressSupply.UNKNOWN, f"{reason}: capture the snapshot again, or add these interfaces to it"
    )


def _by_word(names: tuple[str, ...], told: str, pods: int, causes: frozenset[Cause]) -> ZoneNodes:
    """Free addresses are unknown: EC2's own refusal, in the signals, still proves a full subnet."""
    if Cause.SUBNET_FULL in causes:
        return ZoneNodes(
            names, AddressSupply.EXHAUSTED, f"EC2 refused addresses of {told} for {counted(pods, 'stuck pod')}"
        )
    if Cause.PREFIX_FRAGMENTED in causes:
        return ZoneNodes(
            names, AddressSupply.FRAGMENTED, f"EC2 has no contiguous /28 in {told} for {counted(pods, 'stuck pod')}"
        )
    reason = f"the free addresses of {told} are unknown, so nothing proves a lack of them"
    return ZoneNodes(names, AddressSupply.UNKNOWN, f"{reason}: capture the snapshot again, or add what is free to it")


def _has(subnet: Subnet | None, way: GrowthOption) -> bool:
    return subnet is not None and subnet.free is not None and subnet.free >= way.addresses


def _fragmented(found: list[GrowthOption], subnets: dict[str, Subnet | None], causes: frozenset[Cause]) -> bool:
    """No subnet with enough addresses has a free /28. Where that was not counted, EC2's refusal proves it: ipamd's
    wrapper says the same words of a full subnet and of a fragmented one, and full they are not."""
    if Cause.PREFIX_FRAGMENTED in causes:
        return True
    counts = {way: subnet.free_prefixes for way in found if (subnet := subnets[way.subnet])}
    if None in counts.values():
        return Cause.SUBNET_FULL in causes
    return all((count or 0) < way.prefixes for way, count in counts.items())
