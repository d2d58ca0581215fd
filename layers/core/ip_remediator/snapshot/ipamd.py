"""What a node can still get for its pods: room on the ENIs it has, and a further ENI.

Restates how ipamd grows a node's pool (amazon-vpc-cni-k8s, pkg/ipamd: tryAssignIPs, tryAllocateENI): it first puts
addresses on ENIs with room, one if EC2 refuses more; else it asks for a new ENI with all of its addresses in one call
and does not try again with fewer. So a subnet with three free addresses is full for a node that needs a new ENI.

Which subnets: pkg/awsutils, createENI, isSubnetValidForENICreation, IsSubnetExcluded. How many addresses:
datastoreTargetState, getPrefixesNeeded. Read at v1.23.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import (
    CLUSTER_DISCOVERY_TAG,
    DEFAULT_ENI_CONFIG,
    DISCOVERY_TAG,
    PREFIX_SIZE,
    WARM_IP_TARGET,
    NetworkInterface,
    Node,
)
from ip_remediator.snapshot.model_vpc import Subnet

MINIMUM_IP_TARGET = "MINIMUM_IP_TARGET"
_WARM_PREFIX_TARGET = "WARM_PREFIX_TARGET"
_EXCLUDED = "0"
# ipamd minds the tag's value and the cluster's tag from here on; before, it looked only for the tag.
_EXCLUDES_SINCE = (1, 22)


@dataclass(frozen=True)
class GrowthOption:
    """One way to more addresses: at least `addresses` free ones in `subnet` are needed, and `prefixes` free /28."""

    subnet: str
    addresses: int
    prefixes: int = 0


def pod_nodes(snapshot: Snapshot, zone: str) -> list[Node]:
    """The zone's nodes whose pods the VPC CNI serves."""
    return [node for node in snapshot.nodes_in(zone) if node.runs_vpc_cni]


