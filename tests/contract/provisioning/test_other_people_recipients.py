"""Other people change or delete what launches nodes, or the cluster, while it has subnets of an incident.

AWS tells nobody's name in a group or a cluster, so none can be told; CloudTrail has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.enums import Mode
from ip_remediator.common.errors import NotFound, RequestRefused
from ip_remediator.incidents.record import Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Recipient
from ip_remediator.provisioning.auto_scaling import AutoScaling
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cluster_subnets import ClusterSubnets
from ip_remediator.provisioning.recipients import SubnetRecipients
from tests.contract.conftest import Clock, EksApi, briefly, unique
from tests.contract.support.groups import group_of_one
from tests.contract.support.races import just_before
from tests.contract.support.vpcs import Vpc
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws

ZONE = "ap-northeast-2a"


@dataclass
class World:
    """An Auto Scaling group and a cluster, each of which gets the incident's subnet beside what it has."""

    vpc: Vpc
    ours: str
    autoscaling: Any
    eks: Any
    incidents: Incidents
    log: ChangeLog
    name: str

    @property
    def step(self) -> SubnetRecipients:
        incident = self.incidents.get(self.log.incident)
        groups, cluster = AutoScaling(self.autoscaling), ClusterSubnets(self.eks, self.name, briefly)
        return SubnetRecipients(incident, self.incidents, self.log, groups, cluster)

    @property
    def home(self) -> str:
        return self.vpc.subnets["a"]

    def group(self) -> set[str]:
        named = {"AutoScalingGroupNames": [self.name]}
        [group] = self.autoscaling.describe_auto_scaling_groups(**named)["AutoScalingGroups"]
        return set(group["VPCZoneIdentifier"].split(","))

    def set_group(self, *subnets: str) -> None:
        self.autoscaling.update_auto_scaling_group(AutoScalingGroupName=self.name, VPCZoneIdentifier=",".join(subnets))

    def delete_group(self) -> None:
        self.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)

    def cluster(self) -> set[str]:
        return set(ClusterSubnets(self.eks, self.name, briefly).present())

    def set_cluster(self, *subnets: str) -> None:
        cluster = ClusterSubnets(self.eks, self.name, briefly)
        cluster.wait(cluster.change(subnets))

    def delete_cluster(self) -> None:
        self.eks.delete_cluster(name=self.name)


@pytest.fixture
def world(aws: LocalAws, ec2: Any, eks_api: EksApi, faults: LocalAws, table: Table, clock: Clock) -> World:
    del faults
    vpc, name, autoscaling = Vpc.create(ec2), unique("given"), aws.client("autoscaling")
    group_of_one(ec2, autoscaling, name, vpc.subnets["a"])
    eks_api.create_cluster(name, vpc)
    incidents = Incidents(table, clock)
    incident = incidents.open(name, "ap-northeast-2", Mode.AUTO, "")
    kinds = ("auto-scaling-group", "cluster")
    recipients = tuple(Recipient(kind=kind, name=name, zones=(ZONE,)) for kind in kinds)
    incidents.complete(incident, Step.PLAN, plan=PLAN.model_copy(update={"recipients": recipients}))
    ours = vpc.subnet("10.0.9.0/24")
    incidents.record_subnet(incident, ZONE, ours)
    return World(vpc, ours, autoscaling, eks_api.client, incidents, ChangeLog(table, clock, incident), name)


def test_given_others_add_a_subnet_while_ours_is_there_when_taken_back_then_theirs_stays(world: World) -> None:
    theirs = world.vpc.subnet("10.0.8.0/24")
    world.step.give()
    world.set_group(world.home, world.ours, theirs)
    world.set_cluster(*world.cluster(), theirs)
    world.step.give()  # as when the first answer was lost
    world.step.take_back()
    assert world.group() == {world.home, theirs}
    assert world.cluster() == {*world.vpc.subnets.values(), theirs}
    assert world.log.outstanding() == []


def test_given_others_take_ours_away_when_taken_back_then_nothing_is_written_over_theirs(world: World) -> None:
    theirs, other = world.vpc.subnet("10.0.8.0/24"), world.vpc.subnet("10.0.7.0/24", "b")
    world.step.give()
    world.set_group(theirs)
    world.set_cluster(theirs, other)
    world.step.take_back()
    assert (world.group(), world.cluster(), world.log.outstanding()) == ({theirs}, {theirs, other}, [])


def test_given_others_leave_only_ours_when_taken_back_then_the_group_is_named_and_keeps_it(world: World) -> None:
    world.step.give()
    world.set_group(world.ours)
    with pytest.raises(RequestRefused, match=f"{world.name} has only subnets of this incident by now: give it others"):
        world.step.take_back()
    assert world.group() == {world.ours}
    world.set_group(world.ours, world.home)  # the remedy that the message names
    world.step.take_back()
    assert (world.group(), world.log.outstanding()) == ({world.home}, [])


@pytest.mark.parametrize(
    ("go", "words"),
    [(World.delete_group, "there is no Auto Scaling group"), (World.delete_cluster, "EKS knows no cluster")],
)
def test_given_it_is_deleted_before_it_gets_ours_then_it_is_named_and_the_rest_can_be_undone(
    world: World, go: Callable[[World], None], words: str
) -> None:
    go(world)
    with pytest.raises(NotFound, match=f"{words}.*{world.name}"):
        world.step.give()
    world.step.take_back()
    assert world.log.outstanding() == []


@pytest.mark.parametrize("go", [World.delete_group, World.delete_cluster])
def test_given_it_is_deleted_while_it_has_ours_when_taken_back_then_its_part_is_done(
    world: World, go: Callable[[World], None]
) -> None:
    world.step.give()
    go(world)
    world.step.take_back()
    assert world.log.outstanding() == []


@pytest.mark.parametrize(
    ("action", "go", "note"),
    [
        ("UpdateAutoScalingGroup", World.delete_group, "the group is gone"),
        ("UpdateClusterConfig", World.delete_cluster, "the cluster is gone"),
    ],
)
def test_given_it_is_deleted_between_the_look_and_the_taking_back_then_its_part_is_done_and_the_timeline_says_so(
    world: World, aws: LocalAws, action: str, go: Callable[[World], None], note: str
) -> None:
    world.step.give()
    others = replace(world, autoscaling=aws.client("autoscaling"), eks=aws.client("eks"))
    client = world.autoscaling if action == "UpdateAutoScalingGroup" else world.eks
    just_before(client, action, lambda: go(others))
    world.step.take_back()
    assert world.log.outstanding() == []
    assert any(event["detail"].endswith(note) for event in world.incidents.timeline(world.log.incident))
