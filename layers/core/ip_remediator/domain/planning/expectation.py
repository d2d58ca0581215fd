"""Who benefits from a plan: which of the stuck pods at once, and which only after their node is replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ip_remediator.domain.planning.documents import BlockRequirement
from ip_remediator.domain.snapshot import PREFIX_SIZE, Node, Snapshot

_NAMED = 5
# The plan is kept in one item of at most 400 KB.
_LISTED = 500


@dataclass(frozen=True)
class Expectation:
    text: str
    heals_now: int
    replace_nodes: tuple[str, ...]


def expect(snapshot: Snapshot, needed: BlockRequirement, *, by_hand: bool) -> Expectation:
    """`by_hand`: the plan only prepares, and heals when people have done the rest."""
    stuck = snapshot.stuck_pods
    if needed.leaked:
        return Expectation(_now(len(stuck), len(stuck)), len(stuck), ())
    if needed.strategy == "node-group":
        hosts = _hosts(pod.node for pod in stuck)
        on_new_nodes = f", {len(stuck)} when they run on the new node groups" if stuck else ""
        return Expectation(_now(0, len(stuck)) + on_new_nodes, 0, hosts[:_LISTED])
    return _of_new_enis(snapshot, needed, by_hand=by_hand)


def _of_new_enis(snapshot: Snapshot, needed: BlockRequirement, *, by_hand: bool) -> Expectation:
    """New subnets serve pods through new ENIs only: as many as the node has free slots, each with its addresses."""
    stuck = snapshot.stuck_pods
    waiting = Counter(pod.node for pod in stuck)
    served = [node for node in snapshot.nodes if node.name in waiting and _is_served(node, needed)]
    now = sum(min(waiting[node.name], _room(snapshot, node)) for node in served if node.free_eni_slots)
    later = _hosts(node.name for node in served if node.free_eni_slots == 0)
    dark = _hosts(node.name for node in served if node.free_eni_slots is None)
    beyond = {node.name: waiting[node.name] - _room(snapshot, node) for node in served if node.free_eni_slots}
    beyond = {name: pods for name, pods in sorted(beyond.items()) if pods > 0}
    others = len(stuck) - sum(waiting[node.name] for node in served)
    parts = [_now(0 if by_hand else now, len(stuck))]
    parts += [f"{now} when the handed-over changes are applied"] if by_hand and now else []
    parts += [f"{_pods(waiting, later)} after replacing {_named(later)}"] if later else []
    parts += (
        [f"{sum(beyond.values())} only on further nodes: the ENIs of {_named(tuple(beyond))} hold no more"]
        if beyond
        else []
    )
    parts += [f"{_pods(waiting, dark)} if {_named(dark)} can take another ENI, which is unknown"] if dark else []
    parts += [f"{others} on nodes that it does not serve"] if others else []
    return Expectation(", ".join(parts), 0 if by_hand else now, later[:_LISTED])


def _is_served(node: Node, needed: BlockRequirement) -> bool:
    return node.runs_vpc_cni and node.zone in needed.zones


def _room(snapshot: Snapshot, node: Node) -> int:
    """Pods that the ENIs hold which the node can still take; the first address of each is its own."""
    if node.addresses_per_eni is None:
        return len(snapshot.stuck_pods)
    each = PREFIX_SIZE if snapshot.cni.prefix_delegation else 1
    return (node.free_eni_slots or 0) * (node.addresses_per_eni - 1) * each


def _pods(waiting: Counter[str | None], hosts: tuple[str, ...]) -> int:
    return sum(waiting[name] for name in hosts)


def _now(count: int, total: int) -> str:
    return f"heals {count} of {total} pods now" if total else "no pod waits yet: the next ones find addresses"


def _hosts(nodes: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({node for node in nodes if node}))


def _named(nodes: tuple[str, ...]) -> str:
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return ", ".join(nodes[:_NAMED]) + more
