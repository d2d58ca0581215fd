"""The incidents' records on DynamoDB: who opens one, what joins it, what stands in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from boto3.dynamodb.conditions import Key
from boto3.dynamodb.types import TypeSerializer

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.errors import IncidentNotFound, ServiceUnavailable
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.incidents.opening import STALE_AFTER, IncidentOpen
from ip_remediator.incidents.record import Failure, HealedPod, SlackMessage, Step, StepState, Verification
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import save_snapshot, snapshot_of
from ip_remediator.incidents.stored_record import from_stream_image
from tests.contract.address_ledger import fault_proxy
from tests.contract.conftest import Clock, at_once, resource, unique
from tests.unit.support.facts import Part, node, pods, snapshot, zone

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws


@pytest.fixture
def incidents(table: Table, clock: Clock) -> Incidents:
    return Incidents(table, clock)


def opened(incidents: Incidents, cluster: str) -> str:
    return incidents.open(cluster, "eu-west-1", Mode.AUTO, "started by hand")


# --- Opening


def test_given_a_cluster_at_peace_when_opened_then_the_record_says_what_is_known(
    incidents: Incidents, cluster: str
) -> None:
    id_ = opened(incidents, cluster)
    record = incidents.get(id_)
    assert (record.id, record.cluster, record.region, record.mode) == (id_, cluster, "eu-west-1", Mode.AUTO)
    assert record.opened_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert record.open
    assert incidents.open_incident(cluster) == id_


def test_given_an_open_incident_when_opened_again_then_the_refusal_names_it(incidents: Incidents, cluster: str) -> None:
    id_ = opened(incidents, cluster)
    with pytest.raises(IncidentOpen, match=id_):
        opened(incidents, cluster)


def test_given_twenty_callers_at_once_then_one_opens_the_incident(incidents: Incidents, cluster: str) -> None:
    results = at_once(20, lambda _: opened(incidents, cluster))
    winners = [result for result in results if isinstance(result, str)]
    assert len(winners) == 1
    assert sum(isinstance(result, IncidentOpen) for result in results) == 19
    assert incidents.open_incident(cluster) == winners[0]


def test_given_a_closed_incident_when_opened_then_it_is_a_new_one(incidents: Incidents, cluster: str) -> None:
    first = opened(incidents, cluster)
    incidents.close(incidents.get(first), Outcome.HEALED)
    assert incidents.open_incident(cluster) is None
    second = opened(incidents, cluster)
    assert second != first
    assert incidents.open_incident(cluster) == second


def test_given_an_incident_that_nobody_closed_for_26_hours_then_it_silences_the_cluster_no_longer(
    incidents: Incidents, cluster: str, clock: Clock
) -> None:
    opened(incidents, cluster)
    clock.advance(seconds=STALE_AFTER.total_seconds())
    with pytest.raises(IncidentOpen):
        opened(incidents, cluster)
    clock.advance(seconds=1)
    assert opened(incidents, cluster)


# --- Steps and documents


def test_given_steps_then_their_results_and_documents_stand_in_the_record(
    incidents: Incidents, cluster: str, clock: Clock
) -> None:
    id_ = opened(incidents, cluster)
    diagnosis = diagnose(snapshot(zone("a", free=0, stuck=1)))
    incidents.complete(id_, Step.DIAGNOSE, "subnet_exhausted", diagnosis=diagnosis)
    clock.advance(seconds=1)
    incidents.start(id_, Step.ROLLBACK, "asked for by somebody")
    incidents.skip(id_, Step.APPROVE, "mode auto")
    failure = Failure(step="plan", error="CannotPlan", message="no room")
    incidents.fail(id_, Step.PLAN, failure)
    record = incidents.get(id_)
    assert record.diagnosis == diagnosis
    assert record.failure == failure
    assert {step: result.state for step, result in record.steps.items()} == {
        Step.DIAGNOSE: StepState.DONE,
        Step.ROLLBACK: StepState.RUNNING,
        Step.APPROVE: StepState.SKIPPED,
        Step.PLAN: StepState.FAILED,
    }
    assert record.steps[Step.ROLLBACK].at - record.steps[Step.DIAGNOSE].at == timedelta(seconds=1)


def test_given_zones_served_side_by_side_then_no_subnet_is_lost(incidents: Incidents, cluster: str) -> None:
    id_ = opened(incidents, cluster)
    at_once(6, lambda number: incidents.record_subnet(id_, f"eu-west-1{'abcdef'[number]}", f"subnet-{number}"))
    assert len(incidents.get(id_).subnets) == 6
    made = incidents.record_subnet(id_, "eu-west-1a", "subnet-again")
    assert (len(made), made["eu-west-1a"]) == (6, "subnet-again")


def test_given_a_slack_message_then_the_record_knows_where_it_stands(incidents: Incidents, cluster: str) -> None:
    id_ = opened(incidents, cluster)
    message = SlackMessage(channel="C1", ts="1.2", digest="d")
    incidents.set_slack_message(id_, message)
    incidents.complete(id_, Step.PLAN, "planned")
    assert incidents.get(id_).slack == message


def test_given_events_then_the_timeline_has_all_of_them_in_order(
    incidents: Incidents, cluster: str, clock: Clock
) -> None:
    id_ = opened(incidents, cluster)
    for number in range(12):  # past a whole second, where the text of a time is shorter
        clock.advance(seconds=0.25)
        incidents.complete(id_, Step.PLAN, f"note {number}")
    clock.advance(seconds=0.25)
    incidents.close(incidents.get(id_), Outcome.HEALED, "all pods run")
    events = incidents.timeline(id_)
    assert [event["what"] for event in events] == ["incident opened", *["plan done"] * 12, "incident closed"]
    assert [event["detail"] for event in events[1:-1]] == [f"note {number}" for number in range(12)]
    assert events[-1]["detail"] == "healed all pods run"
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_given_a_run_by_hand_and_one_by_signals_then_the_timeline_names_who_opened_it(
    incidents: Incidents, cluster: str, clock: Clock
) -> None:
    execution = "arn:aws:states:eu-west-1:000000000000:execution:Remediation:by-hand"
    by_hand = incidents.open(cluster, "eu-west-1", Mode.AUTO, "started by hand", execution=execution)
    by_signals = opened(incidents, unique("cluster"))
    clock.advance(seconds=1)
    incidents.start(by_hand, Step.ROLLBACK, "asked for", by="U1 (ada)")
    assert [entry["by"] for entry in incidents.timeline(by_hand)] == [execution, "U1 (ada)"]
    assert [entry["by"] for entry in incidents.timeline(by_signals)] == ["eks-ip-remediator"]


def test_given_two_events_of_one_instant_then_both_are_kept(incidents: Incidents, cluster: str) -> None:
    id_ = opened(incidents, cluster)
    incidents.complete(id_, Step.PLAN)
    incidents.complete(id_, Step.PLAN)
    assert len(incidents.timeline(id_)) == 3


def test_given_no_such_incident_then_the_error_names_it_and_nothing_is_written(incidents: Incidents) -> None:
    with pytest.raises(IncidentNotFound, match="no incident 'nobody'"):
        incidents.get("nobody")
    with pytest.raises(Exception, match="ConditionalCheckFailed"):
        incidents.complete("nobody", Step.PLAN)
    assert incidents.timeline("nobody") == []


def test_given_an_image_of_the_stream_then_it_is_the_record(incidents: Incidents, cluster: str, table: Table) -> None:
    id_ = opened(incidents, cluster)
    incidents.complete(id_, Step.PLAN, "planned")
    item = table.get_item(Key={"pk": f"INCIDENT#{id_}", "sk": "META"})["Item"]
    image = {name: TypeSerializer().serialize(value) for name, value in item.items()}
    assert from_stream_image(image) == incidents.get(id_)


# --- Snapshots


def test_given_a_snapshot_then_it_is_read_back_as_it_was(incidents: Incidents, cluster: str) -> None:
    id_ = opened(incidents, cluster)
    with pytest.raises(IncidentNotFound, match="was not diagnosed yet"):
        snapshot_of(incidents, id_)
    facts = snapshot(zone("a", free=0, stuck=1), zone("b", free=None))
    save_snapshot(incidents, id_, facts)
    assert snapshot_of(incidents, id_) == facts


def test_given_more_facts_than_an_item_holds_then_they_are_read_back_as_they_were(
    incidents: Incidents, cluster: str, table: Table
) -> None:
    id_ = opened(incidents, cluster)
    hosts = tuple(node("a", index, instance_id=f"i-{uuid4()}", name=f"ip-{uuid4()}") for index in range(5000))
    waiting = tuple(pod.model_copy(update={"uid": str(uuid4())}) for host in hosts for pod in pods(2, host.name))
    many = Part(hosts, waiting)
    facts = snapshot(zone("b", free=0), many)
    save_snapshot(incidents, id_, facts)
    # Not `==` alone: pytest would compare two long texts for minutes.
    unchanged = snapshot_of(incidents, id_) == facts
    assert unchanged
    parts = table.query(KeyConditionExpression=Key("pk").eq(f"INCIDENT#{id_}") & Key("sk").begins_with("SNAPSHOT"))
    assert len(parts["Items"]) > 1
    assert all(len(part["body"].value) <= 400 * 1024 for part in parts["Items"])  # type: ignore[union-attr]


# --- Closing


def test_given_a_closed_incident_when_closed_again_then_the_first_outcome_stands(
    incidents: Incidents, cluster: str, clock: Clock
) -> None:
    id_ = opened(incidents, cluster)
    clock.advance(minutes=1)
    incidents.close(incidents.get(id_), Outcome.HEALED)
    clock.advance(minutes=1)
    incidents.close(incidents.get(id_), Outcome.FAILED)
    record = incidents.get(id_)
    assert record.outcome is Outcome.HEALED
    assert record.closed_at == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    assert [event["what"] for event in incidents.timeline(id_)] == ["incident opened", "incident closed"]


def test_given_a_healed_incident_when_rolled_back_then_that_is_its_outcome(incidents: Incidents, cluster: str) -> None:
    id_ = opened(incidents, cluster)
    incidents.close(incidents.get(id_), Outcome.HEALED)
    incidents.close(incidents.get(id_), Outcome.ROLLED_BACK)
    assert incidents.get(id_).outcome is Outcome.ROLLED_BACK


def test_given_a_newer_incident_when_an_old_one_is_rolled_back_then_the_newer_stays_open(
    incidents: Incidents, cluster: str
) -> None:
    old = opened(incidents, cluster)
    incidents.close(incidents.get(old), Outcome.HEALED)
    newer = opened(incidents, cluster)
    incidents.close(incidents.get(old), Outcome.ROLLED_BACK)
    assert incidents.open_incident(cluster) == newer


# --- What DynamoDB does to writers


def test_given_transactions_that_meet_then_every_write_gets_through(
    table: Table, aws: LocalAws, clock: Clock, cluster: str
) -> None:
    with fault_proxy.running(aws.endpoint) as proxy:
        incidents = Incidents(resource(proxy.url, aws).Table(table.name), clock)
        id_ = opened(incidents, cluster)
        proxy.inject(
            "TransactWriteItems", *[fault_proxy.Refuse("TransactionCanceledException", ("TransactionConflict",))] * 2
        )
        incidents.complete(id_, Step.PLAN, "planned")
        assert incidents.get(id_).steps[Step.PLAN].note == "planned"


def test_given_transactions_that_meet_for_ever_then_the_error_is_one_that_is_retried(
    table: Table, aws: LocalAws, clock: Clock, cluster: str
) -> None:
    with fault_proxy.running(aws.endpoint) as proxy:
        incidents = Incidents(resource(proxy.url, aws).Table(table.name), clock)
        id_ = opened(incidents, cluster)
        proxy.inject(
            "TransactWriteItems", *[fault_proxy.Refuse("TransactionCanceledException", ("TransactionConflict",))] * 9
        )
        with pytest.raises(ServiceUnavailable):
            incidents.complete(id_, Step.PLAN, "planned")


# --- Size


def test_given_thousands_of_healed_pods_when_recorded_then_the_item_is_small_enough_and_read_back_whole(
    incidents: Incidents, cluster: str, table: Table
) -> None:
    pods_ = [
        HealedPod(
            namespace="shop",
            name=f"web-{number:05}-7d4b9c",
            node=f"ip-10-0-{number % 250}-7.eu-west-1.compute.internal",
            zone="eu-west-1a",
            address=f"100.64.{number // 250}.{number % 250}",
            subnet="subnet-0f2f1a7c9d3e4b5a6",
        )
        for number in range(6_000)
    ]
    verification = Verification(healed=tuple(pods_), expected=6_000)
    id_ = opened(incidents, cluster)
    incidents.complete(id_, Step.VERIFY, "6000 of 6000 pods run with new addresses", verification=verification)
    assert incidents.get(id_).verification == verification
    item = table.get_item(Key={"pk": f"INCIDENT#{id_}", "sk": "META"})["Item"]
    assert len(bytes(item["verification"])) < 200_000  # type: ignore[arg-type]
    image = {name: TypeSerializer().serialize(value) for name, value in item.items()}
    assert from_stream_image(image).verification == verification
