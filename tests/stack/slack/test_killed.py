"""The workspace is killed and started again: Slack loses no message, no button and no open modal."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from local.stack.processes import Server, answers
from tests.stack.slack.harness import BOT_TOKEN, CHANNEL, ON_CALL, SIGNING_SECRET, App, Slack, plain, section
from tests.support.patience import within

pytestmark = pytest.mark.slow

KILLS = 3
VIEW = {"type": "modal", "title": plain("Details"), "blocks": [section("Why")]}


class Killable(Slack):
    """A workspace of the test's own, that outlives its server."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(f"http://127.0.0.1:{port}")
        arguments = [f"--port={port}", f"--signing-secret={SIGNING_SECRET}", f"--bot-token={BOT_TOKEN}"]
        arguments += [f"--answer-seconds={within(3)}", f"--state={folder / 'state' / 'workspace.sqlite'}"]
        self.server = Server("local.slack", arguments, folder / "log")
        self.server.await_ready(lambda: answers(self.url))

    def kill(self) -> None:
        self.server.kill()
        self.server.start_again()


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Killable]:
    slack = Killable(tmp_path)
    yield slack
    slack.server.stop()


@pytest.fixture
def killable_app(killable: Killable) -> Iterator[App]:
    app = App()
    killable.send_clicks_to(app.url)
    yield app
    app.close()


class Poster:
    """Posts and updates messages until the workspace is gone. `acknowledged`: text by ts as it was answered."""

    def __init__(self, slack: Slack) -> None:
        self.acknowledged: dict[str, str] = {}
        self.cut: str | None = None
        self._slack = slack
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        client = self._slack.client
        ts = ""
        for number in range(100_000):
            text = f"{number} {'x' * 2000}"
            self.cut = text
            try:
                if ts and number % 2:
                    client.chat_update(channel=CHANNEL, ts=ts, text=text)
                else:
                    ts = str(client.chat_postMessage(channel=CHANNEL, text=text)["ts"])
            except (OSError, http.client.HTTPException):
                return
            self.acknowledged[ts], self.cut = text, None


def test_given_messages_when_the_workspace_is_killed_at_any_moment_then_none_is_lost_and_their_order_goes_on(
    killable: Killable,
) -> None:
    latest = ""
    for _ in range(KILLS):
        poster = Poster(killable)
        time.sleep(random.uniform(0.05, 0.5))
        killable.server.kill()
        poster.thread.join()
        killable.server.start_again()

        posted = {message["ts"]: message["text"] for message in killable.messages()}
        assert list(posted) == sorted(posted)
        for ts, text in poster.acknowledged.items():
            assert posted[ts] in (text, poster.cut)
        after = str(killable.client.chat_postMessage(channel=CHANNEL, text="after")["ts"])
        assert after > max([latest, *posted])
        latest = after


def test_given_versions_threads_metadata_and_a_deletion_when_the_workspace_is_killed_then_everything_is_as_before(
    killable: Killable,
) -> None:
    metadata = {"event_type": "incident", "event_payload": {"id": "inc-1"}}
    ts = str(killable.client.chat_postMessage(channel=CHANNEL, text="one", metadata=metadata)["ts"])
    killable.client.chat_update(channel=CHANNEL, ts=ts, text="two")
    killable.client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=ts)
    killable.client.chat_postEphemeral(channel=CHANNEL, user=ON_CALL, text="for you")
    before = killable.messages()
    history: Any = killable.client.conversations_history(channel=CHANNEL, include_all_metadata=True)["messages"]

    killable.kill()

    assert killable.messages() == before
    assert [version["text"] for version in killable.record_of(ts)["versions"]] == ["one", "two"]
    again: Any = killable.client.conversations_history(channel=CHANNEL, include_all_metadata=True)["messages"]
    assert again == history
    assert history[0]["metadata"] == metadata


def test_given_a_click_when_the_workspace_is_killed_then_its_response_url_and_trigger_still_work_as_often_as_before(
    killable: Killable, killable_app: App
) -> None:
    ts = killable.post_button()
    killable.click(ts)
    payload = killable_app.next().payload
    place = payload["response_url"].removeprefix(killable.url)
    for number in range(4):
        assert killable.request("POST", place, {"text": f"{number}", "replace_original": True}).status == 200
    opened: Any = killable.client.views_open(trigger_id=payload["trigger_id"], view=VIEW)

    killable.kill()

    assert killable.request("POST", place, {"text": "5", "replace_original": True}).status == 200
    assert killable.record_of(ts)["text"] == "5"
    assert killable.request("POST", place, {"text": "6"}).status == 404
    with pytest.raises(SlackApiError, match=r"exchanged_trigger_id|expired_trigger_id"):
        killable.client.views_open(trigger_id=payload["trigger_id"], view=VIEW)
    view = opened["view"]
    updated: Any = killable.client.views_update(view_id=view["id"], hash=view["hash"], view=VIEW)
    assert updated["view"]["id"] == view["id"]


def test_given_a_request_url_when_the_workspace_is_killed_then_clicks_still_reach_the_app(
    killable: Killable, killable_app: App
) -> None:
    ts = killable.post_button()

    killable.kill()

    assert killable.click(ts) is None
    assert killable_app.next().payload["message"]["ts"] == ts
