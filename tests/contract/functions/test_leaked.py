"""Leaked ENIs of a plan, on a real table and EC2: deleted, left alone, recorded for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.errors import RequestRefused
from ip_remediator.incidents.record import Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.delete_leaked_enis import LeakedInterfaces
from ip_remediator.provisioning.leaked_enis import LeakedEnis
from ip_remediator.remediation.caught import Caught, failure_of
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.rollback.workflow import ROLLBACK, RollbackWorkflow
from ip_remediator.snapshot.cni_tags import CLUSTER_TAG
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CAUGHT = Caught.model_validate({"step": "Delete the leaked ENIs", "Error": "Throttled", "Cause": "slow down"})


@dataclass
class Case:
    table: Table
    incidents: Incidents
    log: ChangeLog
    incident: str
    ec2: Any
    subnet: str

    def eni(self, cluster: str = "prod") -> str:
        tags: Any = [{"ResourceType": "network-interface", "Tags": [{"Key": CLUSTER_TAG, "Value": cluster}]}]
        made = self.ec2.create_network_interface(
            SubnetId=self.subnet, Description="aws-K8S-i-1", TagSpecifications=tags
        )
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def delete(self, *planned: str) -> dict[str, Any]:
        enis = tuple(LeakedInterface(id=id_, subnet_id=self.subnet) for id_ in planned)
        plan = PLAN.model_copy(update={"strategy": "delete-leaked-enis", "leaked_interfaces": enis})
        self.incidents.complete(self.incident, Step.PLAN, plan=plan)
        record = self.incidents.get(self.incident)
        leaked = LeakedEnis(self.ec2, "prod", (), lambda: NOW)
        return LeakedInterfaces(record, self.incidents, self.log, leaked).delete()

    @property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(self.table, _NoLedger(), lambda: NOW)  # type: ignore[arg-type]


class _NoLedger:
    def release(self, owner: str) -> bool:
        return False


@pytest.fixture
def case(table: Table) -> Case:
    incidents = Incidents(table, lambda: NOW)
    incident = incidents.open("prod", "ap-northeast-2", Mode.AUTO, "")
    ec2: Any = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    return Case(table, incidents, ChangeLog(table, lambda: NOW, incident), incident, ec2, subnet)


def test_given_leaked_enis_when_deleted_twice_then_they_are_gone_and_recorded_once(case: Case) -> None:
    enis = [case.eni(), case.eni()]
    for _ in range(2):
        assert case.delete(*enis) == {"deleted": 2, "left": []}
    assert sorted(change.target for change in case.log.made()) == sorted(enis)
    assert {(change.before or {})["subnet"] for change in case.log.made()} == {case.subnet}
    assert case.log.outstanding() == []
    note = case.incidents.get(case.incident).steps[Step.DELETE_LEAKED_ENIS].note
    assert note == "2 of 2 leaked ENIs deleted, 2 addresses free"


def test_given_one_of_another_cluster_when_deleted_then_it_is_left_and_named(case: Case) -> None:
    mine, other = case.eni(), case.eni("other")
    assert case.delete(mine, other) == {"deleted": 1, "left": [f"{other}: it is of cluster other"]}
    assert [change.target for change in case.log.made()] == [mine]
    assert other in case.incidents.get(case.incident).steps[Step.DELETE_LEAKED_ENIS].note


def test_given_none_that_may_be_deleted_then_it_fails_at_once_and_nothing_is_recorded(case: Case) -> None:
    other = case.eni("other")
    with pytest.raises(
        RequestRefused, match=f"none of the leaked ENIs can be deleted: {other}: it is of cluster other"
    ):
        case.delete(other)
    assert case.log.made() == []


def test_given_deleted_enis_when_it_fails_afterwards_then_the_failure_says_what_is_gone_and_no_undo_is_claimed(
    case: Case,
) -> None:
    eni = case.eni()
    case.delete(eni)
    assert failure_of(CAUGHT, case.log.made()).outstanding == f"deleted for good: {eni}"
    assert case.lifecycle.close(case.incident, Outcome.UNDONE, CAUGHT)["outcome"] == "failed"


def test_given_only_deleted_enis_when_rolled_back_then_there_is_nothing_to_do(case: Case) -> None:
    case.delete(case.eni())
    case.lifecycle.close(case.incident, Outcome.HEALED, None)
    rolling_back = RollbackWorkflow(ROLLBACK, case.lifecycle, lambda _: False, 60)
    with pytest.raises(InvalidInput, match="nothing to roll back"):
        rolling_back.begin({"incident": case.incident}, "execution-1")
