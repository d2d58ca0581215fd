"""Where stuck pods wait, and whether the subnets that their nodes can grow into have what those nodes need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ip_remediator.domain.capacity import Way, free_addresses, ways
from ip_remediator.domain.plural import counted
from ip_remediator.domain.signals import Cause
from ip_remediator.domain.snapshot import PREFIX_SIZE, Node, Snapshot, StuckPod, Subnet


class Supply(StrEnum):
    """What the nodes of a group can still get. `OPEN`: enough for the pods, so addresses are not what they lack."""

    OPEN = "open"
    EXHAUSTED = "exhausted"
    FRAGMENTED = "fragmented"
    AT_LIMIT = "at_limit"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Hosts:
    """Nodes with stuck pods that can grow in the same ways: they compete for the same subnets."""

    nodes: tuple[str, ...]
    supply: Supply
    reason: str


def hosts_of(
    snapshot: Snapshot, nodes: Iterable[Node], stuck: Iterable[StuckPod], causes: frozenset[Cause]
) -> list[Hosts]:
    """The nodes of the stuck pods in groups, each with its supply."""
    waiting: dict[str | None, int] = {}
    for pod in stuck:
        waiting[pod.node] = waiting.get(pod.node, 0) + 1
    groups: dict[frozenset[Way], list[Node]] = {}
    for node in nodes:
        if node.name in waiting:
            groups.setdefault(ways(snapshot, node), []).append(node)
    return [
        _judge(snapshot, options, members, sum(waiting[node.name] for node in members), causes)
        for options, members in groups.items()
    ]


def _judge(
    snapshot: Snapshot, options: frozenset[Way], nodes: list[Node], pods: int, causes: frozenset[Cause]
) -> Hosts:
    names = tuple(sorted(node.name for node in nodes))
    if not options:
        return _without_ways(nodes, names)
    subnets = {way.subnet: snapshot.subnet(way.subnet) for way in options}
    told = ", ".join(sorted(subnets))
    free = free_addresses(subnets.values())
    if free is None:
        return _by_word(names, told, pods, causes)
    found = [way for way in options if _has(subnets[way.subnet], way)]
    serving = free_addresses(subnets[id_] for id_ in {way.subnet for way in found}) or 0
    if serving < pods:
        need = min(way.addresses for way in options)
        at_once = f", of which a node needs {need} at once" if free and need > 1 else ""
        return Hosts(
            names,
            Supply.EXHAUSTED,
            f"{counted(free, 'free address', 'free addresses')} in {told} for {counted(pods, 'stuck pod')}{at_once}",
        )
    if snapshot.cni.prefix_delegation and _fragmented(found, subnets, causes):
        reason = f"prefix delegation needs {PREFIX_SIZE} contiguous addresses; {told} has {free} free, none contiguous"
        return Hosts(names, Supply.FRAGMENTED, reason)
    can = f"{counted(free, 'address', 'addresses')} {'is' if free == 1 else 'are'} free in {told}"
    hang = f"{counted(pods, 'pod')} {'hangs' if pods == 1 else 'hang'}"
    reason = (
        f"{can} and {', '.join(names)} can use that, yet {hang}: ipamd asks again two minutes after a refusal; "
        "if it is still so then, look at aws-node"
    )
    return Hosts(names, Supply.OPEN, reason)


def _without_ways(nodes: list[Node], names: tuple[str, ...]) -> Hosts:
    if any(not node.interfaces for node in nodes):
        return Hosts(names, Supply.UNKNOWN, f"the ENIs of {', '.join(names)} are unknown: no verdict on their subnets")
    reason = f"{', '.join(names)}: every ENI of the instance type is attached and full; more pods need more nodes"
    return Hosts(names, Supply.AT_LIMIT, reason)


def _by_word(names: tuple[str, ...], told: str, pods: int, causes: frozenset[Cause]) -> Hosts:
    """Free addresses are unknown: EC2's own refusal, in the signals, still proves a full subnet."""
    if Cause.SUBNET_FULL in causes:
        return Hosts(names, Supply.EXHAUSTED, f"EC2 refused addresses of {told} for {counted(pods, 'stuck pod')}")
    if Cause.PREFIX_FRAGMENTED in causes:
        return Hosts(names, Supply.FRAGMENTED, f"EC2 has no contiguous /28 in {told} for {counted(pods, 'stuck pod')}")
    return Hosts(names, Supply.UNKNOWN, f"the free addresses of {told} are unknown: no verdict on them")


def _has(subnet: Subnet | None, way: Way) -> bool:
    return subnet is not None and subnet.free is not None and subnet.free >= way.addresses


def _fragmented(found: list[Way], subnets: dict[str, Subnet | None], causes: frozenset[Cause]) -> bool:
    """No subnet with enough addresses has a free /28. Where that was not counted, EC2's refusal proves it: ipamd's
    wrapper says the same words of a full subnet and of a fragmented one, and full they are not."""
    if Cause.PREFIX_FRAGMENTED in causes:
        return True
    counts = {way.subnet: subnet.free_prefixes for way in found if (subnet := subnets[way.subnet])}
    if None in counts.values():
        return Cause.SUBNET_FULL in causes
    return all(count == 0 for count in counts.values())
