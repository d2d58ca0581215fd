"""How ipamd grows a node's pool: free slots on attached ENIs, another ENI, and what prevents both.

Restates amazon-vpc-cni-k8s v1.23.1, pkg/ipamd/ipamd.go. increaseDatastorePool first puts addresses on ENIs with room,
one if EC2 refuses more (tryAssignIPs, tryAssignPrefixes); else it asks for a new ENI with all of its addresses in one
call and does not try again with fewer (tryAllocateENI). So a subnet with three free addresses is full for a node that
needs a new ENI. After a refusal it waits two minutes (insufficientCidrErrorCooldown). How many addresses:
GetENIResourcesToAllocate, datastoreTargetState, getPrefixesNeeded. On which ENIs: data_store.go, GetAllocatableENIs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import (
    MANAGE_ENIS_NON_SCHEDULABLE,
    MINIMUM_IP_TARGET,
    PREFIX_SIZE,
    WARM_IP_TARGET,
    WARM_PREFIX_TARGET,
    Cni,
    NetworkInterface,
    Node,
)
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room.eni_subnets import excluded, next_eni_subnets
from ip_remediator.snapshot.node_room.limits import (
    addresses_per_eni,
    free_slots,
    on_default_card,
    usable_for_pods,
    uses_prefixes,
)


class Hindrance(StrEnum):
    """Why ipamd asks for no more addresses on a node, however many are free."""

    NOT_PROVISIONING = "not_provisioning"
    CORDONED = "cordoned"
    MINIMUM_IP_TARGET = "minimum_ip_target"


@dataclass(frozen=True)
class GrowthOption:
    """One way to more addresses: at least `addresses` free ones in `subnet` are needed, and `prefixes` free /28."""

    subnet: str
    addresses: int
    prefixes: int = 0


def growth_options(snapshot: Snapshot, node: Node) -> frozenset[GrowthOption]:
    """Every way in which ipamd can get the node another address, but for a cordon; empty: no subnet can help it.

    Where the limits of the instance type are unknown, room is assumed.
    """
    if hindrance(snapshot, node) not in (None, Hindrance.CORDONED) or on_default_card(node) is None:
        return frozenset()
    prefixes = 1 if uses_prefixes(snapshot.cni, node) else 0
    usable = serving_interfaces(snapshot, node)
    with_room = frozenset(
        GrowthOption(eni.subnet_id, PREFIX_SIZE if prefixes else 1, prefixes)
        for eni in usable
        if room_on(node, eni) != 0
    )
    if free_slots(snapshot.cni, node) == 0 or blocking_interfaces(snapshot, node, usable):
        return with_room
    new_eni = addresses_of_new_eni(snapshot, node), prefixes_of_new_eni(snapshot, node)
    return with_room | {GrowthOption(id_, *new_eni) for id_ in next_eni_subnets(snapshot, node)}


def room_on(node: Node, eni: NetworkInterface) -> int | None:
    """How many more addresses, or prefixes, fit on the ENI; None: not known."""
    most = addresses_per_eni(node)
    return None if most is None else max(0, most - eni.addresses - eni.prefixes)


def serving_interfaces(snapshot: Snapshot, node: Node) -> list[NetworkInterface]:
    """The ENIs that ipamd puts further addresses for pods on: of the default network card, with custom networking not
    the primary one, and none in a subnet that its tags exclude."""
    custom = snapshot.cni.custom_networking
    return [eni for eni in _managed(snapshot, node) if not (custom and eni.primary)]


def _managed(snapshot: Snapshot, node: Node) -> list[NetworkInterface]:
    """The ENIs whose addresses count for the pool (data_store.go, GetIPStats)."""
    usable = usable_for_pods(snapshot.cni, node, on_default_card(node) or ())
    return [
        eni
        for eni in usable
        if not ((subnet := snapshot.subnet(eni.subnet_id)) and _excluded_from_service(snapshot, subnet))
    ]


def _excluded_from_service(snapshot: Snapshot, subnet: Subnet) -> bool:
    return snapshot.cni.passes_full_interfaces and excluded(snapshot, subnet)


def blocking_interfaces(snapshot: Snapshot, node: Node, among: Iterable[NetworkInterface]) -> tuple[str, ...]:
    """Those `among` the node's ENIs that ipamd keeps trying to fill before it attaches another one."""
    if snapshot.cni.passes_full_interfaces:
        return ()
    return tuple(eni.id for eni in among if room_on(node, eni))


