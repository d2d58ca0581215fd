"""Who may reach the buttons' endpoint: only Slack, only now, only with what a button sends."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import SignatureVerifier

from ip_remediator.slack_interactions.requests import MAX_BODY_BYTES, Click, Refused, read_click

SECRET = "a-signing-secret"
NOW = 1_772_359_200.0


def payload(**fields: Any) -> dict[str, Any]:
    action = {
        "action_id": "approve",
        "block_id": "approval-1a2b3c4d",
        "value": '{"approval": "Zk3-x_9"}',
        "type": "button",
    }
    return {
        "type": "block_actions",
        "user": {"id": "U0000ONCALL", "username": "on-call", "team_id": "T1"},
        "channel": {"id": "C0INCIDENTS", "name": "eks-incidents"},
        "trigger_id": "1.2.abc",
        "actions": [action],
        "response_url": "https://hooks.slack.com/actions/1",
        **fields,
    }


def action(**fields: Any) -> dict[str, Any]:
    return payload(actions=[{**payload()["actions"][0], **fields}])


def request(
    content: dict[str, Any] | str, *, at: float = NOW, secret: str = SECRET, encoded: bool = True, **fields: Any
) -> dict[str, Any]:
    """A function URL's event (payload format 2.0), signed as Slack signs."""
    body = content if isinstance(content, str) else urlencode({"payload": json.dumps(content)})
    timestamp = str(int(at))
    signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
    return {
        "version": "2.0",
        "headers": {"x-slack-request-timestamp": timestamp, "x-slack-signature": signature},
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "body": base64.b64encode(body.encode()).decode() if encoded else body,
        "isBase64Encoded": encoded,
        **fields,
    }


def status_of(event: dict[str, Any], now: float = NOW) -> int:
    with pytest.raises(Refused) as refused:
        read_click(event, SECRET, now)
    return refused.value.status


@pytest.mark.parametrize("encoded", [True, False])
def test_a_signed_click_is_read(encoded: bool):
    click = read_click(request(payload(), encoded=encoded), SECRET, NOW)

    assert click == Click(
        action="approve",
        subject="Zk3-x_9",
        offer="approval-1a2b3c4d",
        user_id="U0000ONCALL",
        user_name="on-call",
        channel="C0INCIDENTS",
        response_url="https://hooks.slack.com/actions/1",
        trigger="1.2.abc",
    )


def test_header_names_may_be_written_in_any_case():
    event = request(payload())
    event["headers"] = {name.title(): value for name, value in event["headers"].items()}

    assert read_click(event, SECRET, NOW)


@pytest.mark.parametrize("age", [-299, 0, 299])
def test_five_minutes_of_clock_difference_are_borne(age: int):
    assert read_click(request(payload(), at=NOW - age), SECRET, NOW)


@pytest.mark.parametrize("age", [-302, 302, 86_400])
def test_an_older_request_is_refused_though_its_signature_is_right(age: int):
    assert status_of(request(payload(), at=NOW - age)) == 401


def test_another_secret_is_refused():
    assert status_of(request(payload(), secret="another")) == 401


def test_a_body_changed_by_one_byte_is_refused():
    event = request(payload(), encoded=False)
    event["body"] = event["body"].replace("Zk3-x_9", "Zk3-x_8")

    assert status_of(event) == 401


@pytest.mark.parametrize(
    "timestamp", ["", " ", "yesterday", "1e9", "-5", "9" * 400, "١٧٧٢٣٥٩٢٠٠", "nan", "1772359200.5"]
)
def test_a_garbage_timestamp_is_refused(timestamp: str):
    event = request(payload())
    event["headers"]["x-slack-request-timestamp"] = timestamp

    assert status_of(event) == 401


@pytest.mark.parametrize("signature", ["", "v0=", "v1=abc", "v0=é", "v0=" + "0" * 64])
def test_a_garbage_signature_is_refused(signature: str):
    event = request(payload())
    event["headers"]["x-slack-signature"] = signature

    assert status_of(event) == 401


@pytest.mark.parametrize("name", ["x-slack-signature", "x-slack-request-timestamp"])
def test_a_missing_header_is_refused(name: str):
    event = request(payload())
    del event["headers"][name]

    assert status_of(event) == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", ""])
def test_only_post_is_answered(method: str):
    assert status_of(request(payload(), requestContext={"http": {"method": method}})) == 405


@pytest.mark.parametrize("encoded", [True, False])
def test_a_large_body_is_refused_before_its_signature_is_looked_at(encoded: bool):
    assert status_of(request("x" * (MAX_BODY_BYTES + 1), secret="another", encoded=encoded)) == 413


def test_a_body_of_the_largest_size_is_read():
    assert status_of(request("payload=" + "x" * (MAX_BODY_BYTES - 8))) == 400


def test_a_body_that_is_not_base64_is_refused():
    assert status_of(request(payload(), body="***")) == 400


@pytest.mark.parametrize(
    "content",
    [
        "payload=%7B",
        "payload=[]",
        "payload=null",
        "payload=%FF",
        "payload=" + "[" * 50_000,
        {"no": "type"},
        payload(actions="x"),
        payload(actions=[{}]),
        payload(user={}),
        action(value="{}"),
        action(value="not json"),
        action(value='{"approval": "../secret"}'),
        action(value='{"approval": ""}'),
        action(value='{"approval": "' + "x" * 81 + '"}'),
    ],
)
def test_a_malformed_payload_is_refused(content: dict[str, Any] | str):
    assert status_of(request(content)) == 400


@pytest.mark.parametrize("content", ["ssl_check=1", payload(type="view_submission"), action(action_id="another_apps")])
def test_what_is_slacks_but_no_click_of_ours_is_passed_over(content: dict[str, Any] | str):
    assert read_click(request(content), SECRET, NOW) is None


@given(st.text(max_size=200), st.text(max_size=30), st.text(max_size=90), st.booleans())
def test_nothing_unsigned_is_ever_read(body: str, timestamp: str, signature: str, encoded: bool):
    headers = {"x-slack-request-timestamp": timestamp, "x-slack-signature": signature}
    event = {**request(payload()), "body": body, "isBase64Encoded": encoded, "headers": headers}

    assert status_of(event) in (400, 401)
