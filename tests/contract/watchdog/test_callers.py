"""Who else changed what a stopped incident works on: asked from CloudTrail by the watchdog's next looks, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.clients.aws.event_history import EventHistory
from ip_remediator.common.actor import SOMEBODY
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Rollback, RollbackAssessment, RollbackState, Step, StepState
from ip_remediator.remediation.caught import Caught
from ip_remediator.watchdog.callers import Callers
from ip_remediator.watchdog.rules import Looked
from ip_remediator.watchdog.watch import Watchdog
from tests.contract.conftest import Clock, EksApi, briefly, unique
from tests.contract.support.vpcs import Vpc
from tests.contract.watchdog.world import REMEDIATION, World
from tests.support.waiting import eventually
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ZONE = "ap-northeast-2a"
BLOCK = "100.64.0.0/22"


class Somebody:
    """A role of the account with a session of its own, and clients that act as it."""

    def __init__(self, aws: LocalAws, action: str = "*") -> None:
        iam, self.aws, name = aws.client("iam"), aws, unique("terraform")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(allowed))
        answer = aws.client("sts").assume_role(RoleArn=self.role, RoleSessionName="ci")
        self.arn = answer["AssumedRoleUser"]["Arn"]
        self._keys = answer["Credentials"]

    def client(self, service: str) -> Any:
        keys = self._keys
        return self.aws.client(
            service,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )


@pytest.fixture
def somebody(aws: LocalAws) -> Somebody:
    return Somebody(aws)


@pytest.fixture
def ours(aws: LocalAws) -> Somebody:
    """The role of the stack's own functions."""
    return Somebody(aws)


@pytest.fixture
def at_once(aws: LocalAws) -> Iterator[LocalAws]:
    """CloudTrail has events without delay and takes any number of questions; tests that are about these set them."""
    aws.control("PUT", "/_local/settings", {"cloudtrail_lookups_per_second": 1_000})
    delay(aws, 0)
    yield aws
    aws.control("DELETE", "/_local/settings")


def delay(aws: LocalAws, seconds: float) -> None:
    aws.control("PUT", "/_local/settings", {"cloudtrail_delay_seconds": seconds})


@pytest.fixture
def vpc(ec2: Any, ours: Somebody) -> Vpc:
    made = Vpc.create(ec2)
    ours.client("ec2").associate_vpc_cidr_block(VpcId=made.id, CidrBlock=BLOCK)
    eventually("the CIDR is associated", made.cidrs, lambda cidrs: cidrs.get(BLOCK) == "associated")
    return made


@pytest.fixture
def stopped(world: World, vpc: Vpc, clock: Clock, ours: Somebody) -> World:
    """An incident with a CIDR and a subnet that stopped, because something that it had made was gone."""
    clock.now = datetime.now(UTC)
    plan = PLAN.model_copy(update={"vpc_id": vpc.id, "block": BLOCK, "settings": {"A": "1"}})
    world.incidents.complete(world.incident, Step.PLAN, plan=plan)
    world.incidents._records.update(
        {"pk": f"INCIDENT#{world.incident}", "sk": "META"}, "SET opened_at = :now", {":now": clock().isoformat()}
    )
    made = ours.client("ec2").create_subnet(VpcId=vpc.id, CidrBlock="100.64.0.0/24")["Subnet"]["SubnetId"]
    world.incidents.record_subnet(world.incident, ZONE, made)
    return world


def plan_with(world: World, **changed: Any) -> None:
    plan = world.record.require_plan().model_copy(update=changed)
    world.incidents.complete(world.incident, Step.PLAN, plan=plan)


def stop(world: World, error: str = "NotFound") -> None:
    caught = Caught(error=error, cause="subnet gone", step=Step.APPLY_ENICONFIGS)
    world.lifecycle.close(world.incident, Outcome.FAILED, caught)
    world.ends(REMEDIATION, "FAILED")


def watchdog(world: World, aws: LocalAws, *own_roles: str) -> Watchdog:
    callers = Callers(EventHistory(aws.client("cloudtrail"), briefly), own_roles)
    return Watchdog(world.lifecycle, world.endings.get, world.start, world.give_back, callers)


def named(world: World) -> list[tuple[str, str, str]]:
    record = world.record.calls_by_others
    return [(call.event, call.resource, call.caller) for call in record.calls] if record else []


