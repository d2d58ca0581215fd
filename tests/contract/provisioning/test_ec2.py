"""Writes to a VPC, over HTTP: each of them twice, with lost answers, and never on what is not ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.errors import (
    NotYet,
    PermissionDenied,
    QuotaReached,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
)
from ip_remediator.provisioning.ec2 import Ec2Changes, Ownership
from tests.contract.conftest import at_once, briefly, unique
from tests.contract.support.vpcs import REGION, Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ZONE = f"{REGION}a"
BLOCK, CIDR = "100.64.0.0/22", "100.64.0.0/24"


@pytest.fixture
def vpc(faults: LocalAws, ec2: Any) -> Vpc:  # faults: none of another test's is left
    return Vpc.create(ec2)


@pytest.fixture
def owner() -> Ownership:
    return Ownership("stack", unique("incident"), "prod")


@pytest.fixture
def changes(ec2: Any, owner: Ownership) -> Ec2Changes:
    return Ec2Changes(ec2, owner, sleep=briefly)


@pytest.fixture
def made(vpc: Vpc, changes: Ec2Changes) -> str:
    """The incident's subnet in the new block."""
    changes.associate_cidr(vpc.id, BLOCK)
    return changes.create_subnet(vpc.id, ZONE, CIDR).id


def count(aws: LocalAws, action: str) -> int:
    return len(aws.calls(service="ec2", action=action))


# --- The CIDR


def test_given_a_new_block_then_it_is_associated_when_the_call_returns(vpc: Vpc, changes: Ec2Changes) -> None:
    association = changes.associate_cidr(vpc.id, BLOCK)
    assert association.startswith("vpc-cidr-assoc-")
    assert vpc.cidrs() == {"10.0.0.0/16": "associated", BLOCK: "associated"}


def test_given_the_block_is_there_then_associating_it_again_writes_nothing(
    vpc: Vpc, changes: Ec2Changes, faults: LocalAws
) -> None:
    first = changes.associate_cidr(vpc.id, BLOCK)
    assert changes.associate_cidr(vpc.id, BLOCK) == first
    assert count(faults, "AssociateVpcCidrBlock") == 1


def test_given_a_lost_answer_then_the_next_try_finds_the_block(vpc: Vpc, changes: Ec2Changes, faults: LocalAws) -> None:
    faults.inject("ec2", "AssociateVpcCidrBlock", when="after")
    with pytest.raises(ServiceUnavailable):
        changes.associate_cidr(vpc.id, BLOCK)
    assert changes.associate_cidr(vpc.id, BLOCK)
    assert list(vpc.cidrs()) == ["10.0.0.0/16", BLOCK]
    assert count(faults, "AssociateVpcCidrBlock") == 1


def test_given_ec2_refuses_the_block_then_the_error_has_its_words(vpc: Vpc, changes: Ec2Changes) -> None:
    with pytest.raises(RequestRefused, match=r"AssociateVpcCidrBlock: .*198\.19\.0\.0"):
        changes.associate_cidr(vpc.id, "198.19.0.0/24")


def test_given_a_block_then_disassociating_it_twice_leaves_the_vpc_as_it_was(vpc: Vpc, changes: Ec2Changes) -> None:
    changes.associate_cidr(vpc.id, BLOCK)
    changes.disassociate_cidr(vpc.id, BLOCK)
    changes.disassociate_cidr(vpc.id, BLOCK)
    assert list(vpc.cidrs()) == ["10.0.0.0/16"]


def test_given_a_lost_answer_when_disassociating_then_the_next_try_ends_it(
    vpc: Vpc, changes: Ec2Changes, faults: LocalAws
) -> None:
    changes.associate_cidr(vpc.id, BLOCK)
    faults.inject("ec2", "DisassociateVpcCidrBlock", when="after")
    with pytest.raises(ServiceUnavailable):
        changes.disassociate_cidr(vpc.id, BLOCK)
    changes.disassociate_cidr(vpc.id, BLOCK)
    assert list(vpc.cidrs()) == ["10.0.0.0/16"]
    assert count(faults, "DisassociateVpcCidrBlock") == 1


@pytest.mark.usefixtures("made")
def test_given_a_subnet_in_the_block_then_it_cannot_go_yet(vpc: Vpc, changes: Ec2Changes) -> None:
    with pytest.raises(NotYet, match=r"InvalidCidrBlock\.InUse"):
        changes.disassociate_cidr(vpc.id, BLOCK)


# --- Subnets


