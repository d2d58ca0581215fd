"""Subnets of a zone that other nodes of the cluster use and that have room: shown with the command, not used.

They can serve pods of the nodes in need too (EKS User Guide, "Configure subnet selection for Pod IP addresses"), but
what they have left is for their own nodes: people decide.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning import sizing
from ip_remediator.planning.changes import eni_config_manifest, new_groups, without_our_mark
from ip_remediator.planning.model import Option
from ip_remediator.planning.served import zones_short_in_the_region
from ip_remediator.planning.strategies import discovery_refusal
from ip_remediator.risks.ownership import foreign_owner
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import DISCOVERY_TAG, PREFIX_SIZE
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of
from ip_remediator.snapshot.node_room.eni_subnets import next_eni_subnets
from ip_remediator.snapshot.subnet_owner import other_cluster

SIBLING = "sibling-subnet"
_SHOWN = 3
_LEAST = 16


def option(snapshot: Snapshot, diagnosis: Diagnosis) -> Option:
    """The advice to use a subnet of other nodes of the zone; it is never taken by itself."""
    offered = list(offers(snapshot, diagnosis))
    if not offered:
        return Option(option=SIBLING, taken=False, reason="no other subnet of the cluster's nodes has room in the zone")
    return Option(option=SIBLING, taken=False, reason="; ".join(offered))


def offers(snapshot: Snapshot, diagnosis: Diagnosis) -> Iterator[str]:
    """A sentence with the command for each zone in need that has such a subnet."""
    for zone in zones_short_in_the_region(snapshot, diagnosis)[:_SHOWN]:
        if _shares_eni_configs(snapshot, zone):
            continue
        full = _reached(snapshot, zone)
        siblings = [subnet for subnet in _siblings(snapshot, zone, full) if _may_serve(snapshot, subnet, full)]
        if siblings:
            best = max(
                siblings,
                key=lambda subnet: (_same_way_out(subnet, full), _free(snapshot, subnet), subnet.id),
            )
            free, command = _free(snapshot, best), _command(snapshot, zone, full, best)
            caution = "" if _same_way_out(best, full) else " (other routes or network ACL)"
            where = f"{best.id} of {zone}, in which nodes of the cluster have ENIs"
            yield f"{where}, has {free:,} free addresses{caution}: {command}"


def _shares_eni_configs(snapshot: Snapshot, zone: str) -> bool:
    """Whether nodes of another zone select an ENIConfig of the nodes in need: pointed at a subnet of this zone, it
    would keep those from attaching any ENI."""
    if not snapshot.cni.custom_networking:
        return False
    selected = {node.selected_eni_config for node in sizing.nodes_in_need(snapshot, zone)}
    return any(node.selected_eni_config in selected for node in snapshot.nodes if node.zone != zone)


def _reached(snapshot: Snapshot, zone: str) -> list[Subnet]:
    """The subnets that the nodes in need can get ENIs in."""
    ids = {id_ for node in sizing.nodes_in_need(snapshot, zone) for id_ in next_eni_subnets(snapshot, node)}
    return [subnet for subnet in snapshot.subnets if subnet.id in ids]


def _siblings(snapshot: Snapshot, zone: str, full: list[Subnet]) -> list[Subnet]:
    used = {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces} - {subnet.id for subnet in full}
    needed = max(_LEAST, sizing.urgent_need(snapshot, zone))
    others = [subnet for subnet in snapshot.subnets if subnet.id in used and subnet.zone == zone]
    return [subnet for subnet in others if _has_room(snapshot, subnet, needed) and _ours(snapshot, subnet)]


def _has_room(snapshot: Snapshot, subnet: Subnet, needed: int) -> bool:
    """With prefix delegation whole /28 count, where somebody counted them."""
    if _free(snapshot, subnet) < needed:
        return False
    prefixes = sizing.room_in(snapshot, subnet).prefixes if snapshot.cni.prefix_delegation else None
    return prefixes is None or prefixes >= needed // PREFIX_SIZE


def _free(snapshot: Snapshot, subnet: Subnet) -> int:
    return sizing.room_in(snapshot, subnet).addresses or 0


def _ours(snapshot: Snapshot, subnet: Subnet) -> bool:
    return not other_cluster(snapshot.cluster.name, subnet) and not outpost_of(snapshot, subnet)


def _may_serve(snapshot: Snapshot, subnet: Subnet, full: list[Subnet]) -> bool:
    """With custom networking subnets are kept apart on purpose where their routes or network ACLs differ."""
    return not snapshot.cni.custom_networking or _same_way_out(subnet, full)


def _same_way_out(subnet: Subnet, full: list[Subnet]) -> bool:
    return all((other.route_table, other.network_acl) == (subnet.route_table, subnet.network_acl) for other in full)


def _command(snapshot: Snapshot, zone: str, full: list[Subnet], best: Subnet) -> str:
    if discovery_refusal(snapshot) is None:
        ids = " ".join(dict.fromkeys((*(subnet.id for subnet in full), best.id)))
        return f"aws ec2 create-tags --resources {ids} --tags Key={DISCOVERY_TAG},Value=1"
    selected = sorted({node.selected_eni_config for node in sizing.nodes_in_need(snapshot, zone)})
    name = selected[0] if snapshot.cni.custom_networking and selected else zone
    if snapshot.eni_config(name) is None:
        config = eni_config_manifest(name, best.id, new_groups(snapshot, name))
        return f"kubectl apply -f - <<< {shlex.quote(json.dumps(without_our_mark(config)))}"
    if owner := foreign_owner(snapshot, [name]):
        return f"{owner}, set spec.subnet to {best.id} in its source"
    patch = shlex.quote(json.dumps({"spec": {"subnet": best.id}}))
    return f"kubectl patch eniconfig {name} --type merge -p {patch}"