def test_given_somebody_deletes_our_subnet_when_looked_at_then_the_record_and_the_timeline_name_them(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws
) -> None:
    subnet = stopped.record.subnets[ZONE]
    somebody.client("ec2").delete_subnet(SubnetId=subnet)
    stop(stopped)

    looked = watchdog(stopped, at_once, ours.role).sweep()

    assert looked[stopped.incident] is Looked.LEFT
    assert named(stopped) == [("DeleteSubnet", subnet, somebody.arn)]
    events = stopped.incidents.timeline(stopped.incident)
    assert [event["by"] for event in events if event["what"] == "change attributed"] == [somebody.arn]


def test_given_others_change_everything_when_looked_at_then_each_call_is_named_with_what_it_changed(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, vpc: Vpc, eks_api: EksApi
) -> None:
    cluster, subnet = stopped.record.cluster, stopped.record.subnets[ZONE]
    eks_api.create_cluster(cluster, vpc)
    eks_api.client.create_addon(clusterName=cluster, addonName="vpc-cni")
    theirs, ec2 = somebody.client("eks"), somebody.client("ec2")
    theirs.delete_addon(clusterName=cluster, addonName="vpc-cni", preserve=True)
    theirs.delete_cluster(name=cluster)
    ec2.delete_tags(Resources=[subnet], Tags=[{"Key": "a"}])
    in_our_block = ec2.create_subnet(VpcId=vpc.id, CidrBlock="100.64.1.0/24")["Subnet"]["SubnetId"]
    for id_ in (subnet, in_our_block):
        ec2.delete_subnet(SubnetId=id_)
    [association] = [
        item["AssociationId"]
        for item in ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]["CidrBlockAssociationSet"]
        if item["CidrBlock"] == BLOCK
    ]
    ec2.disassociate_vpc_cidr_block(AssociationId=association)
    stop(stopped)

    watchdog(stopped, at_once, ours.role).sweep()

    block = f"{BLOCK} of {vpc.id}"
    assert sorted(named(stopped)) == sorted(
        (event, resource, somebody.arn)
        for event, resource in (
            ("DeleteAddon", f"add-on vpc-cni of {cluster}"),
            ("DeleteCluster", cluster),
            ("DeleteTags", subnet),
            ("CreateSubnet", f"100.64.1.0/24 of {vpc.id}"),
            ("DeleteSubnet", subnet),
            ("DisassociateVpcCidrBlock", block),
        )
    )


def test_given_others_change_the_addon_while_a_rollback_waits_in_vain_when_looked_at_then_they_are_named(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, vpc: Vpc, eks_api: EksApi
) -> None:
    cluster = stopped.record.cluster
    stopped.incidents.complete(
        stopped.incident, Step.PLAN, plan=stopped.record.require_plan().model_copy(update={"changes": ()})
    )
    eks_api.create_cluster(cluster, vpc)
    eks_api.client.create_addon(clusterName=cluster, addonName="vpc-cni")
    values = json.dumps({"env": {"WARM_ENI_TARGET": "2"}})
    somebody.client("eks").update_addon(clusterName=cluster, addonName="vpc-cni", configurationValues=values)
    stop(stopped, error="NotYet")
    rollback = Rollback(state=RollbackState.PAUSED, requested_by=SOMEBODY)
    stopped.incidents.record_rollback(stopped.record, rollback, StepState.FAILED, "2 ENIs left")

    watchdog(stopped, at_once, ours.role).sweep()

    assert named(stopped) == [("UpdateAddon", f"add-on vpc-cni of {cluster}", somebody.arn)]


def test_given_others_use_up_the_quota_of_cidrs_when_looked_at_then_each_of_their_blocks_is_named(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, vpc: Vpc, ec2: Any
) -> None:
    theirs, elsewhere = somebody.client("ec2"), Vpc.create(ec2)
    for number in (10, 11):
        theirs.associate_vpc_cidr_block(VpcId=vpc.id, CidrBlock=f"10.{number}.0.0/16")
    theirs.associate_vpc_cidr_block(VpcId=elsewhere.id, CidrBlock="10.12.0.0/16")
    stop(stopped, error="QuotaReached")

    assert watchdog(stopped, at_once, ours.role).sweep()[stopped.incident] is Looked.LEFT

    assert sorted(named(stopped)) == [
        ("AssociateVpcCidrBlock", f"10.{number}.0.0/16 of {vpc.id}", somebody.arn) for number in (10, 11)
    ]


def test_given_others_take_a_block_that_overlaps_ours_when_looked_at_then_it_is_named_and_no_other_one(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, vpc: Vpc
) -> None:
    plan_with(stopped, block="100.65.0.0/16")
    for cidr in ("100.65.4.0/22", "10.11.0.0/16"):
        somebody.client("ec2").associate_vpc_cidr_block(VpcId=vpc.id, CidrBlock=cidr)
    stop(stopped, error="RequestRefused")
    watchdog(stopped, at_once, ours.role).sweep()
    assert named(stopped) == [("AssociateVpcCidrBlock", f"100.65.4.0/22 of {vpc.id}", somebody.arn)]


