"""What the nodes of stuck pods can still get: whether they lack addresses, and if not, what else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.allocation import Allocation, Lack, allocate
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import MAX_ENI, PREFIX_SIZE, Cni, Node
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room.free_space import free_addresses, free_space
from ip_remediator.snapshot.node_room.limits import (
    eni_limit,
    free_slots,
    keeps_slot_for_trunk,
    on_default_card,
    pods_that_fit,
    trunks,
    uses_prefixes,
)
from ip_remediator.snapshot.node_room.pools import (
    GrowthOption,
    Hindrance,
    describe_hindrance,
    growth_options,
    hindrance,
    pool_of,
)


class AddressSupply(StrEnum):
    """What the nodes of a group can still get. `OPEN`: enough for the pods, so addresses are not what they lack.
    `BARRED`: settings, tags or a cordon keep ipamd from every subnet. `RESERVED`: enough is free, but all of it may lie
    in reservations."""

    OPEN = "open"
    EXHAUSTED = "exhausted"
    FRAGMENTED = "fragmented"
    AT_LIMIT = "at_limit"
    BARRED = "barred"
    RESERVED = "reserved"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class NeedyNodes:
    """Nodes with stuck pods that can grow in the same ways, with what they can get."""

    nodes: tuple[str, ...]
    supply: AddressSupply
    reason: str


# How nodes can grow, what hinders them, why no subnet can help; where that is their limit, type and max-pods.
_Alike = tuple[frozenset[GrowthOption], Hindrance | None, AddressSupply | None, tuple[str | None, int | None]]


# What the node's own type and max-pods decide.
_OF_THE_NODE = (AddressSupply.AT_LIMIT, AddressSupply.OPEN)


class NodeSupply:
    """Judges the nodes with stuck pods. All of them compete for the free addresses in the snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        names = Counter(pod.node for pod in snapshot.stuck_pods if pod.node)
        cni_nodes = {name: node for name in names if (node := snapshot.node(name)) and node.runs_vpc_cni}
        self._growth_options = {name: growth_options(snapshot, node) for name, node in cni_nodes.items()}
        self.waiting: Mapping[str, int] = {name: names[name] for name in cni_nodes}

    @cached_property
    def _asking(self) -> dict[str, int]:
        """Those that ask for addresses in subnets whose free addresses are known."""
        return {name: pods for name, pods in self.waiting.items() if self._free(self._growth_options[name]) is not None}

    @cached_property
    def _at_best(self) -> Allocation:
        return allocate(self._snapshot, self._asking, optimistic=True)

    @cached_property
    def _at_worst(self) -> Allocation:
        return allocate(self._snapshot, self._asking, optimistic=False)

    def of(self, nodes: Iterable[Node], causes: frozenset[Cause]) -> list[NeedyNodes]:
        """Those of `nodes` that have stuck pods, by what they can get. `causes`: what events and signals prove."""
        alike: dict[_Alike, list[Node]] = {}
        for node in nodes:
            if node.name in self.waiting:
                options = self._growth_options[node.name]
                obstacle = None if options else self._obstacle(node)
                kind = (node.instance_type, node.max_pods) if obstacle in _OF_THE_NODE else (None, None)
                alike.setdefault((options, hindrance(self._snapshot, node), obstacle, kind), []).append(node)
        return [
            self._judge(options, hindered, members, causes)
            if obstacle is None
            else self._without_ways(obstacle, hindered, members)
            for (options, hindered, obstacle, _), members in alike.items()
        ]

    def _obstacle(self, node: Node) -> AddressSupply:
        """Why no subnet can help the node."""
        if not node.interfaces or on_default_card(node) is None:
            return AddressSupply.UNKNOWN
        hindered = hindrance(self._snapshot, node) not in (None, Hindrance.CORDONED)
        if free_slots(self._snapshot.cni, node) != 0 or hindered:
            return AddressSupply.BARRED
        # The kubelet starts no more than max-pods, so more addresses than that are never all taken.
        enough = node.max_pods is not None and pool_of(self._snapshot, node) > node.max_pods
        return AddressSupply.OPEN if enough else AddressSupply.AT_LIMIT

    def _free(self, options: frozenset[GrowthOption]) -> int | None:
        """The addresses that are certainly available; None if some subnet's free addresses are unknown."""
        subnets = [self._snapshot.subnet(id_) for id_ in {option.subnet for option in options}]
        return free_addresses(subnets, prefixes=any(option.prefixes for option in options))

    def _judge(
        self,
        options: frozenset[GrowthOption],
        hindered: Hindrance | None,
        nodes: list[Node],
        causes: frozenset[Cause],
    ) -> NeedyNodes:
        names = tuple(sorted(node.name for node in nodes))
        if self._free(options) is None:
            return self._by_word(names, options, causes)
        lack = self._lack(options, names, self._at_best)
        certain = lack or not self._lack(options, names, self._at_worst)
        if not certain and causes & _WORDS_ABOUT_SUBNETS:
            # Where what is left may be none, EC2's own code decides.
            lack = Lack.PREFIXES if Cause.PREFIX_FRAGMENTED in causes else Lack.ADDRESSES
        elif not certain:
            return NeedyNodes(names, AddressSupply.RESERVED, self._describe_reserved(options, names))
        if not lack and self._fragmented(options, nodes[0], causes):
            lack = Lack.PREFIXES
        if lack:
            return self._short(lack, options, names)
        if hindered:
            reason = f"{some_of(names)}: {describe_hindrance(self._snapshot, hindered)}"
            return NeedyNodes(names, AddressSupply.BARRED, reason)
        return NeedyNodes(names, AddressSupply.OPEN, self._describe_open(options, names, causes))

    def _short(self, lack: Lack, options: frozenset[GrowthOption], names: tuple[str, ...]) -> NeedyNodes:
        if lack is Lack.PREFIXES:
            return NeedyNodes(names, AddressSupply.FRAGMENTED, self._describe_fragments(options))
        return NeedyNodes(names, AddressSupply.EXHAUSTED, self._describe_exhausted(options, names))

    def _lack(self, options: frozenset[GrowthOption], names: Sequence[str], outcome: Allocation) -> Lack | None:
        """What one of the nodes does not get; or what all of them lack, if others found no room in any of their
        subnets."""
        lacking = {outcome.lacking[name] for name in names if name in outcome.lacking}
        if not lacking and {option.subnet for option in options} <= outcome.exhausted:
            return Lack.ADDRESSES
        return max(lacking, key=lambda lack: lack is Lack.ADDRESSES) if lacking else None

    def _fragmented(self, options: frozenset[GrowthOption], node: Node, causes: frozenset[Cause]) -> bool:
        """Where no one counted the /28, EC2's refusal proves it: ipamd's wrapper says the same words of a full subnet
        and of a fragmented one, and full they are not."""
        if not uses_prefixes(self._snapshot.cni, node):
            return False
        if Cause.PREFIX_FRAGMENTED in causes:
            return True
        subnets = [subnet for id_ in {option.subnet for option in options} if (subnet := self._snapshot.subnet(id_))]
        return Cause.SUBNET_FULL in causes and any(subnet.free_prefixes is None for subnet in subnets)

    # What is said

    def _pods(self, names: Iterable[str]) -> int:
        return sum(self.waiting[name] for name in names)

    def _describe_exhausted(self, options: frozenset[GrowthOption], names: Sequence[str]) -> str:
        subnets, free = _subnets(options), self._free(options) or 0
        need, asked = (
            min(option.addresses for option in options),
            sum(self._at_best.asked.get(name, 0) for name in names),
        )
        at_once = f", of which a node needs {need} at once" if free and need > 1 else ""
        if free and len(names) > 1:
            at_once += f"{' and' if at_once else ', of which'} {len(names)} nodes ask for {asked} in all"
        few = f"{counted(free, 'free address', 'free addresses')} in {subnets}"
        return f"{few} for {counted(self._pods(names), 'stuck pod')}{at_once}{self._beside_reserved(options)}"

    def _beside_reserved(self, options: frozenset[GrowthOption]) -> str:
        """A note on addresses that EC2 counts as free, but that a reservation keeps."""
        reserved = self._reservations(options)
        if not reserved:
            return ""
        counted_free = sum((subnet.free or 0) for subnet in self._subnets_of(options))
        return f": EC2 counts {counted_free} as free, but {some_of(reserved)} is reserved"

    def _describe_reserved(self, options: frozenset[GrowthOption], names: Sequence[str]) -> str:
        counted_free = sum((subnet.free or 0) for subnet in self._subnets_of(options))
        return (
            f"whether any of the {counted(counted_free, 'address', 'addresses')} that EC2 counts as free in "
            f"{_subnets(options)} can be had is not known, for {some_of(self._reservations(options))} is reserved: "
            f"that may be why {counted(self._pods(names), 'pod')} on {some_of(names)} get none"
        )

    def _subnets_of(self, options: frozenset[GrowthOption]) -> list[Subnet]:
        return [
            subnet for id_ in sorted({option.subnet for option in options}) if (subnet := self._snapshot.subnet(id_))
        ]

    def _reservations(self, options: frozenset[GrowthOption]) -> list[str]:
        prefixes = any(option.prefixes for option in options)
        return [
            reservation.cidr
            for subnet in self._subnets_of(options)
            for reservation in free_space(subnet, prefixes=prefixes).reserved
        ]

    def _describe_fragments(self, options: frozenset[GrowthOption]) -> str:
        subnets, names = self._subnets_of(options), _subnets(options)
        whole, free = sum(subnet.free_prefixes or 0 for subnet in subnets), self._free(options) or 0
        needed = min((option.prefixes for option in options if option.prefixes), default=1)
        if whole and (reserved := self._reservations(options)):
            where = f"the {whole} of {names} may lie in {some_of(reserved)}, which is reserved"
            return f"a node asks for {needed} /28 at once, and {where}"
        if whole:
            return f"a node asks for {needed} /28 at once, and {names} has {free} free addresses in {whole} whole /28"
        return f"prefix delegation needs {PREFIX_SIZE} contiguous addresses; {names} has {free} free, none contiguous"

    def _describe_open(self, options: frozenset[GrowthOption], names: Sequence[str], causes: frozenset[Cause]) -> str:
        free, pods = self._free(options) or 0, self._pods(names)
        can = f"{counted(free, 'address', 'addresses')} {'is' if free == 1 else 'are'} free in {_subnets(options)}"
        hang = f"{counted(pods, 'pod')} {'hangs' if pods == 1 else 'hang'}"
        if Cause.SUBNET_FULL in causes:
            return (
                f"{can} by EC2's count, yet EC2 refused addresses to {some_of(names)}, where {hang}: they came free "
                "since, or a subnet CIDR reservation that was not read holds them (aws ec2 "
                f"get-subnet-cidr-reservations --subnet-id {min(option.subnet for option in options)}); ipamd asks "
                "again two minutes after a refusal, and if it is still so then, look at aws-node"
            )
        return (
            f"{can} and {some_of(names)} can use that, yet {hang}: ipamd asks again two minutes after a refusal; "
            "if it is still so then, look at aws-node"
        )

    def _without_ways(self, obstacle: AddressSupply, hindered: Hindrance | None, nodes: list[Node]) -> NeedyNodes:
        names = tuple(sorted(node.name for node in nodes))
        hosts = some_of(names)
        if obstacle is AddressSupply.AT_LIMIT:
            return NeedyNodes(names, obstacle, describe_limit(self._snapshot, nodes))
        if obstacle is AddressSupply.OPEN:
            return NeedyNodes(names, obstacle, f"{hosts}: {self._describe_pool(nodes[0])}")
        if obstacle is AddressSupply.UNKNOWN:
            return self._wherever_they_are(nodes, names)
        if hindered:
            return NeedyNodes(names, obstacle, f"{hosts}: {describe_hindrance(self._snapshot, hindered)}")
        reason = f"{hosts}: the kubernetes.io/role/cni tags exclude every subnet that they could use: correct the tags"
        return NeedyNodes(names, obstacle, reason)

    def _describe_pool(self, node: Node) -> str:
        return (
            f"its ENIs hold {pool_of(self._snapshot, node)} addresses and max-pods allows {node.max_pods} pods, so "
            "none is lacking: look at ipamd there"
        )

    def _wherever_they_are(self, nodes: list[Node], names: tuple[str, ...]) -> NeedyNodes:
        """The nodes' ENIs are unknown: they lack addresses if all known subnets of their zone together have too few."""
        zones, pods = {node.zone for node in nodes}, self._pods(names)
        subnets = [subnet for subnet in self._snapshot.subnets if subnet.zone in zones]
        free = free_addresses(subnets)
        if free is not None and free < pods:
            ids = some_of(sorted(subnet.id for subnet in subnets))
            free_count = counted(free, "free address", "free addresses")
            reason = f"{free_count} in {ids}, the known subnets of {', '.join(sorted(z for z in zones if z))}, for "
            return NeedyNodes(names, AddressSupply.EXHAUSTED, reason + counted(pods, "stuck pod"))
        unread_part = "the ENIs" if any(not node.interfaces for node in nodes) else "the network cards of the ENIs"
        reason = f"{unread_part} of {some_of(names)} are unknown, so nothing proves a lack of addresses"
        return NeedyNodes(
            names, AddressSupply.UNKNOWN, f"{reason}: capture the snapshot again, or add these interfaces to it"
        )

    def _by_word(
        self, names: tuple[str, ...], options: frozenset[GrowthOption], causes: frozenset[Cause]
    ) -> NeedyNodes:
        """Free addresses are unknown: EC2's own refusal, in the signals, still proves a full subnet."""
        subnets, pods = _subnets(options), counted(self._pods(names), "stuck pod")
        if Cause.SUBNET_FULL in causes:
            return NeedyNodes(names, AddressSupply.EXHAUSTED, f"EC2 refused addresses of {subnets} for {pods}")
        if Cause.PREFIX_FRAGMENTED in causes:
            return NeedyNodes(names, AddressSupply.FRAGMENTED, f"EC2 has no contiguous /28 in {subnets} for {pods}")
        reason = f"the free addresses of {subnets} are unknown, so nothing proves a lack of them"
        return NeedyNodes(
            names, AddressSupply.UNKNOWN, f"{reason}: capture the snapshot again, or add what is free to it"
        )


