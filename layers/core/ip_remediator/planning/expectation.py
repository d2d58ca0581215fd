"""What a plan promises: which of the stuck pods heal at once, and which only after their node is replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.node_relief import diagnose_node
from ip_remediator.diagnosis.node_subnets import full_node_subnets
from ip_remediator.planning.model import BlockRequirement
from ip_remediator.planning.warm_reclaim import describe_frees
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, Node
from ip_remediator.snapshot.node_places import outpost_of_node
from ip_remediator.snapshot.node_room.eni_subnets import groups_that_fail
from ip_remediator.snapshot.node_room.limits import (
    HOST_NETWORK_PODS,
    addresses_per_eni,
    enis_for_pods,
    free_slots,
    pods_that_fit,
    uses_prefixes,
)
from ip_remediator.snapshot.node_room.pools import Hindrance, hindrance, largest_pool, pool_of

_NAMED = 5
_REPLACED = "after replacing {}"
_WITHOUT_TARGET = "on {} not before WARM_IP_TARGET is set"
# The plan is kept in one item of at most 400 KB.
_LISTED = 500


class _Part(NamedTuple):
    """Some of the stuck pods, and what becomes of them. `further_nodes`: they wait for nodes that are not there."""

    pods: int
    words: str
    further_nodes: bool = False


@dataclass(frozen=True)
class Expectation:
    """The sentence, the number of pods that it promises now, and the nodes after whose replacement more pods heal."""

    text: str
    heals_now: int
    replace_nodes: tuple[str, ...]


def expect(snapshot: Snapshot, needed: BlockRequirement, *, by_hand: bool) -> Expectation:
    """The expectation of a plan. `by_hand`: the plan only prepares, and heals when people have done the rest."""
    stuck = snapshot.stuck_pods
    if needed.expected:
        return Expectation(needed.expected, 0, ())
    if needed.leaked:
        return Expectation(_now(len(stuck), len(stuck)), len(stuck), ())
    if needed.warm_targets:
        waits = len(stuck) - needed.heals_now
        rest = f", {waits} on nodes that still get no address" if waits else ""
        text = f"{_now(needed.heals_now, len(stuck))}{rest}; frees at least {describe_frees(needed.frees)}"
        return Expectation(text, needed.heals_now, ())
    if needed.strategy == "node-group":
        hosts = _hosts(pod.node for pod in stuck)
        on_new_nodes = f", {len(stuck)} when they run on the new node groups" if stuck else ""
        return Expectation(_now(0, len(stuck)) + on_new_nodes, 0, hosts[:_LISTED])
    if not stuck:
        return Expectation(_before_anybody_waits(snapshot, needed), 0, ())
    return _of_new_enis(snapshot, needed, by_hand=by_hand)


def _of_new_enis(snapshot: Snapshot, needed: BlockRequirement, *, by_hand: bool) -> Expectation:
    """New subnets serve pods only through new ENIs: as many as the node has free slots, each with its addresses."""
    stuck = snapshot.stuck_pods
    waiting = Counter(pod.node for pod in stuck)
    served = [node for node in snapshot.nodes if node.name in waiting and _is_served(snapshot, node, needed)]
    relieved = [node for node in served if diagnose_node(snapshot, node, labelled=True).relieved_now]
    now = sum(min(waiting[node.name], _room(snapshot, node)) for node in relieved)
    condition = _condition(snapshot, needed, by_hand=by_hand)
    later = _names_by_what_they_wait_for(snapshot, served, relieved)
    replaced = later.pop(_REPLACED, [])
    parts = [
        _Part(now, condition or ""),
        _beyond_room(snapshot, relieved, waiting),
        *_on_new_nodes({name: _room_of_new_node(snapshot, name, needed) for name in replaced}, waiting),
        *_on_nodes_not_relieved(later, waiting),
        _Part(len(stuck) - sum(waiting[node.name] for node in served), "on nodes that it does not serve"),
    ]
    surely = 0 if condition else now
    return Expectation(_text(snapshot, surely, parts), surely, _hosts(replaced)[:_LISTED])


def _text(snapshot: Snapshot, surely: int, parts: Iterable[_Part]) -> str:
    shown = [part for part in parts if part.pods and part.words]
    text = ", ".join([_now(surely, len(snapshot.stuck_pods)), *(f"{part.pods} {part.words}" for part in shown)])
    full = _where_none_can_be_launched(snapshot) if any(part.further_nodes for part in shown) else ""
    return f"{text}; {full}" if full else text


def _before_anybody_waits(snapshot: Snapshot, needed: BlockRequirement) -> str:
    """Where the next pods find addresses: on present nodes that can take a further ENI, and on new ones."""
    served = [node for node in snapshot.nodes if _is_served(snapshot, node, needed)]
    full = _where_none_can_be_launched(snapshot)
    if any(diagnose_node(snapshot, node, labelled=True).relieved_now for node in served):
        return _now(0, 0) + (f" on the present nodes, for {full}" if full else "")
    none = "no pod waits yet, and no present node can take a further ENI"
    return f"{none}: {full}" if full else f"{none}: the next pods find addresses on new nodes"


def _condition(snapshot: Snapshot, needed: BlockRequirement, *, by_hand: bool) -> str | None:
    """What keeps the plan from promising anything to the pods that it can heal at once."""
    if by_hand:
        return "when the handed-over changes are applied"
    if _may_have_branch_enis(snapshot, needed):
        return "unless they have security groups of their own (ENABLE_POD_ENI): branch ENIs are not discovered"
    return None


def _names_by_what_they_wait_for(
    snapshot: Snapshot, served: Iterable[Node], relieved: Iterable[Node]
) -> dict[str, list[str]]:
    """The names of the nodes that are not relieved at once, by what their pods wait for."""
    helped = {node.name for node in relieved}
    names: dict[str, list[str]] = {}
    for node in served:
        if node.name not in helped:
            names.setdefault(_comes_with(snapshot, node), []).append(node.name)
    return names


def _beyond_room(snapshot: Snapshot, relieved: Iterable[Node], waiting: Mapping[str | None, int]) -> _Part:
    """The pods for which the new ENIs of their node have no address left."""
    beyond = {node.name: waiting[node.name] - _room(snapshot, node) for node in relieved}
    full = _hosts(name for name, pods in beyond.items() if pods > 0)
    pods = sum(beyond[name] for name in full)
    if largest_pool(snapshot.cni) is not None:
        return _Part(pods, _WITHOUT_TARGET.format(_named(full)))
    return _Part(pods, f"only on further nodes: the ENIs of {_named(full)} hold no more", further_nodes=True)


def _on_new_nodes(new_nodes: Mapping[str, int | None], waiting: Mapping[str | None, int]) -> Iterator[_Part]:
    """Pods that wait for a node to be replaced, and those for which the new node has no address either."""
    served = {name: waiting[name] if room is None else min(waiting[name], room) for name, room in new_nodes.items()}
    beyond = {name: waiting[name] - pods for name, pods in served.items()}
    enough, too_small = ([name for name, pods in counts.items() if pods] for counts in (served, beyond))
    yield _Part(sum(served.values()), _REPLACED.format(_named(_hosts(enough))))
    after = _REPLACED.format(_named(_hosts(too_small)))
    words = f"{after} and on further nodes, for one like it holds no more pods"
    yield _Part(sum(beyond.values()), words, further_nodes=True)


def _room_of_new_node(snapshot: Snapshot, name: str, needed: BlockRequirement) -> int | None:
    """How many more pods a node of the same type has addresses for; None: not known. A node with stuck pods uses all of
    its addresses."""
    node = snapshot.node(name)
    custom = snapshot.cni.custom_networking or needed.strategy == "custom-networking"
    fitting = pods_that_fit(snapshot.cni, node, custom_networking=custom) if node else None
    if node is None or fitting is None or not node.interfaces:
        return None
    most = largest_pool(snapshot.cni)
    holds = fitting - HOST_NETWORK_PODS if most is None else min(fitting - HOST_NETWORK_PODS, most)
    return max(0, holds - (pool_of(snapshot, node) if node.pods is None else node.pods))


def _on_nodes_not_relieved(later: Mapping[str, Sequence[str]], waiting: Mapping[str | None, int]) -> Iterator[_Part]:
    for words, names in later.items():
        yield _Part(sum(waiting[name] for name in names), words.format(_named(_hosts(names))))


def _may_have_branch_enis(snapshot: Snapshot, needed: BlockRequirement) -> bool:
    """Whether a stuck pod may need a branch ENI: it is not known which pods have security groups, and discovery gives
    branch ENIs no subnet."""
    return needed.strategy == "subnet-discovery" and snapshot.cni.pod_eni


def _where_none_can_be_launched(snapshot: Snapshot) -> str:
    """Where pods that need a further node cannot get one; the risk node-subnets-full has the numbers."""
    full = [subnet.id for subnet in full_node_subnets(snapshot)]
    return f"no node can be launched in {some_of(full)}" if full else ""


def _comes_with(snapshot: Snapshot, node: Node) -> str:
    """What the pods of a node wait for that is not relieved at once; `{}` stands for the nodes."""
    cni, slots = snapshot.cni, free_slots(snapshot.cni, node)
    if enis_for_pods(cni, node, custom_networking=True) == 0:  # the primary ENI stays in the node's own subnet
        return "not at all on {}, nor on new nodes like them: they can have no further ENI for pods"
    if cni.not_provisioning:
        return f"on {{}} not before {cni.not_provisioning} is unset: ipamd attaches nothing"
    if slots is None:
        return "if {} can take another ENI, which is unknown"
    if slots and (groups := groups_that_fail(snapshot, node)):
        return f"on {{}} not before their security groups are put right: {groups}"
    match hindrance(snapshot, node) if slots else None:
        case Hindrance.MINIMUM_IP_TARGET:
            return _WITHOUT_TARGET
        case Hindrance.CORDONED:
            return "on {} not before they are uncordoned, or replaced"
    return _REPLACED


def _is_served(snapshot: Snapshot, node: Node, needed: BlockRequirement) -> bool:
    """Whether the plan's subnets serve the node. A subnet in the Region does not serve a node on an Outpost."""
    if not node.runs_vpc_cni or node.zone not in needed.zones or outpost_of_node(snapshot, node):
        return False
    pointed = needed.eni_configs.get(node.zone)
    return pointed is None or needed.strategy == "custom-networking" or node.selected_eni_config in pointed


def _room(snapshot: Snapshot, node: Node) -> int:
    """The number of pods that further ENIs of the node can serve; the first address of each ENI is its own."""
    addresses = addresses_per_eni(node)
    if addresses is None:
        return len(snapshot.stuck_pods)
    per_slot = PREFIX_SIZE if uses_prefixes(snapshot.cni, node) else 1
    on_enis = (free_slots(snapshot.cni, node) or 0) * (addresses - 1) * per_slot
    most = largest_pool(snapshot.cni)
    return on_enis if most is None else min(on_enis, _in_whole(per_slot, most - pool_of(snapshot, node)))


def _in_whole(per_slot: int, addresses: int) -> int:
    """ipamd takes whole prefixes, so the last one may hold more addresses than the node is short of."""
    return -(-addresses // per_slot) * per_slot


def _now(count: int, total: int) -> str:
    return f"heals {count} of {total} pods now" if total else "no pod waits yet: the next ones find addresses"


def _hosts(nodes: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({node for node in nodes if node}))


def _named(nodes: tuple[str, ...]) -> str:
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return ", ".join(nodes[:_NAMED]) + more
