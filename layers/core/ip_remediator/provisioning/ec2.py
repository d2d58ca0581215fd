"""Writes to a VPC and their undo. Every write is a find-or-create, so that it can be run again after any crash.

What is made has our tags from the creating call on; nothing without them is deleted (the roles' conditions in
`template.yaml` say the same).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, TypeVar

from ip_remediator.clients.aws.attempts import watch_attempts
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.tags import as_list
from ip_remediator.clients.gone import unless_gone
from ip_remediator.common import tag_names
from ip_remediator.common.cidr import SMALLEST_PREFIX
from ip_remediator.common.errors import NotFound, NotYet, RequestRefused
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model_vpc import VpcCidr

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import NetworkAclAssociationTypeDef

_PATIENCE = 20.0
_POLL = 0.5
_LOOKS = 6
FoundT = TypeVar("FoundT")


@dataclass(frozen=True)
class Ownership:
    """The owner of a resource: the stack that created it, for which incident of which cluster."""

    stack: str
    incident: str
    cluster: str

    def tag_specification(self, resource_type: str, more: Mapping[str, str] | None = None) -> Any:
        """TagSpecifications of a creating call."""
        ours = {tag_names.STACK: self.stack, tag_names.INCIDENT: self.incident, tag_names.CLUSTER: self.cluster}
        return [{"ResourceType": resource_type, "Tags": as_list({**(more or {}), **ours})}]

    def filters(self) -> Any:
        """Filters of a Describe call for what this incident of this stack made."""
        return [
            {"Name": f"tag:{tag_names.STACK}", "Values": [self.stack]},
            {"Name": f"tag:{tag_names.INCIDENT}", "Values": [self.incident]},
        ]


@dataclass(frozen=True)
class MadeSubnet:
    """`new`: this very call made it."""

    id: str
    zone: str
    cidr: str
    new: bool = field(default=False, compare=False)


class Ec2Changes:
    """Raises the errors of `common.errors`; `sleep` is time.sleep unless a test says otherwise."""

    def __init__(self, ec2: EC2Client, owner: Ownership, sleep: Callable[[float], None] = time.sleep) -> None:
        watch_attempts(ec2, "ec2")
        self._ec2 = ec2
        self._owner = owner
        self._sleep = sleep

    def cidr(self, vpc_id: str, block: str) -> VpcCidr | None:
        """The VPC's association of exactly this block, if there is one; a VPC that is gone has none."""
        filters: Any = [{"Name": "vpc-id", "Values": [vpc_id]}]
        with aws_call("DescribeVpcs"):
            vpcs = self._ec2.describe_vpcs(Filters=filters)["Vpcs"]
        present = Ec2Reader.cidrs_of(vpcs[0]) if vpcs else ()  # type: ignore[arg-type]
        return next((cidr for cidr in present if cidr.cidr == block), None)

    def associate_cidr(self, vpc_id: str, block: str, ipam_pool: str | None = None, *, absent: bool = False) -> str:
        """Adds `block` to the VPC and waits until it is `associated`; returns the association's id. `absent`:
        somebody just looked, and the VPC does not have it.

        With `ipam_pool` the block is allocated to the VPC out of that pool; the pool takes it back when the VPC gives
        it up.

        Raises:
            NotYet: it is still associating after 20 s; call again.
        """
        if absent or self.cidr(vpc_id, block) is None:
            try:
                source: Any = {"Ipv4IpamPoolId": ipam_pool} if ipam_pool else {}
                with aws_call("AssociateVpcCidrBlock"):
                    self._ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock=block, **source)
                self._sleep(_POLL)  # no CIDR is `associated` at once
            except RequestRefused:
                # A lost call of ours may have added it, and DescribeVpcs lags behind.
                if not self._appears(lambda: self.cidr(vpc_id, block)):
                    raise
        deadline = time.monotonic() + _PATIENCE
        while (present := self.cidr(vpc_id, block)) is None or present.state != "associated":
            if time.monotonic() > deadline:
                raise NotYet(f"{block} of {vpc_id} is {present.state if present else 'not listed yet'}")
            self._sleep(_POLL)
        return present.association_id or ""

    def subnets(self) -> list[MadeSubnet]:
        """The subnets that this incident made."""
        with aws_call("DescribeSubnets"):
            pages = self._ec2.get_paginator("describe_subnets").paginate(Filters=self._owner.filters())
            return [
                MadeSubnet(subnet["SubnetId"], subnet["AvailabilityZone"], subnet["CidrBlock"])
                for page in pages
                for subnet in page["Subnets"]
            ]

    def create_subnet(self, vpc_id: str, zone: str, cidr: str, tags: Mapping[str, str] | None = None) -> MadeSubnet:
        """The incident's subnet of `zone`, created when it is not there, with `tags` beside ours."""
        subnet = self._subnet_of(zone)
        if subnet:
            return subnet
        name = f"eks-pods-{self._owner.cluster}-{zone}"
        try:
            with aws_call("CreateSubnet"):
                made = self._ec2.create_subnet(
                    VpcId=vpc_id,
                    AvailabilityZone=zone,
                    CidrBlock=cidr,
                    TagSpecifications=self._owner.tag_specification("subnet", {"Name": name, **(tags or {})}),
                )["Subnet"]
        except RequestRefused as error:
            # InvalidSubnet.Conflict: a lost call of ours may have made it, and DescribeSubnets lags behind.
            subnet = self._appears(lambda: self._subnet_of(zone))
            if subnet is None:
                if "InvalidSubnet.Conflict" in str(error):
                    self._require_visible_conflict(vpc_id, cidr)
                raise
            return subnet
        return MadeSubnet(made["SubnetId"], zone, cidr, new=True)

    def subnets_in(self, vpc_id: str, block: str) -> dict[str, str]:
        """Id and CIDR of the VPC's subnets that overlap `block`, whoever made them."""
        filters: Any = [{"Name": "vpc-id", "Values": [vpc_id]}]
        with aws_call("DescribeSubnets"):
            pages = self._ec2.get_paginator("describe_subnets").paginate(Filters=filters)
            listed = {subnet["SubnetId"]: subnet["CidrBlock"] for page in pages for subnet in page["Subnets"]}
        return {id_: cidr for id_, cidr in listed.items() if IPv4Network(cidr).overlaps(IPv4Network(block))}

    def _require_visible_conflict(self, vpc_id: str, cidr: str) -> None:
        """Raises NotYet unless a subnet of the VPC that EC2 lists overlaps `cidr`: what is in the way and not listed
        may be our own, made by a call whose answer was lost."""
        if not self.subnets_in(vpc_id, cidr):
            raise NotYet(f"EC2 says that {cidr} is in use in {vpc_id}, and lists no such subnet yet")

    def _subnet_of(self, zone: str) -> MadeSubnet | None:
        return next((subnet for subnet in self.subnets() if subnet.zone == zone), None)

    def _appears(self, look: Callable[[], FoundT | None]) -> FoundT | None:
        """What `look` finds within some seconds: EC2's Describe calls are eventually consistent."""
        for _ in range(_LOOKS):
            if item := look():
                return item
            self._sleep(_POLL)
        return None

    def use_route_table(self, subnet_id: str, route_table: str, *, new: bool = False) -> None:
        """Gives the subnet this route table. Without an association a `new` subnet uses the VPC's main table, which
        often has no route to other networks."""
        if not new and self._has_route_table(subnet_id, route_table):
            return
        try:
            with aws_call("AssociateRouteTable"):
                self._ec2.associate_route_table(SubnetId=subnet_id, RouteTableId=route_table)
        except RequestRefused:
            # Resource.AlreadyAssociated: boto3 repeats a call whose answer was lost.
            if not self._has_route_table(subnet_id, route_table):
                raise

    def _has_route_table(self, subnet_id: str, route_table: str) -> bool:
        filters: Any = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
        with aws_call("DescribeRouteTables"):
            explicit = self._ec2.describe_route_tables(Filters=filters)["RouteTables"]
        return any(table["RouteTableId"] == route_table for table in explicit)

    def use_network_acl(self, subnet_id: str, network_acl: str) -> None:
        """Gives the subnet this network ACL instead of the VPC's default one.

        Raises:
            NotYet: the subnet is too new for DescribeNetworkAcls.
        """
        association = self._acl_association(subnet_id)
        if association["NetworkAclId"] == network_acl:
            return
        try:
            with aws_call("ReplaceNetworkAclAssociation"):
                self._ec2.replace_network_acl_association(
                    AssociationId=association["NetworkAclAssociationId"], NetworkAclId=network_acl
                )
        except NotFound:
            # boto3 repeats a call whose answer was lost, and the first one gave the association a new id.
            if self._acl_association(subnet_id)["NetworkAclId"] != network_acl:
                raise

    def _acl_association(self, subnet_id: str) -> NetworkAclAssociationTypeDef:
        filters: Any = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
        with aws_call("DescribeNetworkAcls"):
            present = self._ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
        for acl in present:
            for association in acl["Associations"]:
                if association["SubnetId"] == subnet_id:
                    return association
        raise NotYet(f"EC2 does not list a network ACL of the new subnet {subnet_id} yet")

    def give_public_addresses(self, subnet_id: str) -> None:
        """Instances launched in the subnet get public addresses; without one an instance in a public subnet cannot
        reach the internet. Safe to repeat."""
        with aws_call("ModifySubnetAttribute"):
            self._ec2.modify_subnet_attribute(SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": True})

    def reserve_prefixes(self, subnet_id: str, cidr: str) -> None:
        """Keeps the upper half of the subnet for /28 prefixes, so that single addresses never fragment it.

        A /28 is left as it is: its half holds no prefix.
        """
        if IPv4Network(cidr).prefixlen >= SMALLEST_PREFIX:
            return
        half = str(list(IPv4Network(cidr).subnets(prefixlen_diff=1))[1])
        with aws_call("GetSubnetCidrReservations"):
            present = self._ec2.get_subnet_cidr_reservations(SubnetId=subnet_id)["SubnetIpv4CidrReservations"]
        if any(reservation["Cidr"] == half for reservation in present):
            return
        with aws_call("CreateSubnetCidrReservation"):
            self._ec2.create_subnet_cidr_reservation(
                SubnetId=subnet_id,
                Cidr=half,
                ReservationType="prefix",
                TagSpecifications=self._owner.tag_specification("subnet-cidr-reservation"),
            )

    def delete_subnet(self, subnet_id: str) -> None:
        """Deletes a subnet that this incident made; one that is gone already is fine.

        Raises:
            RequestRefused: the subnet is not the incident's own.
            NotYet: ENIs are still in it.
        """
        if subnet_id not in {subnet.id for subnet in self.subnets()}:
            if self.is_gone(subnet_id):
                return
            raise RequestRefused(f"{subnet_id} lacks the tags of incident {self._owner.incident}: it is not deleted")
        with unless_gone(lambda: self._subnet_exists(subnet_id)), aws_call("DeleteSubnet"):
            self._ec2.delete_subnet(SubnetId=subnet_id)

    def is_gone(self, subnet_id: str) -> bool:
        """Whether EC2 says several times that there is no such subnet: a new one may not be listed at first."""
        for look in range(_LOOKS):
            if look:
                self._sleep(_POLL)
            if self._subnet_exists(subnet_id):
                return False
        return True

    def _subnet_exists(self, subnet_id: str) -> bool:
        filters: Any = [{"Name": "subnet-id", "Values": [subnet_id]}]
        with aws_call("DescribeSubnets"):
            return bool(self._ec2.describe_subnets(Filters=filters)["Subnets"])

    def delete_interface(self, interface_id: str) -> None:
        """Deletes an ENI that is attached to nothing; one that is gone already is fine. AWS refuses attached ones."""
        with unless_gone(lambda: self._interface_exists(interface_id)), aws_call("DeleteNetworkInterface"):
            self._ec2.delete_network_interface(NetworkInterfaceId=interface_id)

    def _interface_exists(self, interface_id: str) -> bool:
        filters: Any = [{"Name": "network-interface-id", "Values": [interface_id]}]
        with aws_call("DescribeNetworkInterfaces"):
            return bool(self._ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"])

    def disassociate_cidr(self, vpc_id: str, block: str) -> None:
        """Takes `block` out of the VPC and waits until it is gone; one that is not there is fine.

        Raises:
            NotYet: a subnet is still in it, or it is still disassociating.
        """
        present = self.cidr(vpc_id, block)
        if present is None:
            return
        if _stands(present):
            with unless_gone(lambda: _stands(self.cidr(vpc_id, block))), aws_call("DisassociateVpcCidrBlock"):
                self._ec2.disassociate_vpc_cidr_block(AssociationId=present.association_id or "")
        deadline = time.monotonic() + _PATIENCE
        while self.cidr(vpc_id, block) is not None:
            if time.monotonic() > deadline:
                raise NotYet(f"{block} of {vpc_id} is still disassociating")
            self._sleep(_POLL)


def _stands(cidr: VpcCidr | None) -> bool:
    """Whether nobody has begun to take the CIDR out of its VPC."""
    return cidr is not None and cidr.state != "disassociating"
