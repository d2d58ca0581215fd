"""The option `delete-leaked-enis`: ENIs that the VPC CNI leaked hold addresses that no pod uses.

The option is taken only if the ENIs are provably this cluster's, are in subnets that the nodes in need can use, and
free enough addresses for every stuck pod. Addresses are counted as ipamd takes them: it fills an ENI that has room, or
asks for all addresses of a new ENI at once. A shortage that is only forecast is not cured by it, only delayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import counted
from ip_remediator.diagnosis.diagnose import stuck_pods_of_zone
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning.sizing import room_in, used_a_day
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.node_room.eni_subnets import next_eni_subnets, pod_nodes, zone_subnets
from ip_remediator.snapshot.node_room.limits import addresses_per_eni, free_slots
from ip_remediator.snapshot.node_room.pools import addresses_of_new_eni, hindrance, room_on, serving_interfaces

_NAMED = 5
# A plan lists each deletion, and is kept in one item of at most 400 KB.
_AT_ONCE = 500


@dataclass(frozen=True)
class Leaks:
    """The ENIs whose deletion would help, and whether it is `enough`; `reason` is for people either way."""

    interfaces: tuple[LeakedInterface, ...]
    enough: bool
    reason: str


def examine(snapshot: Snapshot, diagnosis: Diagnosis) -> Leaks:
    """Whether deleting leaked ENIs is enough. Only ENIs that provably were this cluster's count."""
    if not snapshot.leaked_interfaces:
        return _passed_over("no ENI is leaked")
    # In an order of their own: EC2 promises none, and an approval is bound to what the plan lists.
    leaked = sorted(snapshot.leaked_interfaces, key=lambda eni: eni.id)
    ours = [eni for eni in leaked if _provably_ours(snapshot, eni)]
    number = counted(len(leaked), "leaked ENI")
    if not ours:
        return _passed_over(
            f"{number} ({_names(leaked)}), none of which says that it was this cluster's: look at "
            "the tags, and delete them by hand"
        )
    if diagnosis.verdict is not Verdict.SUBNET_EXHAUSTED or snapshot.cni.prefix_delegation:
        return _passed_over(f"{number}, but single addresses are not what is missing ({diagnosis.verdict})")
    needy = [zone.zone for zone in diagnosis.zones if zone.verdict is Verdict.SUBNET_EXHAUSTED]
    useful = _largest(_in_reach(snapshot, needy, ours))
    if not useful:
        return _passed_over(f"{number}, none in a subnet that the nodes in need can grow into")
    return _judge(snapshot, needy, useful)


def _in_reach(snapshot: Snapshot, zones: list[str], interfaces: list[LeakedInterface]) -> list[LeakedInterface]:
    """Those in subnets that the zones' nodes can grow into."""
    reachable = {subnet.id for zone in zones for subnet in zone_subnets(snapshot, zone)}
    return [eni for eni in interfaces if eni.subnet_id in reachable]


def _largest(interfaces: Iterable[LeakedInterface]) -> tuple[LeakedInterface, ...]:
    """As many as one plan deletes: those with the most addresses, sorted by id."""
    chosen = sorted(interfaces, key=lambda eni: (-eni.addresses, eni.id))[:_AT_ONCE]
    return tuple(sorted(chosen, key=lambda eni: eni.id))


def _passed_over(reason: str) -> Leaks:
    return Leaks((), False, reason)


def _provably_ours(snapshot: Snapshot, eni: LeakedInterface) -> bool:
    if eni.cluster:
        return eni.cluster == snapshot.cluster.name
    return eni.instance_id is not None and eni.instance_id in {node.instance_id for node in snapshot.nodes}


def _judge(snapshot: Snapshot, needy: list[str], useful: tuple[LeakedInterface, ...]) -> Leaks:
    frees = sum(eni.addresses for eni in useful)
    leak = f"{counted(len(useful), 'leaked ENI')} ({_names(useful)}) hold{'s' if len(useful) == 1 else ''} {frees}"
    leak += f" {'address' if frees == 1 else 'addresses'}"
    free = _free_without(snapshot, needy, useful)
    short = [zone for zone in needy if not _enough(snapshot, zone, free)]
    if short:
        return Leaks((), False, f"{leak}: not enough for {', '.join(short)}, and so no cure alone")
    remaining = sum(count or 0 for count in free.values())
    return Leaks(useful, True, f"{leak}, enough for every pod that waits; {_how_long(snapshot, needy, remaining)}")


