"""The VPC's part of a plan and its undo, while EC2 does not show what it has just made, and answers get lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.enums import Mode
from ip_remediator.common.errors import (
    NotYet,
    PermissionDenied,
    QuotaReached,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
)
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Plan, PlannedSubnet
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.ec2 import Ec2Changes, Ownership
from ip_remediator.provisioning.subnet_tags import SubnetTags
from ip_remediator.provisioning.vpc import Network
from tests.contract.conftest import Clock, briefly
from tests.contract.support.vpcs import REGION, Vpc
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws

ZONE = f"{REGION}a"
BLOCK, CIDR = "100.64.0.0/22", "100.64.0.0/24"


@dataclass
class World:
    """A VPC whose CIDR is added, and the incident that makes a subnet in it."""

    vpc: Vpc
    ec2: Any
    incidents: Incidents
    log: ChangeLog
    clock: Clock

    @property
    def step(self) -> Network:
        """As a new invocation has it."""
        incident = self.incidents.get(self.log.incident)
        changes = Ec2Changes(self.ec2, Ownership("stack", incident.id, "prod"), sleep=briefly)
        return Network(incident, self.incidents, self.log, changes, SubnetTags(self.ec2))

    def made(self) -> set[str]:
        return self.vpc.subnet_ids() - set(self.vpc.subnets.values())


@pytest.fixture
def world(faults: LocalAws, ec2: Any, table: Table, clock: Clock, cluster: str) -> World:
    vpc = Vpc.create(ec2)
    incidents = Incidents(table, clock)
    incident = incidents.open(cluster, REGION, Mode.AUTO, "")
    incidents.complete(incident, Step.PLAN, plan=plan_for(vpc))
    made = World(vpc, ec2, incidents, ChangeLog(table, clock, incident), clock)
    made.step.associate_cidr()
    return made


def plan_for(vpc: Vpc) -> Plan:
    subnet = PlannedSubnet(
        zone=ZONE,
        cidr=CIDR,
        route_table=vpc.route_tables["a"],
        network_acl=vpc.network_acls["a"],
        reserve_prefixes=True,
        eni_configs=(ZONE,),
    )
    return PLAN.model_copy(update={"vpc_id": vpc.id, "block": BLOCK, "subnets": (subnet,)})


def test_given_a_plan_when_carried_out_and_undone_then_the_vpc_is_as_before(world: World) -> None:
    subnet = world.step.create_subnet(ZONE)["subnet"]
    assert world.log.made(ChangeKind.SUBNET)[0].after == {
        "cidr": CIDR,
        "at": world.clock().isoformat(),
        "id": subnet,
    }
    assert world.step.undo() == {"removed": [subnet]}
    assert (world.made(), list(world.vpc.cidrs())) == (set(), ["10.0.0.0/16"])


def test_given_ec2_does_not_show_the_new_subnet_yet_when_repeated_then_the_one_subnet_is_gone_on_with(
    world: World, faults: LocalAws
) -> None:
    with faults.settings(ec2_reads_after_seconds=1.5, ec2_writes_after_seconds=1.5):
        with pytest.raises(NotYet):
            world.step.create_subnet(ZONE)
        for _ in range(200):
            try:
                made = world.step.create_subnet(ZONE)
                break
            except NotYet:
                briefly(0)
    assert world.made() == {made["subnet"]}
    assert world.vpc.tables_of(made["subnet"]) == [world.vpc.route_tables["a"]]
    assert len(faults.calls(service="ec2", action="CreateSubnet")) == 3  # two of them the nodes' own


@pytest.mark.parametrize("lost", [False, True], ids=["id known", "answer lost"])
def test_given_ec2_does_not_show_the_new_subnet_yet_when_undone_then_it_is_not_struck_out(
    world: World, faults: LocalAws, lost: bool
) -> None:
    if lost:
        faults.inject("ec2", "CreateSubnet", when="after")
    with faults.settings(ec2_reads_after_seconds=2.0, ec2_writes_after_seconds=2.0):
        with pytest.raises((NotYet, ServiceUnavailable)):
            world.step.create_subnet(ZONE)
        with pytest.raises(NotYet, match=r"yet|may still appear"):
            world.step.undo()
        assert world.log.made(ChangeKind.SUBNET)
        for _ in range(300):
            try:
                world.step.undo()
                break
            except NotYet:
                briefly(0)
    assert world.log.outstanding() == []
    assert (world.made(), list(world.vpc.cidrs())) == (set(), ["10.0.0.0/16"])


def test_given_a_subnet_that_surely_never_was_when_a_minute_has_passed_then_the_undo_ends(
    world: World, faults: LocalAws
) -> None:
    faults.inject("ec2", "CreateSubnet", error="InternalError")
    with pytest.raises(ServiceUnavailable):
        world.step.create_subnet(ZONE)
    with pytest.raises(NotYet, match="may still appear"):
        world.step.undo()
    world.clock.advance(seconds=61)
    assert world.step.undo() == {"removed": []}
    assert world.log.outstanding() == []


def test_given_a_cidr_whose_answer_was_lost_when_undone_before_ec2_shows_it_then_it_is_not_struck_out(
    world: World, faults: LocalAws
) -> None:
    world.step.undo()
    faults.inject("ec2", "AssociateVpcCidrBlock", when="after")
    with faults.settings(ec2_reads_after_seconds=2.0):
        with pytest.raises(ServiceUnavailable):
            world.step.associate_cidr()
        with pytest.raises(NotYet, match="may still appear"):
            world.step.undo()
    world.step.undo()
    assert list(world.vpc.cidrs()) == ["10.0.0.0/16"]


THROTTLED = {"error": "RequestLimitExceeded", "times": 3}
MAKING = {
    "AssociateVpcCidrBlock": lambda world: world.step.associate_cidr(),
    "CreateSubnet": lambda world: world.step.create_subnet(ZONE),
}


def throttled(world: World, faults: LocalAws, action: str) -> None:
    """One call of which EC2 refuses every attempt."""
    world.step.undo()
    faults.inject("ec2", action, **THROTTLED)
    with pytest.raises(Throttled):
        MAKING[action](world)


@pytest.mark.parametrize("action", MAKING)
def test_given_ec2_throttles_and_then_refuses_for_good_when_undone_then_nothing_is_waited_for(
    world: World, faults: LocalAws, action: str
) -> None:
    throttled(world, faults, action)
    faults.control("DELETE", "/_local/faults")
    world.clock.advance(seconds=1)
    faults.inject("ec2", action, error="CidrLimitExceeded")
    with pytest.raises(QuotaReached):
        MAKING[action](world)
    assert world.log.made() == []
    assert world.step.undo() == {"removed": []}


@pytest.mark.parametrize("action", MAKING)
def test_given_ec2_throttles_only_when_undone_then_nothing_is_waited_for(
    world: World, faults: LocalAws, action: str
) -> None:
    throttled(world, faults, action)
    assert len(world.log.made()) == 1
    assert world.step.undo() == {"removed": []}
    assert world.log.made() == []


@pytest.mark.parametrize("action", MAKING)
def test_given_a_later_attempt_whose_answer_was_lost_when_undone_then_the_minute_is_that_attempts(
    world: World, faults: LocalAws, action: str
) -> None:
    world.step.undo()
    for _ in range(2):
        faults.inject("ec2", action, error="InternalError", times=5)
        with pytest.raises(ServiceUnavailable):
            MAKING[action](world)
        world.clock.advance(seconds=40)
    faults.control("DELETE", "/_local/faults")
    faults.inject("ec2", action, error="UnauthorizedOperation", status=403)
    with pytest.raises(PermissionDenied):  # says nothing of the attempts before
        MAKING[action](world)
    with pytest.raises(NotYet, match="may still appear"):
        world.step.undo()
    world.clock.advance(seconds=21)
    assert world.step.undo() == {"removed": []}


def test_given_ec2_adds_the_cidr_and_does_not_let_us_look_then_the_record_keeps_it(
    world: World, faults: LocalAws
) -> None:
    world.step.undo()
    faults.inject("ec2", "DescribeVpcs", error="UnauthorizedOperation", status=403, skip=1)
    with pytest.raises(PermissionDenied):
        world.step.associate_cidr()
    assert [change.target for change in world.log.made()] == [BLOCK]
    world.step.undo()
    assert list(world.vpc.cidrs()) == ["10.0.0.0/16"]


def test_given_ec2_lists_the_subnet_but_does_not_find_it_when_undone_then_it_is_not_struck_out(
    world: World, faults: LocalAws
) -> None:
    with faults.settings(ec2_writes_after_seconds=3600):
        with pytest.raises(NotYet):
            world.step.create_subnet(ZONE)
        with pytest.raises(NotYet):
            world.step.undo()
    world.step.undo()
    assert world.made() == set()


def test_given_ec2_refuses_the_subnet_at_once_then_nothing_is_recorded_of_it(world: World, faults: LocalAws) -> None:
    faults.inject("ec2", "CreateSubnet", error="InvalidParameterValue")
    with pytest.raises(RequestRefused):
        world.step.create_subnet(ZONE)
    assert world.log.made(ChangeKind.SUBNET) == []
    assert world.step.undo() == {"removed": []}


def test_given_somebody_deleted_our_subnet_when_undone_then_the_undo_ends(world: World) -> None:
    subnet = world.step.create_subnet(ZONE)["subnet"]
    world.ec2.delete_subnet(SubnetId=subnet)
    world.clock.advance(seconds=61)
    assert world.step.undo() == {"removed": [subnet]}
    assert world.log.outstanding() == []


@pytest.mark.parametrize("kind", [ChangeKind.ENICONFIG, ChangeKind.CNI])
def test_given_the_cluster_still_points_at_the_subnets_when_undone_then_they_stay(
    world: World, kind: ChangeKind
) -> None:
    subnet = world.step.create_subnet(ZONE)["subnet"]
    standing = world.log.intend(ChangeMade(kind=kind, target=ZONE))
    with pytest.raises(RequestRefused, match=f"the cluster still stands on them: {standing}"):
        world.step.undo()
    assert world.made() == {subnet}
    world.log.undone(standing)
    assert world.step.undo() == {"removed": [subnet]}
