"""CloudTrail's event history: who changed what, some minutes later, and not more than two questions a second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import allow, code_of, eventually, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

THROTTLED = "ThrottlingException"


@pytest.fixture
def at_once(aws: LocalAws) -> Iterator[None]:
    aws.control("PUT", "/_local/settings", {"cloudtrail_delay_seconds": 0})
    yield
    aws.control("DELETE", "/_local/settings")


def look_up(aws: LocalAws, name: str, *values: str, **more: Any) -> list[dict[str, Any]]:
    """The events of this name that mention all `values`; asked again until CloudTrail is not asked too often."""
    asked = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}], **more}
    cloudtrail = aws.client("cloudtrail")
    answer = eventually(lambda: _answer(cloudtrail, asked))
    events = [json.loads(event["CloudTrailEvent"]) for event in answer["Events"]]
    return [event for event in events if all(value in json.dumps(event) for value in values)]


def _answer(cloudtrail: Any, asked: dict[str, Any]) -> Any:
    try:
        return cloudtrail.lookup_events(**asked)
    except cloudtrail.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != THROTTLED:
            raise
        return None


def test_given_a_role_that_deletes_a_subnet_when_looked_up_then_its_session_and_role_are_named(
    aws: LocalAws, caller: Any, at_once: None
) -> None:
    del at_once
    theirs = caller(allow("ec2:*"))
    vpc = theirs.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = theirs.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    theirs.delete_subnet(SubnetId=subnet)
    [event] = look_up(aws, "DeleteSubnet", subnet)
    identity = event["userIdentity"]
    role = identity["sessionContext"]["sessionIssuer"]
    assert role["arn"] == f"arn:aws:iam::000000000000:role/{role['userName']}"
    assert identity["arn"] == f"arn:aws:sts::000000000000:assumed-role/{role['userName']}/test"
    [made] = look_up(aws, "CreateSubnet", vpc)
    assert made["responseElements"]["Subnet"]["SubnetId"] == subnet


def test_given_a_refused_call_when_looked_up_then_its_event_has_the_error(aws: LocalAws, at_once: None) -> None:
    del at_once
    missing = "subnet-0123456789abcdef0"
    assert code_of(aws.client("ec2").delete_subnet, SubnetId=missing) == "InvalidSubnetID.NotFound"
    [event] = look_up(aws, "DeleteSubnet", missing)
    assert event["errorCode"] == "InvalidSubnetID.NotFound"


def test_given_a_cluster_that_is_deleted_when_looked_up_then_its_name_is_a_parameter(
    aws: LocalAws, at_once: None
) -> None:
    del at_once
    name = unique("cluster")
    code_of(aws.client("eks").delete_cluster, name=name)
    [event] = look_up(aws, "DeleteCluster", name)
    assert event["requestParameters"] == {"name": name}


def test_given_no_setting_when_looked_up_at_once_then_the_event_is_not_there_yet(aws: LocalAws) -> None:
    name = unique("cluster")
    code_of(aws.client("eks").delete_cluster, name=name)
    assert look_up(aws, "DeleteCluster", name) == []


def test_given_a_start_time_when_looked_up_then_older_events_are_left_out(aws: LocalAws, at_once: None) -> None:
    del at_once
    code_of(aws.client("eks").delete_cluster, name="older")
    assert look_up(aws, "DeleteCluster", "older")
    later = datetime.now(UTC) + timedelta(seconds=5)
    assert look_up(aws, "DeleteCluster", "older", StartTime=later, EndTime=later + timedelta(seconds=1)) == []


def test_given_a_start_time_before_the_ninety_days_that_are_kept_when_looked_up_then_refused(aws: LocalAws) -> None:
    cloudtrail, long_ago = aws.client("cloudtrail"), datetime.now(UTC) - timedelta(days=91)
    refused = eventually(lambda: (code := code_of(cloudtrail.lookup_events, StartTime=long_ago)) != THROTTLED and code)
    assert refused == "InvalidTimeRangeException"


def test_given_three_lookups_at_once_then_the_third_is_throttled(aws: LocalAws) -> None:
    cloudtrail = aws.client("cloudtrail")
    assert [code_of(cloudtrail.lookup_events) for _ in range(3)][-1] == THROTTLED


def test_given_a_role_that_may_not_look_up_events_then_it_is_denied(caller: Any) -> None:
    denied = caller(allow("ec2:*"), service="cloudtrail")
    assert code_of(denied.lookup_events) == "AccessDeniedException"
