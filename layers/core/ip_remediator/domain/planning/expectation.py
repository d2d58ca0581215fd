"""Who benefits from a plan: which of the stuck pods at once, and which only after their node is replaced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ip_remediator.domain.planning.documents import BlockRequirement
from ip_remediator.domain.snapshot import Snapshot

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
    served = [node for node in snapshot.nodes if node.runs_vpc_cni and node.zone in needed.zones]
    relieved = {node.name for node in served if node.free_eni_slots}
    full = {node.name for node in served} - relieved
    now = [pod for pod in stuck if pod.node in relieved]
    waiting = [pod for pod in stuck if pod.node in full]
    later = _hosts(pod.node for pod in waiting)
    others = len(stuck) - len(now) - len(waiting)
    parts = [_now(0 if by_hand else len(now), len(stuck))]
    parts += [f"{len(now)} when the handed-over changes are applied"] if by_hand and now else []
    parts += [f"{len(waiting)} after replacing {_named(later)}"] if waiting else []
    parts += [f"{others} on nodes that it does not serve"] if others else []
    return Expectation(", ".join(parts), 0 if by_hand else len(now), later[:_LISTED])


def _now(count: int, total: int) -> str:
    return f"heals {count} of {total} pods now" if total else "no pod waits yet: the next ones find addresses"


def _hosts(nodes: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({node for node in nodes if node}))


def _named(nodes: tuple[str, ...]) -> str:
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return ", ".join(nodes[:_NAMED]) + more
