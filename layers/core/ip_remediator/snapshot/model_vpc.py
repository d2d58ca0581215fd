"""The facts about the VPC: subnets, CIDRs, reachable networks, network ACLs and security groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, model_validator

from ip_remediator.common.document import Count, Document, Moment
from ip_remediator.snapshot.other_names import renamed


class SubnetReservation(Document):
    """A subnet CIDR reservation: addresses of `cidr` go to prefixes only, or only to those who name them."""

    cidr: str
    kind: Literal["prefix", "explicit"]
    id: str | None = None


class Subnet(Document):
    """A subnet of the cluster's VPC. `free` is EC2's AvailableIpAddressCount; it lags by some seconds.

    `free_prefixes` counts its /28 blocks that no ENI has an address of: what prefix delegation can still take.
    Neither tells what is reserved: see `snapshot.free_space`. `outpost_arn`: it lies on an Outpost, which shares the
    name of its zone with the Region's. `public_addresses`: an instance launched in it gets one (MapPublicIpOnLaunch).
    """

    id: str
    zone: str
    cidr: str
    free: Count | None = None
    free_prefixes: Count | None = None
    full_at: Moment | None = Field(default=None, description="when it is forecast to be full")
    reservations: tuple[SubnetReservation, ...] = ()
    owner_id: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    route_table: str | None = None
    network_acl: str | None = None
    outpost_arn: str | None = None
    public_addresses: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, document: Any) -> Any:
        return renamed(document, {"outpost_arn": ("outpost", "outpost_id")})


class VpcCidr(Document):
    """An IPv4 CIDR of the VPC. `state`: as EC2 names it."""

    cidr: str
    state: str = "associated"
    association_id: str | None = None


PROPAGATED_ORIGINS = frozenset({"EnableVgwRoutePropagation", "Advertisement"})


def _is_propagated(origin: Any) -> bool:
    return origin == "propagated" or origin in PROPAGATED_ORIGINS


class Peering(Document):
    """A VPC peering connection. `vpc_id` and `cidrs` are the other side's; `requester`: this VPC asked for it.

    `same_region`: the other VPC is in this Region, whoever owns it. `network_address_units`: those of the other VPC,
    counted by its ENIs; None: not read.
    """

    id: str
    status: str
    cidrs: tuple[str, ...] = ()
    requester: bool = False
    vpc_id: str | None = None
    owner_id: str | None = None
    same_region: bool | None = None
    network_address_units: Count | None = None

    @property
    def counts_together(self) -> bool:
        """Whether the other VPC's network address units count together with those of this one: peers of another Region
        do not."""
        return self.status == "active" and self.same_region is not False


class Route(Document):
    """A route of the VPC. One to a prefix list stands once for each of the list's ranges.

    `propagated`: a virtual private gateway or a route server put it there (DescribeRouteTables, Origin
    EnableVgwRoutePropagation or Advertisement). None: not read.
    """

    destination: str
    target: str
    route_table: str
    state: Literal["active", "blackhole"] = "active"
    prefix_list: str | None = None
    propagated: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, document: Any) -> Any:
        return renamed(
            document,
            {"propagated": ("origin",)},
            {"origin": _is_propagated},
        )


class TransitGateway(Document):
    """The VPC's attachment to a transit gateway. `routes`: the ranges of others that the gateway's route table of
    this attachment leads to; None when they could not be read (the gateway is another account's). `blackholes`: those
    that it drops (SearchTransitGatewayRoutes, State); None: not read apart, as in older snapshots, whose `routes` may
    have them too."""

    id: str
    attachment: str
    routes: tuple[str, ...] | None = None
    blackholes: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, document: Any) -> Any:
        return _with_blackholes_apart(renamed(document, {"blackholes": ("blackhole_routes", "blackhole", "dropped")}))


def _with_blackholes_apart(document: Any) -> Any:
    """Routes that are written out, `{destination | cidr | range, state}`, as active ranges and blackholes."""
    routes = document.get("routes") if isinstance(document, Mapping) else None
    if not isinstance(routes, list | tuple) or not any(isinstance(route, Mapping) for route in routes):
        return document
    active: list[Any] = []
    dropped = list(document.get("blackholes") or ())
    for route in routes:
        destination, drops = _destination_of(route) if isinstance(route, Mapping) else (route, False)
        (dropped if drops else active).append(destination)
    return {**document, "routes": active, "blackholes": dropped}


def _destination_of(route: Mapping[str, Any]) -> tuple[Any, bool]:
    """The range that a written-out route leads to, and whether the gateway drops it."""
    names = [name for name in ("destination", "cidr", "range") if name in route]
    unknown = sorted(route.keys() - {*names[:1], "state", "blackhole"})
    if not names or unknown:
        raise ValueError(f"a route is {{destination, state}}, not {dict(route)}")
    return route[names[0]], route.get("state") == "blackhole" or route.get("blackhole") is True


class NatGateway(Document):
    """`private`: whether it has no public address."""

    id: str
    subnet_id: str
    private: bool = False


class Endpoint(Document):
    """A VPC endpoint; an interface endpoint admits by its security groups."""

    id: str
    service: str
    kind: Literal["Interface", "Gateway", "GatewayLoadBalancer", "Resource", "ServiceNetwork"] = "Interface"
    security_groups: tuple[str, ...] = ()


class AclEntry(Document):
    """An entry of a network ACL. `protocol` as EC2 writes it: "-1" is all, "6" TCP. Ports None: all."""

    number: int
    egress: bool
    allow: bool
    cidr: str
    protocol: str = "-1"
    from_port: int | None = None
    to_port: int | None = None


class NetworkAcl(Document):
    """A network ACL and its entries, of both directions."""

    id: str
    default: bool = False
    entries: tuple[AclEntry, ...] = ()


class SecurityGroupRule(Document):
    """A rule with those of its IPv4 ranges that can be about pods' addresses: they overlap the VPC, or are not public.

    The ranges of a prefix list stand for the list. `groups` are the security groups that it names. Ports None: all.
    """

    id: str | None = None
    egress: bool = False
    protocol: str = "-1"
    from_port: int | None = None
    to_port: int | None = None
    cidrs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class UserKind(StrEnum):
    """What can have a security group, in the words that messages use."""

    LOAD_BALANCER = "load balancer"
    ENDPOINT = "endpoint"
    RDS = "RDS"
    REDSHIFT = "Redshift"
    DMS = "DMS"
    ELASTICACHE = "ElastiCache"
    OPENSEARCH = "OpenSearch"
    EFS = "EFS"
    LAMBDA = "Lambda"
    ECS_TASK = "ECS task"
    CONTROL_PLANE = "EKS control plane"
    INSTANCE = "instance"
    ENI = "ENI"


class GroupUser(Document):
    """Something that has a security group, for example the RDS instance behind eni-1. `kind`: a `UserKind`, or one of a
    newer release."""

    kind: str
    name: str


# Release 0.1.0 wrote a user as a text, "RDS eni-1", and counted those that it did not name, "instance and 4995 more".
_COUNTED_USERS = re.compile(r"(.+) and (\d+) more")
_NAMED_USER = re.compile(rf"({'|'.join(UserKind)}|\S+) (.+)", re.IGNORECASE)


class SecurityGroup(Document):
    """A security group of this VPC or of one that it reaches.

    `rules` are those of the directions (in, out) in which some rule names ranges of the VPC, so that what else is
    admitted is known, too; a group that goes by other groups, or is open to 0.0.0.0/0 alone, has none, unless it
    protects something together with such a one. `users` are what a group with rules protects, as the descriptions of
    the ENIs in this VPC tell; `further_users` is the number of those of each kind that are not named.
    """

    id: str
    name: str | None = None
    vpc_id: str | None = None
    rules: tuple[SecurityGroupRule, ...] = ()
    users: tuple[GroupUser, ...] = ()
    further_users: dict[str, Count] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _users_as_text(cls, document: Any) -> Any:
        """Snapshots of release 0.1.0 have texts in `used_by`."""
        if not isinstance(document, dict) or "users" in document or "used_by" not in document:
            return document
        users, counts = _read_users([str(text) for text in document["used_by"] or ()])
        rest = {name: value for name, value in document.items() if name != "used_by"}
        return {**rest, "users": users, "further_users": counts | (document.get("further_users") or {})}


def _read_users(texts: list[str]) -> tuple[list[dict[str, str]], dict[str, int]]:
    """The users that the texts name, and by kind how many they only count."""
    counts = {match[1]: int(match[2]) for text in texts if (match := _COUNTED_USERS.fullmatch(text))}
    return [_read_user(text) for text in texts if not _COUNTED_USERS.fullmatch(text)], counts


def _read_user(text: str) -> dict[str, str]:
    match = _NAMED_USER.fullmatch(text)
    kind, name = (match[1], match[2]) if match else (text, "")
    return {"kind": _KINDS.get(kind.lower(), kind), "name": name}


_KINDS = {kind.lower(): kind for kind in UserKind}


class Vpc(Document):
    """The VPC: its CIDRs, what is reachable from it, and who owns it.

    `security_groups` are all of the VPC's, and those of peered VPCs and transit gateways' neighbours in this account
    and region that name its ranges. None: not read.
    `clusters` are the EKS clusters that have ENIs in it, this one included. `network_address_units` as AWS counts
    them ("Network Address Usage" of the VPC User Guide). `routes_read`: whether the route tables were read; a
    `Snapshot` decides it where a document does not tell.
    """

    id: str
    cidrs: tuple[VpcCidr, ...] = ()
    owner_id: str | None = None
    peerings: tuple[Peering, ...] = ()
    routes: tuple[Route, ...] = ()
    routes_read: bool | None = None
    subnet_count: Count | None = None
    network_address_units: Count | None = None
    transit_gateways: tuple[TransitGateway, ...] = ()
    nat_gateways: tuple[NatGateway, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    network_acls: tuple[NetworkAcl, ...] = ()
    security_groups: tuple[SecurityGroup, ...] | None = None
    clusters: tuple[str, ...] = ()

    @property
    def units_with_peers(self) -> int | None:
        """The network address units of the VPC and of its peers, as far as they were read; None: it has no peers that
        count, or its own were not read."""
        peers = {peer.vpc_id: peer.network_address_units or 0 for peer in self.peerings if peer.counts_together}
        return self.network_address_units + sum(peers.values()) if self.network_address_units and peers else None

    @property
    def standing_cidrs(self) -> tuple[VpcCidr, ...]:
        """Without those that failed or are gone, which count for no quota (DescribeVpcs tells of them for a while)."""
        return tuple(cidr for cidr in self.cidrs if cidr.state in ("associating", "associated", "disassociating"))
