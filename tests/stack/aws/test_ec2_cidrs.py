"""CIDRs and subnets of a VPC: what EC2 refuses, in its own codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.aws.conftest import Network, code_of, eventually, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

# Primary CIDR, further CIDRs, CIDR to add, whether the association table allows it.
TABLE = [
    ("10.0.0.0/16", "100.64.0.0/16", True),
    ("10.0.0.0/16", "10.2.0.0/16", True),
    ("10.0.0.0/16", "8.8.0.0/16", True),
    ("10.1.0.0/16", "10.0.0.0/16", False),
    ("10.1.0.0/16", "10.0.128.0/20", False),
    ("10.2.0.0/16", "10.0.0.0/16", True),
    ("10.0.0.0/16", "172.16.0.0/16", False),
    ("10.0.0.0/16", "192.168.0.0/16", False),
    ("10.0.0.0/16", "198.19.0.0/16", False),
    ("172.16.0.0/16", "172.20.0.0/16", True),
    ("172.16.0.0/16", "172.31.0.0/16", False),
    ("172.16.0.0/16", "10.0.0.0/16", False),
    ("172.16.0.0/16", "198.19.0.0/16", False),
    ("172.16.0.0/16", "100.64.0.0/16", True),
    ("192.168.0.0/20", "192.168.16.0/20", True),
    ("192.168.0.0/20", "172.16.0.0/16", False),
    ("192.168.0.0/20", "198.19.0.0/24", False),
    ("198.19.0.0/20", "10.0.0.0/16", False),
    ("198.19.0.0/20", "100.64.0.0/16", True),
    ("100.64.0.0/16", "10.0.0.0/16", False),
    ("100.64.0.0/16", "198.19.0.0/16", False),
    ("100.64.0.0/16", "100.65.0.0/16", True),
    ("8.8.0.0/16", "192.168.0.0/16", False),
    ("8.8.0.0/16", "9.9.0.0/16", True),
    ("10.0.0.0/16", "169.254.0.0/16", False),
    ("100.64.0.0/16", "169.254.0.0/20", False),
]


@pytest.mark.parametrize(("primary", "new", "allowed"), TABLE)
def test_given_a_vpc_when_a_cidr_is_added_then_the_association_table_decides(
    aws: LocalAws, primary: str, new: str, allowed: bool
):
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=primary)["Vpc"]["VpcId"]
    expected = "" if allowed else "InvalidVpc.Range"
    assert code_of(ec2.associate_vpc_cidr_block, VpcId=vpc, CidrBlock=new) == expected


@pytest.mark.parametrize("cidr", ["100.64.0.0/15", "100.64.0.0/29", "10.0.0.0/24", "10.0.0.0/16"])
def test_given_a_wrong_size_or_an_overlap_when_added_then_invalid_range(network: Network, cidr: str):
    assert code_of(network.ec2.associate_vpc_cidr_block, VpcId=network.vpc, CidrBlock=cidr) == "InvalidVpc.Range"


def test_given_no_cidr_at_all_when_added_then_invalid_parameter(network: Network):
    refused = code_of(network.ec2.associate_vpc_cidr_block, VpcId=network.vpc, CidrBlock="ten/16")
    assert refused == "InvalidParameterValue"


def test_given_a_new_cidr_when_added_then_it_is_associating_for_a_while_and_has_no_room_until_associated(
    network: Network,
):
    made = network.ec2.associate_vpc_cidr_block(VpcId=network.vpc, CidrBlock="100.64.0.5/16")["CidrBlockAssociation"]
    assert (made["CidrBlock"], made["CidrBlockState"]["State"]) == ("100.64.0.0/16", "associating")
    assert network.states()["100.64.0.0/16"] == "associating"
    early = code_of(network.ec2.create_subnet, VpcId=network.vpc, CidrBlock="100.64.0.0/20")
    assert early == "InvalidSubnet.Range"
    eventually(lambda: network.states()["100.64.0.0/16"] == "associated")
    assert code_of(network.ec2.create_subnet, VpcId=network.vpc, CidrBlock="100.64.0.0/20") == ""


def test_given_five_cidrs_when_a_sixth_is_added_then_the_quota_is_met(network: Network):
    for index in range(4):
        network.ec2.associate_vpc_cidr_block(VpcId=network.vpc, CidrBlock=f"100.{64 + index}.0.0/16")
    refused = code_of(network.ec2.associate_vpc_cidr_block, VpcId=network.vpc, CidrBlock="100.80.0.0/16")
    assert refused == "CidrLimitExceeded"


def test_given_a_route_inside_the_new_cidr_when_added_then_invalid_range(network: Network):
    gateway = network.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    network.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    network.ec2.create_route(RouteTableId=table, DestinationCidrBlock="100.64.1.0/24", GatewayId=gateway)
    add = network.ec2.associate_vpc_cidr_block
    assert code_of(add, VpcId=network.vpc, CidrBlock="100.64.0.0/16") == "InvalidVpc.Range"
    assert code_of(add, VpcId=network.vpc, CidrBlock="100.64.1.0/24") == "InvalidVpc.Range"
    assert code_of(add, VpcId=network.vpc, CidrBlock="100.64.1.0/26") == ""


def test_given_a_peering_when_a_cidr_is_added_then_the_requester_waits_and_the_active_peers_ranges_are_taken(
    network: Network,
):
    ec2 = network.ec2
    peer = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.associate_vpc_cidr_block(VpcId=peer, CidrBlock="100.70.0.0/16")
    peering = ec2.create_vpc_peering_connection(VpcId=network.vpc, PeerVpcId=peer)["VpcPeeringConnection"]
    add = ec2.associate_vpc_cidr_block
    assert code_of(add, VpcId=network.vpc, CidrBlock="100.64.0.0/16") == "OperationNotPermitted"
    assert code_of(add, VpcId=peer, CidrBlock="100.71.0.0/16") == ""
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering["VpcPeeringConnectionId"])
    assert code_of(add, VpcId=network.vpc, CidrBlock="100.70.4.0/24") == "InvalidVpc.Range"
    assert code_of(add, VpcId=network.vpc, CidrBlock="100.64.0.0/16") == ""
    (result,) = ec2.describe_vpc_peering_connections(
        Filters=[{"Name": "accepter-vpc-info.vpc-id", "Values": [peer]}, {"Name": "status-code", "Values": ["active"]}]
    )["VpcPeeringConnections"]
    blocks = [one["CidrBlock"] for one in result["AccepterVpcInfo"]["CidrBlockSet"]]
    assert blocks == ["10.9.0.0/16", "100.70.0.0/16", "100.71.0.0/16"]


def test_given_overlapping_vpcs_when_peered_then_the_request_fails(network: Network):
    other = network.ec2.create_vpc(CidrBlock="10.0.0.0/20")["Vpc"]["VpcId"]
    made = network.ec2.create_vpc_peering_connection(VpcId=network.vpc, PeerVpcId=other)["VpcPeeringConnection"]
    (result,) = network.ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[made["VpcPeeringConnectionId"]])[
        "VpcPeeringConnections"
    ]
    assert result["Status"]["Code"] == "failed"


def test_given_a_subnet_in_a_cidr_when_disassociated_then_in_use_until_the_subnet_is_gone(network: Network):
    association = network.add("100.64.0.0/16")
    subnet = network.subnet("100.64.0.0/24")
    remove = network.ec2.disassociate_vpc_cidr_block
    assert code_of(remove, AssociationId=association) == "InvalidCidrBlock.InUse"
    network.ec2.delete_subnet(SubnetId=subnet)
    remove(AssociationId=association)
    assert network.states()["100.64.0.0/16"] == "disassociating"
    eventually(lambda: "100.64.0.0/16" not in network.states())
    tables = network.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["RouteTables"]
    assert [route["DestinationCidrBlock"] for table in tables for route in table["Routes"]] == ["10.0.0.0/16"]


def test_given_a_dry_run_when_a_subnet_is_created_then_nothing_is(network: Network):
    asked = {"VpcId": network.vpc, "CidrBlock": "10.0.0.0/24"}
    assert code_of(network.ec2.create_subnet, DryRun=True, **asked) == "DryRunOperation"
    mine = [{"Name": "vpc-id", "Values": [network.vpc]}]
    assert network.ec2.describe_subnets(Filters=mine)["Subnets"] == []


@pytest.mark.parametrize(
    ("cidr", "code"),
    [
        ("10.0.0.0/29", "InvalidSubnet.Range"),
        ("10.1.0.0/24", "InvalidSubnet.Range"),
        ("10.0.0.0/24", "InvalidSubnet.Conflict"),
        ("10.0.0.128/25", "InvalidSubnet.Conflict"),
        ("10.0.1.0/28", ""),
    ],
)
def test_given_a_subnet_when_another_is_created_then_its_range_decides(network: Network, cidr: str, code: str):
    network.subnet("10.0.0.0/24")
    assert code_of(network.ec2.create_subnet, VpcId=network.vpc, CidrBlock=cidr) == code


def test_given_tags_in_the_creating_call_when_searched_by_tag_then_the_subnet_is_found(network: Network):
    value = unique("incident")
    tags = [{"ResourceType": "subnet", "Tags": [{"Key": "ip-remediator/incident", "Value": value}]}]
    subnet = network.subnet("10.0.0.0/24", TagSpecifications=tags)
    filters = [{"Name": "tag:ip-remediator/incident", "Values": [value]}]
    assert [one["SubnetId"] for one in network.ec2.describe_subnets(Filters=filters)["Subnets"]] == [subnet]


def test_given_a_subnet_with_table_and_acl_when_deleted_then_both_forget_it(network: Network):
    ec2, subnet = network.ec2, network.subnet("10.0.0.0/24")
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    other = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    again = code_of(ec2.associate_route_table, RouteTableId=other, SubnetId=subnet)
    assert again == "Resource.AlreadyAssociated"
    acl = ec2.create_network_acl(VpcId=network.vpc)["NetworkAcl"]["NetworkAclId"]
    of_subnet = [{"Name": "association.subnet-id", "Values": [subnet]}]
    (default,) = ec2.describe_network_acls(Filters=of_subnet)["NetworkAcls"]
    (current,) = [one for one in default["Associations"] if one["SubnetId"] == subnet]
    ec2.replace_network_acl_association(AssociationId=current["NetworkAclAssociationId"], NetworkAclId=acl)
    (replaced,) = ec2.describe_network_acls(Filters=of_subnet)["NetworkAcls"]
    assert replaced["NetworkAclId"] == acl
    assert (
        code_of(ec2.replace_network_acl_association, AssociationId="aclassoc-0", NetworkAclId=acl)
        == "InvalidAssociationID.NotFound"
    )
    ec2.delete_subnet(SubnetId=subnet)
    assert ec2.describe_network_acls(Filters=of_subnet)["NetworkAcls"] == []
    assert code_of(ec2.delete_route_table, RouteTableId=table) == ""
