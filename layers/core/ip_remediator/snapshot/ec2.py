"""Reads a cluster's VPC from EC2. Each call is paged, and the number of calls does not grow with the number of
nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, NamedTuple

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.pagination import filters, pages
from ip_remediator.common.errors import NotFound
from ip_remediator.snapshot.enis import InterfaceFacts
from ip_remediator.snapshot.model_vpc import (
    AclEntry,
    Endpoint,
    NatGateway,
    NetworkAcl,
    Peering,
    Subnet,
    SubnetReservation,
    Vpc,
    VpcCidr,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_BY_VPC = "vpc-id"
# An ENI is some kilobytes of XML: half of what EC2 would give at once keeps a page small in memory.
_OTHER_SIDE = {"AccepterVpcInfo": "RequesterVpcInfo", "RequesterVpcInfo": "AccepterVpcInfo"}
_INTERFACES_PER_PAGE = 500
_GONE = ("deleting", "deleted", "failed", "rejected", "expired")


class InstanceType(NamedTuple):
    """The fields of DescribeInstanceTypes that matter for pods: see `Node`."""

    default_card_enis: int
    addresses_per_eni: int
    supports_prefixes: bool


class Ec2Reader:
    """Raises the errors of `common.errors`."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2

    def vpc(self, vpc_id: str) -> Vpc:
        """The VPC's owner and CIDRs; the rest of a `Vpc` comes from other reads. Raises NotFound."""
        vpcs = list(pages(self._ec2, "describe_vpcs", "Vpcs", VpcIds=[vpc_id]))
        if not vpcs:
            raise NotFound(f"VPC {vpc_id} does not exist")
        return Vpc(id=vpc_id, owner_id=vpcs[0].get("OwnerId"), cidrs=self.cidrs_of(vpcs[0]))

    @staticmethod
    def cidrs_of(vpc: dict[str, Any]) -> tuple[VpcCidr, ...]:
        """The IPv4 CIDRs of a DescribeVpcs item that are there or on their way, the primary one first, whatever the
        order of EC2's list: AWS's table of ranges goes by it."""
        listed = vpc.get("CidrBlockAssociationSet", [])
        return tuple(
            VpcCidr(
                cidr=block["CidrBlock"],
                state=block["CidrBlockState"]["State"],
                association_id=block["AssociationId"],
            )
            for block in sorted(listed, key=lambda block: block["CidrBlock"] != vpc.get("CidrBlock"))
            if block["CidrBlockState"]["State"] not in ("disassociated", "failed")
        )

    def balances(self, vpc_id: str) -> list[Subnet]:
        """The VPC's subnets with IPv4 addresses, and how many are free; without the route table and network ACL."""
        return [
            Subnet(
                id=subnet["SubnetId"],
                zone=subnet["AvailabilityZone"],
                cidr=subnet["CidrBlock"],
                free=subnet["AvailableIpAddressCount"],
                owner_id=subnet.get("OwnerId"),
                outpost_arn=subnet.get("OutpostArn") or None,
                public_addresses=subnet.get("MapPublicIpOnLaunch"),
                tags={tag["Key"]: tag["Value"] for tag in subnet.get("Tags", [])},
            )
            for subnet in self._all("describe_subnets", "Subnets", vpc_id)
            if subnet.get("CidrBlock")
        ]

    def interfaces(self, vpc_id: str) -> InterfaceFacts:
        """Every ENI of the VPC, read in one paged call whatever it is attached to."""
        facts = InterfaceFacts()
        paging = {"PageSize": _INTERFACES_PER_PAGE}
        for eni in self._all("describe_network_interfaces", "NetworkInterfaces", vpc_id, PaginationConfig=paging):
            facts.add(eni)
        return facts

    def addresses_of_subnets(self, subnet_ids: Iterable[str]) -> dict[str, str]:
        """Every address that an ENI holds in these subnets, those of /28 prefixes included, with its subnet."""
        wanted = sorted(subnet_ids)
        if not wanted:
            return {}
        addresses: dict[str, str] = {}
        for eni in pages(
            self._ec2,
            "describe_network_interfaces",
            "NetworkInterfaces",
            Filters=filters("subnet-id", *wanted),
            PaginationConfig={"PageSize": _INTERFACES_PER_PAGE},
        ):
            own_addresses = [address["PrivateIpAddress"] for address in eni.get("PrivateIpAddresses", [])]
            own_addresses += [
                str(ip) for prefix in eni.get("Ipv4Prefixes", []) for ip in IPv4Network(prefix["Ipv4Prefix"])
            ]
            addresses |= dict.fromkeys(own_addresses, eni["SubnetId"])
        return addresses

    def has_interface(self, instance: str, subnet_ids: Iterable[str]) -> bool:
        """Whether the instance has an ENI in one of these subnets."""
        wanted = filters("subnet-id", *sorted(subnet_ids)) + filters("attachment.instance-id", instance)
        return any(pages(self._ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=wanted))

    def instances_in(self, subnet_ids: Iterable[str]) -> set[str]:
        """The instances that live in these subnets: with their primary ENI."""
        wanted = filters("subnet-id", *sorted(subnet_ids))
        interfaces = pages(self._ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=wanted)
        attachments = [eni.get("Attachment") or {} for eni in interfaces]
        return {
            attachment["InstanceId"]
            for attachment in attachments
            if attachment.get("DeviceIndex") == 0 and "InstanceId" in attachment
        }

    def instance_types(self, instance_types: Iterable[str]) -> dict[str, InstanceType]:
        """What the instance types hold; Nitro and bare metal support prefixes (EKS User Guide, prefix mode)."""
        wanted = sorted(set(instance_types))
        if not wanted:
            return {}
        types = pages(self._ec2, "describe_instance_types", "InstanceTypes", Filters=filters("instance-type", *wanted))
        return {
            kind["InstanceType"]: InstanceType(
                default_card_enis=_enis_of_default_card(kind["NetworkInfo"]),
                addresses_per_eni=kind["NetworkInfo"]["Ipv4AddressesPerInterface"],
                supports_prefixes=kind.get("Hypervisor") == "nitro" or bool(kind.get("BareMetal")),
            )
            for kind in types
        }

    def route_tables(self, vpc_id: str) -> list[dict[str, Any]]:
        """DescribeRouteTables' items."""
        return list(self._all("describe_route_tables", "RouteTables", vpc_id))

    def network_acls(self, vpc_id: str) -> list[dict[str, Any]]:
        """DescribeNetworkAcls' items."""
        return list(self._all("describe_network_acls", "NetworkAcls", vpc_id))

    def peerings(self, vpc_id: str) -> list[Peering]:
        """The VPC's peerings in every state, also those that are over."""
        return [
            *self._peerings("requester-vpc-info.vpc-id", vpc_id, "AccepterVpcInfo", requester=True),
            *self._peerings("accepter-vpc-info.vpc-id", vpc_id, "RequesterVpcInfo", requester=False),
        ]

    def nat_gateways(self, vpc_id: str) -> tuple[NatGateway, ...]:
        """The VPC's NAT gateways that are not deleted or failed."""
        return tuple(
            NatGateway(
                id=gateway["NatGatewayId"],
                subnet_id=gateway["SubnetId"],
                private=gateway.get("ConnectivityType") == "private",
            )
            for gateway in self._all("describe_nat_gateways", "NatGateways", vpc_id)
            if gateway["State"] not in _GONE
        )

    def endpoints(self, vpc_id: str) -> tuple[Endpoint, ...]:
        """The VPC's endpoints that are not deleted or failed."""
        return tuple(
            Endpoint(
                id=endpoint["VpcEndpointId"],
                service=endpoint.get("ServiceName") or "",
                kind=endpoint["VpcEndpointType"],
                security_groups=tuple(group["GroupId"] for group in endpoint.get("Groups", [])),
            )
            for endpoint in self._all("describe_vpc_endpoints", "VpcEndpoints", vpc_id)
            if endpoint["State"].lower() not in _GONE
        )

    def reservations(self, subnet_id: str) -> tuple[SubnetReservation, ...]:
        """The subnet's CIDR reservations for IPv4."""
        with aws_call("get_subnet_cidr_reservations"):
            answer = self._ec2.get_subnet_cidr_reservations(SubnetId=subnet_id)
        return tuple(
            SubnetReservation(cidr=item["Cidr"], kind=item["ReservationType"], id=item.get("SubnetCidrReservationId"))
            for item in answer["SubnetIpv4CidrReservations"]
        )

    def _peerings(self, filter_name: str, vpc_id: str, other: str, *, requester: bool) -> Iterator[Peering]:
        items = pages(
            self._ec2,
            "describe_vpc_peering_connections",
            "VpcPeeringConnections",
            Filters=filters(filter_name, vpc_id),
        )
        for peering in items:
            side, region = peering[other], peering[_OTHER_SIDE[other]].get("Region")
            cidrs = [block["CidrBlock"] for block in side.get("CidrBlockSet", [])] or [side.get("CidrBlock")]
            yield Peering(
                id=peering["VpcPeeringConnectionId"],
                status=peering["Status"]["Code"],
                cidrs=tuple(cidr for cidr in cidrs if cidr),
                requester=requester,
                vpc_id=side.get("VpcId"),
                owner_id=side.get("OwnerId"),
                same_region=side["Region"] == region if region and side.get("Region") else None,
            )

    def _all(self, operation: str, key: str, vpc_id: str, **arguments: Any) -> Iterator[Any]:
        """What lies in the VPC."""
        # DescribeNatGateways alone names its parameter in the singular.
        name = "Filter" if operation == "describe_nat_gateways" else "Filters"
        return pages(self._ec2, operation, key, **{name: filters(_BY_VPC, vpc_id)}, **arguments)


