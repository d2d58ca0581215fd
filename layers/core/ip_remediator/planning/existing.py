"""The second rung: a subnet that is there already, and that somebody meant for pods.

Meant for pods: an ENIConfig named after the zone points at it though no node selects that one, or it bears one of the
tags `kubernetes.io/role/cni=1` and `eks-ip-remediator:pod-subnet=<cluster>` (or `=shared`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ip_remediator.common.text import counted
from ip_remediator.diagnosis.alternatives import POD_SUBNET_TAG
from ip_remediator.snapshot.ipamd import eni_configs_of, zone_subnets
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import CLUSTER_DISCOVERY_TAG, DISCOVERY_TAG, PREFIX_SIZE
from ip_remediator.snapshot.model_vpc import Subnet

SHARED = "shared"
_INCIDENT_TAG = "eks-ip-remediator:incident"
_CLUSTER_TAG = "kubernetes.io/cluster/"


@dataclass
class Existing:
    """The subnet found for a zone, and why the others are passed over."""

    chosen: dict[str, Subnet] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)

    def reason(self, snapshot: Snapshot) -> str:
        told = [f"{subnet.id} of {zone} has {subnet.free} free addresses" for zone, subnet in self.chosen.items()]
        told += self.passed_over
        return "; ".join(told) or (
            "no subnet is meant for pods and unused: none has the tag "
            f"{POD_SUBNET_TAG}={snapshot.cluster.name}, none is named by an ENIConfig that no node selects"
        )


def find(snapshot: Snapshot, needed: dict[str, int], *, first_time: bool) -> Existing:
    """A subnet for each zone of `needed`, which tells the addresses it must have free; zones may be left without.

    `first_time`: custom networking is turned on, and may take over what the CNI discovers now.
    """
    found = Existing()
    used = {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces}
    for zone, addresses in needed.items():
        reached = set() if first_time else {subnet.id for subnet in zone_subnets(snapshot, zone)}
        offered = [subnet for subnet in _offered(snapshot, zone) if subnet.id not in used | reached]
        refused = {subnet.id: _refusal(snapshot, subnet, addresses) for subnet in offered}
        fitting = [subnet for subnet in offered if not refused[subnet.id]]
        if fitting:
            found.chosen[zone] = max(sorted(fitting, key=lambda subnet: subnet.id), key=lambda subnet: subnet.free or 0)
        else:
            found.passed_over += [f"{id_} of {zone} {why}" for id_, why in refused.items()]
    return found


def _offered(snapshot: Snapshot, zone: str) -> list[Subnet]:
    selected = eni_configs_of(snapshot, zone) if snapshot.cni.custom_networking else ()
    named = {config.subnet for config in snapshot.eni_configs if zone in config.name and config.name not in selected}
    return [
        subnet
        for subnet in snapshot.subnets
        if subnet.zone == zone
        and (subnet.id in named or subnet.tags.get(DISCOVERY_TAG) == "1" or POD_SUBNET_TAG in subnet.tags)
    ]


def _refusal(snapshot: Snapshot, subnet: Subnet, addresses: int) -> str | None:
    """Why the subnet is not used, as the end of a sentence about it."""
    if _INCIDENT_TAG in subnet.tags:
        return f"was made by incident {subnet.tags[_INCIDENT_TAG]}, whose rollback would take it away"
    other = _other_cluster(snapshot.cluster.name, subnet)
    if other:
        return f"is cluster {other}'s"
    if subnet.owner_id and snapshot.account_id and subnet.owner_id != snapshot.account_id:
        return f"is shared by account {subnet.owner_id}"
    return _lack(snapshot, subnet, addresses)


def _other_cluster(cluster: str, subnet: Subnet) -> str | None:
    meant_for = subnet.tags.get(POD_SUBNET_TAG, SHARED)
    if meant_for not in (cluster, SHARED):
        return meant_for
    for prefix in (CLUSTER_DISCOVERY_TAG, _CLUSTER_TAG):
        names = sorted(key.removeprefix(prefix) for key in subnet.tags if key.startswith(prefix))
        if names and cluster not in names:
            return names[0]
    return None


def _lack(snapshot: Snapshot, subnet: Subnet, addresses: int) -> str | None:
    if subnet.free is None:
        return "has an unknown number of free addresses"
    if subnet.free < addresses:
        return f"has {counted(subnet.free, 'free address', 'free addresses')}, {addresses} are needed"
    if not snapshot.cni.prefix_delegation:
        return None
    prefixes = -(-addresses // PREFIX_SIZE)
    if subnet.free_prefixes is None or subnet.free_prefixes < prefixes:
        known = "an unknown number of" if subnet.free_prefixes is None else subnet.free_prefixes
        return f"has {known} free /28 prefixes, {prefixes} are needed"
    return None
