"""What EC2 says of a VPC, read over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.errors import NotFound, PermissionDenied, Throttled
from ip_remediator.snapshot.ec2 import Ec2Reader, with_layout
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model_vpc import Peering, Route, Subnet
from ip_remediator.snapshot.preflight.peers import with_units
from ip_remediator.snapshot.preflight.routes import PrefixLists, routes
from ip_remediator.snapshot.read_failures import ReadFailures
from tests.contract.support.vpcs import REGION, Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws


@pytest.fixture
def vpc(faults: LocalAws, ec2: Any) -> Vpc:  # faults: none of another test's is left
    return Vpc.create(ec2)


@pytest.fixture
def facts(ec2: Any) -> Ec2Reader:
    return Ec2Reader(ec2)


def subnets(vpc: Vpc, facts: Ec2Reader) -> list[Subnet]:
    return with_layout(facts.balances(vpc.id), facts.route_tables(vpc.id), facts.network_acls(vpc.id))


def test_given_a_vpc_then_its_owner_and_cidrs_are_told_the_primary_one_first(vpc: Vpc, facts: Ec2Reader) -> None:
    vpc.ec2.associate_vpc_cidr_block(VpcId=vpc.id, CidrBlock="100.64.0.0/22")
    result = facts.vpc(vpc.id)
    assert (result.id, result.owner_id) == (vpc.id, "000000000000")
    assert [(cidr.cidr, cidr.state) for cidr in result.cidrs] == [
        ("10.0.0.0/16", "associated"),
        ("100.64.0.0/22", "associating"),
    ]


def test_given_a_list_in_another_order_then_the_primary_cidr_still_comes_first() -> None:
    listed = [
        {"CidrBlock": cidr, "AssociationId": f"assoc-{cidr}", "CidrBlockState": {"State": "associated"}}
        for cidr in ("100.64.0.0/22", "10.0.0.0/16", "10.5.0.0/16")
    ]
    result = Ec2Reader.cidrs_of({"CidrBlock": "10.0.0.0/16", "CidrBlockAssociationSet": listed})
    assert [cidr.cidr for cidr in result] == ["10.0.0.0/16", "100.64.0.0/22", "10.5.0.0/16"]


def test_given_no_such_vpc_then_the_error_names_it(facts: Ec2Reader) -> None:
    with pytest.raises(NotFound, match="vpc-0123456789abcdef0"):
        facts.vpc("vpc-0123456789abcdef0")


def test_given_subnets_then_free_addresses_tags_route_table_and_acl_are_told(vpc: Vpc, facts: Ec2Reader) -> None:
    other = vpc.subnet("10.0.9.0/28", "b", **{"kubernetes.io/role/cni": "1"})
    vpc.interface(vpc.subnets["a"], SecondaryPrivateIpAddressCount=4)
    result = {subnet.id: subnet for subnet in subnets(vpc, facts)}
    node_subnet = result[vpc.subnets["a"]]
    assert (node_subnet.zone, node_subnet.cidr, node_subnet.free) == (f"{REGION}a", "10.0.0.0/24", 246)
    assert (node_subnet.route_table, node_subnet.network_acl) == (vpc.route_tables["a"], vpc.network_acls["a"])
    assert result[other].tags == {"kubernetes.io/role/cni": "1"}
    assert result[other].free == 11
    assert set(result) == {*vpc.subnets.values(), other}


def test_given_a_subnet_of_no_table_then_the_main_route_table_applies_to_it(vpc: Vpc, facts: Ec2Reader) -> None:
    other = vpc.subnet("10.0.9.0/28")
    filters = [{"Name": "vpc-id", "Values": [vpc.id]}, {"Name": "association.main", "Values": ["true"]}]
    [main] = vpc.ec2.describe_route_tables(Filters=filters)["RouteTables"]
    result = next(subnet for subnet in subnets(vpc, facts) if subnet.id == other)
    assert result.route_table == main["RouteTableId"]


def test_given_routes_then_all_but_the_local_ones_are_told(vpc: Vpc, facts: Ec2Reader) -> None:
    gateway = vpc.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    vpc.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc.id)
    table = vpc.route_tables["a"]
    for destination in ("0.0.0.0/0", "100.65.0.0/16"):
        vpc.ec2.create_route(RouteTableId=table, DestinationCidrBlock=destination, GatewayId=gateway)
    assert set(routes(facts.route_tables(vpc.id), PrefixLists(vpc.ec2, ReadFailures()))) == {
        Route(destination="0.0.0.0/0", target=gateway, route_table=table, propagated=False),
        Route(destination="100.65.0.0/16", target=gateway, route_table=table, propagated=False),
    }


def test_given_peerings_then_the_other_sides_ranges_are_told_and_who_asked(vpc: Vpc, facts: Ec2Reader) -> None:
    peer = vpc.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    id_ = vpc.ec2.create_vpc_peering_connection(VpcId=vpc.id, PeerVpcId=peer)["VpcPeeringConnection"][
        "VpcPeeringConnectionId"
    ]
    [mine], [theirs] = facts.peerings(vpc.id), facts.peerings(peer)
    assert (mine.id, mine.status, mine.cidrs, mine.requester) == (id_, "pending-acceptance", ("10.9.0.0/16",), True)
    assert (mine.vpc_id, theirs.vpc_id) == (peer, vpc.id)
    assert (theirs.cidrs, theirs.requester) == (("10.0.0.0/16",), False)
    vpc.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=id_)
    assert facts.peerings(vpc.id)[0].status == "active"
    assert (mine.same_region, mine.owner_id) == (True, theirs.owner_id)


def test_given_peers_then_the_units_of_those_in_this_account_are_counted_and_the_others_named(
    vpc: Vpc, facts: Ec2Reader
) -> None:
    peer = vpc.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = vpc.ec2.create_subnet(VpcId=peer, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    vpc.ec2.create_network_interface(SubnetId=subnet, SecondaryPrivateIpAddressCount=2)
    ours = Peering(id="pcx-1", status="active", vpc_id=peer, owner_id="1", same_region=True)
    others = ours.model_copy(update={"id": "pcx-2", "vpc_id": "vpc-2", "owner_id": "2"})
    elsewhere = ours.model_copy(update={"id": "pcx-3", "same_region": False})
    pending = ours.model_copy(update={"id": "pcx-4", "status": "pending-acceptance"})
    unread = ReadFailures()
    with ThreadPoolExecutor(2) as pool:
        counted = with_units(facts, (ours, others, elsewhere, pending), "1", unread, pool)
    assert [peering.network_address_units for peering in counted] == [3, None, None, None]
    assert unread.lines == ("network address units of vpc-2, which pcx-2 leads to: the VPC belongs to account 2",)


def test_given_enis_then_each_instances_are_told_with_addresses_and_prefixes(vpc: Vpc, facts: Ec2Reader) -> None:
    instance = vpc.instance("a")
    second = vpc.interface(vpc.subnets["a"], SecondaryPrivateIpAddressCount=5)
    vpc.ec2.attach_network_interface(NetworkInterfaceId=second, InstanceId=instance, DeviceIndex=1)
    third = vpc.interface(vpc.subnets["a"], Ipv4PrefixCount=2)
    vpc.ec2.attach_network_interface(NetworkInterfaceId=third, InstanceId=instance, DeviceIndex=2)
    result = facts.interfaces(vpc.id).by_instance
    assert list(result) == [instance]
    by_id = {eni.id: (eni.primary, eni.addresses, eni.prefixes) for eni in result[instance]}
    assert by_id.pop(second) == (False, 6, 0)
    assert by_id.pop(third) == (False, 1, 2)
    assert list(by_id.values()) == [(True, 1, 0)]


def test_given_an_eni_that_the_cni_left_behind_then_it_is_told_and_others_are_not(vpc: Vpc, facts: Ec2Reader) -> None:
    leaked = vpc.interface(vpc.subnets["a"], Description="aws-K8S-i-0abc", SecondaryPrivateIpAddressCount=2)
    vpc.interface(vpc.subnets["a"], Description="somebody's")
    attached = vpc.interface(vpc.subnets["a"], Description="aws-K8S-i-0def")
    vpc.ec2.attach_network_interface(NetworkInterfaceId=attached, InstanceId=vpc.instance("a"), DeviceIndex=1)
    assert facts.interfaces(vpc.id).leaked == [LeakedInterface(id=leaked, subnet_id=vpc.subnets["a"], addresses=3)]


def test_given_scattered_addresses_then_free_28s_are_counted_as_ec2_would_hand_them_out(
    vpc: Vpc, facts: Ec2Reader
) -> None:
    # A /26 has four /28 blocks; AWS reserves addresses in the first and in the last.
    id_ = vpc.subnet("10.0.8.0/26")
    subnet = next(subnet for subnet in subnets(vpc, facts) if subnet.id == id_)
    assert facts.interfaces(vpc.id).free_prefixes(subnet) == 2
    vpc.interface(id_, PrivateIpAddress="10.0.8.20")
    assert facts.interfaces(vpc.id).free_prefixes(subnet) == 1
    vpc.interface(id_, Ipv4Prefixes=[{"Ipv4Prefix": "10.0.8.32/28"}])
    assert facts.interfaces(vpc.id).free_prefixes(subnet) == 0
    with pytest.raises(Exception, match="InsufficientCidrBlocks"):
        vpc.interface(id_, Ipv4PrefixCount=1)


def test_given_a_28_then_it_has_no_prefix_to_give(vpc: Vpc, facts: Ec2Reader) -> None:
    id_ = vpc.subnet("10.0.8.0/28")
    subnet = next(subnet for subnet in subnets(vpc, facts) if subnet.id == id_)
    assert facts.interfaces(vpc.id).free_prefixes(subnet) == 0


def test_given_subnets_then_every_address_in_them_is_told_prefixes_unrolled(vpc: Vpc, facts: Ec2Reader) -> None:
    id_ = vpc.subnet("10.0.8.0/26")
    vpc.interface(id_, PrivateIpAddress="10.0.8.20")
    vpc.interface(id_, PrivateIpAddress="10.0.8.21", Ipv4Prefixes=[{"Ipv4Prefix": "10.0.8.32/28"}])
    vpc.interface(vpc.subnets["a"])
    addresses = facts.addresses_of_subnets([id_])
    assert set(addresses) == {"10.0.8.20", "10.0.8.21", *(f"10.0.8.{last}" for last in range(32, 48))}
    assert set(addresses.values()) == {id_}
    assert facts.addresses_of_subnets([]) == {}


def test_given_instance_types_then_their_limits_are_told_in_one_call(facts: Ec2Reader, faults: LocalAws) -> None:
    wanted = ["t3.medium", "m5.large", "t3.medium", "p4d.24xlarge", "t2.micro"]
    assert facts.instance_types(wanted) == {
        "t3.medium": (3, 6, True),
        "m5.large": (3, 10, True),
        # The default network card of four holds 15 of the 60 ENIs.
        "p4d.24xlarge": (15, 50, True),
        "t2.micro": (2, 2, False),
    }
    assert facts.instance_types([]) == {}
    assert len(faults.calls(service="ec2", action="DescribeInstanceTypes")) == 1


@pytest.mark.parametrize(
    ("code", "kind"), [("RequestLimitExceeded", Throttled), ("UnauthorizedOperation", PermissionDenied)]
)
def test_given_an_error_of_ec2_then_its_class_tells_what_to_do(
    facts: Ec2Reader, faults: LocalAws, code: str, kind: Any
) -> None:
    faults.inject("ec2", "DescribeSubnets", error=code)
    with pytest.raises(kind, match=f"describe_subnets: {code}"):
        facts.balances("vpc-1")