def test_given_a_new_subnet_then_it_bears_our_tags_from_the_creating_call_on(
    vpc: Vpc, made: str, owner: Ownership, faults: LocalAws
) -> None:
    described = vpc.described(made)
    assert (described["CidrBlock"], described["AvailabilityZone"]) == (CIDR, ZONE)
    assert {tag["Key"]: tag["Value"] for tag in described["Tags"]} == {
        "Name": f"eks-pods-prod-{ZONE}",
        "eks-ip-remediator:stack": "stack",
        "eks-ip-remediator:incident": owner.incident,
        "eks-ip-remediator:cluster": "prod",
    }
    assert count(faults, "CreateTags") == 0


def test_given_tags_for_subnet_discovery_then_they_are_set_in_the_creating_call_and_never_instead_of_ours(
    vpc: Vpc, changes: Ec2Changes, owner: Ownership, faults: LocalAws
) -> None:
    changes.associate_cidr(vpc.id, BLOCK)
    wanted = {"kubernetes.io/role/cni": "1", "eks-ip-remediator:incident": "another"}
    made = changes.create_subnet(vpc.id, ZONE, CIDR, wanted).id
    tags = {tag["Key"]: tag["Value"] for tag in vpc.described(made)["Tags"]}
    assert (tags["kubernetes.io/role/cni"], tags["eks-ip-remediator:incident"]) == ("1", owner.incident)
    assert count(faults, "CreateTags") == 0


def test_given_the_subnet_is_there_then_creating_it_again_writes_nothing(
    vpc: Vpc, made: str, changes: Ec2Changes, faults: LocalAws
) -> None:
    assert changes.create_subnet(vpc.id, ZONE, CIDR).id == made
    assert count(faults, "CreateSubnet") == 3  # two of them the nodes' own
    assert [subnet.id for subnet in changes.subnets()] == [made]


def test_given_a_lost_answer_then_the_next_try_finds_the_subnet(
    vpc: Vpc, changes: Ec2Changes, faults: LocalAws
) -> None:
    changes.associate_cidr(vpc.id, BLOCK)
    faults.inject("ec2", "CreateSubnet", when="after")
    with pytest.raises(ServiceUnavailable):
        changes.create_subnet(vpc.id, ZONE, CIDR)
    result = changes.create_subnet(vpc.id, ZONE, CIDR)
    assert [subnet.id for subnet in changes.subnets()] == [result.id]


def test_given_two_tries_at_once_then_both_get_the_one_subnet(vpc: Vpc, changes: Ec2Changes) -> None:
    changes.associate_cidr(vpc.id, BLOCK)
    results = at_once(4, lambda _: changes.create_subnet(vpc.id, ZONE, CIDR))
    assert [result.id for result in results if not isinstance(result, Exception)] == [changes.subnets()[0].id] * 4
    assert len(changes.subnets()) == 1


def test_given_somebody_elses_subnet_in_the_way_then_it_is_refused(vpc: Vpc, changes: Ec2Changes) -> None:
    changes.associate_cidr(vpc.id, BLOCK)
    foreign = vpc.subnet(CIDR)
    with pytest.raises(RequestRefused, match=r"InvalidSubnet\.Conflict"):
        changes.create_subnet(vpc.id, ZONE, CIDR)
    assert foreign in vpc.subnet_ids()


def test_given_another_incident_then_its_subnets_are_not_ours(made: str, ec2: Any) -> None:
    other = Ec2Changes(ec2, Ownership("stack", unique("incident"), "prod"))
    assert other.subnets() == []
    with pytest.raises(RequestRefused, match=f"{made} lacks the tags of incident"):
        other.delete_subnet(made)


def test_given_another_stack_then_its_subnets_are_not_ours(made: str, owner: Ownership, ec2: Any) -> None:
    other = Ec2Changes(ec2, Ownership("other-stack", owner.incident, "prod"))
    with pytest.raises(RequestRefused, match="it is not deleted"):
        other.delete_subnet(made)


def test_given_a_subnet_that_we_did_not_make_then_it_is_not_deleted(vpc: Vpc, changes: Ec2Changes) -> None:
    with pytest.raises(RequestRefused, match="it is not deleted"):
        changes.delete_subnet(vpc.subnets["a"])
    assert vpc.subnets["a"] in vpc.subnet_ids()


def test_given_our_subnet_then_deleting_it_twice_is_fine(vpc: Vpc, made: str, changes: Ec2Changes) -> None:
    changes.delete_subnet(made)
    changes.delete_subnet(made)
    assert made not in vpc.subnet_ids()


def test_given_an_eni_in_our_subnet_then_it_cannot_go_yet(vpc: Vpc, made: str, changes: Ec2Changes) -> None:
    eni = vpc.interface(made)
    with pytest.raises(NotYet, match="DependencyViolation"):
        changes.delete_subnet(made)
    vpc.ec2.delete_network_interface(NetworkInterfaceId=eni)
    changes.delete_subnet(made)
    assert made not in vpc.subnet_ids()


