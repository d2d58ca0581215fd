"""What EC2 says about a cluster's VPC. Reads only; each call is paged, and none grows with the number of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters.errors import NotFound, aws_call
from ip_remediator.domain.snapshot import (
    LeakedInterface,
    NetworkInterface,
    Peering,
    Route,
    Subnet,
    Vpc,
    VpcCidr,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_BY_VPC = "vpc-id"


class Ec2Facts:
    """Raises the errors of `adapters.errors`."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2

    def vpc(self, vpc_id: str, subnet_count: int) -> Vpc:
        """The VPC with its CIDRs, routes and peerings. Raises NotFound."""
        found = list(self._pages("describe_vpcs", "Vpcs", VpcIds=[vpc_id]))
        if not found:
            raise NotFound(f"VPC {vpc_id} does not exist")
        return Vpc(
            id=vpc_id,
            owner_id=found[0].get("OwnerId"),
            cidrs=self.cidrs_of(found[0]),
            peerings=tuple(self._peerings(vpc_id)),
            routes=tuple(self._routes(vpc_id)),
            subnet_count=subnet_count,
        )

    @staticmethod
    def cidrs_of(vpc: dict[str, Any]) -> tuple[VpcCidr, ...]:
        """The IPv4 CIDRs of a DescribeVpcs item that are there or on their way, the primary one first."""
        return tuple(
            VpcCidr(
                cidr=block["CidrBlock"],
                state=block["CidrBlockState"]["State"],
                association_id=block["AssociationId"],
            )
            for block in vpc.get("CidrBlockAssociationSet", [])
            if block["CidrBlockState"]["State"] not in ("disassociated", "failed")
        )

    def subnets(self, vpc_id: str) -> list[Subnet]:
        """All subnets of the VPC, each with the route table and network ACL that apply to it."""
        tables = self._route_tables(vpc_id)
        acls = self._network_acls(vpc_id)
        main = next((id_ for id_, table in tables.items() if any(a.get("Main") for a in table["Associations"])), None)
        table_of = {
            association["SubnetId"]: id_
            for id_, table in tables.items()
            for association in table["Associations"]
            if "SubnetId" in association
        }
        acl_of = {
            association["SubnetId"]: acl["NetworkAclId"] for acl in acls for association in acl.get("Associations", [])
        }
        return [
            Subnet(
                id=subnet["SubnetId"],
                zone=subnet["AvailabilityZone"],
                cidr=subnet["CidrBlock"],
                free=subnet["AvailableIpAddressCount"],
                tags={tag["Key"]: tag["Value"] for tag in subnet.get("Tags", [])},
                route_table=table_of.get(subnet["SubnetId"], main),
                network_acl=acl_of.get(subnet["SubnetId"]),
            )
            for subnet in self._pages("describe_subnets", "Subnets", Filters=_filter(_BY_VPC, vpc_id))
        ]

    def interfaces_by_instance(self, vpc_id: str) -> dict[str, list[NetworkInterface]]:
        """ENIs of the VPC that are attached to instances, by instance id. One paged call for all nodes."""
        by_instance: dict[str, list[NetworkInterface]] = {}
        filters = [*_filter(_BY_VPC, vpc_id), *_filter("status", "in-use")]
        for eni in self._pages("describe_network_interfaces", "NetworkInterfaces", Filters=filters):
            attachment = eni.get("Attachment") or {}
            if not attachment.get("InstanceId"):
                continue
            by_instance.setdefault(attachment["InstanceId"], []).append(
                NetworkInterface(
                    id=eni["NetworkInterfaceId"],
                    subnet_id=eni["SubnetId"],
                    primary=attachment.get("DeviceIndex") == 0,
                    addresses=len(eni.get("PrivateIpAddresses", [])),
                    prefixes=len(eni.get("Ipv4Prefixes", [])),
                )
            )
        return by_instance

    def addresses_of_subnets(self, subnet_ids: Iterable[str]) -> dict[str, str]:
        """Every address that an ENI holds in these subnets, those of /28 prefixes included, with its subnet."""
        wanted = sorted(subnet_ids)
        if not wanted:
            return {}
        addresses: dict[str, str] = {}
        for eni in self._pages(
            "describe_network_interfaces", "NetworkInterfaces", Filters=_filter("subnet-id", *wanted)
        ):
            held = [address["PrivateIpAddress"] for address in eni.get("PrivateIpAddresses", [])]
            held += [str(ip) for prefix in eni.get("Ipv4Prefixes", []) for ip in IPv4Network(prefix["Ipv4Prefix"])]
            addresses |= dict.fromkeys(held, eni["SubnetId"])
        return addresses

    def leaked_interfaces(self, vpc_id: str) -> list[LeakedInterface]:
        """ENIs that the CNI left behind (amazon-vpc-cni-k8s#608): available, described as `aws-K8S-*`."""
        filters = [
            *_filter(_BY_VPC, vpc_id),
            *_filter("status", "available"),
            *_filter("description", "aws-K8S-*"),
        ]
        return [
            LeakedInterface(
                id=eni["NetworkInterfaceId"],
                subnet_id=eni["SubnetId"],
                addresses=len(eni.get("PrivateIpAddresses", [])) + 16 * len(eni.get("Ipv4Prefixes", [])),
            )
            for eni in self._pages("describe_network_interfaces", "NetworkInterfaces", Filters=filters)
        ]

    def instance_limits(self, instance_types: Iterable[str]) -> dict[str, tuple[int, int]]:
        """(ENIs, IPv4 addresses per ENI) of each instance type."""
        wanted = sorted(set(instance_types))
        if not wanted:
            return {}
        return {
            kind["InstanceType"]: (
                kind["NetworkInfo"]["MaximumNetworkInterfaces"],
                kind["NetworkInfo"]["Ipv4AddressesPerInterface"],
            )
            for kind in self._pages(
                "describe_instance_types",
                "InstanceTypes",
                Filters=[{"Name": "instance-type", "Values": wanted}],
            )
        }

    def _routes(self, vpc_id: str) -> Iterator[Route]:
        for id_, table in self._route_tables(vpc_id).items():
            for route in table["Routes"]:
                destination = route.get("DestinationCidrBlock")
                target = next((v for k, v in route.items() if k.endswith("Id") and isinstance(v, str)), "?")
                if destination and target != "local":
                    yield Route(destination=destination, target=target, route_table=id_)

    def _route_tables(self, vpc_id: str) -> dict[str, Any]:
        pages = self._pages("describe_route_tables", "RouteTables", Filters=_filter(_BY_VPC, vpc_id))
        return {table["RouteTableId"]: table for table in pages}

    def _network_acls(self, vpc_id: str) -> list[Any]:
        return list(self._pages("describe_network_acls", "NetworkAcls", Filters=_filter(_BY_VPC, vpc_id)))

    def _peerings(self, vpc_id: str) -> Iterator[Peering]:
        for mine, other, requester in (
            ("requester", "AccepterVpcInfo", True),
            ("accepter", "RequesterVpcInfo", False),
        ):
            filters = _filter(f"{mine}-vpc-info.vpc-id", vpc_id)
            for peering in self._pages("describe_vpc_peering_connections", "VpcPeeringConnections", Filters=filters):
                side = peering[other]
                cidrs = [block["CidrBlock"] for block in side.get("CidrBlockSet", [])] or [side.get("CidrBlock")]
                yield Peering(
                    id=peering["VpcPeeringConnectionId"],
                    status=peering["Status"]["Code"],
                    cidrs=tuple(cidr for cidr in cidrs if cidr),
                    requester=requester,
                )

    def _pages(self, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        with aws_call(operation):
            for page in self._ec2.get_paginator(operation).paginate(**arguments):  # type: ignore[call-overload]
                yield from page[key]


def _filter(name: str, *values: str) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)}]
