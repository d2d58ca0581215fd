"""Other people change the VPC between the steps of a remediation and of its undo: theirs stays, and is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ip_remediator.common.errors import RequestRefused
from ip_remediator.incidents.record import ChangeKind
from tests.contract.provisioning.test_vpc import BLOCK, ZONE, World
from tests.contract.provisioning.test_vpc import world as world  # noqa: PLC0414 - a fixture

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
