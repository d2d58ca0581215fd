"""Ranges that others use: those that a new CIDR must not overlap, and those of 100.64.0.0/10 on the VPC's paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Route, TransitGateway, Vpc

# Not refused by AWS, but containers on nodes could not reach it: Docker's default bridge (EKS User Guide, VPC
# requirements and considerations).
_DOCKER_BRIDGE = "172.17.0.0/16"
# A route this wide (0.0.0.0/0, or the pair of /1 that VPN clients set) leads out, and is nobody's range.
_NARROWEST_WAY_OUT = 7
_LIVE_PEERING = ("active", "initiating-request", "pending-acceptance", "provisioning")


def taken_ranges(snapshot: Snapshot) -> dict[str, str]:
    """By CIDR, its user: the VPC and what it reaches, the cluster's services and remote networks, AWS's rules."""
    cluster = snapshot.cluster
    taken = {_DOCKER_BRIDGE: "default bridge of Docker"}
    taken |= dict.fromkeys(cluster.service_cidrs, f"services of {cluster.name}")
    taken |= dict.fromkeys(cluster.remote_cidrs, f"remote network of {cluster.name}")
    return taken | (_reached_by(snapshot.vpc) if snapshot.vpc else {})


@dataclass(frozen=True)
class RangeOfOthers:
    """`place` says where it was seen: "100.64.0.0/16 of peer pcx-1"."""

    cidr: IPv4Network
    place: str


def cgnat_of_others(vpc: Vpc) -> list[RangeOfOthers]:
    """The ranges of 100.64.0.0/10 that gateways, peers and routes name, in this order.

    Left out are routes so wide that they only lead out, dead ones, and ranges of the VPC's own CIDRs, which gateways
    learn.
    """
    own = cidrs.networks(cidr.cidr for cidr in vpc.cidrs)
    ranges = [RangeOfOthers(cidr, place) for text, place in _places(vpc) if (cidr := cidrs.network(text))]
    return [
        range_
        for range_ in ranges
        if range_.cidr.overlaps(cidrs.CGNAT)
        and range_.cidr.prefixlen > _NARROWEST_WAY_OUT
        and not any(range_.cidr.subnet_of(cidr) for cidr in own)
    ]


def _places(vpc: Vpc) -> Iterator[tuple[str, str]]:
    for gateway in vpc.transit_gateways:
        yield from ((cidr, f"{cidr} behind {gateway.id}") for cidr in gateway.routes or ())
    for peering in vpc.peerings:
        yield from ((cidr, f"{cidr} of peer {peering.id}") for cidr in peering.cidrs)
    for route in vpc.routes:
        if not _is_dead(vpc, route):
            yield route.destination, describe_route(route)


def describe_route(route: Route) -> str:
    """The route's destination, its prefix list if it has one, and its target."""
    of_list = f" ({route.prefix_list})" if route.prefix_list else ""
    return f"{route.destination}{of_list} to {route.target}"


def _reached_by(vpc: Vpc) -> dict[str, str]:
    own = [IPv4Network(cidr.cidr) for cidr in vpc.cidrs]
    taken = {str(barred): f"range that AWS bars from a VPC of {own[0]}" for barred in cidrs.barred_ranges(own)}
    taken |= dict(_behind_gateways(vpc))
    taken |= dict(_routed(vpc))
    taken |= dict(_of_peers(vpc))
    return taken | {cidr.cidr: f"CIDR of {vpc.id}" for cidr in vpc.cidrs}


def _behind_gateways(vpc: Vpc) -> Iterator[tuple[str, str]]:
    for gateway in vpc.transit_gateways:
        for cidr in gateway.routes or ():
            if not _leads_out(cidr):
                yield cidr, f"range that {gateway.id} routes elsewhere{_perhaps_dropped(gateway)}"


def _routed(vpc: Vpc) -> Iterator[tuple[str, str]]:
    for route in vpc.routes:
        if not _leads_out(route.destination) and not _leads_nowhere(vpc, route):
            yield route.destination, f"route to {route.target} in {route.route_table}{_of_list(route)}"


def _of_peers(vpc: Vpc) -> Iterator[tuple[str, str]]:
    for peering in vpc.peerings:
        if peering.status in _LIVE_PEERING:
            yield from ((cidr, f"peer of {peering.id}") for cidr in peering.cidrs)


def _leads_out(destination: str) -> bool:
    return IPv4Network(destination).prefixlen <= _NARROWEST_WAY_OUT


def _perhaps_dropped(gateway: TransitGateway) -> str:
    """A note that the range may be a blackhole, which nobody uses: older documents list blackholes like
    other routes."""
    if gateway.blackholes is not None:
        return ""
    return ", unless that route is a blackhole (aws ec2 search-transit-gateway-routes tells; capture again)"


def _leads_nowhere(vpc: Vpc, route: Route) -> bool:
    """AWS refuses a CIDR that equals or contains the destination of any route, so a dead one must be wider than any."""
    return IPv4Network(route.destination).prefixlen < cidrs.LARGEST_PREFIX and _is_dead(vpc, route)


def _is_dead(vpc: Vpc, route: Route) -> bool:
    """Whether the route's target no longer exists, or is a transit gateway that drops the whole destination."""
    if route.state == "blackhole":
        return True
    destination = cidrs.network(route.destination)
    gateway = next((gateway for gateway in vpc.transit_gateways if gateway.id == route.target), None)
    dropped = cidrs.networks(gateway.blackholes or ()) if gateway else []
    return destination is not None and any(destination.subnet_of(cidr) for cidr in dropped)


def _of_list(route: Route) -> str:
    return f" (prefix list {route.prefix_list})" if route.prefix_list else ""
