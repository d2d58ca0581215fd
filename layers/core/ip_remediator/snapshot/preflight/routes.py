"""The networks to which the VPC's routes and transit gateways lead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.pagination import pages
from ip_remediator.snapshot.model_vpc import PROPAGATED_ORIGINS, Route, TransitGateway
from ip_remediator.snapshot.read_failures import ReadFailures

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_MOST_LISTS = 50
_MOST_ROUTES = 1000
_GATEWAY_ENDPOINT = "vpce-"
_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "NetworkInterfaceId",
    "InstanceId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "EgressOnlyInternetGatewayId",
    "CoreNetworkArn",
)


@dataclass
class PrefixLists:
    """The ranges of managed prefix lists, each list read once."""

    ec2: EC2Client
    unread: ReadFailures
    _read: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def ranges(self, list_id: str) -> tuple[str, ...]:
        """The list's IPv4 ranges; none, and a line in `unread`, when it cannot be read."""
        with self._lock:
            if list_id not in self._read:
                subject = f"entries of prefix list {list_id}"
                if len(self._read) >= _MOST_LISTS:
                    self.unread.note(subject, f"only the first {_MOST_LISTS} lists are read")
                    return ()
                self._read[list_id] = self.unread.attempt(subject, lambda: self._entries(list_id), ())
            return self._read[list_id]

    def _entries(self, list_id: str) -> tuple[str, ...]:
        entries = pages(self.ec2, "get_managed_prefix_list_entries", "Entries", PrefixListId=list_id)
        return tuple(entry["Cidr"] for entry in entries if ":" not in entry["Cidr"])


def routes(tables: Iterable[dict[str, Any]], lists: PrefixLists) -> Iterator[Route]:
    """All IPv4 routes of DescribeRouteTables' items, but the local ones.

    Prefix lists of gateway endpoints are left out: S3's and DynamoDB's, public ranges of AWS's own.
    """
    for table in tables:
        for route in table["Routes"]:
            target = next((route[name] for name in _TARGETS if route.get(name)), "?")
            list_id = route.get("DestinationPrefixListId")
            if target == "local" or (target.startswith(_GATEWAY_ENDPOINT) and list_id):
                continue
            destination = route.get("DestinationCidrBlock")
            for range_ in lists.ranges(list_id) if list_id else [destination] if destination else []:
                yield Route(
                    destination=range_,
                    target=target,
                    route_table=table["RouteTableId"],
                    state="blackhole" if route.get("State") == "blackhole" else "active",
                    prefix_list=list_id,
                    propagated=route.get("Origin") in PROPAGATED_ORIGINS,
                )


@dataclass(frozen=True)
class TransitFacts:
    """The VPC's attachments, and the other VPCs that they lead to."""

    gateways: tuple[TransitGateway, ...] = ()
    neighbours: frozenset[str] = frozenset()


def transit(ec2: EC2Client, vpc_id: str, account_id: str | None, lists: PrefixLists) -> TransitFacts:
    """Raises the errors of `common.errors`, but not for a gateway whose routes cannot be read."""
    wanted = [{"Name": "resource-id", "Values": [vpc_id]}, {"Name": "resource-type", "Values": ["vpc"]}]
    attachments = [
        attachment
        for attachment in pages(
            ec2, "describe_transit_gateway_attachments", "TransitGatewayAttachments", Filters=wanted
        )
        if attachment["State"] in ("available", "modifying", "pending")
    ]
    gateways, neighbours = [], set[str]()
    for attachment in attachments:
        routes = _known_routes(ec2, attachment, account_id, lists.unread)
        gateways.append(
            TransitGateway(
                id=attachment["TransitGatewayId"],
                attachment=attachment["TransitGatewayAttachmentId"],
                routes=None if routes is None else tuple(_ranges(_in_state(routes, "active"), vpc_id, lists)),
                blackholes=None if routes is None else tuple(_ranges(_in_state(routes, "blackhole"), vpc_id, lists)),
            )
        )
        neighbours |= {resource for route in routes or () for resource in _vpcs(route) if resource != vpc_id}
    return TransitFacts(tuple(gateways), frozenset(neighbours))


def _known_routes(
    ec2: EC2Client, attachment: dict[str, Any], account_id: str | None, unread: ReadFailures
) -> list[dict[str, Any]] | None:
    subject = f"routes of transit gateway {attachment['TransitGatewayId']}"
    owner = attachment.get("TransitGatewayOwnerId")
    if account_id and owner and owner != account_id:
        unread.note(subject, f"it belongs to account {owner}")
        return None
    table = (attachment.get("Association") or {}).get("TransitGatewayRouteTableId")
    if not table:
        unread.note(subject, f"attachment {attachment['TransitGatewayAttachmentId']} has no route table")
        return None
    return unread.attempt(subject, lambda: _search(ec2, table, subject, unread), None)


def _search(ec2: EC2Client, table: str, subject: str, unread: ReadFailures) -> list[dict[str, Any]]:
    with aws_call("search_transit_gateway_routes"):
        answer: Any = ec2.search_transit_gateway_routes(
            TransitGatewayRouteTableId=table,
            Filters=[{"Name": "state", "Values": ["active", "blackhole"]}],
            MaxResults=_MOST_ROUTES,
        )
    if answer.get("AdditionalRoutesAvailable"):
        unread.note(subject, f"{table} has more than the {_MOST_ROUTES} that EC2 tells at once")
    return list(answer["Routes"])


def _in_state(routes: Iterable[dict[str, Any]], state: str) -> Iterator[dict[str, Any]]:
    return (route for route in routes if route.get("State", "active") == state)


def _ranges(routes: Iterable[dict[str, Any]], vpc_id: str, lists: PrefixLists) -> Iterator[str]:
    """The ranges of other networks, without routes back to the VPC itself."""
    for route in routes:
        if set(_vpcs(route)) == {vpc_id}:
            continue
        if route.get("PrefixListId"):
            yield from lists.ranges(route["PrefixListId"])
        elif ":" not in route["DestinationCidrBlock"]:
            yield str(route["DestinationCidrBlock"])


def _vpcs(route: dict[str, Any]) -> Iterator[str]:
    for attachment in route.get("TransitGatewayAttachments") or []:
        if attachment.get("ResourceType") == "vpc":
            yield attachment["ResourceId"]