_WORDS_ABOUT_SUBNETS = frozenset({Cause.SUBNET_FULL, Cause.PREFIX_FRAGMENTED})


def describe_limit(snapshot: Snapshot, nodes: Sequence[Node]) -> str:
    """Why nodes can attach no further ENI, and what they hold; `nodes` are alike."""
    names = some_of(sorted(node.name for node in nodes))
    cni, first = snapshot.cni, nodes[0]
    why = _why_full(cni, nodes)
    fitting = pods_that_fit(cni, first, custom_networking=cni.custom_networking)
    holds = f"; {first.instance_type or 'such a node'} holds {fitting} pods" if fitting is not None else ""
    if fitting is not None and (first.max_pods or 0) > fitting:
        holds += f", and max-pods allows {first.max_pods}"
    return f"{names}: {why}{holds}; more pods need more nodes"


def _why_full(cni: Cni, nodes: Sequence[Node]) -> str:
    if any(keeps_slot_for_trunk(cni, node) for node in nodes):
        return "ENABLE_POD_ENI=true makes ipamd keep the last ENI slot for the trunk ENI, and every other ENI is full"
    if any(trunks(cni, node) for node in nodes):
        return (
            "every ENI is attached and full; the trunk ENI (ENABLE_POD_ENI) has a slot and no addresses for other pods"
        )
    chosen = cni.number(MAX_ENI)
    if chosen and chosen == eni_limit(cni, nodes[0]) != eni_limit(Cni(), nodes[0]):
        return f"every ENI that MAX_ENI={chosen} allows is attached and full"
    if others := [eni.id for node in nodes for eni in node.interfaces if eni.unmanaged]:
        kept = some_of(others, 3)
        return f"every ENI of the instance type is attached, and full but for those that ipamd leaves to others: {kept}"
    return "every ENI of the instance type is attached and full"


def _subnets(options: frozenset[GrowthOption]) -> str:
    return some_of(sorted({option.subnet for option in options}))