def test_given_somebody_used_the_block_between_the_heal_and_the_rollback_that_it_stops_then_they_are_named(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, vpc: Vpc, clock: Clock
) -> None:
    stopped.lifecycle.close(stopped.incident, Outcome.HEALED, None)
    somebody.client("ec2").create_subnet(VpcId=vpc.id, CidrBlock="100.64.1.0/24")
    clock.advance(days=2)
    use = RollbackAssessment(at=clock(), pods=0, interfaces=0, in_the_way=("100.64.1.0/24 is in the way",))
    rollback = Rollback(state=RollbackState.PAUSED, requested_by="somebody", assessment=use)
    stopped.incidents.record_rollback(stopped.record, rollback, StepState.FAILED, "in the way")
    [recorded] = Callers(EventHistory(at_once.client("cloudtrail"), briefly), [ours.role]).of([stopped.record])
    assert [(call.event, call.resource) for call in recorded.calls] == [("CreateSubnet", f"100.64.1.0/24 of {vpc.id}")]


def test_given_an_incident_older_than_cloudtrails_memory_then_what_it_still_has_is_named(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws
) -> None:
    subnet = stopped.record.subnets[ZONE]
    somebody.client("ec2").delete_subnet(SubnetId=subnet)
    old = stopped.record.model_copy(update={"opened_at": datetime.now(UTC) - timedelta(days=200)})
    [recorded] = Callers(EventHistory(at_once.client("cloudtrail"), briefly), [ours.role]).of([old])
    assert ("DeleteSubnet", subnet) in [(call.event, call.resource) for call in recorded.calls]


def test_given_calls_of_our_own_roles_refused_ones_and_others_subnets_when_looked_at_then_nobody_is_named(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, vpc: Vpc
) -> None:
    subnet, ec2 = stopped.record.subnets[ZONE], somebody.client("ec2")
    with pytest.raises(ec2.exceptions.ClientError):
        Somebody(at_once, "ec2:Describe*").client("ec2").delete_subnet(SubnetId=subnet)
    ec2.delete_subnet(SubnetId=vpc.subnet("10.0.77.0/24"))
    ours.client("ec2").delete_subnet(SubnetId=subnet)
    stop(stopped)
    watchdog(stopped, at_once, ours.role).sweep()
    assert named(stopped) == []


def test_given_cloudtrail_does_not_know_yet_when_looked_at_again_then_the_name_comes_later_and_once(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, clock: Clock
) -> None:
    delay(at_once, 300)
    somebody.client("ec2").delete_subnet(SubnetId=stopped.record.subnets[ZONE])
    stop(stopped)
    dog = watchdog(stopped, at_once, ours.role)
    dog.sweep()
    assert named(stopped) == []
    delay(at_once, 0)
    clock.advance(minutes=5)
    for _ in range(2):
        assert dog.sweep()[stopped.incident] is Looked.LEFT
    assert [event for event, *_ in named(stopped)] == ["DeleteSubnet"]
    attributed = [e for e in stopped.incidents.timeline(stopped.incident) if e["what"] == "change attributed"]
    assert len(attributed) == 1
    clock.advance(minutes=16)
    assert dog.sweep()[stopped.incident] is Looked.SETTLED
    assert not stopped.is_watched()


@pytest.mark.parametrize("error", ["AccessDeniedException", "ThrottlingException", "InternalError"])
def test_given_cloudtrail_refuses_when_looked_at_then_nothing_is_said_and_the_look_ends_as_before(
    stopped: World, somebody: Somebody, ours: Somebody, at_once: LocalAws, faults: LocalAws, error: str
) -> None:
    somebody.client("ec2").delete_subnet(SubnetId=stopped.record.subnets[ZONE])
    stop(stopped)
    faults.inject("cloudtrail", "LookupEvents", error=error, times=100)
    assert watchdog(stopped, at_once, ours.role).sweep()[stopped.incident] is Looked.LEFT
    assert named(stopped) == []
    assert not stopped.holds_lock()


def test_given_a_failure_of_ours_when_looked_at_then_cloudtrail_is_not_asked(
    stopped: World, ours: Somebody, at_once: LocalAws, faults: LocalAws
) -> None:
    stop(stopped, error="Throttled")
    assert watchdog(stopped, at_once, ours.role).sweep()[stopped.incident] is Looked.SETTLED
    assert [call for call in faults.control("GET", "/_local/calls")[1] if call["service"] == "cloudtrail"] == []
