"""What a VPC reaches: endpoints, transit gateways and prefix lists."""

from __future__ import annotations

from typing import Any

from tests.stack.aws.conftest import Network, code_of

STATES = [{"Name": "state", "Values": ["active", "blackhole"]}]


def gateway(network: Network, *vpcs: str) -> tuple[str, list[str]]:
    """Default route table of a new transit gateway, and the attachments of the VPCs, in a subnet of each."""
    made = network.ec2.create_transit_gateway()["TransitGateway"]
    attachments = []
    for vpc in vpcs:
        place = {"Name": "vpc-id", "Values": [vpc]}
        subnets = [one["SubnetId"] for one in network.ec2.describe_subnets(Filters=[place])["Subnets"][:1]]
        answer = network.ec2.create_transit_gateway_vpc_attachment(
            TransitGatewayId=made["TransitGatewayId"], VpcId=vpc, SubnetIds=subnets
        )
        attachments.append(answer["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"])
    return made["Options"]["AssociationDefaultRouteTableId"], attachments


def search(network: Network, table: str, **options: Any) -> list[dict[str, Any]]:
    arguments = {"TransitGatewayRouteTableId": table, "Filters": STATES, **options}
    return list(network.ec2.search_transit_gateway_routes(**arguments)["Routes"])


def test_given_attached_vpcs_then_their_cidrs_are_propagated(network: Network):
    network.subnet("10.0.0.0/24")
    other = network.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    table, (mine, theirs) = gateway(network, network.vpc, other)
    network.add("100.64.0.0/16")
    result = {one["DestinationCidrBlock"]: one for one in search(network, table)}
    assert {
        range_: one["TransitGatewayAttachments"][0]["TransitGatewayAttachmentId"] for range_, one in result.items()
    } == {
        "10.0.0.0/16": mine,
        "100.64.0.0/16": mine,
        "10.1.0.0/16": theirs,
    }
    assert {one["Type"] for one in result.values()} == {"propagated"}


def test_given_static_routes_then_their_attachment_and_state_are_told(network: Network):
    network.subnet("10.0.0.0/24")
    table, (attachment,) = gateway(network, network.vpc)
    create = network.ec2.create_transit_gateway_route
    create(TransitGatewayRouteTableId=table, DestinationCidrBlock="10.7.0.0/16", TransitGatewayAttachmentId=attachment)
    create(TransitGatewayRouteTableId=table, DestinationCidrBlock="10.9.0.0/16", Blackhole=True)
    static = [one for one in search(network, table) if one["Type"] == "static"]
    assert [(one["DestinationCidrBlock"], one["State"]) for one in static] == [
        ("10.7.0.0/16", "active"),
        ("10.9.0.0/16", "blackhole"),
    ]
    assert static[0]["TransitGatewayAttachments"][0]["ResourceId"] == network.vpc
    assert len(search(network, table, MaxResults=5)) == 3
    only_black = [{"Name": "state", "Values": ["blackhole"]}]
    assert [one["DestinationCidrBlock"] for one in search(network, table, Filters=only_black)] == ["10.9.0.0/16"]


def test_given_an_unknown_table_or_list_then_it_is_not_found(network: Network):
    ec2 = network.ec2
    refused = code_of(ec2.search_transit_gateway_routes, TransitGatewayRouteTableId="tgw-rtb-0123", Filters=STATES)
    assert refused == "InvalidRouteTableID.NotFound"
    assert code_of(ec2.get_managed_prefix_list_entries, PrefixListId="pl-0123") == "InvalidPrefixListID.NotFound"


def test_given_an_interface_endpoint_then_its_enis_have_addresses_of_the_subnets_and_its_groups(network: Network):
    subnets = [network.subnet("10.0.0.0/28"), network.subnet("10.0.1.0/28", "b")]
    group = network.ec2.create_security_group(GroupName="endpoints", Description="-", VpcId=network.vpc)["GroupId"]
    endpoint = network.ec2.create_vpc_endpoint(
        VpcId=network.vpc,
        ServiceName="com.amazonaws.ap-northeast-2.sqs",
        VpcEndpointType="Interface",
        SubnetIds=subnets,
        SecurityGroupIds=[group],
    )["VpcEndpoint"]
    enis = network.ec2.describe_network_interfaces(NetworkInterfaceIds=endpoint["NetworkInterfaceIds"])
    for eni, subnet in zip(enis["NetworkInterfaces"], subnets, strict=True):
        assert (eni["SubnetId"], eni["PrivateIpAddress"].rpartition(".")[2]) == (subnet, "4")
        assert (eni["InterfaceType"], eni["Status"]) == ("vpc_endpoint", "in-use")
        assert eni["Description"] == f"VPC Endpoint Interface {endpoint['VpcEndpointId']}"
        assert [one["GroupId"] for one in eni["Groups"]] == [group]
    network.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
    assert [network.free(subnet) for subnet in subnets] == [11, 11]


def test_given_a_new_network_acl_then_it_denies_everything_by_its_last_rules(network: Network):
    made = network.ec2.create_network_acl(VpcId=network.vpc)["NetworkAcl"]["NetworkAclId"]
    (result,) = network.ec2.describe_network_acls(NetworkAclIds=[made])["NetworkAcls"]
    assert sorted((one["Egress"], one["RuleNumber"], one["RuleAction"]) for one in result["Entries"]) == [
        (False, 32767, "deny"),
        (True, 32767, "deny"),
    ]
