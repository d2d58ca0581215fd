"""Preconditions of every plan: each check raises `CannotPlan` with the reason and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ip_remediator.common import tag_names
from ip_remediator.diagnosis.alternatives import (
    ALTERNATIVES,
    NETWORK_ADDRESS_UNITS,
    NETWORK_INTERFACES,
    PEERED_ADDRESS_UNITS,
    ask_for,
)
from ip_remediator.diagnosis.model import CURABLE, FOR_OTHERS, Diagnosis
from ip_remediator.planning import sizing
from ip_remediator.snapshot.model import Quotas, Snapshot
from ip_remediator.snapshot.model_cluster import ENI_CONFIG_LABEL_DEF, ZONE_LABEL, Node
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of_node
from ip_remediator.snapshot.node_room.eni_subnets import eni_configs_of
from ip_remediator.snapshot.node_room.limits import free_slots
from ip_remediator.snapshot.preflight.quota_use import interfaces_by_zone, routes_by_table
from ip_remediator.snapshot.subnet_owner import owner_of_others

SUBNETS_PER_VPC = "L-407747CB"


class CannotPlan(Exception):
    """No plan is possible; the message says why, `alternatives` what else would help.

    `field`: what people asked for that cannot be, by the name of the field or setting; None if nothing of that kind.
    `quota`: the code of the quota that is used up.
    """

    def __init__(
        self,
        reason: str,
        alternatives: Iterable[str] = ALTERNATIVES,
        *,
        field: str | None = None,
        quota: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.alternatives = tuple(alternatives)
        self.field = field
        self.quota = quota


def without_facts(snapshot: Snapshot, diagnosis: Diagnosis) -> None:
    """Refuses what no plan can cure, before any call to AWS. Raises CannotPlan."""
    if diagnosis.verdict not in CURABLE | FOR_OTHERS:
        raise CannotPlan(f"{diagnosis.verdict}: {diagnosis.summary}")
    if snapshot.vpc is None:
        raise CannotPlan("the snapshot has no vpc: which CIDRs are taken is unknown; capture it again")
    if owner := owner_of_others(snapshot):
        raise CannotPlan(f"the VPC is shared by account {owner}, and only its owner may add CIDRs and subnets")


def nodes_in_the_region(snapshot: Snapshot, diagnosis: Diagnosis, zones: Iterable[str]) -> None:
    """Raises CannotPlan unless a subnet in the Region serves some node in need. It serves none on an Outpost."""
    nodes = _nodes_in_need(snapshot, diagnosis, zones)
    places = [outpost_of_node(snapshot, node) for node in nodes]
    outposts = sorted({place for place in places if place})
    if places and all(places):
        raise CannotPlan(
            f"the nodes in need are on an Outpost ({', '.join(outposts[:3])}), and no ENI of a subnet in the "
            "Region can be attached there: make a subnet on the Outpost with an ENIConfig of its own, and label those "
            "nodes with it, as the alternatives say"
        )


def _nodes_in_need(snapshot: Snapshot, diagnosis: Diagnosis, zones: Iterable[str]) -> list[Node]:
    """The hosts of stuck pods in those of `zones` that are short; without any, all nodes there."""
    needy = {zone.zone for zone in diagnosis.zones if zone.verdict in CURABLE} & set(zones)
    hosts = {pod.node for pod in snapshot.stuck_pods}
    nodes = [node for node in snapshot.nodes if node.zone in needy and node.runs_vpc_cni]
    return [node for node in nodes if node.name in hosts] or nodes


def more_than_labels(zones: Iterable[str], cures: list[str]) -> None:
    """Raises where labels are all that lacks: the ENIConfigs and their subnets are there, and no node selects them."""
    if cures and not list(zones):
        raise CannotPlan(f"no address is lacking, no CIDR and no subnet is added: {'; '.join(cures)}", cures)


def shared_eni_configs(snapshot: Snapshot, pointed: Mapping[str, Iterable[str]]) -> None:
    """Raises where two zones share an ENIConfig: it names one subnet, so changing it for one zone would leave the other
    zone's nodes without addresses. `pointed`: by zone, the ENIConfigs that the plan changes."""
    users: dict[str, set[str]] = {}
    for zone in {node.zone for node in snapshot.nodes if node.zone} | pointed.keys():
        for name in eni_configs_of(snapshot, zone):
            users.setdefault(name, set()).add(zone)
    zones = pointed.keys()
    concerned = {name for names in pointed.values() for name in names}
    users = {name: sharing for name, sharing in users.items() if name in concerned}
    for name, sharing in sorted(users.items()):
        if len(sharing) > 1 and sharing & zones:
            raise CannotPlan(
                f"nodes of {', '.join(sorted(sharing))} select the same ENIConfig {name}, which holds one subnet of "
                f"one zone: set {ENI_CONFIG_LABEL_DEF}={ZONE_LABEL} on aws-node, with an ENIConfig per zone"
            )