def hindrance(snapshot: Snapshot, node: Node) -> Hindrance | None:
    """What prevents ipamd from requesting addresses; of several reasons the one to correct first."""
    cni = snapshot.cni
    if cni.not_provisioning:
        return Hindrance.NOT_PROVISIONING
    if node.interfaces:
        most = largest_pool(cni)
        if most is not None and pool_of(snapshot, node) >= most:
            return Hindrance.MINIMUM_IP_TARGET
    # isENIAttachmentAllowed, isNodeNonSchedulable
    if node.unschedulable and not cni.flag(MANAGE_ENIS_NON_SCHEDULABLE):
        return Hindrance.CORDONED
    return None


def largest_pool(cni: Cni) -> int | None:
    """How many addresses ipamd asks for and then for no more; None: as many as pods need.

    README of the CNI, note 2 on MINIMUM_IP_TARGET: so many without WARM_IP_TARGET, and never more.
    """
    return None if cni.number(WARM_IP_TARGET) else cni.number(MINIMUM_IP_TARGET) or None


def describe_hindrance(snapshot: Snapshot, obstacle: Hindrance) -> str:
    """The obstacle and its remedy, as the end of a sentence that goes on after "but"."""
    match obstacle:
        case Hindrance.NOT_PROVISIONING:
            name = snapshot.cni.not_provisioning
            return f"{name}={snapshot.cni.env.get(name or '')} keeps ipamd from attaching any ENI or address: unset it"
        case Hindrance.CORDONED:
            return (
                "it is cordoned, and ipamd attaches nothing to a node that is not schedulable: uncordon it, or set "
                f"{MANAGE_ENIS_NON_SCHEDULABLE}=true on aws-node"
            )
        case Hindrance.MINIMUM_IP_TARGET:
            minimum = snapshot.cni.env.get(MINIMUM_IP_TARGET)
            return (
                f"{MINIMUM_IP_TARGET}={minimum} without WARM_IP_TARGET keeps ipamd from asking for more, however many "
                "addresses are free: set WARM_IP_TARGET to 1 or more on aws-node"
            )


def addresses_of_new_eni(snapshot: Snapshot, node: Node) -> int:
    """What a new ENI takes at once: its primary address and, unless warm targets ask for less, every other."""
    if uses_prefixes(snapshot.cni, node):
        return 1 + PREFIX_SIZE * prefixes_of_new_eni(snapshot, node)
    most = addresses_per_eni(node)
    if most is None:
        return 1
    short = short_of_targets(snapshot, node)
    return most if short is None else min(1 + max(short, 1), most)


def prefixes_of_new_eni(snapshot: Snapshot, node: Node) -> int:
    """How many /28 prefixes ipamd asks for when it makes an ENI for the node: what its targets lack, 1 at least."""
    if not uses_prefixes(snapshot.cni, node):
        return 0
    short = short_of_targets(snapshot, node)
    wanted = snapshot.cni.number(WARM_PREFIX_TARGET) if short is None else -(-short // PREFIX_SIZE)
    most = (addresses_per_eni(node) or wanted + 1) - 1
    return max(1, min(wanted, most))


def short_of_targets(snapshot: Snapshot, node: Node) -> int | None:
    """Addresses that a node without a free one lacks for WARM_IP_TARGET and MINIMUM_IP_TARGET; None: neither is set."""
    warm, minimum = snapshot.cni.number(WARM_IP_TARGET), snapshot.cni.number(MINIMUM_IP_TARGET)
    return max(warm, minimum - pool_of(snapshot, node)) if warm or minimum else None


def pool_of(snapshot: Snapshot, node: Node) -> int:
    """The addresses for pods that the node has, free ones included."""
    managed = _managed(snapshot, node)
    if uses_prefixes(snapshot.cni, node):
        return sum(eni.prefixes * PREFIX_SIZE for eni in managed)
    return sum(max(0, eni.addresses - 1) for eni in managed)
