"""Who benefits from a plan: which of the stuck pods at once, and which only after their node is replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.node_relief import diagnose_node
from ip_remediator.diagnosis.node_subnets import full_node_subnets
from ip_remediator.planning.model import BlockRequirement
from ip_remediator.snapshot.ipamd import held_back
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, Node
from ip_remediator.snapshot.node_places import outpost_of_node

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
    served = [node for node in snapshot.nodes if node.name in waiting and _is_served(snapshot, node, needed)]
    relieved = [node for node in served if diagnose_node(snapshot, node, labelled=True).relieved_now]
    helped = {node.name for node in relieved}
    others = [node for node in served if node.name not in helped]
    dark = _hosts(node.name for node in others if node.free_eni_slots is None)
    held = _hosts(node.name for node in others if node.free_eni_slots and held_back(snapshot, node))
    later = tuple(sorted({node.name for node in others} - {*dark, *held}))
    now = sum(min(waiting[node.name], _room(snapshot, node)) for node in relieved)
    beyond = {node.name: waiting[node.name] - _room(snapshot, node) for node in relieved}
    full = _hosts(name for name, pods in beyond.items() if pods > 0)
    left = len(stuck) - sum(waiting[node.name] for node in served)
    parts = [
        (now if by_hand else 0, "when the handed-over changes are applied"),
        (
            now if not by_hand and _may_have_branch_enis(snapshot, needed) else 0,
            "unless they have security groups of their own (ENABLE_POD_ENI): branch ENIs are not discovered",
        ),
        (_pods(waiting, later), f"after replacing {_named(later)}"),
        (sum(beyond[name] for name in full), f"only on further nodes: the ENIs of {_named(full)} hold no more"),
        (_pods(waiting, held), f"on {_named(held)} not before WARM_IP_TARGET is set"),
        (_pods(waiting, dark), f"if {_named(dark)} can take another ENI, which is unknown"),
        (left, "on nodes that it does not serve"),
    ]
    surely = 0 if by_hand or _may_have_branch_enis(snapshot, needed) else now
    told = [_now(surely, len(stuck)), *(f"{pods} {words}" for pods, words in parts if pods)]
    unlaunchable = "" if stuck else _on_present_nodes(snapshot)
    return Expectation(", ".join(told) + unlaunchable, surely, later[:_LISTED])


def _may_have_branch_enis(snapshot: Snapshot, needed: BlockRequirement) -> bool:
    """Which of the stuck pods have security groups of their own is not known, and discovery moves no branch ENI."""
    return needed.strategy == "subnet-discovery" and snapshot.cni.pod_eni


def _on_present_nodes(snapshot: Snapshot) -> str:
    """What is not promised to pods that will come."""
    full = [subnet.id for subnet in full_node_subnets(snapshot)]
    return f" on the present nodes, for no node can be launched in {some_of(full)}" if full else ""


def _is_served(snapshot: Snapshot, node: Node, needed: BlockRequirement) -> bool:
    """A subnet of the Region is of no use to a node on an Outpost."""
    return node.runs_vpc_cni and node.zone in needed.zones and outpost_of_node(snapshot, node) is None


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