def _enis_of_default_card(network: dict[str, Any]) -> int:
    """MaximumNetworkInterfaces is the sum over all cards, and the CNI uses the default one only."""
    default = network.get("DefaultNetworkCardIndex", 0)
    cards = {card["NetworkCardIndex"]: card["MaximumNetworkInterfaces"] for card in network.get("NetworkCards") or []}
    return int(cards.get(default, network["MaximumNetworkInterfaces"]))


def with_layout(
    subnets: Iterable[Subnet], tables: Iterable[dict[str, Any]], acls: Iterable[dict[str, Any]]
) -> list[Subnet]:
    """The subnets, each with the route table and network ACL that apply to it."""
    main: str | None = None
    table_of: dict[str, str] = {}
    for table in tables:
        for association in table["Associations"]:
            if association.get("Main"):
                main = table["RouteTableId"]
            elif "SubnetId" in association:
                table_of[association["SubnetId"]] = table["RouteTableId"]
    acl_of = {
        association["SubnetId"]: acl["NetworkAclId"] for acl in acls for association in acl.get("Associations", [])
    }
    return [
        subnet.model_copy(update={"route_table": table_of.get(subnet.id, main), "network_acl": acl_of.get(subnet.id)})
        for subnet in subnets
    ]


def acl_documents(acls: Iterable[dict[str, Any]]) -> tuple[NetworkAcl, ...]:
    """The network ACLs of DescribeNetworkAcls with their IPv4 entries, the last rule ("*", deny) among them."""
    return tuple(
        NetworkAcl(
            id=acl["NetworkAclId"],
            default=acl.get("IsDefault", False),
            entries=tuple(_entry(entry) for entry in acl.get("Entries", []) if entry.get("CidrBlock")),
        )
        for acl in acls
    )


def _entry(entry: dict[str, Any]) -> AclEntry:
    ports = entry.get("PortRange") or {}
    return AclEntry(
        number=entry["RuleNumber"],
        egress=entry["Egress"],
        allow=entry["RuleAction"] == "allow",
        cidr=entry["CidrBlock"],
        protocol=str(entry.get("Protocol", "-1")),
        from_port=ports.get("From"),
        to_port=ports.get("To"),
    )
