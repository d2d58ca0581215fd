"""What EC2 says about a cluster's VPC. Reads only; each call is paged, and none grows with the number of nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters.errors import NotFound, aws_call
from ip_remediator.domain.snapshot import (
    PREFIX_SIZE,
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
# What the CNI leaves behind when a node ends at the wrong moment (amazon-vpc-cni-k8s#608).
_LEAKED = re.compile("aws-K8S-")


@dataclass
class InterfaceFacts:
    """What the ENIs of a VPC say: those of each instance, those that the CNI left behind, and the /28 blocks in use.

    `blocks` holds, by subnet, the numbers (address >> 4) of the /28 blocks that some ENI has an address of.
    """

    by_instance: dict[str, list[NetworkInterface]] = field(default_factory=dict)
    leaked: list[LeakedInterface] = field(default_factory=list)
    blocks: dict[str, set[int]] = field(default_factory=dict)

    def add(self, eni: dict[str, Any]) -> None:
        """Takes in an item of DescribeNetworkInterfaces."""
        id_, subnet = eni["NetworkInterfaceId"], eni["SubnetId"]
        addresses = [address["PrivateIpAddress"] for address in eni.get("PrivateIpAddresses", [])]
        prefixes = [prefix["Ipv4Prefix"] for prefix in eni.get("Ipv4Prefixes", [])]
        held = [*map(IPv4Address, addresses), *(IPv4Network(prefix).network_address for prefix in prefixes)]
        self.blocks.setdefault(subnet, set()).update(int(address) // PREFIX_SIZE for address in held)
        attachment = eni.get("Attachment") or {}
        if attachment.get("InstanceId"):
            node_eni = NetworkInterface(
                id=id_,
                subnet_id=subnet,
                primary=attachment.get("DeviceIndex") == 0,
                addresses=len(addresses),
                prefixes=len(prefixes),
            )
            self.by_instance.setdefault(attachment["InstanceId"], []).append(node_eni)
        elif eni["Status"] == "available" and _LEAKED.match(eni.get("Description") or ""):
            count = len(addresses) + PREFIX_SIZE * len(prefixes)
            tags = {tag["Key"]: tag["Value"] for tag in eni.get("TagSet", [])}
            self.leaked.append(
                LeakedInterface(
                    id=id_,
                    subnet_id=subnet,
                    addresses=count,
                    cluster=tags.get("cluster.k8s.amazonaws.com/name"),
                    instance_id=tags.get("node.k8s.amazonaws.com/instance_id"),
                )
            )

    def free_prefixes(self, subnet: Subnet) -> int:
        """The subnet's wholly free /28 blocks. The first and the last one hold the addresses that AWS reserves."""
        network = IPv4Network(subnet.cidr)
        first, last = int(network.network_address) // PREFIX_SIZE, int(network.broadcast_address) // PREFIX_SIZE
        return last - first + 1 - len(self.blocks.get(subnet.id, set()) | {first, last})


class Ec2Facts:
    """The facts of one moment: what several of them rest on is read once. Raises the errors of `adapters.errors`."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2
        self._tables: dict[str, dict[str, Any]] = {}

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

    def balances(self, vpc_id: str) -> list[Subnet]:
        """All subnets of the VPC with their free addresses, without the route table and network ACL."""
        return [
            Subnet(
                id=subnet["SubnetId"],
                zone=subnet["AvailabilityZone"],
                cidr=subnet["CidrBlock"],
                free=subnet["AvailableIpAddressCount"],
                tags={tag["Key"]: tag["Value"] for tag in subnet.get("Tags", [])},
            )
            for subnet in self._pages("describe_subnets", "Subnets", Filters=_filter(_BY_VPC, vpc_id))
        ]

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
            subnet.model_copy(
                update={"route_table": table_of.get(subnet.id, main), "network_acl": acl_of.get(subnet.id)}
            )
            for subnet in self.balances(vpc_id)
        ]

    def interfaces(self, vpc_id: str) -> InterfaceFacts:
        """Every ENI of the VPC, read in one paged call whatever it is attached to."""
        facts = InterfaceFacts()
        for eni in self._pages("describe_network_interfaces", "NetworkInterfaces", Filters=_filter(_BY_VPC, vpc_id)):
            facts.add(eni)
        return facts

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
        if vpc_id not in self._tables:
            pages = self._pages("describe_route_tables", "RouteTables", Filters=_filter(_BY_VPC, vpc_id))
            self._tables[vpc_id] = {table["RouteTableId"]: table for table in pages}
        return self._tables[vpc_id]

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
