"""What only a preflight looks at, read from the local APIs: who admits whom, what is reachable, what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.snapshot.ec2 import Ec2Reader, acl_documents
from ip_remediator.snapshot.model import Quotas
from ip_remediator.snapshot.model_vpc import AclEntry, GroupUser, SecurityGroup, UserKind
from ip_remediator.snapshot.preflight.quotas import CODES, read_quotas
from ip_remediator.snapshot.preflight.routes import PrefixLists, TransitFacts, routes, transit
from ip_remediator.snapshot.preflight.security_groups import SecurityGroupReader
from ip_remediator.snapshot.read_failures import ReadFailures
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ACCOUNT = "000000000000"


@dataclass
class Reach:
    """A VPC of 10.0.0.0/16 and what leads out of it."""

    vpc: Vpc
    facts: Ec2Reader
    unread: ReadFailures
    lists: PrefixLists

    @property
    def ec2(self) -> Any:
        return self.vpc.ec2

    def other_vpc(self, cidr: str) -> str:
        """A further VPC with a subnet."""
        made = str(self.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"])
        block = next(IPv4Network(cidr).subnets(new_prefix=24))
        self.ec2.create_subnet(VpcId=made, CidrBlock=str(block))
        return made

    def group(self, name: str, *permissions: dict[str, Any], vpc: str = "", egress: bool = False) -> str:
        made = self.ec2.create_security_group(GroupName=name, Description="-", VpcId=vpc or self.vpc.id)["GroupId"]
        if permissions:
            way = "egress" if egress else "ingress"
            getattr(self.ec2, f"authorize_security_group_{way}")(GroupId=made, IpPermissions=list(permissions))
        return str(made)

    def prefix_list(self, *cidrs: str) -> str:
        entries = [{"Cidr": cidr} for cidr in cidrs]
        made = self.ec2.create_managed_prefix_list(
            PrefixListName="corporate", MaxEntries=9, AddressFamily="IPv4", Entries=entries
        )
        return str(made["PrefixList"]["PrefixListId"])

    def gateway(self, *vpcs: str) -> tuple[str, str]:
        """A transit gateway with the VPCs attached: its id and that of its route table."""
        made = self.ec2.create_transit_gateway()["TransitGateway"]
        for vpc in vpcs:
            place = [{"Name": "vpc-id", "Values": [vpc]}]
            subnet = self.ec2.describe_subnets(Filters=place)["Subnets"][0]["SubnetId"]
            self.ec2.create_transit_gateway_vpc_attachment(
                TransitGatewayId=made["TransitGatewayId"], VpcId=vpc, SubnetIds=[subnet]
            )
        return made["TransitGatewayId"], made["Options"]["AssociationDefaultRouteTableId"]

    def groups(self, *neighbours: str) -> dict[str, SecurityGroup]:
        ours = [IPv4Network(cidr.cidr) for cidr in self.facts.vpc(self.vpc.id).cidrs]
        reader = SecurityGroupReader(self.ec2, ours, self.lists)
        result = reader.read(self.vpc.id, neighbours, self.facts.interfaces(self.vpc.id))
        return {group.id: group for group in result}

    def routes(self) -> dict[str, tuple[str, str, str | None]]:
        """(target, state, prefix list) by destination."""
        result = routes(self.facts.route_tables(self.vpc.id), self.lists)
        return {route.destination: (route.target, route.state, route.prefix_list) for route in result}

    def transit(self, account: str | None = ACCOUNT) -> TransitFacts:
        return transit(self.ec2, self.vpc.id, account, self.lists)


@pytest.fixture
def reach(faults: LocalAws, ec2: Any) -> Reach:  # faults: none of another test's is left
    unread = ReadFailures()
    return Reach(Vpc.create(ec2, zones="a"), Ec2Reader(ec2), unread, PrefixLists(ec2, unread))


def tcp(port: int, *cidrs: str, **more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": c} for c in cidrs], **more}


# --- Security groups


def test_given_a_group_that_names_the_vpcs_ranges_then_its_rules_and_what_it_protects_are_told(reach: Reach) -> None:
    group = reach.group("db", tcp(5432, "10.0.0.0/16", "10.0.1.0/24", "192.168.0.0/16", "203.0.113.0/24"))
    reach.vpc.interface(reach.vpc.subnets["a"], Description="RDSNetworkInterface", Groups=[group])
    result = reach.groups()[group]
    assert (result.name, result.vpc_id) == ("db", reach.vpc.id)
    assert [user.kind for user in result.users] == [UserKind.RDS]
    rules = {rule.cidrs: (rule.protocol, rule.from_port, rule.to_port, rule.egress) for rule in result.rules}
    # 203.0.113.0/24 is documentation's, so "not global"; a public range of others would be left out.
    assert set(rules) == {("10.0.0.0/16",), ("10.0.1.0/24",), ("192.168.0.0/16",), ("203.0.113.0/24",)}
    assert set(rules.values()) == {("tcp", 5432, 5432, False)}
    assert all(rule.id and rule.id.startswith("sgr-") for rule in result.rules)


@pytest.mark.parametrize(
    "permission",
    [
        tcp(443, "0.0.0.0/0"),
        tcp(443, "8.8.8.0/24"),
        tcp(443, "172.16.0.0/12"),
        tcp(443, Ipv6Ranges=[{"CidrIpv6": "::/0"}]),
    ],
    ids=["anywhere", "public", "elsewhere", "ipv6"],
)
def test_given_a_group_that_names_no_range_of_the_vpc_then_it_is_told_without_rules(
    reach: Reach, permission: dict[str, Any]
) -> None:
    group = reach.group("web", permission)
    assert (reach.groups()[group].rules, reach.groups()[group].users) == ((), ())


def test_given_more_neighbours_than_a_call_takes_filter_values_then_the_groups_of_all_are_told(reach: Reach) -> None:
    other = reach.other_vpc("10.9.0.0/16")
    group = reach.group("db", tcp(5432, "10.0.0.0/16"), vpc=other)
    # A transit gateway takes thousands of attachments.
    neighbours = [f"vpc-{number:017x}" for number in range(195)]
    assert reach.groups(other, *neighbours)[group].vpc_id == other


def test_given_a_group_that_admits_by_group_then_it_is_told_without_rules(reach: Reach) -> None:
    group = reach.group("self")
    pair = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    reach.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[pair])
    assert reach.groups()[group].rules == ()


def test_given_a_group_that_admits_by_range_and_by_group_then_both_are_told(reach: Reach) -> None:
    nodes, database = reach.group("nodes"), reach.group("db", tcp(5432, "10.0.0.0/16"))
    pair = tcp(5432, UserIdGroupPairs=[{"GroupId": nodes}])
    reach.ec2.authorize_security_group_ingress(GroupId=database, IpPermissions=[pair])
    rules = {(rule.cidrs, rule.groups) for rule in reach.groups()[database].rules}
    assert rules == {(("10.0.0.0/16",), ()), ((), (nodes,))}


def test_given_two_groups_of_a_database_then_the_rules_by_group_of_the_other_one_are_told_too(reach: Reach) -> None:
    nodes, by_range, by_group = reach.group("nodes"), reach.group("ranges", tcp(5432, "10.0.0.0/16")), reach.group("by")
    elsewhere = reach.group("elsewhere")
    for item in (by_group, elsewhere):
        pair = tcp(5432, UserIdGroupPairs=[{"GroupId": nodes}])
        reach.ec2.authorize_security_group_ingress(GroupId=item, IpPermissions=[pair])
    home = reach.vpc.subnets["a"]
    reach.vpc.interface(home, Description="RDSNetworkInterface", Groups=[by_range, by_group])
    result = reach.groups()
    assert [rule.groups for rule in result[by_group].rules] == [(nodes,)]
    assert result[by_group].users == result[by_range].users != ()
    assert result[elsewhere].rules == ()


def test_given_a_range_around_the_vpc_then_what_else_is_admitted_is_told_too(reach: Reach) -> None:
    group = reach.group("wide", tcp(443, "10.0.0.0/8", "100.64.0.0/10", "0.0.0.0/0", "8.8.8.0/24"))
    result = reach.groups()[group].rules
    assert {cidr for rule in result for cidr in rule.cidrs} == {"10.0.0.0/8", "100.64.0.0/10", "0.0.0.0/0"}


def test_given_rules_out_that_name_the_vpc_then_they_are_told_and_rules_in_only_where_they_do(reach: Reach) -> None:
    group = reach.group("strict", tcp(443, "10.0.0.0/16"), egress=True)
    reach.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, "0.0.0.0/0")])
    result = reach.groups()[group].rules
    # A new group lets everything out.
    assert {(rule.egress, rule.cidrs, rule.from_port) for rule in result} == {
        (True, ("10.0.0.0/16",), 443),
        (True, ("0.0.0.0/0",), None),
    }


def test_given_a_rule_with_a_prefix_list_then_its_ranges_stand_for_it(reach: Reach) -> None:
    named = reach.prefix_list("10.0.0.0/20", "192.168.0.0/16")
    permission = {"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "PrefixListIds": [{"PrefixListId": named}]}
    group = reach.group("cache", permission)
    [rule] = reach.groups()[group].rules
    assert (rule.cidrs, rule.from_port) == (("10.0.0.0/20", "192.168.0.0/16"), 6379)


def test_given_a_neighbour_vpc_then_those_of_its_groups_are_told_that_name_our_ranges(reach: Reach) -> None:
    peer = reach.other_vpc("10.9.0.0/16")
    naming = [
        reach.group(f"naming-{number}", tcp(5432, cidr), vpc=peer)
        for number, cidr in enumerate(("10.0.0.0/16", "10.0.77.0/24", "10.0.0.0/12", "10.0.3.4/32"))
    ]
    other = reach.group("other", tcp(5432, "10.9.0.0/16"), vpc=peer)
    result = reach.groups(peer)
    assert {id_ for id_, group in result.items() if group.vpc_id == peer} == set(naming)
    assert all(result[id_].rules for id_ in naming)
    assert other not in result
    assert not set(naming) & set(reach.groups())


@pytest.mark.parametrize("cidr", ["10.0.16.0/20", "10.0.5.0/24", "10.0.5.64/26"])
def test_given_a_vpc_that_ends_within_an_octet_then_neighbours_rules_for_parts_of_it_are_found(
    reach: Reach, ec2: Any, cidr: str
) -> None:
    network = IPv4Network(cidr)
    small = Vpc(ec2, ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"])
    peer = reach.other_vpc("10.9.0.0/16")
    part, beside = str(list(network.subnets(new_prefix=28))[1]), "10.0.200.0/24"
    wanted = [reach.group(f"g{n}", tcp(1, c), vpc=peer) for n, c in enumerate((cidr, part, "10.0.0.0/16"))]
    unwanted = reach.group("beside", tcp(1, beside), vpc=peer)
    result = Reach(small, reach.facts, reach.unread, reach.lists).groups(peer)
    assert set(wanted) <= set(result)
    assert not result.get(unwanted) or not result[unwanted].rules


def test_given_groups_that_name_nothing_then_their_rules_are_not_asked_for(reach: Reach, faults: LocalAws) -> None:
    reach.group("web", tcp(443, "0.0.0.0/0"))
    faults.control("DELETE", "/_local/calls")
    reach.groups()
    actions = [call["action"] for call in faults.calls(service="ec2")]
    assert actions.count("DescribeSecurityGroups") == 1
    assert "DescribeSecurityGroupRules" not in actions


# --- Routes and transit gateways


def test_given_routes_then_prefix_lists_are_unrolled_and_blackholes_named(reach: Reach) -> None:
    gateway, _ = reach.gateway(reach.vpc.id)
    table, named = reach.vpc.route_tables["a"], reach.prefix_list("10.50.0.0/16", "100.96.0.0/16")
    reach.ec2.create_route(RouteTableId=table, DestinationPrefixListId=named, TransitGatewayId=gateway)
    peer = reach.other_vpc("10.9.0.0/16")
    peering = reach.ec2.create_vpc_peering_connection(VpcId=reach.vpc.id, PeerVpcId=peer)["VpcPeeringConnection"]
    id_ = peering["VpcPeeringConnectionId"]
    reach.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=id_)
    reach.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/16", VpcPeeringConnectionId=id_)
    assert reach.routes() == {
        "10.50.0.0/16": (gateway, "active", named),
        "100.96.0.0/16": (gateway, "active", named),
        "10.9.0.0/16": (id_, "active", None),
    }
    black = [{"RouteTableId": "rtb-1", "Routes": [{"DestinationCidrBlock": "10.9.0.0/16", "State": "blackhole"}]}]
    assert [(route.target, route.state) for route in routes(black, reach.lists)] == [("?", "blackhole")]


def test_given_a_gateway_endpoint_then_its_prefix_list_is_neither_told_nor_read(reach: Reach, faults: LocalAws) -> None:
    reach.ec2.create_vpc_endpoint(
        VpcId=reach.vpc.id,
        ServiceName=f"com.amazonaws.{reach.ec2.meta.region_name}.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[reach.vpc.route_tables["a"]],
    )
    assert reach.routes() == {}
    assert faults.calls(service="ec2", action="GetManagedPrefixListEntries") == []


def test_given_a_list_that_cannot_be_read_then_that_is_told_and_the_rest_of_the_routes(
    reach: Reach, faults: LocalAws
) -> None:
    gateway, _ = reach.gateway(reach.vpc.id)
    table, named = reach.vpc.route_tables["a"], reach.prefix_list("10.50.0.0/16")
    reach.ec2.create_route(RouteTableId=table, DestinationPrefixListId=named, TransitGatewayId=gateway)
    reach.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.60.0.0/16", TransitGatewayId=gateway)
    faults.inject("ec2", "GetManagedPrefixListEntries", error="UnauthorizedOperation")
    assert set(reach.routes()) == {"10.60.0.0/16"}
    [line] = reach.unread.lines
    assert line.startswith(f"entries of prefix list {named}: ")


def test_given_a_transit_gateway_then_active_ranges_and_blackholes_of_others_and_their_vpcs_are_told(
    reach: Reach,
) -> None:
    other = reach.other_vpc("100.70.0.0/16")
    gateway, table = reach.gateway(reach.vpc.id, other)
    reach.ec2.create_transit_gateway_route(
        TransitGatewayRouteTableId=table, DestinationCidrBlock="10.200.0.0/16", Blackhole=True
    )
    result = reach.transit()
    [described] = result.gateways
    assert (described.id, described.routes, described.blackholes) == (gateway, ("100.70.0.0/16",), ("10.200.0.0/16",))
    assert described.attachment.startswith("tgw-attach-")
    assert result.neighbours == {other}
    assert reach.unread.lines == ()


def test_given_a_gateway_of_another_account_then_its_routes_are_unknown_and_nobody_asks(
    reach: Reach, faults: LocalAws
) -> None:
    gateway, _ = reach.gateway(reach.vpc.id)
    assert [transit_gateway.routes for transit_gateway in reach.transit(account="111111111111").gateways] == [None]
    assert reach.unread.lines == (f"routes of transit gateway {gateway}: it belongs to account {ACCOUNT}",)
    assert faults.calls(service="ec2", action="SearchTransitGatewayRoutes") == []


def test_given_a_search_that_is_refused_then_the_routes_are_unknown(reach: Reach, faults: LocalAws) -> None:
    gateway, _ = reach.gateway(reach.vpc.id)
    faults.inject("ec2", "SearchTransitGatewayRoutes", error="UnauthorizedOperation")
    assert [transit_gateway.routes for transit_gateway in reach.transit().gateways] == [None]
    assert [line.partition(": ")[0] for line in reach.unread.lines] == [f"routes of transit gateway {gateway}"]


def test_given_no_attachment_then_one_call_tells_so(reach: Reach, faults: LocalAws) -> None:
    faults.control("DELETE", "/_local/calls")
    assert reach.transit() == TransitFacts()
    assert len(faults.calls(service="ec2")) == 1


# --- What lies in the VPC


def test_given_network_acls_then_their_ipv4_entries_are_told_the_last_one_too(reach: Reach) -> None:
    acl = reach.vpc.network_acls["a"]
    make = reach.ec2.create_network_acl_entry
    common = {"NetworkAclId": acl, "RuleAction": "allow"}
    ports = {"From": 1024, "To": 65535}
    make(**common, RuleNumber=90, Protocol="6", Egress=True, CidrBlock="10.0.0.0/16", PortRange=ports)
    make(**common, RuleNumber=91, Protocol="-1", Egress=True, Ipv6CidrBlock="::/0")
    result = {one.id: one for one in acl_documents(reach.facts.network_acls(reach.vpc.id))}
    assert (
        AclEntry(number=90, egress=True, allow=True, cidr="10.0.0.0/16", protocol="6", from_port=1024, to_port=65535)
        in result[acl].entries
    )
    assert AclEntry(number=32767, egress=False, allow=False, cidr="0.0.0.0/0") in result[acl].entries
    assert {entry.number for entry in result[acl].entries} == {90, 32767}
    assert [one.default for one in result.values()].count(True) == 1


def test_given_nat_gateways_and_endpoints_then_they_are_told_while_they_live(reach: Reach) -> None:
    subnet, group = reach.vpc.subnets["a"], reach.group("endpoints", tcp(443, "10.0.0.0/16"))
    private = reach.ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    address = reach.ec2.allocate_address(Domain="vpc")["AllocationId"]
    public = reach.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    service = f"com.amazonaws.{reach.ec2.meta.region_name}.sqs"
    endpoint = reach.ec2.create_vpc_endpoint(
        VpcId=reach.vpc.id,
        ServiceName=service,
        VpcEndpointType="Interface",
        SubnetIds=[subnet],
        SecurityGroupIds=[group],
    )["VpcEndpoint"]["VpcEndpointId"]
    gateways = {one.id: (one.subnet_id, one.private) for one in reach.facts.nat_gateways(reach.vpc.id)}
    assert gateways == {private: (subnet, True), public: (subnet, False)}
    [result] = reach.facts.endpoints(reach.vpc.id)
    assert (result.id, result.service, result.kind) == (endpoint, service, "Interface")
    assert result.security_groups == (group,)
    assert reach.groups()[group].users == (GroupUser(kind=UserKind.ENDPOINT, name=endpoint),)
    reach.ec2.delete_nat_gateway(NatGatewayId=public)
    reach.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    assert [one.id for one in reach.facts.nat_gateways(reach.vpc.id)] == [private]
    assert reach.facts.endpoints(reach.vpc.id) == ()


def test_given_a_cidr_reservation_then_its_range_and_kind_are_told(reach: Reach) -> None:
    subnet = reach.vpc.subnets["a"]
    reach.ec2.create_subnet_cidr_reservation(SubnetId=subnet, Cidr="10.0.0.64/28", ReservationType="prefix")
    [result] = reach.facts.reservations(subnet)
    assert (result.cidr, result.kind) == ("10.0.0.64/28", "prefix")
    assert result.id
    assert result.id.startswith("scr-")


# --- Quotas


def test_given_a_raised_quota_then_it_is_told_beside_the_defaults(aws: LocalAws) -> None:
    region = "eu-north-1"  # no other test asks for an increase there
    client = aws.client("service-quotas", region_name=region)
    unread = ReadFailures()
    assert read_quotas(client, unread) == Quotas(applied=True)
    code = next(code for code, name in CODES.items() if name == "cidrs_per_vpc")
    client.request_service_quota_increase(ServiceCode="vpc", QuotaCode=code, DesiredValue=50)
    assert read_quotas(client, unread) == Quotas(applied=True, cidrs_per_vpc=50)
    # Service Quotas lists all of them.
    assert unread.lines == ()


def test_given_a_quota_that_is_not_listed_then_the_default_is_assumed_and_that_is_told() -> None:
    listed = [{"QuotaCode": code, "Value": 7.0} for code, name in CODES.items() if name != "cidrs_per_vpc"]

    class Lists:
        def get_paginator(self, _operation: str) -> Any:
            return self

        def paginate(self, **_arguments: Any) -> Any:
            return [{"Quotas": listed}]

    unread = ReadFailures()
    result = read_quotas(Lists(), unread)
    assert (result.cidrs_per_vpc, result.subnets_per_vpc) == (5, 7)
    [line] = unread.lines
    assert line.startswith("quotas cidrs_per_vpc: ")
