"""What a node can still get for its pods: room on the ENIs it has, and a further ENI.

Restates how ipamd grows a node's pool (amazon-vpc-cni-k8s, pkg/ipamd: tryAssignIPs, tryAllocateENI): it first puts
addresses on ENIs with room, one if EC2 refuses more; else it asks for a new ENI with all of its addresses in one call
and does not try again with fewer. So a subnet with three free addresses is full for a node that needs a new ENI.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ip_remediator.domain.snapshot import (
    CLUSTER_DISCOVERY_TAG,
    DEFAULT_ENI_CONFIG,
    DISCOVERY_TAG,
    PREFIX_SIZE,
    WARM_IP_TARGET,
    Node,
    Snapshot,
    Subnet,
)


@dataclass(frozen=True)
class Way:
    """One way to more addresses: at least `addresses` free ones in `subnet` are needed, and `prefixes` free /28."""

    subnet: str
    addresses: int
    prefixes: int = 0


def pod_nodes(snapshot: Snapshot, zone: str) -> list[Node]:
    """The zone's nodes whose pods the VPC CNI serves."""
    return [node for node in snapshot.nodes if node.zone == zone and node.runs_vpc_cni]


def next_eni_subnets(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """The subnets that ipamd may create the node's next ENI in."""
    if snapshot.cni.custom_networking:
        return tuple(
            config.subnet
            for config in snapshot.eni_configs
            if config.name == node.selected_eni_config and config.subnet
        )
    home = node.primary_subnet
    if not snapshot.cni.subnet_discovery:
        return (home,) if home else ()
    found = tuple(subnet.id for subnet in snapshot.subnets if _discovered(snapshot, node, subnet))
    known = snapshot.subnet(home)
    # A home subnet that is not among the facts cannot be seen to be excluded.
    return found if known or not home else (home, *found)


def eni_configs_of(snapshot: Snapshot, zone: str) -> tuple[str, ...]:
    """The ENIConfigs that must point at the zone's subnet: those its nodes select.

    Before the first turn to custom networking that is the one named after the zone, and whatever a node selects by
    the external label or its annotation, which go before the label of the zone.
    """
    selected = {node.selected_eni_config for node in pod_nodes(snapshot, zone)}
    if not snapshot.cni.custom_networking:
        selected = selected - {DEFAULT_ENI_CONFIG} | {zone}
    return tuple(sorted(selected))


def _discovered(snapshot: Snapshot, node: Node, subnet: Subnet) -> bool:
    """Enhanced subnet discovery: the node's own subnet and tagged ones of its zone, less those that the tag's value 0
    or another cluster's tag excludes (since v1.22.1)."""
    tag = subnet.tags.get(DISCOVERY_TAG)
    scopes = [key for key in subnet.tags if key.startswith(CLUSTER_DISCOVERY_TAG)]
    if tag == "0" or (scopes and CLUSTER_DISCOVERY_TAG + snapshot.cluster.name not in scopes):
        return False
    return subnet.id == node.primary_subnet or (tag == "1" and subnet.zone == node.zone)


def zone_subnets(snapshot: Snapshot, zone: str) -> list[Subnet]:
    """The subnets that the next ENIs of the zone's nodes may come from."""
    ids = {id_ for node in pod_nodes(snapshot, zone) for id_ in next_eni_subnets(snapshot, node)}
    return [subnet for subnet in snapshot.subnets if subnet.id in ids]


def ways(snapshot: Snapshot, node: Node) -> frozenset[Way]:
    """Every way in which ipamd can get the node another address; empty: the node is at its limit.

    Where the limits of the instance type are unknown, room is assumed.
    """
    prefixes = 1 if snapshot.cni.prefix_delegation else 0
    one_more = PREFIX_SIZE if prefixes else 1
    # With custom networking ipamd puts nothing more on the primary ENI.
    usable = [eni for eni in node.interfaces if not (eni.primary and snapshot.cni.custom_networking)]
    with_room = {
        Way(eni.subnet_id, one_more, prefixes)
        for eni in usable
        if node.addresses_per_eni is None or eni.addresses + eni.prefixes < node.addresses_per_eni
    }
    if node.free_eni_slots == 0:
        return frozenset(with_room)
    new_eni = addresses_of_new_eni(snapshot, node)
    return frozenset(with_room | {Way(id_, new_eni, prefixes) for id_ in next_eni_subnets(snapshot, node)})


def addresses_of_new_eni(snapshot: Snapshot, node: Node) -> int:
    """What a new ENI takes at once: its primary address and, unless warm targets ask for less, every other."""
    if snapshot.cni.prefix_delegation:
        return 1 + PREFIX_SIZE
    if node.addresses_per_eni is None:
        return 1
    warm = snapshot.cni.env.get(WARM_IP_TARGET, "")
    if warm.isdigit() and int(warm) > 0:
        return min(1 + int(warm), node.addresses_per_eni)
    return node.addresses_per_eni


def free_addresses(subnets: Iterable[Subnet | None]) -> int | None:
    """The sum of free addresses; None when there is no subnet, or one is unknown."""
    counts = [subnet.free if subnet else None for subnet in subnets]
    known = [count for count in counts if count is not None]
    return sum(known) if counts and len(known) == len(counts) else None