# --- The way out of a subnet


def use_route_table(vpc: Vpc, changes: Ec2Changes, subnet: str) -> bool:
    """Gives the subnet the zone's table; whether it has that one and no other."""
    changes.use_route_table(subnet, vpc.route_tables["a"])
    return vpc.tables_of(subnet) == [vpc.route_tables["a"]]


def use_network_acl(vpc: Vpc, changes: Ec2Changes, subnet: str) -> bool:
    """Gives the subnet the zone's network ACL; whether it has that one and no other."""
    changes.use_network_acl(subnet, vpc.network_acls["a"])
    return [acl["NetworkAclId"] for acl in vpc.acls_of(subnet)] == [vpc.network_acls["a"]]


Use = Callable[[Vpc, Ec2Changes, str], bool]
ways_out = pytest.mark.parametrize(
    ("use", "action"),
    [(use_route_table, "AssociateRouteTable"), (use_network_acl, "ReplaceNetworkAclAssociation")],
    ids=["route-table", "network-acl"],
)


@ways_out
def test_given_a_way_out_then_the_subnet_gets_it_once(
    vpc: Vpc, made: str, changes: Ec2Changes, faults: LocalAws, use: Use, action: str
) -> None:
    faults.control("DELETE", "/_local/calls")
    assert use(vpc, changes, made)
    assert use(vpc, changes, made)
    assert count(faults, action) == 1


@ways_out
def test_given_a_lost_answer_then_the_subnet_keeps_its_one_way_out(
    vpc: Vpc, made: str, changes: Ec2Changes, faults: LocalAws, use: Use, action: str
) -> None:
    faults.inject("ec2", action, when="after")
    with pytest.raises(ServiceUnavailable):
        use(vpc, changes, made)
    assert use(vpc, changes, made)


@pytest.mark.usefixtures("vpc")
def test_given_a_subnet_that_ec2_does_not_list_yet_then_its_acl_is_asked_for_later(changes: Ec2Changes) -> None:
    with pytest.raises(NotYet, match="subnet-0123456789abcdef0"):
        changes.use_network_acl("subnet-0123456789abcdef0", "acl-1")


@pytest.mark.parametrize("lost", [False, True], ids=["twice", "lost-answer"])
def test_given_prefix_mode_then_the_upper_half_is_reserved_once(
    vpc: Vpc, made: str, changes: Ec2Changes, faults: LocalAws, lost: bool
) -> None:
    if lost:
        faults.inject("ec2", "CreateSubnetCidrReservation", when="after")
        with pytest.raises(ServiceUnavailable):
            changes.reserve_prefixes(made, CIDR)
    for _ in range(2):
        changes.reserve_prefixes(made, CIDR)
    [reservation] = vpc.reservations(made)
    assert (reservation["Cidr"], reservation["ReservationType"]) == ("100.64.0.128/25", "prefix")


def test_given_a_subnet_of_one_prefix_then_nothing_is_reserved_in_it(vpc: Vpc, changes: Ec2Changes) -> None:
    changes.associate_cidr(vpc.id, BLOCK)
    small = changes.create_subnet(vpc.id, ZONE, "100.64.0.0/28")
    changes.reserve_prefixes(small.id, small.cidr)
    assert vpc.reservations(small.id) == []


# --- EC2's errors as ours


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RequestLimitExceeded", Throttled),
        ("Unavailable", ServiceUnavailable),
        ("IncorrectState", ServiceUnavailable),
        ("UnauthorizedOperation", PermissionDenied),
        ("SubnetLimitExceeded", QuotaReached),
        ("DependencyViolation", NotYet),
        ("InvalidParameterValue", RequestRefused),
    ],
)
@pytest.mark.parametrize("action", ["CreateSubnet", "AssociateVpcCidrBlock"])
def test_given_an_error_of_ec2_then_its_class_tells_what_to_do(
    vpc: Vpc, changes: Ec2Changes, faults: LocalAws, action: str, code: str, kind: type[Exception]
) -> None:
    acts: dict[str, Callable[[], Any]] = {
        "CreateSubnet": lambda: changes.create_subnet(vpc.id, ZONE, "10.0.9.0/24"),
        "AssociateVpcCidrBlock": lambda: changes.associate_cidr(vpc.id, BLOCK),
    }
    faults.inject("ec2", action, error=code, message="in EC2's words")
    with pytest.raises(kind, match=f"{action}: {code}: in EC2's words"):
        acts[action]()


def test_given_nobody_answers_then_it_counts_as_unavailable(owner: Ownership, aws: LocalAws) -> None:
    nowhere = aws.client("ec2", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailable, match="DescribeSubnets"):
        Ec2Changes(nowhere, owner).subnets()