def next_eni_subnets(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """The subnets that ipamd may create the node's next ENI in."""
    if snapshot.cni.custom_networking:
        config = snapshot.eni_config(node.selected_eni_config)
        return (config.subnet,) if config and config.subnet else ()
    home = node.primary_subnet
    known = snapshot.subnet(home)
    # A home subnet that is not among the facts cannot be seen to be excluded.
    own = () if home is None or (known and _excluded(snapshot, known)) else (home,)
    if not snapshot.cni.subnet_discovery:
        return own
    tagged = (subnet for subnet in snapshot.tagged_for_discovery(node.zone) if _discovered(snapshot, subnet))
    return (*own, *(subnet.id for subnet in tagged if subnet.id != home))


def eni_configs_of(snapshot: Snapshot, zone: str) -> tuple[str, ...]:
    """The ENIConfigs that must point at the zone's subnet: those its nodes select.

    Before the first turn to custom networking that is the one named after the zone, and whatever a node selects by
    the external label or its annotation, which go before the label of the zone.
    """
    selected = {node.selected_eni_config for node in pod_nodes(snapshot, zone)}
    if not snapshot.cni.custom_networking:
        selected = selected - {DEFAULT_ENI_CONFIG} | {zone}
    return tuple(sorted(selected))


def _discovered(snapshot: Snapshot, subnet: Subnet) -> bool:
    """Whether a subnet with the tag is used beside the primary one: any value will do but 0 and none."""
    return not _excluded(snapshot, subnet) and (bool(subnet.tags[DISCOVERY_TAG]) or not _minds_values(snapshot))


def _minds_values(snapshot: Snapshot) -> bool:
    release = snapshot.cni.release
    return release is None or release >= _EXCLUDES_SINCE


def _excluded(snapshot: Snapshot, subnet: Subnet) -> bool:
    """Tagged out of ipamd's reach: by the value 0, or in favour of other clusters. Without the tag a primary subnet is
    in reach, whatever clusters its other tags name."""
    value = subnet.tags.get(DISCOVERY_TAG)
    if not value or not _minds_values(snapshot):
        return False
    scopes = [key for key in subnet.tags if key.startswith(CLUSTER_DISCOVERY_TAG)]
    return value == _EXCLUDED or (bool(scopes) and CLUSTER_DISCOVERY_TAG + snapshot.cluster.name not in scopes)


def zone_subnets(snapshot: Snapshot, zone: str) -> list[Subnet]:
    """The subnets that the next ENIs of the zone's nodes may come from."""
    ids = {id_ for node in pod_nodes(snapshot, zone) for id_ in next_eni_subnets(snapshot, node)}
    return [subnet for subnet in snapshot.subnets if subnet.id in ids]


def ways(snapshot: Snapshot, node: Node) -> frozenset[GrowthOption]:
    """Every way in which ipamd can get the node another address; empty: no subnet can help it.

    Where the limits of the instance type are unknown, room is assumed.
    """
    if held_back(snapshot, node):
        return frozenset()
    prefixes = 1 if snapshot.cni.prefix_delegation else 0
    one_more = PREFIX_SIZE if prefixes else 1
    usable = _serving_interfaces(snapshot, node)
    with_room = frozenset(
        GrowthOption(eni.subnet_id, one_more, prefixes)
        for eni in usable
        if node.addresses_per_eni is None or eni.addresses + eni.prefixes < node.addresses_per_eni
    )
    if node.free_eni_slots == 0 or blocking_interfaces(snapshot, node, usable):
        return with_room
    new_eni, prefixes = addresses_of_new_eni(snapshot, node), _prefixes_of_new_eni(snapshot, node)
    return with_room | {GrowthOption(id_, new_eni, prefixes) for id_ in next_eni_subnets(snapshot, node)}


def _serving_interfaces(snapshot: Snapshot, node: Node) -> list[NetworkInterface]:
    """The ENIs that ipamd puts addresses for pods on: with custom networking not the primary one, and none in a
    subnet that its tags exclude."""
    return [
        eni
        for eni in node.interfaces
        if not (eni.primary and snapshot.cni.custom_networking)
        and not ((subnet := snapshot.subnet(eni.subnet_id)) and _excluded_from_service(snapshot, subnet))
    ]


def _excluded_from_service(snapshot: Snapshot, subnet: Subnet) -> bool:
    return snapshot.cni.passes_full_interfaces and _excluded(snapshot, subnet)


def blocking_interfaces(snapshot: Snapshot, node: Node, among: Iterable[NetworkInterface]) -> tuple[str, ...]:
    """Those `among` the node's ENIs for which ipamd keeps asking before it thinks of a further one."""
    if snapshot.cni.passes_full_interfaces or node.addresses_per_eni is None:
        return ()
    return tuple(eni.id for eni in among if eni.addresses + eni.prefixes < node.addresses_per_eni)


def held_back(snapshot: Snapshot, node: Node) -> bool:
    """MINIMUM_IP_TARGET without WARM_IP_TARGET: ipamd gets the node so many addresses and never more (README of the
    CNI, note 2 on MINIMUM_IP_TARGET)."""
    minimum = _target(snapshot, MINIMUM_IP_TARGET)
    if not minimum or _target(snapshot, WARM_IP_TARGET) or not node.interfaces:
        return False
    return _pool_of(snapshot, node) >= minimum


def addresses_of_new_eni(snapshot: Snapshot, node: Node) -> int:
    """What a new ENI takes at once: its primary address and, unless warm targets ask for less, every other."""
    if snapshot.cni.prefix_delegation:
        return 1 + PREFIX_SIZE * _prefixes_of_new_eni(snapshot, node)
    if node.addresses_per_eni is None:
        return 1
    short = _short_of_targets(snapshot, node)
    return node.addresses_per_eni if short is None else min(1 + max(short, 1), node.addresses_per_eni)


def _prefixes_of_new_eni(snapshot: Snapshot, node: Node) -> int:
    if not snapshot.cni.prefix_delegation:
        return 0
    short = _short_of_targets(snapshot, node)
    wanted = _target(snapshot, _WARM_PREFIX_TARGET) if short is None else -(-short // PREFIX_SIZE)
    most = (node.addresses_per_eni or wanted + 1) - 1
    return max(1, min(wanted, most))


def _short_of_targets(snapshot: Snapshot, node: Node) -> int | None:
    """Addresses that a node without a free one lacks for WARM_IP_TARGET and MINIMUM_IP_TARGET; None: neither is set."""
    warm, minimum = _target(snapshot, WARM_IP_TARGET), _target(snapshot, MINIMUM_IP_TARGET)
    return max(warm, minimum - _pool_of(snapshot, node)) if warm or minimum else None


def _pool_of(snapshot: Snapshot, node: Node) -> int:
    """The addresses for pods that the node has."""
    usable = _serving_interfaces(snapshot, node)
    if snapshot.cni.prefix_delegation:
        return sum(eni.prefixes * PREFIX_SIZE for eni in usable)
    return sum(max(0, eni.addresses - 1) for eni in usable)


def _target(snapshot: Snapshot, name: str) -> int:
    """A number of the CNI's environment; what is no number, or negative, counts as not set."""
    text = snapshot.cni.env.get(name, "")
    return int(text) if len(text) < 10 and text.isascii() and text.isdigit() else 0


def free_addresses(subnets: Iterable[Subnet | None]) -> int | None:
    """The sum of free addresses; None when there is no subnet, or one is unknown."""
    counts = [subnet.free if subnet else None for subnet in subnets]
    known = [count for count in counts if count is not None]
    return sum(known) if counts and len(known) == len(counts) else None


def zones_of(snapshot: Snapshot) -> list[str]:
    return sorted({node.zone for node in snapshot.nodes if node.zone and node.runs_vpc_cni})


def lasting(subnets: Iterable[Subnet]) -> Subnet | None:
    """Of `subnets` the last one to be full; None unless each of them will be."""
    known = list(subnets)
    dated = [(subnet.full_at, subnet.id, subnet) for subnet in known if subnet.full_at]
    return max(dated)[-1] if dated and len(dated) == len(known) else None
