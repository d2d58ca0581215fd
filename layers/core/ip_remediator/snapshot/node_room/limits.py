"""How many ENIs, addresses and pods a node can have, and how many ENI slots ipamd can still fill.

Restates amazon-vpc-cni-k8s v1.23.1, pkg/ipamd/ipamd.go: getMaxENI (the smaller of the type's limit and MAX_ENI),
hasRoomForEni (a slot is kept for the trunk ENI until it is attached; unmanaged and EFA-only ENIs of the card fill
slots), markUnmanagedNetworkCards (only the default network card), isConfigValid (no prefixes on Xen).
"""

from __future__ import annotations

from collections.abc import Iterable

from ip_remediator.snapshot.model_cluster import MAX_ENI, PREFIX_SIZE, Cni, NetworkInterface, Node
from ip_remediator.snapshot.node_room.instance_limits import instance_limits, most_enis_of_a_card

# aws-node and kube-proxy use the node's own address (eni-max-pods.txt of amazon-eks-ami: "+ 2").
HOST_NETWORK_PODS = 2
_TRUNK, _BRANCH, _EFA_ONLY = "trunk", "branch", "efa-only"


def eni_limit(cni: Cni, node: Node) -> int | None:
    """How many ENIs ipamd attaches to the node, the primary one and a trunk ENI included; None: not known.

    `Node.max_enis` alone is trusted only where it can be the limit of one card: older snapshots have the sum there.
    """
    type_limits = instance_limits(node.instance_type)
    type_enis = type_limits.enis if type_limits else None
    of_type = [limit for limit in (node.default_card_enis, type_enis) if limit is not None]
    if not of_type and (node.max_enis or 0) > most_enis_of_a_card():
        return None
    stated = [] if node.max_enis is None else [node.max_enis]
    limits = [*of_type, *stated]
    chosen = cni.number(MAX_ENI)
    return min([*limits, chosen] if chosen else limits) if limits else None


def addresses_per_eni(node: Node) -> int | None:
    """IPv4 addresses of an ENI, its primary one included; in prefix mode each further one can be a /28 instead."""
    if node.addresses_per_eni is not None:
        return node.addresses_per_eni
    limits = instance_limits(node.instance_type)
    return limits.addresses if limits else None


def on_default_card(node: Node) -> tuple[NetworkInterface, ...] | None:
    """The ENIs of the default network card; None where the type has several and it was not read which has which.

    ipamd puts addresses on ENIs of that card alone, so one that has some is there (but for ENABLE_MULTI_NIC, which few
    set); and where the card holds no more than such ones, every other ENI is on another card.
    """
    limits = instance_limits(node.instance_type)
    if limits is None or limits.network_cards == 1:
        return tuple(eni for eni in node.interfaces if not eni.network_card)
    sure = tuple(filter(_is_on_default_card, node.interfaces))
    unsure = [eni for eni in node.interfaces if eni.network_card is None and eni not in sure]
    return None if unsure and len(sure) < limits.enis else sure


def _is_on_default_card(eni: NetworkInterface) -> bool:
    """Whether it is certain: the card was read, or it is the primary ENI, or ipamd put addresses on it."""
    if eni.network_card is not None:
        return eni.network_card == 0
    return eni.primary or eni.addresses > 1 or eni.prefixes > 0


def free_slots(cni: Cni, node: Node) -> int | None:
    """How many further ENIs ipamd can attach; None: not known."""
    limit, attached = eni_limit(cni, node), on_default_card(node)
    if limit is None or attached is None or not node.interfaces:
        return None
    return max(0, limit - len(attached) - keeps_slot_for_trunk(cni, node))


def keeps_slot_for_trunk(cni: Cni, node: Node) -> bool:
    """Whether ipamd keeps a slot free for the trunk ENI (hasRoomForEni), which it does until the trunk ENI
    is attached."""
    return trunks(cni, node) and trunk(cni, node) is None


def trunks(cni: Cni, node: Node) -> bool:
    """Whether the node should have a trunk ENI. A type that the CNI does not know counts as one that can."""
    limits = instance_limits(node.instance_type)
    return cni.pod_eni and (limits is None or limits.trunk)


def trunk(cni: Cni, node: Node) -> NetworkInterface | None:
    """The trunk ENI; if the types of ENIs were not read, the one that may be it: see `may_be_trunk`."""
    named = next((eni for eni in node.interfaces if eni.interface_type == _TRUNK), None)
    return named or (may_be_trunk(cni, node) if trunks(cni, node) else None)


def may_be_trunk(cni: Cni, node: Node) -> NetworkInterface | None:
    """An ENI of unknown type with its primary address alone, beside ENABLE_POD_ENI=true: ipamd attaches none like that,
    for it asks for addresses in the same call (tryAllocateENI)."""
    if not trunks(cni, node) or any(eni.interface_type == _TRUNK for eni in node.interfaces):
        return None
    bare = (eni for eni in node.interfaces if eni.addresses <= 1 and not eni.prefixes and not eni.primary)
    return next((eni for eni in bare if eni.interface_type is None and not eni.unmanaged), None)


def usable_for_pods(cni: Cni, node: Node, among: Iterable[NetworkInterface]) -> list[NetworkInterface]:
    """Those `among` the node's ENIs that ipamd manages and puts addresses for pods on, wherever they are."""
    reserved = trunk(cni, node)
    return [
        eni
        for eni in among
        if eni != reserved and not eni.unmanaged and eni.interface_type not in (_TRUNK, _BRANCH, _EFA_ONLY)
    ]


def uses_prefixes(cni: Cni, node: Node) -> bool:
    """Whether the node takes prefixes: ENABLE_PREFIX_DELEGATION=true, and not on Xen, where ipamd falls back to single
    addresses (isConfigValid)."""
    return cni.prefix_delegation and supports_prefixes(node) is not False


def all_use_prefixes(cni: Cni, nodes: Iterable[Node]) -> bool:
    """Whether each of the nodes takes prefixes, so that whole /28 blocks of a subnet count for them."""
    return all(uses_prefixes(cni, node) for node in nodes)


def supports_prefixes(node: Node) -> bool | None:
    """Whether the instance type can have prefixes, by EC2, else by the CNI's table; None: unknown."""
    if node.supports_prefixes is not None:
        return node.supports_prefixes
    limits = instance_limits(node.instance_type)
    return limits.prefixes if limits else None


def enis_for_pods(cni: Cni, node: Node, *, custom_networking: bool) -> int | None:
    """How many ENIs of the node can have pods: without the primary one where `custom_networking`, the trunk ENI, and
    those on the default card that others keep."""
    limit, attached = eni_limit(cni, node), on_default_card(node)
    if limit is None:
        return None
    kept = [eni for eni in attached or () if eni.unmanaged or eni.interface_type == _EFA_ONLY]
    return max(0, limit - custom_networking - trunks(cni, node) - len(kept))


def pods_that_fit(cni: Cni, node: Node, *, custom_networking: bool) -> int | None:
    """The max-pods that the node's ENIs can serve: ENIs x (addresses - 1) + 2, sixteen times as many by prefixes.

    EKS User Guide, "Choose an Amazon EC2 instance type", and its max-pods-calculator.sh. None: not known.
    """
    enis, addresses = enis_for_pods(cni, node, custom_networking=custom_networking), addresses_per_eni(node)
    if enis == 0:
        return HOST_NETWORK_PODS
    if enis is None or addresses is None:
        return None
    per_slot = PREFIX_SIZE if uses_prefixes(cni, node) else 1
    return enis * max(0, addresses - 1) * per_slot + HOST_NETWORK_PODS
