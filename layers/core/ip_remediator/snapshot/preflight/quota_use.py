"""How much of a quota is used, counted as AWS counts it (\"Amazon VPC quotas\" of the VPC User Guide)."""

from __future__ import annotations

from collections import Counter

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Route, Vpc


def interfaces_by_zone(snapshot: Snapshot) -> Counter[str]:
    """The ENIs of the cluster's nodes in each zone, and those that the CNI leaked there."""
    counts = Counter[str]()
    for node in snapshot.nodes:
        counts[node.zone or ""] += len(node.interfaces)
    for eni in snapshot.leaked_interfaces:
        subnet = snapshot.subnet(eni.subnet_id)
        counts[subnet.zone if subnet else ""] += 1
    return counts


def routes_by_table(vpc: Vpc, *, certain: bool = False) -> Counter[str]:
    """The routes of each table that count against its quota: local ones do, propagated ones do not (these have a quota
    of their own, 100, which no plan touches).

    A new CIDR adds its local route to every route table ("VPC CIDR blocks" of the VPC User Guide). `certain`: without
    those that a virtual private gateway may have propagated, where that was not read.
    """
    own = {cidr.cidr for cidr in vpc.cidrs}
    counted_routes = (
        route
        for route in vpc.routes
        if route.destination not in own and not route.propagated and not (certain and _may_be_propagated(route))
    )
    counts = Counter(route.route_table for route in counted_routes)
    return Counter({table: routes + len(vpc.standing_cidrs) for table, routes in counts.items()})


def _may_be_propagated(route: Route) -> bool:
    return route.propagated is None and route.target.startswith("vgw-")
