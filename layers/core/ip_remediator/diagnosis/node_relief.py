"""Which nodes new address space relieves at once: those that can attach an ENI in a new subnet by themselves."""

from __future__ import annotations

from ip_remediator.common.document import Document
from ip_remediator.snapshot.ipamd import blocking_interfaces, held_back
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, ZONE_LABEL, Node
from ip_remediator.snapshot.node_places import outpost_of_node


class NodeDiagnosis(Document):
    """Whether new address space relieves the node at once, or only its replacement does."""

    name: str
    zone: str | None
    relieved_now: bool
    reason: str


def diagnose_node(snapshot: Snapshot, node: Node, *, labelled: bool) -> NodeDiagnosis:
    """Whether an ENI in a new subnet comes to the node by itself. `labelled`: it has the label of its zone."""
    slots = node.free_eni_slots
    attached = f"{len(node.interfaces)} of {node.max_enis} ENIs attached"
    relieved, reason = False, ""
    if place := outpost_of_node(snapshot, node):
        reason = f"it is on an Outpost ({place}): no ENI of a subnet in the Region can be attached there"
    elif slots is None:
        reason = "its ENIs or its instance type's limits are unknown"
    elif slots == 0:
        reason = f"{attached}: no slot for an ENI in a new subnet, replace the node"
    elif not labelled:
        reason = (
            f"{attached}, but it lacks the label {ZONE_LABEL}={node.zone}, and so selects no zone's ENIConfig: add it"
        )
    elif held_back(snapshot, node):
        reason = f"{attached}, but MINIMUM_IP_TARGET without WARM_IP_TARGET keeps ipamd from asking for more"
    elif waiting_for := _waits_for(snapshot, node):
        reason = (
            f"{attached}, but this ipamd asks for no further ENI while {waiting_for} has room in a full subnet: "
            "replace the node, or update the VPC CNI to 1.18.3 or later with ENABLE_SUBNET_DISCOVERY"
        )
    elif snapshot.cni.prefix_delegation and not snapshot.cni.custom_networking:
        relieved = True
        reason = f"{attached}; prefix mode: turning on custom networking may drop its present prefixes"
    else:
        relieved, reason = True, f"{attached}: the next ENI comes from the new subnet"
    return NodeDiagnosis(name=node.name, zone=node.zone, relieved_now=relieved, reason=reason)


def _waits_for(snapshot: Snapshot, node: Node) -> str | None:
    """An ENI with room in a full subnet, where ipamd does not pass over it. The primary one is out of the question
    with custom networking, which is what brings the new subnet."""
    secondary = [eni for eni in node.interfaces if not eni.primary]
    blocking = set(blocking_interfaces(snapshot, node, secondary))
    needed = PREFIX_SIZE if snapshot.cni.prefix_delegation else 1
    for eni in secondary:
        subnet = snapshot.subnet(eni.subnet_id)
        if eni.id in blocking and subnet and subnet.free is not None and subnet.free < needed:
            return eni.id
    return None
