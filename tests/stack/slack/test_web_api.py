"""The Web API, through Slack's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import urllib3
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from tests.stack.slack.harness import BOT_TOKEN, CHANNEL, ON_CALL, Slack, plain, section

if TYPE_CHECKING:
    from collections.abc import Callable


def refusal(call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(SlackApiError) as caught:
        call()
    answer: dict[str, Any] = caught.value.response.data
    return answer


def test_the_client_authenticates_and_learns_who_it_is(slack: Slack) -> None:
    answer = slack.client.auth_test()

    assert answer["user_id"] == "U0REMEDIATOR"
    assert answer["url"] == f"{slack.url}/"


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
def test_a_call_without_the_right_token_is_refused(slack: Slack, token: str, error: str) -> None:
    client = WebClient(token=token, base_url=f"{slack.url}/api/")

    assert refusal(client.auth_test)["error"] == error


def test_a_message_is_posted_by_name_and_updated_in_place_with_every_version_kept(slack: Slack) -> None:
    posted = slack.client.chat_postMessage(channel="#eks-incidents", text="one", blocks=[section("one")])

    slack.client.chat_update(channel=posted["channel"], ts=posted["ts"], text="two", blocks=[section("two")])

    record = slack.record_of(posted["ts"])
    assert [version["text"] for version in record["versions"]] == ["one", "two"]
    assert record["versions"][0]["at"] < record["versions"][1]["at"]
    assert record["blocks"][0]["text"]["text"] == "two"


def test_an_update_with_text_alone_removes_the_blocks_and_marks_the_message_edited(slack: Slack) -> None:
    posted = slack.client.chat_postMessage(channel=CHANNEL, text="one", blocks=[section("one")])

    blocks_alone = {"channel": CHANNEL, "ts": posted["ts"], "blocks": [section("two")]}
    with_blocks = slack.client.api_call("chat.update", json=blocks_alone)
    with_text = slack.client.chat_update(channel=CHANNEL, ts=posted["ts"], text="three")

    assert "edited" not in with_blocks["message"]
    assert with_blocks["text"] == "one"
    assert "blocks" not in with_text["message"]
    assert with_text["message"]["edited"]["user"] == "U0REMEDIATOR"


def test_blocks_come_back_with_the_ids_that_interactions_will_name(slack: Slack) -> None:
    blocks: list[dict[str, Any]] = [{"type": "actions", "elements": [{"type": "button", "text": plain("Go")}]}]

    posted = slack.client.chat_postMessage(channel=CHANNEL, text="go", blocks=blocks)

    block = posted["message"]["blocks"][0]
    assert block["block_id"]
    assert block["elements"][0]["action_id"]


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"text": "x"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": ["C0INCIDENTS"], "text": "x"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C0RANDOM", "text": "x"}, "not_in_channel"),
        ("chat.postMessage", {"channel": CHANNEL}, "no_text"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": CHANNEL, "blocks": "oops"}, "invalid_blocks_format"),
        ("chat.postMessage", {"channel": CHANNEL, "blocks": [{"type": "nope"}]}, "invalid_blocks"),
        ("chat.postMessage", {"channel": CHANNEL, "blocks": [section("x" * 2500)] * 5}, "msg_blocks_too_long"),
        ("chat.update", {"channel": CHANNEL, "ts": "1.000001", "text": "x"}, "message_not_found"),
        ("chat.update", {"channel": "#eks-incidents", "ts": "1.000001", "text": "x"}, "channel_not_found"),
        ("chat.postEphemeral", {"channel": CHANNEL, "user": "U0NOBODY", "text": "x"}, "user_not_in_channel"),
        ("chat.getPermalink", {"channel": CHANNEL, "message_ts": "1.000001"}, "message_not_found"),
        ("conversations.replies", {"channel": CHANNEL, "ts": "1.000001"}, "thread_not_found"),
        ("conversations.history", {"channel": CHANNEL, "limit": "many"}, "invalid_arguments"),
        ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
        ("usergroups.users.list", {"usergroup": "S0NOBODY"}, "no_such_subteam"),
        ("views.open", {"trigger_id": "1.2.3", "view": {"type": "modal"}}, "invalid_trigger_id"),
        ("views.update", {"view_id": "V0", "view": {"type": "modal"}}, "not_found"),
        ("chat.nothing", {}, "unknown_method"),
    ],
)
def test_a_call_that_slack_would_refuse_is_refused_with_slacks_error(
    slack: Slack, method: str, arguments: dict[str, Any], error: str
) -> None:
    assert refusal(lambda: slack.client.api_call(method, json=arguments))["error"] == error


def test_an_update_too_long_or_of_someone_elses_message_is_refused(slack: Slack) -> None:
    mine = slack.client.chat_postMessage(channel=CHANNEL, text="x")["ts"]
    post = {"user": ON_CALL, "channel": CHANNEL, "text": "<looking> & waiting"}
    theirs = slack.request("POST", "/_page/say", post).json()["ts"]

    too_long = refusal(lambda: slack.client.chat_update(channel=CHANNEL, ts=mine, text="x" * 4001))
    not_mine = refusal(lambda: slack.client.chat_update(channel=CHANNEL, ts=theirs, text="x"))

    assert too_long["error"] == "msg_too_long"
    assert not_mine["error"] == "cant_update_message"
    assert slack.record_of(theirs)["text"] == "&lt;looking&gt; &amp; waiting"


def test_a_refusal_of_blocks_says_what_is_wrong_and_where(slack: Slack) -> None:
    blocks: list[dict[str, Any]] = [{"type": "divider"}, {"type": "header", "text": plain("x" * 151)}]

    answer = refusal(lambda: slack.client.chat_postMessage(channel=CHANNEL, text="x", blocks=blocks))

    expected = "[ERROR] must be less than 151 characters [json-pointer:/blocks/1/text]"
    assert answer["response_metadata"]["messages"] == [expected]


def test_arguments_are_taken_from_a_form_too(slack: Slack) -> None:
    form = urlencode({"token": BOT_TOKEN, "channel": CHANNEL, "blocks": '[{"type": "divider"}]'})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    url = f"{slack.url}/api/chat.postMessage"
    answer = urllib3.request("POST", url, body=form, headers=headers).json()

    assert answer["ok"], answer
    assert answer["message"]["blocks"][0]["type"] == "divider"


@pytest.mark.parametrize(("body", "error"), [("{", "invalid_json"), ("[]", "json_not_object")])
def test_a_body_that_is_no_json_object_is_refused(slack: Slack, body: str, error: str) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {BOT_TOKEN}"}

    answer = urllib3.request("POST", f"{slack.url}/api/auth.test", body=body, headers=headers)

    assert (answer.status, answer.json()["error"]) == (200, error)


def test_replies_are_in_the_thread_and_not_in_the_history(slack: Slack) -> None:
    parent = slack.client.chat_postMessage(channel=CHANNEL, text="parent")["ts"]
    reply = slack.client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=parent)["ts"]

    thread = slack.client.conversations_replies(channel=CHANNEL, ts=parent)["messages"]
    history = slack.client.conversations_history(channel=CHANNEL, limit=1)

    assert [item["ts"] for item in thread] == [parent, reply]
    assert [item["ts"] for item in history["messages"]] == [parent]


def test_an_ephemeral_message_is_seen_by_one_person_and_cannot_be_updated(slack: Slack) -> None:
    ts = slack.client.chat_postEphemeral(channel=CHANNEL, user=ON_CALL, text="for you")["message_ts"]

    visible = {
        user: ts in [item["ts"] for item in slack.request("GET", f"/_page/state?user={user}").json()["messages"]]
        for user in ("U0000ONCALL", "U000VIEWER")
    }

    assert visible == {"U0000ONCALL": True, "U000VIEWER": False}
    newest = slack.client.conversations_history(channel=CHANNEL)["messages"]
    assert ts not in [item["ts"] for item in newest]
    error = refusal(lambda: slack.client.chat_update(channel=CHANNEL, ts=ts, text="x"))["error"]
    assert error == "message_not_found"


def test_a_permalink_leads_to_the_page(slack: Slack) -> None:
    ts = slack.client.chat_postMessage(channel=CHANNEL, text="here")["ts"]

    permalink = slack.client.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"]

    assert permalink == f"{slack.url}/archives/{CHANNEL}/p{ts.replace('.', '')}"
    assert urllib3.request("GET", permalink).headers["content-type"].startswith("text/html")


def test_people_channels_and_groups_can_be_looked_up(slack: Slack) -> None:
    channels = slack.client.conversations_list()["channels"]

    assert CHANNEL in [channel["id"] for channel in channels]
    assert slack.client.conversations_info(channel=CHANNEL)["channel"]["name"] == "eks-incidents"
    assert slack.client.users_info(user=ON_CALL)["user"]["name"] == "on-call"
    assert ON_CALL in slack.client.usergroups_users_list(usergroup="S0000ONCALL")["users"]


def test_a_reply_that_is_broadcast_is_in_the_thread_and_in_the_channel(slack: Slack) -> None:
    ts = slack.client.chat_postMessage(channel=CHANNEL, text="the question")["ts"]

    slack.client.chat_postMessage(channel=CHANNEL, text="quietly", thread_ts=ts)
    reply = slack.client.chat_postMessage(channel=CHANNEL, text="for all", thread_ts=ts, reply_broadcast=True)

    assert reply["message"]["subtype"] == "thread_broadcast"
    in_thread = [message["text"] for message in slack.client.conversations_replies(channel=CHANNEL, ts=ts)["messages"]]
    in_channel = [
        message["text"] for message in slack.client.conversations_history(channel=CHANNEL, oldest=ts)["messages"]
    ]
    assert in_thread == ["the question", "quietly", "for all"]
    assert in_channel == ["for all"]


def test_every_call_is_recorded_without_its_token(slack: Slack) -> None:
    slack.client.chat_postMessage(channel=CHANNEL, text="recorded")
    refusal(lambda: slack.client.chat_postMessage(channel="C0NOWHERE", text="refused"))

    first, second = slack.calls()[-2:]

    assert (first["method"], first["args"]["text"], first["error"]) == ("chat.postMessage", "recorded", None)
    assert second["error"] == "channel_not_found"
    assert BOT_TOKEN not in str(slack.calls())