def prepared_already(
    snapshot: Snapshot, zones: Iterable[str], route_tables: Collection[str | None] | None = None
) -> None:
    """Subnets that an earlier incident made for people to go on with, and that no node uses yet: more do not help.

    With `route_tables`, only those that have one of them: others are no use in their place.
    """
    used = {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces}
    waiting = [
        subnet
        for subnet in snapshot.subnets
        if subnet.zone in set(zones)
        and subnet.id not in used
        and _made_for(snapshot, subnet)
        and (route_tables is None or subnet.route_table in route_tables)
    ]
    if waiting:
        ids = ", ".join(sorted(subnet.id for subnet in waiting))
        incidents = ", ".join(sorted({subnet.tags[tag_names.INCIDENT] for subnet in waiting}))
        raise CannotPlan(
            f"{ids} of incident {incidents} are prepared and no node uses them yet: run what its details say, or roll "
            "it back"
        )


def _made_for(snapshot: Snapshot, subnet: Subnet) -> bool:
    return subnet.tags.get(tag_names.CLUSTER) == snapshot.cluster.name and tag_names.INCIDENT in subnet.tags


def require_below_subnet_quota(snapshot: Snapshot, more: int) -> None:
    """Raises CannotPlan if `more` subnets exceed the quota "Subnets per VPC" (L-407747CB), where it was read."""
    vpc = snapshot.vpc
    if vpc and more and vpc.subnet_count is not None:
        reason = f"VPC {vpc.id} has {vpc.subnet_count} subnets, {more} more are needed"
        _check(snapshot.quotas, reason, SUBNETS_PER_VPC, vpc.subnet_count, more, snapshot.quotas.subnets_per_vpc, 50)


def require_below_address_quota(snapshot: Snapshot, zones: Iterable[str]) -> None:
    """Network address units of the VPC, alone and with its peers, of which those that were not read may use more.

    AWS refuses to attach an ENI with all of its addresses where they do not fit ("Network Address Usage for your VPC"
    of the VPC User Guide: NetworkAddressUsageLimitExceeded, NetworkAddressUsagePeeredLimitExceeded).
    """
    vpc, more = snapshot.vpc, sum(sizing.units_asked(snapshot, zone) for zone in zones)
    if vpc and more and vpc.network_address_units is not None:
        used, limit = vpc.network_address_units, snapshot.quotas.network_address_units
        reason = f"VPC {vpc.id} uses {used:,} network address units, {more:,} more are needed"
        _check(snapshot.quotas, reason, NETWORK_ADDRESS_UNITS, used, more, limit, limit)
        together, limit = vpc.units_with_peers, snapshot.quotas.peered_network_address_units
        if together is not None:
            reason = f"VPC {vpc.id} and its peers use {together:,} network address units, {more:,} more are needed"
            _check(snapshot.quotas, reason, PEERED_ADDRESS_UNITS, together, more, limit, limit)


def require_below_interface_quota(snapshot: Snapshot, zones: Iterable[str]) -> None:
    """Raises where the quota of a zone would be exceeded. Only this cluster's ENIs are known, so the zone may have
    more."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    used = interfaces_by_zone(snapshot)
    for zone in zones:
        more = sum(node.name in hosts and free_slots(snapshot.cni, node) != 0 for node in snapshot.nodes_in(zone))
        reason = f"the cluster alone has {used[zone]:,} network interfaces in {zone}, {more:,} more are needed"
        _check(snapshot.quotas, reason, NETWORK_INTERFACES, used[zone], more, snapshot.quotas.interfaces_per_zone, 1000)


def require_room_for_cidr(snapshot: Snapshot) -> None:
    """Raises CannotPlan if AWS would not add a CIDR to the VPC now."""
    vpc, quotas = snapshot.vpc, snapshot.quotas
    if vpc is None:
        return
    used = len(vpc.standing_cidrs)
    _check(quotas, f"VPC {vpc.id} has {used} IPv4 CIDRs", "L-83CA0A9D", used, 1, quotas.cidrs_per_vpc, 5)
    for table, routes in sorted(routes_by_table(vpc, certain=True).items()):
        reason = f"route table {table} has {routes} routes that are not propagated, a new CIDR adds its local route to "
        reason += "every table"
        _check(quotas, reason, "L-93826ACB", routes, 1, quotas.routes_per_table, 100)
    asked = (peering for peering in vpc.peerings if peering.requester)
    pending = next((peering.id for peering in asked if peering.status == "pending-acceptance"), None)
    if pending:
        raise CannotPlan(
            f"AWS adds no CIDR to a VPC that has asked for a peering which is not accepted yet: have {pending} "
            "accepted, or delete it"
        )


def _check(quotas: Quotas, reason: str, code: str, used: int, more: int, limit: int, step: int) -> None:
    """Raises CannotPlan where `more` exceed `limit`. AWS's defaults refuse nothing, because they may have been raised;
    the risk near-quotas then says where they are reached."""
    if used + more <= limit or not quotas.applied:
        return
    raise CannotPlan(
        f"{reason} and the quota is {limit:,}: " + ask_for(code, max(limit + step, used + more)), quota=code
    )
