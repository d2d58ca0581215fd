"""Other people change the VPC between the steps of a remediation and of its undo: theirs stays, and is named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ip_remediator.common.errors import RequestRefused
from ip_remediator.incidents.record import ChangeKind, ChangeMade
from tests.contract.provisioning.test_vpc import BLOCK, ZONE, World
from tests.contract.provisioning.test_vpc import world as world  # noqa: PLC0414 - a fixture
from tests.contract.support.races import just_before

if TYPE_CHECKING:
    from local.aws.client import LocalAws

THEIRS = "100.64.2.0/24"


@pytest.mark.parametrize("steps", [1, 2], ids=["before our subnet", "after our subnet"])
def test_given_somebody_puts_a_subnet_into_our_cidr_when_undone_then_it_is_named_and_ours_alone_is_deleted(
    world: World, steps: int
) -> None:
    theirs = world.vpc.subnet(THEIRS) if steps == 1 else None
    world.step.create_subnet(ZONE)
    theirs = theirs or world.vpc.subnet(THEIRS)
    with pytest.raises(
        RequestRefused, match=rf"{BLOCK} stays: {theirs} \({THEIRS}\), which this incident did not make"
    ):
        world.step.undo()
    assert world.made() == {theirs}
    assert [change.kind for change in world.log.outstanding()] == [ChangeKind.VPC_CIDR]
    world.ec2.delete_subnet(SubnetId=theirs)  # the remedy that the message names
    world.step.undo()
    assert (list(world.vpc.cidrs()), world.log.outstanding()) == (["10.0.0.0/16"], [])


def test_given_somebody_takes_the_tags_off_our_subnet_when_undone_then_it_is_named_and_stays(world: World) -> None:
    subnet = world.step.create_subnet(ZONE)["subnet"]
    tags = world.vpc.described(subnet)["Tags"]
    world.ec2.delete_tags(Resources=[subnet], Tags=tags)
    world.clock.advance(seconds=61)
    with pytest.raises(RequestRefused, match=f"{subnet} lacks the tags of incident"):
        world.step.undo()
    assert world.made() == {subnet}
    world.ec2.create_tags(Resources=[subnet], Tags=tags)  # as the message asks
    world.step.undo()
    assert (world.made(), world.log.outstanding()) == (set(), [])


def test_given_somebody_takes_our_cidr_away_when_undone_or_made_again_then_it_ends(
    world: World, faults: LocalAws
) -> None:
    [association] = [
        item["AssociationId"]
        for item in world.ec2.describe_vpcs(VpcIds=[world.vpc.id])["Vpcs"][0]["CidrBlockAssociationSet"]
        if item["CidrBlock"] == BLOCK
    ]
    world.ec2.disassociate_vpc_cidr_block(AssociationId=association)
    with pytest.raises(RequestRefused, match=r"CreateSubnet: InvalidSubnet\.Range"):
        world.step.create_subnet(ZONE)
    world.clock.advance(seconds=61)
    assert world.step.undo() == {"removed": []}
    assert world.log.outstanding() == []


def test_given_the_whole_vpc_is_deleted_when_undone_then_nothing_is_outstanding(world: World) -> None:
    subnet = world.step.create_subnet(ZONE)["subnet"]
    for id_ in (subnet, *world.vpc.subnets.values()):
        world.ec2.delete_subnet(SubnetId=id_)
    for table in world.vpc.route_tables.values():
        world.ec2.delete_route_table(RouteTableId=table)
    for acl in world.vpc.network_acls.values():
        world.ec2.delete_network_acl(NetworkAclId=acl)
    world.ec2.delete_vpc(VpcId=world.vpc.id)
    world.clock.advance(seconds=61)
    world.step.undo()
    assert world.log.outstanding() == []


def test_given_the_cidr_is_taken_away_between_the_look_and_the_undo_then_it_is_done(
    world: World, aws: LocalAws
) -> None:
    mine, others = aws.client("ec2"), world.ec2
    [association] = [
        item["AssociationId"]
        for item in others.describe_vpcs(VpcIds=[world.vpc.id])["Vpcs"][0]["CidrBlockAssociationSet"]
        if item["CidrBlock"] == BLOCK
    ]
    just_before(
        mine,
        "DisassociateVpcCidrBlock",
        lambda: others.disassociate_vpc_cidr_block(AssociationId=association),
    )
    replace(world, ec2=mine).step.undo()
    assert world.vpc.cidrs().get(BLOCK) in (None, "disassociated")  # EC2 lists it for a while
    assert world.log.outstanding() == []


@pytest.mark.parametrize("refusal", [None, "UnauthorizedOperation"])
def test_given_a_subnet_of_others_that_is_deleted_before_its_tags_come_back_then_the_undo_goes_on_and_says_so(
    world: World, aws: LocalAws, refusal: str | None
) -> None:
    theirs = world.vpc.subnet(THEIRS, "a", **{"kubernetes.io/role/cni": "0"})
    tagged = {"kubernetes.io/role/cni": "1"}
    world.ec2.create_tags(Resources=[theirs], Tags=[{"Key": key, "Value": value} for key, value in tagged.items()])
    change = ChangeMade(
        kind=ChangeKind.SUBNET_TAGS, target=theirs, before={"kubernetes.io/role/cni": "0"}, after=tagged
    )
    world.log.intend(change)
    mine = aws.client("ec2")

    def delete() -> None:
        world.ec2.delete_subnet(SubnetId=theirs)
        if refusal:  # as where the role's conditions ask for tags: what is gone has none
            aws.inject("ec2", "CreateTags", error=refusal, message="no")

    just_before(mine, "CreateTags", delete)
    replace(world, ec2=mine).step.undo()
    assert world.log.outstanding() == []
    assert any(event["detail"].endswith("the subnet is gone") for event in world.incidents.timeline(world.log.incident))
