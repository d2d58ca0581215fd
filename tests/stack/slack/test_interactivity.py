"""Clicks and modals as the app sees them."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from local.slack.services import Settings
from tests.stack.slack.harness import CHANNEL, ON_CALL, VIEWER, App, Slack, address_of, plain, section, start_process
from tests.support.patience import within

MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "why",
    "title": plain("Why?"),
    "submit": plain("Send"),
    "private_metadata": "inc-1",
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "text"},
        }
    ],
}
VALUES = {"reason": {"text": {"type": "plain_text_input", "value": "because"}}}


def submit(slack: Slack, view_id: str, user: str = ON_CALL) -> dict[str, Any]:
    body = {"user": user, "view_id": view_id, "values": VALUES}
    answer: dict[str, Any] = slack.request("POST", "/_page/submit", body).json()
    return answer


def open_modal(slack: Slack, app: App, **changes: Any) -> dict[str, Any]:
    """Opens a modal in answer to a click, as an app does; the view."""
    slack.click(slack.post_button())
    trigger_id = app.next().payload["trigger_id"]
    view: dict[str, Any] = slack.client.views_open(trigger_id=trigger_id, view={**MODAL, **changes})["view"]
    return view


def open_views(slack: Slack, user: str = ON_CALL) -> list[dict[str, Any]]:
    views: list[dict[str, Any]] = slack.request("GET", f"/_page/state?user={user}").json()["views"]
    return views


@pytest.fixture(autouse=True)
def no_open_modals(slack: Slack) -> None:
    for view in open_views(slack):
        slack.request("POST", "/_page/close", {"user": ON_CALL, "view_id": view["id"]})


def test_a_click_is_signed_and_says_who_pressed_what_where(slack: Slack, app: App) -> None:
    ts = slack.post_button(style="primary")

    problem = slack.click(ts, VIEWER)

    received = app.next()
    payload = received.payload
    assert problem is None
    assert received.signature_is_valid
    assert received.content_type == "application/x-www-form-urlencoded"
    assert payload["type"] == "block_actions"
    assert payload["user"] == {"id": VIEWER, "username": "viewer", "name": "viewer", "team_id": "T0LOCAL"}
    assert payload["channel"] == {"id": CHANNEL, "name": "eks-incidents"}
    assert payload["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": CHANNEL,
        "is_ephemeral": False,
    }
    assert payload["message"]["ts"] == ts
    assert payload["message"]["blocks"][1]["block_id"] == "decide"
    [action] = payload["actions"]
    assert float(action.pop("action_ts")) > float(ts)
    assert action == {
        "type": "button",
        "action_id": "approve",
        "block_id": "decide",
        "text": plain("Approve"),
        "value": "inc-1",
        "style": "primary",
    }
    assert payload["team"]["id"] == "T0LOCAL"
    assert payload["api_app_id"].startswith("A")


def test_an_app_that_fails_shows_as_a_problem_with_its_status(slack: Slack, app: App) -> None:
    app.status = 500

    assert slack.click(slack.post_button()) == "The app responded with status code 500."


def test_an_app_that_takes_longer_than_slack_waits_shows_as_a_problem(app: App) -> None:
    app.replies.clear()
    process = start_process("--port", "0", "--answer-seconds", "0.5", "--interactivity-url", app.url)
    try:
        slack = Slack(address_of(process))
        problem = slack.click(slack.post_button())
        last = slack.request("GET", "/_control/interactions").json()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=within(10))

    assert problem == "The app did not respond within 0.5 seconds."
    assert last["status"] is None
    assert last["seconds"] > 0.4


def test_slack_waits_three_seconds() -> None:
    assert Settings("http://127.0.0.1:1", "secret", "token").answer_seconds == 3


def test_a_click_with_nowhere_to_go_shows_as_a_problem(slack: Slack) -> None:
    not_configured = slack.click(slack.post_button())
    closed = App()
    closed.close()
    slack.send_clicks_to(closed.url)

    assert not_configured == "This app is not configured to handle interactive responses."
    assert slack.click(slack.post_button()) == "The app could not be reached."


def test_a_response_url_replaces_then_deletes_the_message(slack: Slack, app: App) -> None:
    ts = slack.post_button()
    slack.click(ts)
    respond = WebhookClient(app.next().payload["response_url"])

    replaced = respond.send(text="Approved", blocks=[section("Approved")], replace_original=True)
    record = slack.record_of(ts)
    deleted = respond.send(delete_original=True)

    assert (replaced.status_code, deleted.status_code) == (200, 200)
    assert record["blocks"][0]["text"]["text"] == "Approved"
    assert slack.record_of(ts)["deleted"]


def test_a_response_url_answers_only_the_person_unless_told_otherwise(slack: Slack, app: App) -> None:
    slack.click(slack.post_button(), VIEWER)
    respond = WebhookClient(app.next().payload["response_url"])

    respond.send(text="only you")
    respond.send(text="everybody", response_type="in_channel")

    private, public = slack.messages()[-2:]
    assert (private["text"], private["ephemeral_to"]) == ("only you", VIEWER)
    assert (public["text"], public["ephemeral_to"]) == ("everybody", None)


def test_a_response_url_serves_five_times(slack: Slack, app: App) -> None:
    slack.click(slack.post_button())
    respond = WebhookClient(app.next().payload["response_url"])

    statuses = [respond.send(text=f"answer {item}").status_code for item in range(6)]

    assert statuses == [200] * 5 + [404]
    assert '"used_url"' in respond.send(text="again").body


def test_a_modal_opens_for_the_person_who_clicked_and_once_for_a_trigger(slack: Slack, app: App) -> None:
    slack.click(slack.post_button())
    trigger_id = app.next().payload["trigger_id"]

    view = slack.client.views_open(trigger_id=trigger_id, view=MODAL)["view"]
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        slack.client.views_open(trigger_id=trigger_id, view=MODAL)

    assert [one["id"] for one in open_views(slack)] == [view["id"]]
    assert open_views(slack, VIEWER) == []


def test_a_submitted_modal_reaches_the_app_with_what_was_typed_and_closes(slack: Slack, app: App) -> None:
    view = open_modal(slack, app)

    answer = submit(slack, view["id"])

    received = app.next()
    assert answer == {"problem": None, "errors": {}}
    assert received.signature_is_valid
    assert received.payload["type"] == "view_submission"
    assert received.payload["view"]["state"]["values"] == VALUES
    assert received.payload["view"]["private_metadata"] == "inc-1"
    assert received.payload["view"]["callback_id"] == "why"
    assert open_views(slack) == []


def test_an_app_may_object_to_a_field_and_the_modal_stays(slack: Slack, app: App) -> None:
    view = open_modal(slack, app)
    app.answer = {"response_action": "errors", "errors": {"reason": "Say more."}}

    answer = submit(slack, view["id"])

    assert answer["errors"] == {"reason": "Say more."}
    assert [one["id"] for one in open_views(slack)] == [view["id"]]


def test_an_app_may_update_push_and_clear_modals(slack: Slack, app: App) -> None:
    view = open_modal(slack, app)
    other = {**MODAL, "title": plain("Sure?")}

    app.answer = {"response_action": "update", "view": other}
    submit(slack, view["id"])
    updated = open_views(slack)
    app.answer = {"response_action": "push", "view": MODAL}
    submit(slack, view["id"])
    pushed = open_views(slack)
    app.answer = {"response_action": "clear"}
    submit(slack, pushed[-1]["id"])

    assert [one["title"]["text"] for one in updated] == ["Sure?"]
    assert [one["title"]["text"] for one in pushed] == ["Sure?", "Why?"]
    assert open_views(slack) == []


def test_a_modal_the_app_answers_badly_is_a_problem_and_stays(slack: Slack, app: App) -> None:
    view = open_modal(slack, app)
    app.answer = {"response_action": "update", "view": {"type": "modal"}}

    answer = submit(slack, view["id"])

    assert answer["problem"] == "The app's answer was refused: invalid_arguments."
    assert [one["id"] for one in open_views(slack)] == [view["id"]]


def test_a_view_is_updated_only_if_the_hash_is_still_the_one_known(slack: Slack, app: App) -> None:
    view = open_modal(slack, app)

    updated = slack.client.views_update(view_id=view["id"], hash=view["hash"], view=MODAL)["view"]
    with pytest.raises(SlackApiError, match="hash_conflict"):
        slack.client.views_update(view_id=view["id"], hash=view["hash"], view=MODAL)

    assert updated["hash"] != view["hash"]


def test_a_view_is_found_by_the_id_that_the_app_gave_it(slack: Slack, app: App) -> None:
    view = open_modal(slack, app, external_id="mine-1")

    updated = slack.client.views_update(external_id="mine-1", view={**MODAL, "external_id": "mine-1"})["view"]

    assert updated["id"] == view["id"]
    with pytest.raises(SlackApiError, match="not_found"):
        slack.client.views_update(external_id="mine-2", view=MODAL)


def test_a_view_over_250_kb_is_refused(slack: Slack, app: App) -> None:
    view = open_modal(slack, app)
    blocks = [{"type": "section", "text": {"type": "plain_text", "text": "x" * 2900}}] * 90

    with pytest.raises(SlackApiError, match="view_too_large"):
        slack.client.views_update(view_id=view["id"], view={**MODAL, "blocks": blocks})


def test_a_closed_modal_is_reported_if_the_view_asked_for_it(slack: Slack, app: App) -> None:
    view = open_modal(slack, app, notify_on_close=True)

    slack.request("POST", "/_page/close", {"user": ON_CALL, "view_id": view["id"]})

    assert app.next().payload["type"] == "view_closed"
    assert open_views(slack) == []


def test_nobody_acts_on_what_only_another_person_sees(slack: Slack, app: App) -> None:
    button = {"type": "button", "action_id": "approve", "text": plain("Approve")}
    blocks: list[dict[str, Any]] = [{"type": "actions", "block_id": "decide", "elements": [button]}]
    sent = slack.client.chat_postEphemeral(channel=CHANNEL, user=ON_CALL, text="for you", blocks=blocks)
    place = {"channel": CHANNEL, "ts": sent["message_ts"], "block_id": "decide", "action_id": "approve"}

    theirs = slack.request("POST", "/_page/click", {"user": VIEWER, **place})
    own = slack.request("POST", "/_page/click", {"user": ON_CALL, **place})

    assert (theirs.status, theirs.json()["error"]) == (409, "message_not_found")
    assert own.status == 200
    assert app.next().payload["container"]["is_ephemeral"] is True
