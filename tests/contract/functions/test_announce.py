"""Entries of the timeline become events on a bus, once each, and are tried again when EventBridge refuses them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.announce import app
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.timeline import Entry, EventDetail, Stage, StageEvent, State, entry
from ip_remediator.notifications import eventbridge as announcing
from ip_remediator.notifications.eventbridge import Announcer, EventsNotPut
from tests.unit.support.records import DIAGNOSIS, PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
MAX_REQUEST_BYTES = 256 * 1024


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "_PAUSES_SECONDS", (0.0, 0.0))


@pytest.fixture
def bus(table: Table, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A queue behind a bus of its own, which the function is to use; the queue's URL."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    events.create_event_bus(Name=table.name)
    queue = sqs.create_queue(QueueName=table.name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["eks-ip-remediator"]})
    events.put_rule(Name="all", EventBusName=table.name, EventPattern=pattern)
    events.put_targets(Rule="all", EventBusName=table.name, Targets=[{"Id": "queue", "Arn": arn}])
    monkeypatch.setenv("EVENT_BUS", table.name)
    monkeypatch.setenv("INCIDENTS_TABLE", table.name)
    app._cluster_of.cache_clear()
    yield queue
    app._cluster_of.cache_clear()


def stream_of(table: Table, incident: str) -> list[dict[str, Any]]:
    """All items of the incident as the stream shows them when they are added."""
    result = boto3.client("dynamodb").query(
        TableName=table.name,
        KeyConditionExpression="pk = :incident",
        ExpressionAttributeValues={":incident": {"S": f"INCIDENT#{incident}"}},
    )
    return [{"eventName": "INSERT", "dynamodb": {"NewImage": item}} for item in result["Items"]]


def deliver(records: list[dict[str, Any]]) -> None:
    context = SimpleNamespace(
        function_name="announce", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="1"
    )
    app.handler({"Records": records}, context)  # type: ignore[arg-type]


def arrived(queue: str) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    while messages := boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        result += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            boto3.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return sorted(result, key=lambda event: str(event["detail"]["id"]))


def test_an_incidents_timeline_is_on_the_bus_entry_by_entry(table: Table, bus: str) -> None:
    incidents = Incidents(table, utc_now)
    incident = incidents.open("prod", "ap-northeast-2", Mode.AUTO, "two pods without an address")
    incidents.complete(incident, Step.DIAGNOSE, "subnets are full", diagnosis=DIAGNOSIS)
    incidents.complete(incident, Step.PLAN, "go", plan=PLAN)
    incidents.close(incidents.get(incident), Outcome.HEALED)

    deliver(stream_of(table, incident))

    events = arrived(bus)
    assert [event["detail-type"] for event in events] == [
        "Incident opened",
        "Diagnose done",
        "Plan done",
        "Incident closed",
    ]
    details = [StageEvent.model_validate(event["detail"]) for event in events]
    assert {(one.incident, one.cluster, one.by) for one in details} == {(incident, "prod", "eks-ip-remediator")}
    assert details[0].mode is Mode.AUTO
    assert details[1].verdict is DIAGNOSIS.verdict
    assert (details[2].block, details[2].plan_hash) == (PLAN.block, PLAN.hash)
    assert (details[3].outcome, details[3].verdict, details[3].block) == ("healed", DIAGNOSIS.verdict, PLAN.block)
    assert "healed" not in events[2]["detail"], "what an entry is not about is not in its event"


def test_a_batch_delivered_twice_gives_the_same_events_with_the_same_ids(table: Table, bus: str) -> None:
    incident = Incidents(table, utc_now).open("prod", "ap-northeast-2", Mode.AUTO, "")

    deliver(stream_of(table, incident))
    deliver(stream_of(table, incident))

    first, second = arrived(bus)
    assert first["detail"] == second["detail"]


def test_changes_of_records_and_deletions_are_passed_over(table: Table, bus: str) -> None:
    incident = Incidents(table, utc_now).open("prod", "ap-northeast-2", Mode.AUTO, "")
    [event, record] = stream_of(table, incident)
    assert record["dynamodb"]["NewImage"]["sk"] == {"S": "META"}

    deliver([record, {"eventName": "REMOVE", "dynamodb": {"Keys": event["dynamodb"]["NewImage"]["sk"]}}])

    assert arrived(bus) == []


class Bus:
    """An EventBridge that refuses entries. `answers`: for each call, the error codes of its entries, None for taken."""

    def __init__(self, *answers: Sequence[str | None]) -> None:
        self._answers = list(answers)
        self.calls: list[list[Any]] = []

    def put_events(self, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803 - the API's name
        self.calls.append(Entries)
        codes = self._answers.pop(0) if self._answers else [None] * len(Entries)
        return {"Entries": [{"ErrorCode": code} if code else {"EventId": "1"} for code in codes]}


def entries(number: int, detail: str = "") -> list[tuple[str, Entry]]:
    return [
        (
            "prod-1",
            Entry(id=f"prod-1#{item:03}", at=AT, by="U1 (ada)", stage=Stage.PLAN, state=State.DONE, detail=detail),
        )
        for item in range(number)
    ]


def announcer(bus: Bus) -> Announcer:
    return Announcer(bus, "default", lambda _incident: "prod")  # type: ignore[arg-type]


def ids(call: list[Any]) -> list[str]:
    return [json.loads(item["Detail"])["id"][-3:] for item in call]


def test_more_than_ten_go_in_several_calls_in_their_order() -> None:
    bus = Bus()

    announcer(bus).announce(entries(23))

    assert [len(call) for call in bus.calls] == [10, 10, 3]
    assert [id_ for call in bus.calls for id_ in ids(call)] == [f"{number:03}" for number in range(23)]


def test_only_what_was_refused_is_put_again() -> None:
    bus = Bus([None, "ThrottlingException", None], ["InternalFailure"])

    announcer(bus).announce(entries(3))

    assert [ids(call) for call in bus.calls] == [["000", "001", "002"], ["001"], ["001"]]


def test_what_is_refused_for_good_is_an_error_that_says_why() -> None:
    bus = Bus(*[["NotAuthorizedForSourceException"]] * 3)

    with pytest.raises(EventsNotPut, match="1 events are not on bus default: NotAuthorizedForSourceException"):
        announcer(bus).announce(entries(1))


@pytest.mark.parametrize("worst", ["\x00", "\N{MAN}\N{ZERO WIDTH JOINER}", '"', "é"])
def test_ten_of_the_largest_entries_fit_into_one_call(worst: str) -> None:
    bus = Bus()
    largest = entry("i" * 200, AT, Stage.ROLLBACK_APPROVAL, State.REMINDED, worst * 9000, worst * 9000, EventDetail())

    announcer(bus).announce([("i" * 80, largest)] * 10)

    [call] = bus.calls
    assert sum(len(item["Detail"].encode()) + len(item["DetailType"]) + 100 for item in call) < MAX_REQUEST_BYTES
