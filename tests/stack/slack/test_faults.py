"""Faults that a caller of Slack must be able to bear."""

from __future__ import annotations

import http.client

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

from tests.stack.slack.harness import CHANNEL, Slack


def test_a_rate_limit_strikes_the_method_it_names_and_the_client_waits_it_out(slack: Slack) -> None:
    slack.fault(method="chat.postMessage", status=429, retry_after=0, times=2)
    slack.client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=2))

    slack.client.auth_test()
    slack.client.chat_postMessage(channel=CHANNEL, text="at last")

    posts = [item for item in slack.calls() if item["args"].get("text") == "at last"]
    assert [item["fault"] and item["fault"]["status"] for item in posts] == [429, 429, None]
    assert [item["text"] for item in slack.messages()].count("at last") == 1


def test_a_rate_limit_says_when_to_come_back(slack: Slack) -> None:
    slack.fault(status=429, retry_after=7)

    with pytest.raises(SlackApiError) as caught:
        slack.client.auth_test()

    assert caught.value.response["error"] == "ratelimited"
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_server_error_and_a_platform_error_reach_the_caller(slack: Slack) -> None:
    slack.fault(status=503)
    slack.fault(error="fatal_error")

    with pytest.raises(SlackApiError) as down:
        slack.client.auth_test()
    with pytest.raises(SlackApiError) as fatal:
        slack.client.auth_test()

    assert down.value.response.status_code == 503
    assert fatal.value.response["error"] == "fatal_error"
    assert slack.client.auth_test()["ok"]


@pytest.mark.parametrize(("when", "posted"), [("before", 0), ("after", 1)])
def test_an_answer_may_be_lost_before_or_after_the_call_took_effect(slack: Slack, when: str, posted: int) -> None:
    text = f"lost {when}"
    slack.fault(method="chat.postMessage", drop=True, when=when)

    with pytest.raises(http.client.IncompleteRead):
        slack.client.chat_postMessage(channel=CHANNEL, text=text)

    assert [message["text"] for message in slack.messages()].count(text) == posted


def test_faults_can_be_cleared(slack: Slack) -> None:
    slack.fault(status=500, times=100)

    assert slack.request("DELETE", "/_control/faults").status == 204

    assert slack.request("GET", "/_control/faults").json() == []
    assert slack.client.auth_test()["ok"]


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({}, "exactly one of"),
        ({"status": 500, "drop": True}, "exactly one of"),
        ({"status": 200}, "status"),
        ({"error": "x", "times": 0}, "times"),
        ({"error": "x", "when": "never"}, "when"),
        ({"eror": "x"}, "eror"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_its_field(
    slack: Slack, fault: dict[str, object], field: str
) -> None:
    answer = slack.fault(**fault)

    assert answer.status == 400
    assert field in answer.json()["error"]
