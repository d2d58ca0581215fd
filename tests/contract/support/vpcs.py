"""VPCs of tests: what a cluster's nodes live in, made through the EC2 API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REGION = "ap-northeast-2"


@dataclass
class Vpc:
    """A VPC of 10.0.0.0/16 with a node subnet, a route table and a network ACL per zone."""

    ec2: Any
    id: str = ""
    subnets: dict[str, str] = field(default_factory=dict)
    route_tables: dict[str, str] = field(default_factory=dict)
    network_acls: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, ec2: Any, zones: str = "ab", prefix: int = 24) -> Vpc:
        vpc = cls(ec2, ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
        for index, letter in enumerate(zones):
            vpc.subnets[letter] = vpc.subnet(f"10.0.{index}.0/{prefix}", letter)
            vpc.route_tables[letter] = ec2.create_route_table(VpcId=vpc.id)["RouteTable"]["RouteTableId"]
            ec2.associate_route_table(RouteTableId=vpc.route_tables[letter], SubnetId=vpc.subnets[letter])
            vpc.network_acls[letter] = ec2.create_network_acl(VpcId=vpc.id)["NetworkAcl"]["NetworkAclId"]
            vpc.replace_acl(vpc.subnets[letter], vpc.network_acls[letter])
        return vpc

    def subnet(self, cidr: str, letter: str = "a", **tags: str) -> str:
        made = self.ec2.create_subnet(VpcId=self.id, CidrBlock=cidr, AvailabilityZone=f"{REGION}{letter}")["Subnet"]
        if tags:
            named = [{"Key": key, "Value": value} for key, value in tags.items()]
            self.ec2.create_tags(Resources=[made["SubnetId"]], Tags=named)
        return str(made["SubnetId"])

    def replace_acl(self, subnet: str, acl: str) -> None:
        association = next(
            one["NetworkAclAssociationId"]
            for result in self.acls_of(subnet)
            for one in result["Associations"]
            if one["SubnetId"] == subnet
        )
        self.ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)

    def instance(self, letter: str = "a", kind: str = "t3.medium") -> str:
        made = self.ec2.run_instances(
            ImageId="ami-12345678", InstanceType=kind, MinCount=1, MaxCount=1, SubnetId=self.subnets[letter]
        )
        return str(made["Instances"][0]["InstanceId"])

    def interface(self, subnet: str, **options: Any) -> str:
        made = self.ec2.create_network_interface(SubnetId=subnet, **options)
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    # --- What EC2 says

    def cidrs(self) -> dict[str, str]:
        result = self.ec2.describe_vpcs(VpcIds=[self.id])["Vpcs"][0]["CidrBlockAssociationSet"]
        return {one["CidrBlock"]: one["CidrBlockState"]["State"] for one in result}

    def described(self, subnet: str) -> dict[str, Any]:
        return dict(self.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0])

    def subnet_ids(self) -> set[str]:
        result = self.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.id]}])["Subnets"]
        return {subnet["SubnetId"] for subnet in result}

    def tables_of(self, subnet: str) -> list[str]:
        filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
        return [table["RouteTableId"] for table in self.ec2.describe_route_tables(Filters=filters)["RouteTables"]]

    def acls_of(self, subnet: str) -> list[dict[str, Any]]:
        filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
        return list(self.ec2.describe_network_acls(Filters=filters)["NetworkAcls"])

    def reservations(self, subnet: str) -> list[dict[str, Any]]:
        return list(self.ec2.get_subnet_cidr_reservations(SubnetId=subnet)["SubnetIpv4CidrReservations"])
