"""Which nodes benefit from new address space at once: those that can attach an ENI in a new subnet."""

from __future__ import annotations

from ip_remediator.diagnosis.model import NodeDiagnosis
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, ZONE_LABEL, Cni, Node
from ip_remediator.snapshot.node_places import outpost_of_node
from ip_remediator.snapshot.node_room.eni_subnets import groups_that_fail
from ip_remediator.snapshot.node_room.free_space import free_space
from ip_remediator.snapshot.node_room.limits import (
    eni_limit,
    enis_for_pods,
    free_slots,
    keeps_slot_for_trunk,
    on_default_card,
    uses_prefixes,
)
from ip_remediator.snapshot.node_room.pools import (
    blocking_interfaces,
    describe_hindrance,
    hindrance,
    serving_interfaces,
)


def diagnose_node(snapshot: Snapshot, node: Node, *, labelled: bool) -> NodeDiagnosis:
    """Whether the node attaches an ENI in a new subnet without being replaced. `labelled`: it has the label of its
    zone."""
    relieved, reason = _relief(snapshot, node, labelled=labelled)
    return NodeDiagnosis(name=node.name, zone=node.zone, relieved_now=relieved, reason=reason)


def describe_attached_enis(snapshot: Snapshot, node: Node) -> str:
    """How many ENI slots are taken, and of how many."""
    enis = len(on_default_card(node) or ())
    beside = len(node.interfaces) - enis
    others = f" (and {beside} on other network cards, which pods do not use)" if beside else ""
    return f"{enis} of {eni_limit(snapshot.cni, node)} ENIs attached{others}"


def _relief(snapshot: Snapshot, node: Node, *, labelled: bool) -> tuple[bool, str]:
    cni, slots = snapshot.cni, free_slots(snapshot.cni, node)
    if place := outpost_of_node(snapshot, node):
        return False, f"it is on an Outpost ({place}): no ENI of a subnet in the Region can be attached there"
    if slots is None:
        if on_default_card(node) is None:
            return False, "which network card each of its ENIs is on is not known, and pods use the default card only"
        return False, "its ENIs or its instance type's limits are unknown"
    attached = describe_attached_enis(snapshot, node)
    if slots == 0:
        return False, f"{attached}{_without_slot(cni, node)}"
    if not labelled:
        reason = f"it lacks the label {ZONE_LABEL}={node.zone}, and so selects no zone's ENIConfig: add it"
        return False, f"{attached}, but {reason}"
    if groups := groups_that_fail(snapshot, node):
        return False, f"{attached}, but EC2 refuses the next one: {groups}"
    if obstacle := hindrance(snapshot, node):
        return False, f"{attached}, but {describe_hindrance(snapshot, obstacle)}"
    if waiting_for := _waits_for(snapshot, node):
        return False, (
            f"{attached}, but this ipamd asks for no further ENI while {waiting_for} has room in a full subnet: "
            "replace the node, or update the VPC CNI to 1.18.3 or later with ENABLE_SUBNET_DISCOVERY"
        )
    return True, f"{attached}: the next ENI comes from the new subnet"


def _without_slot(cni: Cni, node: Node) -> str:
    """Why no further ENI can be attached, and what helps."""
    if keeps_slot_for_trunk(cni, node):
        return ", and ipamd keeps the last slot for the trunk ENI (ENABLE_POD_ENI): replace the node"
    if enis_for_pods(cni, node, custom_networking=True) == 0:
        return ": a node like it can have no further ENI for pods, so no new subnet helps it"
    return ": no slot for an ENI in a new subnet, replace the node"


def _waits_for(snapshot: Snapshot, node: Node) -> str | None:
    """An ENI with room in a full subnet, which this version of ipamd does not skip. Not the primary ENI with custom
    networking, and custom networking is what adds the new subnet."""
    secondary = [eni for eni in serving_interfaces(snapshot, node) if not eni.primary]
    blocking = set(blocking_interfaces(snapshot, node, secondary))
    prefixes = uses_prefixes(snapshot.cni, node)
    for eni in secondary:
        subnet = snapshot.subnet(eni.subnet_id)
        free = free_space(subnet, prefixes=prefixes).addresses if subnet else None
        if eni.id in blocking and free is not None and free < (PREFIX_SIZE if prefixes else 1):
            return eni.id
    return None
