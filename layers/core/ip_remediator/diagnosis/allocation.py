"""Simulates whether the free addresses are enough for what all nodes with stuck pods will request.

Each node asks for its own batch: what an ENI with room still holds, or all addresses of a new ENI in one call
(snapshot.node_room.pools). Nodes that share a subnet share its free addresses. So the requests are simulated as
ipamd makes them: first on ENIs with room, then for new ENIs, in the subnet with the most free addresses
(awsutils.go, GetVpcSubnets).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import MINIMUM_IP_TARGET, PREFIX_SIZE, WARM_IP_TARGET, Node
from ip_remediator.snapshot.node_room.eni_subnets import next_eni_subnets
from ip_remediator.snapshot.node_room.free_space import free_space
from ip_remediator.snapshot.node_room.limits import addresses_per_eni, free_slots, uses_prefixes
from ip_remediator.snapshot.node_room.pools import (
    Hindrance,
    addresses_of_new_eni,
    hindrance,
    pool_of,
    prefixes_of_new_eni,
    room_on,
    serving_interfaces,
)


class Lack(StrEnum):
    """What a subnet lacks for a node: single addresses, or a free /28 block."""

    ADDRESSES = "addresses"
    PREFIXES = "prefixes"


@dataclass
class Allocation:
    """The outcome: what `lacking` nodes did not get, by name; `asked` are the addresses that each node asks for in all;
    `exhausted` the subnets in which some request found too few addresses (not only none side by side); `unserved` how
    many pods of a node get none."""

    lacking: dict[str, Lack] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    exhausted: set[str] = field(default_factory=set)
    unserved: dict[str, int] = field(default_factory=dict)


def allocate(snapshot: Snapshot, waiting: Mapping[str, int], *, optimistic: bool) -> Allocation:
    """`waiting`: stuck pods by the name of a node that can ask for addresses in known subnets.

    `optimistic`: all that EC2 counts as free lies outside of reservations, as far as it fits there; else inside.
    """
    requests = _Requests(snapshot, _FreeSpace(snapshot, optimistic=optimistic))
    nodes = [node for name in sorted(waiting) if (node := snapshot.node(name))]
    # Cordoned nodes come last.
    nodes.sort(key=lambda node: hindrance(snapshot, node) is Hindrance.CORDONED)
    unserved = {node.name: requests.on_present_enis(node, waiting[node.name]) for node in nodes}
    for node in nodes:
        if unserved[node.name] > 0 and node.name not in requests.outcome.lacking:
            unserved[node.name] = requests.for_new_enis(node, unserved[node.name])
    requests.outcome.unserved = {name: pods for name, pods in unserved.items() if pods > 0}
    return requests.outcome


class _FreeSpace:
    """The remaining free addresses of each subnet. `prefixes`: for nodes that take prefixes."""

    def __init__(self, snapshot: Snapshot, *, optimistic: bool) -> None:
        self._snapshot = snapshot
        self._optimistic = optimistic
        self._taken: Counter[str] = Counter()
        self._taken_prefixes: Counter[str] = Counter()

    def addresses(self, subnet: str, *, prefixes: bool) -> int:
        facts = self._snapshot.subnet(subnet)
        if facts is None:
            return 0
        space = free_space(facts, prefixes=prefixes)
        free = space.most_addresses if self._optimistic else space.addresses
        return max(0, (free or 0) - self._taken[subnet])

    def prefixes(self, subnet: str) -> int:
        """The free /28 blocks; where they were not counted, as many as the free addresses can form."""
        facts = self._snapshot.subnet(subnet)
        if facts is None:
            return 0
        space = free_space(facts, prefixes=True)
        free = space.most_prefixes if self._optimistic else space.prefixes
        most = self.addresses(subnet, prefixes=True) // PREFIX_SIZE
        return most if free is None else max(0, min(most, free - self._taken_prefixes[subnet]))

    def take(self, subnet: str, addresses: int, prefixes: int) -> None:
        self._taken[subnet] += addresses
        self._taken_prefixes[subnet] += prefixes


@dataclass(frozen=True)
class _EniRequest:
    """How a node asks for one more ENI: the first request takes `addresses`, or whole `prefixes`, for `at_once` pods;
    a full ENI serves `most`. `unit`: the addresses of an item: 1, or those of a prefix."""

    subnets: tuple[str, ...]
    addresses: int
    prefixes: int
    at_once: int
    most: int
    unit: int

    @classmethod
    def of(cls, snapshot: Snapshot, node: Node) -> Self:
        takes_prefixes = uses_prefixes(snapshot.cni, node)
        addresses, prefixes = addresses_of_new_eni(snapshot, node), prefixes_of_new_eni(snapshot, node)
        return cls(
            subnets=tuple(next_eni_subnets(snapshot, node)),
            addresses=addresses,
            prefixes=prefixes,
            at_once=prefixes * PREFIX_SIZE if takes_prefixes else max(1, addresses - 1),
            most=((addresses_per_eni(node) or 1) - 1) * _unit(takes_prefixes),
            unit=_unit(takes_prefixes),
        )


class _Requests:
    def __init__(self, snapshot: Snapshot, free: _FreeSpace) -> None:
        self._snapshot = snapshot
        self._free = free
        self._refused: dict[str, list[str]] = {}
        self.outcome = Allocation()

    def on_present_enis(self, node: Node, pods: int) -> int:
        """Fills the attached ENIs as far as EC2 has addresses, and returns the number of pods that remain."""
        prefixes = uses_prefixes(self._snapshot.cni, node)
        for eni in serving_interfaces(self._snapshot, node):
            room = room_on(node, eni)
            if pods <= 0 or room == 0:
                continue
            wanted = self._wanted(node, pods, room)
            taken = self._take(node, eni.subnet_id, wanted)
            pods -= taken * _unit(prefixes)
            if pods <= 0 or taken == wanted:
                continue
            self._refused.setdefault(node.name, []).append(eni.subnet_id)
            if not prefixes:
                self.outcome.exhausted.add(eni.subnet_id)
            if not self._snapshot.cni.passes_full_interfaces:
                self._lacks(node, (eni.subnet_id,), _unit(prefixes))
                return pods
        return pods

    def _wanted(self, node: Node, pods: int, room: int | None) -> int:
        """How many addresses, or prefixes, ipamd asks for in the end to serve the pods on an ENI with that room."""
        cni, prefixes = self._snapshot.cni, uses_prefixes(self._snapshot.cni, node)
        warm, minimum = cni.number(WARM_IP_TARGET), cni.number(MINIMUM_IP_TARGET)
        if warm or minimum:  # datastoreTargetState
            pods = max(pods + warm, minimum - pool_of(self._snapshot, node))
        elif not prefixes and room is not None:
            return room
        units = -(-pods // _unit(prefixes))
        return units if room is None else min(room, units)

    def _take(self, node: Node, subnet: str, wanted: int) -> int:
        """Takes that many addresses, or prefixes, as far as there are; returns how many it took."""
        prefixes = uses_prefixes(self._snapshot.cni, node)
        available = self._free.prefixes(subnet) if prefixes else self._free.addresses(subnet, prefixes=False)
        taken = min(wanted, available)
        self._free.take(subnet, taken * _unit(prefixes), taken if prefixes else 0)
        self.outcome.asked[node.name] = self.outcome.asked.get(node.name, 0) + wanted * _unit(prefixes)
        return taken

    def for_new_enis(self, node: Node, pods: int) -> int:
        """Attaches as many ENIs as the pods need and the node has slots for; returns the number of pods that remain. A
        node without a free slot lacks no addresses."""
        slots = free_slots(self._snapshot.cni, node)
        request = _EniRequest.of(self._snapshot, node)
        for _ in range(pods if slots is None else slots):
            if pods <= 0:
                return 0
            pods_served = self._on_new_eni(node, request, pods)
            if not pods_served:
                return pods
            pods -= pods_served
        if pods > 0 and node.name in self._refused:
            self._lacks(node, self._refused[node.name], request.unit)
        return pods

    def _on_new_eni(self, node: Node, request: _EniRequest, pods: int) -> int:
        """Attaches one ENI and fills it as far as the pods need; returns the number of pods that it serves, 0 if no
        subnet has room for it."""
        self.outcome.asked[node.name] = self.outcome.asked.get(node.name, 0) + request.addresses
        fitting = [id_ for id_ in request.subnets if self._has_room(id_, request.addresses, request.prefixes)]
        if not fitting:
            self._lacks(node, request.subnets, request.addresses)
            if self.outcome.lacking[node.name] is Lack.ADDRESSES:
                self.outcome.exhausted.update(request.subnets)
            return 0
        chosen = max(fitting, key=lambda id_: self._free.addresses(id_, prefixes=request.unit > 1))
        self._free.take(chosen, request.addresses, request.prefixes)
        further = min(pods, request.most) - request.at_once  # where warm targets or prefixes make the first one small
        if further <= 0:
            return request.at_once
        return request.at_once + self._take(node, chosen, -(-further // request.unit)) * request.unit

    def _has_room(self, subnet: str, addresses: int, prefixes: int) -> bool:
        enough = self._free.addresses(subnet, prefixes=prefixes > 0) >= addresses
        return enough and (not prefixes or self._free.prefixes(subnet) >= prefixes)

    def _lacks(self, node: Node, subnets: Iterable[str], addresses: int) -> None:
        """Records the lack: of prefixes, if enough addresses are free but not contiguous, else of addresses."""
        prefixes = uses_prefixes(self._snapshot.cni, node)
        free = max((self._free.addresses(id_, prefixes=prefixes) for id_ in subnets), default=0)
        self.outcome.lacking[node.name] = Lack.PREFIXES if prefixes and free >= addresses else Lack.ADDRESSES


def _unit(prefixes: bool) -> int:
    return PREFIX_SIZE if prefixes else 1
