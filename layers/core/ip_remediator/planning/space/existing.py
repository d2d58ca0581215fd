"""The option `existing-subnet`: an existing, unused subnet that is meant for pods.

A subnet is meant for pods if an ENIConfig that no node selects names it, or if its tags say so
(`snapshot.subnet_owner.is_meant_for_pods`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ip_remediator.common.text import counted
from ip_remediator.planning import sizing
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of
from ip_remediator.snapshot.node_room.eni_subnets import zone_subnets
from ip_remediator.snapshot.node_room.free_space import least_prefixes
from ip_remediator.snapshot.subnet_owner import INCIDENT_TAG, POD_SUBNET_TAG, is_meant_for_pods, other_cluster


@dataclass
class Existing:
    """The subnet found for a zone, and why the others are passed over."""

    chosen: dict[str, Subnet] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)

    def reason(self, snapshot: Snapshot) -> str:
        """Why these subnets are taken and others passed over, for people."""
        reasons = [_describe(snapshot, zone, subnet) for zone, subnet in self.chosen.items()]
        reasons += self.passed_over
        return "; ".join(reasons) or (
            "no subnet is meant for pods and unused: none has the tag "
            f"{POD_SUBNET_TAG}={snapshot.cluster.name}, none is named by an ENIConfig that no node selects"
        )


def _describe(snapshot: Snapshot, zone: str, subnet: Subnet) -> str:
    """The subnet with its free addresses and the present need; it says so if a new subnet would last longer."""
    free, later = sizing.room_in(snapshot, subnet).addresses or 0, sizing.demand(snapshot, zone)
    shorter = f", less long than a new subnet for {later:,}" if free < later else ""
    return f"{subnet.id} of {zone} has {free:,} free addresses for {sizing.held_now(snapshot, zone):,} now{shorter}"


def find(snapshot: Snapshot, needed: dict[str, int], *, first_time: bool) -> Existing:
    """A subnet for each zone of `needed`, which tells the addresses it must have free; zones may be left without.

    That is what the zone needs now with some margin (amazon-vpc-cni-k8s#3067: what people made for pods is what they
    want), not what a new subnet would be made for.

    `first_time`: custom networking is turned on, and may take over what the CNI discovers now.
    """
    existing = Existing()
    for zone, addresses in needed.items():
        unused = _unused(snapshot, zone, first_time=first_time)
        refusals = {subnet.id: _refusal(snapshot, subnet, addresses) for subnet in unused}
        fitting = [subnet for subnet in unused if not refusals[subnet.id]]
        if fitting:
            fitting.sort(key=lambda subnet: subnet.id)
            existing.chosen[zone] = max(fitting, key=lambda subnet: sizing.room_in(snapshot, subnet).addresses or 0)
        else:
            existing.passed_over += [f"{id_} of {zone} {why}" for id_, why in refusals.items()]
    return existing


def _unused(snapshot: Snapshot, zone: str, *, first_time: bool) -> list[Subnet]:
    """Subnets meant for pods in which no node has an ENI, and in which no node's next ENI would be created anyway."""
    taken = {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces}
    if not first_time:
        taken |= {subnet.id for subnet in zone_subnets(snapshot, zone)}
    return [subnet for subnet in _offered(snapshot, zone) if subnet.id not in taken]


def _offered(snapshot: Snapshot, zone: str) -> list[Subnet]:
    custom = snapshot.cni.custom_networking
    selected = {node.selected_eni_config for node in snapshot.nodes if node.runs_vpc_cni} if custom else set()
    named = {config.subnet for config in snapshot.eni_configs if config.name not in selected}
    return [
        subnet
        for subnet in snapshot.subnets
        if subnet.zone == zone and (subnet.id in named or is_meant_for_pods(snapshot.cluster.name, subnet))
    ]


def _refusal(snapshot: Snapshot, subnet: Subnet, addresses: int) -> str | None:
    """Why the subnet is not used, as the end of a sentence about it."""
    if INCIDENT_TAG in subnet.tags:
        return f"was made by incident {subnet.tags[INCIDENT_TAG]}, whose rollback would take it away"
    other = other_cluster(snapshot.cluster.name, subnet)
    if other:
        return f"is cluster {other}'s"
    if outpost_of(snapshot, subnet):
        return "lies on an Outpost, which serves no node in the Region"
    if subnet.owner_id and snapshot.account_id and subnet.owner_id != snapshot.account_id:
        return f"is shared by account {subnet.owner_id}"
    return _lack(snapshot, subnet, addresses)


def _lack(snapshot: Snapshot, subnet: Subnet, addresses: int) -> str | None:
    room = sizing.room_in(snapshot, subnet)
    beside = " beside its reservations" if room.reserved else ""
    if room.addresses is None:
        return "has an unknown number of free addresses"
    if room.addresses < addresses:
        free = counted(room.addresses, "free address", "free addresses")
        return f"has {free}{beside}, {addresses} are needed"
    prefixes = -(-addresses // PREFIX_SIZE)
    whole = least_prefixes(subnet) if room.prefixes is None and not room.reserved else room.prefixes
    if snapshot.cni.prefix_delegation and (whole is None or whole < prefixes):
        number = "an unknown number of" if room.prefixes is None else room.prefixes
        return f"has {number} free /28 prefixes{beside}, {prefixes} are needed"
    return None
