"""What fuzzing found: one test for each bug."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from slack_sdk.signature import SignatureVerifier

from ip_remediator.signals.correlation import Rules, should_open_incident
from ip_remediator.signals.events import Dropped, DropReason, Signal, parse_eventbridge
from ip_remediator.signals.logs import parse_logs
from ip_remediator.slack_interactions.requests import Refused, read_click
from ip_remediator_cli.commands.signals import read_records
from ip_remediator_cli.errors import BadInput
from tests.fuzz.sources import clicked

SAMPLES = Path(__file__).parents[1] / "data" / "signals"
CLICK = clicked("details", "incident")
RECEIVED_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("field", ["first_seen", "last_seen"])
def test_given_an_own_signal_from_the_future_then_it_was_seen_when_it_was_received(field: str):
    event = json.loads((SAMPLES / "own_signal.json").read_text())
    event["detail"][field] = (RECEIVED_AT + timedelta(days=3650)).isoformat()
    result = parse_eventbridge(event, received_at=RECEIVED_AT)
    assert isinstance(result, Signal)
    assert result.first_seen <= result.last_seen <= RECEIVED_AT


def test_given_an_own_signal_that_ends_before_it_begins_then_it_is_one_moment():
    event = json.loads((SAMPLES / "own_signal.json").read_text())
    event["detail"] |= {"first_seen": "2026-03-02T08:30:00Z", "last_seen": "2026-03-02T08:00:00Z"}
    result = parse_eventbridge(event, received_at=RECEIVED_AT)
    assert isinstance(result, Signal)
    assert result.first_seen == result.last_seen == datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["9" * 5_000, '{"detail": {}}\n' + "9" * 5_000])
def test_given_a_number_of_thousands_of_digits_when_read_by_the_command_then_a_complaint_and_no_traceback(text: str):
    with pytest.raises(BadInput, match="digits"):
        read_records(text, "events.json")


def test_given_a_signature_that_is_no_text_when_checked_then_the_request_is_refused():
    headers = {"x-slack-request-timestamp": str(int(RECEIVED_AT.timestamp())), "x-slack-signature": "v0=\ud800"}
    event = {"requestContext": {"http": {"method": "POST"}}, "headers": headers, "body": "payload={}"}
    with pytest.raises(Refused, match="signature"):
        read_click(event, "a-signing-secret", RECEIVED_AT.timestamp())


def test_given_half_of_a_surrogate_pair_in_a_click_when_read_then_it_can_be_handed_on():
    click = json.loads(CLICK)
    click["user"]["username"] = click["trigger_id"] = "\ud800"
    body = "payload=" + quote(json.dumps(click))
    timestamp = str(int(RECEIVED_AT.timestamp()))
    signature = SignatureVerifier("a-signing-secret").generate_signature(timestamp=timestamp, body=body)
    headers = {"x-slack-request-timestamp": timestamp, "x-slack-signature": signature}
    event = {"requestContext": {"http": {"method": "POST"}}, "headers": headers, "body": body}
    result = read_click(event, "a-signing-secret", RECEIVED_AT.timestamp())
    assert result is not None
    assert result.user_name == "?"
    assert result.view.startswith("details-")


def test_given_a_weak_signal_of_the_first_year_then_it_does_not_fail_the_others_of_its_cluster():
    event = json.loads((SAMPLES / "own_signal.json").read_text())
    event["detail"] |= {"strength": "weak", "first_seen": "0001-01-01T00:00:00Z", "last_seen": "0001-01-01T00:00:00Z"}
    assert parse_eventbridge(event, received_at=RECEIVED_AT) == Dropped(reason=DropReason.INVALID_SIGNAL)


def test_given_a_log_line_of_the_first_year_then_it_was_seen_when_it_was_received():
    batch = json.loads((SAMPLES / "logs_dataplane.json").read_text())
    batch["logEvents"] = [{**batch["logEvents"][0], "timestamp": -62135596800000}]
    data = base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()
    (result,) = parse_logs({"awslogs": {"data": data}}, received_at=RECEIVED_AT)
    assert isinstance(result, Signal)
    assert result.last_seen == RECEIVED_AT
    assert not should_open_incident([result], Rules.of("2", "15", "15"))
