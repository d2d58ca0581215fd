"""The VPC's part of plans with subnets that are there already or that ipamd discovers, on a real table and EC2."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ip_remediator.common.enums import Mode
from ip_remediator.common.errors import NotFound, NotYet
from ip_remediator.incidents.record import ChangeKind, Step, StepState
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Plan, PlannedSubnet
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.ec2 import Ec2Changes, Ownership
from ip_remediator.provisioning.subnet_tags import SubnetTags
from ip_remediator.provisioning.vpc import Network
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.empty_subnets import await_empty
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ZONES = ("ap-northeast-2a", "ap-northeast-2b")
ROLE, SCOPE = "kubernetes.io/role/cni", "cni.networking.k8s.aws/cluster/prod"
BLOCK, CIDR, THEIRS = "100.64.0.0/22", "100.64.0.0/24", "10.0.9.0/24"


@dataclass
class Case:
    incidents: Incidents
    log: ChangeLog
    incident: str
    ec2: Any
    vpc: str

    def their_subnet(self, **tags: str) -> str:
        listed = [{"Key": key, "Value": value} for key, value in {"Name": "spare", **tags}.items()]
        specification = [{"ResourceType": "subnet", "Tags": listed}]
        made = self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=THEIRS, AvailabilityZone=ZONES[0], TagSpecifications=specification
        )
        return str(made["Subnet"]["SubnetId"])

    def step(self, plan: Plan) -> Network:
        self.incidents.complete(self.incident, Step.PLAN, plan=plan)
        record = self.incidents.get(self.incident)
        changes = Ec2Changes(self.ec2, Ownership("stack", self.incident, "prod"))
        return Network(record, self.incidents, self.log, changes, SubnetTags(self.ec2))

    def tags(self, subnet: str) -> dict[str, str]:
        result = self.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0].get("Tags", [])
        return {tag["Key"]: tag["Value"] for tag in result}

    def subnets(self) -> set[str]:
        result = self.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["Subnets"]
        return {subnet["SubnetId"] for subnet in result}


@pytest.fixture
def case(table: Table) -> Case:
    incidents = Incidents(table, lambda: NOW)
    incident = incidents.open("prod", "ap-northeast-2", Mode.AUTO, "")
    ec2: Any = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return Case(incidents, ChangeLog(table, lambda: NOW, incident), incident, ec2, vpc)


def planned(zone: str, cidr: str, id_: str | None = None, **tags: str) -> PlannedSubnet:
    return PlannedSubnet(
        zone=zone,
        cidr=cidr,
        id=id_,
        tags=tags,
        route_table=None,
        network_acl=None,
        reserve_prefixes=False,
        eni_configs=(),
    )


def plan(case: Case, *subnets: PlannedSubnet, block: str | None = BLOCK) -> Plan:
    source = "new-cidr" if block else "existing-subnets"
    return PLAN.model_copy(
        update={
            "strategy": "subnet-discovery",
            "vpc_id": case.vpc,
            "block": block,
            "source": source,
            "subnets": subnets,
        }
    )


def test_given_a_subnet_that_is_there_when_used_and_undone_then_nothing_is_written_to_it(case: Case) -> None:
    theirs = case.their_subnet()
    step = case.step(plan(case, planned(ZONES[0], THEIRS, theirs), block=None))
    assert step.associate_cidr() == {"block": None}
    assert step.create_subnet(ZONES[0]) == {"zone": ZONES[0], "subnet": theirs, "cidr": THEIRS}
    record = case.incidents.get(case.incident)
    assert record.subnets == {ZONES[0]: theirs}
    assert record.steps[Step.ASSOCIATE_CIDR].state is StepState.SKIPPED
    assert case.log.made() == []
    assert step.undo() == {"removed": []}
    assert case.tags(theirs) == {"Name": "spare"}


def test_given_tags_for_a_subnet_that_is_there_when_undone_then_they_are_as_before_whatever_was_repeated(
    case: Case,
) -> None:
    theirs = case.their_subnet(**{ROLE: "0"})
    step = case.step(plan(case, planned(ZONES[0], THEIRS, theirs, **{ROLE: "1", SCOPE: "shared"}), block=None))
    for _ in range(2):
        step.create_subnet(ZONES[0])
    assert case.tags(theirs) == {"Name": "spare", ROLE: "1", SCOPE: "shared"}
    [change] = case.log.outstanding()
    assert (change.kind, change.before) == (ChangeKind.SUBNET_TAGS, {ROLE: "0", SCOPE: None})
    for _ in range(2):
        step.undo()
    assert case.tags(theirs) == {"Name": "spare", ROLE: "0"}
    assert case.log.made() == []


def test_given_a_mixed_plan_when_discovery_stops_then_ours_stay_untagged_and_go_with_the_undo(case: Case) -> None:
    theirs = case.their_subnet()
    step = case.step(
        plan(case, planned(ZONES[0], THEIRS, theirs, **{ROLE: "1"}), planned(ZONES[1], CIDR, **{ROLE: "1"}))
    )
    step.associate_cidr()
    for zone in ZONES:
        step.create_subnet(zone)
    ours = case.incidents.get(case.incident).subnets[ZONES[1]]
    assert case.tags(ours)[ROLE] == "1"

    assert step.stop_discovery() == {"stopped": [ours, theirs]}
    assert ROLE not in case.tags(ours) | case.tags(theirs)
    assert case.tags(ours)["eks-ip-remediator:incident"] == case.incident
    assert step.stop_discovery() == {"stopped": [ours]}

    assert step.undo() == {"removed": [ours]}
    assert case.subnets() == {theirs}
    assert case.log.made() == []


def test_given_leaked_enis_when_they_must_leave_then_this_clusters_own_are_deleted_and_others_are_named(
    case: Case,
) -> None:
    step = case.step(plan(case, planned(ZONES[0], CIDR)))
    step.associate_cidr()
    step.create_subnet(ZONES[0])
    subnet = case.incidents.get(case.incident).subnets[ZONES[0]]

    def leaked(cluster: str) -> str:
        tags = [{"Key": "cluster.k8s.amazonaws.com/name", "Value": cluster}]
        specification = [{"ResourceType": "network-interface", "Tags": tags}]
        made = case.ec2.create_network_interface(
            SubnetId=subnet, Description="aws-K8S-i-1", TagSpecifications=specification
        )
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    ours, theirs = leaked("prod"), leaked("shop")
    with pytest.raises(NotYet) as not_yet:
        await_empty(step, Ec2Block(case.ec2))
    assert theirs in str(not_yet.value)
    assert ours not in str(not_yet.value)
    case.ec2.delete_network_interface(NetworkInterfaceId=theirs)
    assert await_empty(step, Ec2Block(case.ec2)) == {"interfaces": 0}
    assert step.undo() == {"removed": [subnet]}


def test_given_a_subnet_that_its_owner_deleted_then_it_cannot_be_used_and_need_not_be_restored(case: Case) -> None:
    theirs = case.their_subnet()
    step = case.step(plan(case, planned(ZONES[0], THEIRS, theirs, **{ROLE: "1"}), block=None))
    step.create_subnet(ZONES[0])
    case.ec2.delete_subnet(SubnetId=theirs)
    step.undo()
    assert case.log.made() == []
    with pytest.raises(NotFound, match=theirs):
        step.create_subnet(ZONES[0])
