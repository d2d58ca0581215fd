"""Routes out of the VPC: which networks see the pods' own addresses, and whether they can route answers back.

By default the CNI gives traffic that leaves the VPC the node's primary address ("SNAT for Pods" of the EKS User Guide),
which nothing has to learn. That changes with AWS_VPC_K8S_CNI_EXTERNALSNAT, with
AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS, and for nodes that live in the new range themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from ip_remediator.common.cidr import CGNAT, networks
from ip_remediator.risks.migration import (
    CLUSTER_SUBNETS,
    ENFORCING_MODE,
    NODE_GROUP,
    WITH_ENI_CONFIGS,
    Migration,
    shown,
)
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Route, Subnet
from ip_remediator.snapshot.node_places import model_subnet
from ip_remediator.snapshot.taken_ranges import cgnat_of_others, describe_route

# What is behind these answers to the address that the gateway gives, or is AWS's own.
# A carrier gateway of a Wavelength Zone translates like an internet gateway (VPC User Guide, "Carrier gateways").
_NO_WAY_TO_OTHERS = ("local", "nat-", "igw-", "eigw-", "cagw-", "vpce-")


def external_snat(migration: Migration) -> Risk | None:
    """NAT gateways translate every address of the VPC, so only networks behind other routes must know the range."""
    if not (migration.external_snat and migration.ranges) or migration.known_range:
        return None
    outside = _outside(migration)
    harmless = migration.snapshot.routes_known and not outside
    return Risk(
        id="external-snat",
        severity=Severity.LOW if harmless else Severity.HIGH,
        found=f"AWS_VPC_K8S_CNI_EXTERNALSNAT=true, {_seen_routes(migration, outside)}",
        breaks="nothing: no route leads to a network that would see the new range; NAT gateways translate it too"
        if harmless
        else f"pods may get no answer from other networks, which see addresses of {migration.words} and may not "
        "route them back",
        remedy=f"route {migration.words} back on the other side, lead these routes through "
        f"{_private_nat(migration)}, or set "
        "AWS_VPC_K8S_CNI_EXTERNALSNAT=false",
    )


def security_group_pods(migration: Migration) -> Risk | None:
    """In strict mode, the default, pods with security groups of their own leave with their own address, whatever
    EXTERNALSNAT says ("Security groups for pods" of the EKS User Guide; amazon-vpc-cni-k8s#3234)."""
    by_eni_config = migration.strategy in WITH_ENI_CONFIGS
    if (
        not (by_eni_config and migration.strict_security_groups and migration.ranges)
        or migration.external_snat
        or migration.known_range
    ):
        return None
    outside = _outside(migration)
    if migration.snapshot.routes_known and not outside:
        return None
    return Risk(
        id="security-group-pods-leave",
        severity=Severity.HIGH,
        found=f"ENABLE_POD_ENI=true with {ENFORCING_MODE} strict, {_seen_routes(migration, outside)}",
        breaks="pods with security groups of their own (SecurityGroupPolicy) may get no answer from other networks, "
        f"which see addresses of {migration.words}: source NAT is off for such pods",
        remedy=f"route {migration.words} back on the other side, lead these routes through "
        f"{_private_nat(migration)}, or set "
        f"{ENFORCING_MODE}=standard on aws-node and restart those pods",
    )


def routes_missing(migration: Migration) -> Risk | None:
    """A present subnet keeps its own route table. Pods that leave with their own addresses leave by that table; all
    others leave by the node's primary ENI, whatever the table of their subnet says ("SNAT for Pods" of the EKS User
    Guide)."""
    if not (migration.external_snat or migration.strict_security_groups) or not migration.snapshot.routes_known:
        return None
    lacking = [(subnet, missing) for subnet in migration.used if (missing := _missing_in(migration.snapshot, subnet))]
    if not lacking:
        return None
    words = [
        f"{subnet.id} ({subnet.route_table}) has no route to {shown([route.destination for route in missing])}"
        for subnet, missing in lacking
    ]
    who = "pods" if migration.external_snat else "pods with security groups of their own (SecurityGroupPolicy)"
    first, [route, *_] = lacking[0]
    return Risk(
        id="routes-missing",
        severity=Severity.HIGH,
        found=f"{shown(words)}, and the nodes' subnets have",
        breaks=f"{who} that get addresses there lose the way to these networks: they leave with their own addresses, "
        "by the route table of that subnet",
        remedy=f"add the routes, such as `aws ec2 create-route --route-table-id {first.route_table} "
        f"--destination-cidr-block {route.destination} {_target_option(route.target)} {route.target}`, or take the tag "
        "off the subnet, so that the plan makes one with the nodes' route table",
    )


def _missing_in(snapshot: Snapshot, subnet: Subnet) -> list[Route]:
    """The nodes' routes that the subnet's table has nothing for."""
    home = model_subnet(snapshot, subnet.zone)
    if home is None or not subnet.route_table or home.route_table in (None, subnet.route_table):
        return []
    present = [network for route in _working(snapshot, subnet.route_table) for network in networks([route.destination])]
    return [
        route
        for route in _working(snapshot, home.route_table)
        if not any(IPv4Network(route.destination).subnet_of(network) for network in present)
    ]


def _working(snapshot: Snapshot, table: str | None) -> list[Route]:
    routes = snapshot.vpc.routes if snapshot.vpc else ()
    active = [route for route in routes if route.route_table == table and route.state == "active"]
    return [route for route in active if route.target != "local" and networks([route.destination])]


_TARGET_OPTIONS = {
    "nat-": "--nat-gateway-id",
    "tgw-": "--transit-gateway-id",
    "pcx-": "--vpc-peering-connection-id",
    "eni-": "--network-interface-id",
    "vpce-": "--vpc-endpoint-id",
    "cagw-": "--carrier-gateway-id",
    "lgw-": "--local-gateway-id",
}


def _target_option(target: str) -> str:
    """The option of create-route for the target; internet and virtual private gateways have the same."""
    return next((option for prefix, option in _TARGET_OPTIONS.items() if target.startswith(prefix)), "--gateway-id")


def snat_exclusions(migration: Migration) -> Risk | None:
    """Ranges outside the VPC for which the CNI does not translate pods' addresses."""
    own = networks(cidr.cidr for cidr in migration.snapshot.vpc.cidrs) if migration.snapshot.vpc else []
    outside = [str(range_) for range_ in migration.unmasked if not any(range_.subnet_of(cidr) for cidr in own)]
    if not (outside and migration.ranges) or migration.known_range:
        return None
    return Risk(
        id="snat-exclusions",
        severity=Severity.HIGH,
        found=f"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS names {shown(outside)}",
        breaks=f"pods may get no answer from these, which see {migration.words} and may not route it back",
        remedy=f"route {migration.words} back from there, or take the range out of AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS",
    )


def node_addresses(migration: Migration) -> Risk | None:
    """Nodes in the new range leave the VPC with addresses of it: SNAT gives the node's primary address."""
    if migration.strategy != NODE_GROUP or not migration.ranges or migration.known_range:
        return None
    outside = _outside(migration)
    if migration.snapshot.routes_known and not outside:
        return None
    return Risk(
        id="node-addresses-leave",
        severity=Severity.HIGH if outside else Severity.MEDIUM,
        found=f"new nodes get addresses of {migration.words}; "
        f"{_ways(outside) if outside else 'the routes were not read'}",
        breaks="these nodes and their pods may get no answer from other networks, which may not route the range back",
        remedy=f"route {migration.words} back on the other side, or lead these routes through "
        f"{_private_nat(migration)}",
    )


def unallocated_space(migration: Migration) -> Risk | None:
    """Subnets for nodes and for the cluster may be cut out of the VPC's own CIDRs, which no subnet has yet."""
    taken = [range_ for range_ in migration.ranges if not range_.subnet_of(CGNAT)]
    if migration.strategy not in (NODE_GROUP, CLUSTER_SUBNETS) or migration.source != "existing-cidr" or not taken:
        return None
    names = shown(str(range_) for range_ in taken)
    return Risk(
        id="unallocated-space",
        severity=Severity.MEDIUM,
        found=f"{names} is of the VPC's own CIDRs, and no subnet has it: networks beyond the VPC may route it",
        breaks="what somebody keeps this space for gets less, until it is rolled back; pods that run are not affected",
        remedy="ask the owners of the VPC, or name the ranges to leave alone in `ExcludedCidrs`",
    )


def return_routes(migration: Migration) -> Risk | None:
    """Clients outside the VPC that call pods by their address need a route to the new range."""
    vpc = migration.snapshot.vpc
    no_snat = migration.external_snat or migration.strategy == NODE_GROUP or migration.known_range
    if vpc is None or no_snat or not migration.ranges:
        return None
    ways = {peering.id for peering in vpc.peerings if peering.status == "active"}
    ways |= {gateway.id for gateway in vpc.transit_gateways}
    ways |= {route.target for route in _outside(migration)}
    if not ways:
        return None
    return Risk(
        id="return-routes",
        severity=Severity.LOW,
        found=f"the VPC is reached through {shown(sorted(ways))}",
        breaks="what is there cannot reach pods by their own addresses (load balancers with IP targets, metrics); what "
        f"pods open themselves leaves with the node's address as before{_except_with_groups(migration)}",
        remedy=f"add routes to {migration.words} on the other side, where anything there calls pods directly",
    )


def _except_with_groups(migration: Migration) -> str:
    if not migration.strict_security_groups:
        return ""
    return f", except that of pods with security groups of their own ({ENFORCING_MODE} strict)"


def blackholes(migration: Migration) -> Risk | None:
    """Routes in the nodes' tables whose target is gone; new subnets get the same table."""
    dead = [route for route in _routes(migration) if route.state == "blackhole"]
    if not dead or not migration.ranges:
        return None
    return Risk(
        id="blackhole-routes",
        severity=Severity.LOW,
        found=shown(f"{describe_route(route)} is a blackhole" for route in dead),
        breaks="what is behind it cannot be reached today, and new subnets are given the same route table",
        remedy=f"`aws ec2 delete-route --route-table-id {dead[0].route_table} --destination-cidr-block "
        f"{dead[0].destination}`, or restore its target",
    )


def range_in_use(migration: Migration) -> Risk | None:
    """100.64.0.0/10 on the paths: in routes, transit gateways and peers."""
    if not any(range_.overlaps(CGNAT) for range_ in migration.ranges):
        return None
    used = _shared_ranges(migration)
    clashing = {name: cidr for name, cidr in used.items() if any(cidr.overlaps(range_) for range_ in migration.ranges)}
    if clashing:
        return Risk(
            id="cgnat-on-paths",
            severity=Severity.HIGH,
            found=f"{shown(clashing)} overlaps {migration.words}",
            breaks=f"the VPC no longer reaches hosts there that have addresses of {migration.words}",
            remedy=f"name {shown(dict.fromkeys(map(str, clashing.values())))} in the stack's parameter ExcludedCidrs, "
            "and plan again",
        )
    if not used:
        return None
    return Risk(
        id="cgnat-on-paths",
        severity=Severity.LOW,
        found=f"{shown(used)} lies beside {migration.words}",
        breaks="nothing now; a range taken there later may overlap",
        remedy=f"enter {migration.words} where your organisation keeps its ranges",
    )


def _shared_ranges(migration: Migration) -> dict[str, IPv4Network]:
    """What others have of 100.64.0.0/10, by where it was seen."""
    vpc = migration.snapshot.vpc
    ranges = cgnat_of_others(vpc) if vpc else []
    return {range_.place: range_.cidr for range_ in sorted(ranges, key=lambda range_: range_.place)}


def transit_gateway_unread(migration: Migration) -> Risk | None:
    """An attachment that propagates announces a new CIDR to the gateway by itself."""
    vpc = migration.snapshot.vpc
    dark = sorted(gateway.id for gateway in vpc.transit_gateways if gateway.routes is None) if vpc else []
    if not dark or not (migration.new_cidr and migration.ranges):
        return None
    pool = CGNAT if migration.ranges[0].subnet_of(CGNAT) else migration.ranges[0]
    return Risk(
        id="transit-gateway-unread",
        severity=Severity.MEDIUM,
        found=f"the routes of {shown(dark)} could not be read",
        breaks=f"another VPC that has {migration.words} behind the gateway too may not be reached: where attachments "
        "propagate their CIDRs, the same range is announced twice",
        remedy="ask the gateway's owner for `aws ec2 search-transit-gateway-routes --transit-gateway-route-table-id "
        f"<its table> --filters Name=route-search.subnet-of-match,Values={pool}`, and name in the stack's parameter "
        "ExcludedCidrs what is taken",
    )


def overlays(migration: Migration) -> Risk | None:
    """Tailscale drops what comes from 100.64.0.0/10 by another interface than its own (tailscale/tailscale#12555)."""
    workloads = migration.snapshot.cluster.overlays
    lived_there = any(range_.overlaps(CGNAT) for range_ in migration.present)
    if not workloads or lived_there or not any(range_.overlaps(CGNAT) for range_ in migration.ranges):
        return None
    return Risk(
        id="overlay-on-cgnat",
        severity=Severity.HIGH,
        found=f"{shown(sorted(workloads))} use {CGNAT} themselves",
        breaks=f"pods in {migration.words} cannot connect to these workloads, nor to nodes that run them on the hosts' "
        "network: Tailscale drops what comes from that range by another interface than its own",
        remedy="use a pool outside 100.64.0.0/10, or run Tailscale with TS_USERSPACE=true or --netfilter-mode=off",
    )


def public_range(migration: Migration) -> Risk | None:
    """Addresses that hosts on the Internet have. AWS takes such a CIDR and treats it as private ("VPC CIDR blocks" of
    the VPC User Guide); the local route of a VPC's CIDR goes before the one to the Internet ("Route priority")."""
    if not migration.new_cidr or not any(range_.is_global for range_ in migration.ranges):
        return None
    return Risk(
        id="public-range",
        severity=Severity.HIGH,
        found=f"{migration.words} is a public range of the Internet",
        breaks=f"nothing in the VPC reaches hosts on the Internet that have addresses of {migration.words}",
        remedy="use a pool of private or shared addresses, such as 100.64.0.0/10, unless the range is your own",
    )


def _routes(migration: Migration) -> list[Route]:
    """Of the tables that pods' traffic gets, where they are known."""
    snapshot = migration.snapshot
    homes = {subnet.route_table for subnet in snapshot.subnets if subnet.id in migration.way_out} - {None}
    routes = snapshot.vpc.routes if snapshot.vpc else ()
    routes_of_nodes = [route for route in routes if not homes or route.route_table in homes]
    return sorted(routes_of_nodes, key=lambda route: (route.target, route.destination, route.route_table))


def leads_to_others(snapshot: Snapshot) -> bool:
    """Whether routes lead to networks that see addresses of the VPC as they are, or may: routes were not read."""
    return not snapshot.routes_known or bool(_outside(Migration(snapshot, NODE_GROUP, "", ())))


def _outside(migration: Migration) -> list[Route]:
    return [route for route in _routes(migration) if not route.target.startswith(_NO_WAY_TO_OTHERS)]


def _seen_routes(migration: Migration, outside: list[Route]) -> str:
    if outside:
        return _ways(outside)
    return "no route to other networks" if migration.snapshot.routes_known else "the routes were not read"


def _ways(routes: Iterable[Route]) -> str:
    return "routes " + shown(dict.fromkeys(describe_route(route) for route in routes))


def _private_nat(migration: Migration) -> str:
    vpc = migration.snapshot.vpc
    gateways = sorted(gateway.id for gateway in vpc.nat_gateways if gateway.private) if vpc else []
    return f"the private NAT gateway {gateways[0]}" if gateways else "a private NAT gateway"
