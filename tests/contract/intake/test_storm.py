"""Storms of events on DynamoDB and Step Functions: nothing is lost, one execution for each incident, few writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import storm
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.repository import Incidents
from ip_remediator.signals.correlation import MAX_COUNTED, MAX_NAMES
from tests.contract.conftest import unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws


@pytest.fixture(scope="module")
def sfn(aws: LocalAws) -> Any:
    return aws.client("stepfunctions")


@pytest.fixture(scope="module")
def machine(aws: LocalAws, sfn: Any) -> str:
    """A state machine that ends at once."""
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.client("iam").create_role(RoleName=unique("storm"), AssumeRolePolicyDocument=document)["Role"]["Arn"]
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    return str(sfn.create_state_machine(name=unique("storm"), definition=definition, roleArn=role)["stateMachineArn"])


@pytest.mark.parametrize("events", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_given_a_storm_of_one_cluster_then_one_execution_and_writes_that_do_not_grow_with_it(
    table: Table, sfn: Any, machine: str, events: int
) -> None:
    name = unique("storm")
    result = storm.run(table, sfn, machine, storm.one_cluster(events, name))
    assert (result.failed, result.executions) == (0, 1)
    writes = sum(result.meter.requests.values()) - result.meter.requests["GetItem"]
    # Names and observations are kept until there are 200 and 256 of them: in three batches, each of which all ten
    # invocations may write that meet. The rest writes the last time seen, once a minute.
    assert writes - result.meter.refused <= 40
    assert result.meter.refused <= 100
    incidents = Incidents(table, utc_now)
    incident = incidents.open_incident(name)
    assert incident is not None
    summary = incidents.get(incident).signals
    assert summary.count == MAX_COUNTED
    assert len(summary.pods) == min(MAX_NAMES, (events + 8) // 9)
    assert result.meter.largest < 40_000


@pytest.mark.parametrize("clusters", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_given_storms_of_many_clusters_at_once_then_each_has_one_incident_that_knows_all(
    table: Table, sfn: Any, machine: str, clusters: int
) -> None:
    name = unique("storm")
    result = storm.run(table, sfn, machine, storm.many_clusters(clusters, name))
    assert (result.failed, result.executions) == (0, clusters)
    incidents = Incidents(table, utc_now)
    for number in range(clusters):
        incident = incidents.open_incident(f"{name}-{number}")
        assert incident is not None
        record = incidents.get(incident)
        assert record.signals.pods == ("shop/web-0", "shop/web-1")
        assert record.execution is not None
    per_cluster = result.meter.write_units / clusters
    assert per_cluster < 40
