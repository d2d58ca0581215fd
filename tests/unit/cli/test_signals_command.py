"""signals: any input in, one JSON object per record out."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Run, one_error_line

DATA = Path(__file__).parents[2] / "data" / "signals"
FIELDS = [
    "source", "cluster", "cause", "strength", "node", "zone", "pod", "first_seen", "last_seen", "id", "excerpt",
    "affected",
]  # fmt: skip


def sample(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "cause", "strength"),
    [
        ("alarm_metric", "no_address", "weak"),
        ("alarm_contributor_notification", "no_address", "weak"),
        ("event_sandbox", "no_address", "weak"),
        ("event_node_monitoring_agent", "subnet_full", "strong"),
        ("event_missing_iam_permissions", "cni_iam", "strong"),
        ("event_sandbox_other_cause", "other", "weak"),
    ],
)
def test_given_an_event_when_read_from_a_file_then_one_line_has_every_field(
    run: Run, name: str, cause: str, strength: str
) -> None:
    ran = run("signals", str(DATA / f"{name}.json"))
    [signal] = ran.lines
    assert ran.status == 0
    assert list(signal) == FIELDS
    assert (signal["cause"], signal["strength"], signal["cluster"]) == (cause, strength, "shop-prod")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alarm_back_to_ok", "not_in_alarm"),
        ("event_unrelated", "unrelated_reason"),
        ("logs_control_message", "control_message"),
    ],
)
def test_given_what_is_no_signal_then_the_reason_of_the_drop_is_printed(run: Run, name: str, reason: str) -> None:
    assert run("signals", str(DATA / f"{name}.json")).lines == [{"dropped": reason}]


def test_given_a_list_or_lines_then_there_is_a_line_for_each_record_in_order(run: Run) -> None:
    records = [sample("event_sandbox"), {"what": "ever"}, 7, sample("alarm_metric")]
    as_list = run("signals", "-", stdin=records).lines
    as_lines = run("signals", "-", stdin="\n\n".join(map(json.dumps, records)) + "\n").lines
    assert [line.get("cause") or line["dropped"] for line in as_list] == [
        "no_address",
        "not_an_event",
        "not_an_event",
        "no_address",
    ]
    assert as_lines == as_list


def test_given_a_log_batch_packed_or_not_then_every_log_event_gives_the_same_line(run: Run) -> None:
    batch = sample("logs_dataplane")
    packed = {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()}}
    lines = run("signals", "-", stdin=packed).lines
    assert len(lines) == len(batch["logEvents"])
    assert run("signals", "-", stdin=batch).lines == lines


@pytest.mark.parametrize("kind", ["EventList", "List"])
def test_given_events_as_the_api_or_kubectl_lists_them_then_the_option_names_their_cluster(run: Run, kind: str) -> None:
    listed = sample("listed_events") | {"kind": kind}
    assert run("signals", "-", stdin=listed).lines == [{"dropped": "no_cluster"}] * 2
    named = run("signals", "-", "--cluster", "shop-prod", stdin=listed).lines
    assert [line["cluster"] for line in named] == ["shop-prod"] * 2
    assert [line["pod"] for line in named] == ["default/nginx-7c5ddbdf54-x2x8k", "default/nginx-7c5ddbdf54-qv9wd"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("plain text", "line 1 column 1"),
        ('{"a": 1}\n{"b":\n', "line 2"),
        ('{\n"a": 1,\n}', "line 3"),
        (b"\xff\xfe{}", "UTF-8"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_given_what_is_not_json_then_one_line_says_where_and_nothing_is_printed(
    run: Run, text: str | bytes, named: str
) -> None:
    ran = run("signals", "-", stdin=text)
    assert ran.status == 2
    assert named in one_error_line(ran)


def test_given_a_file_that_is_not_there_then_it_is_named(run: Run, tmp_path: Path) -> None:
    ran = run("signals", str(tmp_path / "none.json"))
    assert ran.status == 2
    assert "none.json cannot be read" in one_error_line(ran)


def test_given_messages_of_the_queue_then_their_bodies_are_read_those_of_dead_letters_too(run: Run) -> None:
    data = base64.b64encode(gzip.compress(json.dumps(sample("logs_dataplane_aws_node")).encode())).decode()
    given_up = {"requestPayload": {"awslogs": {"data": data}}, "responsePayload": {"errorType": "Throttled"}}
    bodies = [json.dumps(sample("event_sandbox")), json.dumps(given_up), "no JSON"]
    received = {"Messages": [{"MessageId": str(number), "Body": body} for number, body in enumerate(bodies)]}
    invoked = {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}
    lines = run("signals", "-", stdin=received).lines
    assert [line.get("cause") or line["dropped"] for line in lines] == ["no_address", "subnet_full", "not_an_event"]
    assert run("signals", "-", stdin=invoked).lines == lines


def test_given_a_line_separator_of_unicode_inside_a_string_then_it_ends_no_json_line(run: Run) -> None:
    event = sample("event_sandbox")
    event["detail"]["message"] += "\u2028\x85 again"
    text = "\r\n".join([json.dumps(event, ensure_ascii=False), json.dumps(sample("alarm_metric"))])
    assert [line["source"] for line in run("signals", "-", stdin=text).lines] == [
        "kubernetes-event",
        "cloudwatch-alarm",
    ]


def test_given_a_document_that_has_items_but_is_no_list_then_it_is_one_record(run: Run) -> None:
    assert run("signals", "-", stdin={"items": []}).lines == [{"dropped": "not_an_event"}]