def _free_without(snapshot: Snapshot, needy: list[str], gone: tuple[LeakedInterface, ...]) -> dict[str, int | None]:
    """Free addresses of the subnets that the zones' nodes can grow into, once the ENIs are deleted."""
    freed = Counter[str]()
    for eni in gone:
        freed[eni.subnet_id] += eni.addresses
    return {
        subnet.id: None if (room := room_in(snapshot, subnet).addresses) is None else room + freed[subnet.id]
        for zone in needy
        for subnet in zone_subnets(snapshot, zone)
    }


def _enough(snapshot: Snapshot, zone: str, free: dict[str, int | None]) -> bool:
    """Whether every stuck pod of the zone gets an address; takes those addresses from `free`."""
    waiting = Counter(pod.node for pod in stuck_pods_of_zone(snapshot, zone))
    if not waiting:
        return _enough_for_the_next(snapshot, zone, free)
    hosts = sorted((node for node in pod_nodes(snapshot, zone) if node.name in waiting), key=lambda node: node.name)
    return all(_serve(snapshot, node, waiting[node.name], free) for node in hosts)


def _enough_for_the_next(snapshot: Snapshot, zone: str, free: dict[str, int | None]) -> bool:
    """For a shortage without stuck pods: whether the next ENI of any node fits. False for a forecast, because there is
    time for a cure that lasts."""
    subnets = zone_subnets(snapshot, zone)
    if any(subnet.full_at and room_in(snapshot, subnet).addresses for subnet in subnets):
        return False
    largest = max((addresses_of_new_eni(snapshot, node) for node in pod_nodes(snapshot, zone)), default=1)
    return any((free.get(subnet.id) or 0) >= largest for subnet in subnets)


def _serve(snapshot: Snapshot, node: Node, pods: int, free: dict[str, int | None]) -> bool:
    """Takes addresses for the node's pods; False if it cannot take enough, or if that is unknown."""
    slots = free_slots(snapshot.cni, node)
    if slots is None or addresses_per_eni(node) is None or hindrance(snapshot, node):
        return False
    pods -= _taken_on_present_enis(snapshot, node, pods, free)
    size = addresses_of_new_eni(snapshot, node)
    for _ in range(slots):
        if pods <= 0 or not _take_new_eni(snapshot, node, size, free):
            break
        pods -= size - 1
    return pods <= 0


def _taken_on_present_enis(snapshot: Snapshot, node: Node, pods: int, free: dict[str, int | None]) -> int:
    """Fills the ENIs that have room until the pods are served; returns the number of addresses taken."""
    total = 0
    for eni in serving_interfaces(snapshot, node):
        if total >= pods:
            break
        taken = min(room_on(node, eni) or 0, free.get(eni.subnet_id) or 0)
        free[eni.subnet_id] = (free.get(eni.subnet_id) or 0) - taken
        total += taken
    return total


def _take_new_eni(snapshot: Snapshot, node: Node, size: int, free: dict[str, int | None]) -> bool:
    """Takes the addresses of one more ENI from the subnet with most; False where none has as many."""
    options = [id_ for id_ in next_eni_subnets(snapshot, node) if (free.get(id_) or 0) >= size]
    if not options:
        return False
    chosen = max(sorted(options), key=lambda id_: free.get(id_) or 0)
    free[chosen] = (free.get(chosen) or 0) - size
    return True


def _how_long(snapshot: Snapshot, needy: list[str], remaining: int) -> str:
    """How long it lasts: not long, because nothing is added."""
    rate = sum(used_a_day(snapshot, zone) or 0 for zone in needy)
    after = f"full again after {remaining} more" if remaining else "full again at once"
    when = f"in about {counted(round(remaining / rate), 'day')}" if rate else "when is not known"
    return f"it alone does not last: {after}, {when}"


def _names(interfaces: Sequence[LeakedInterface]) -> str:
    more = f" and {len(interfaces) - _NAMED} more" if len(interfaces) > _NAMED else ""
    return ", ".join(eni.id for eni in interfaces[:_NAMED]) + more
