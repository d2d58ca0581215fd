"""The page, as a person with a browser uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local.slack.browser import Browser, BrowserError, find_chromium
from tests.stack.slack.harness import CHANNEL, ON_CALL, VIEWER, App, Slack, plain, section
from tests.stack.slack.test_interactivity import MODAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium or Chrome on this machine: install one to test the page"
)
CONFIRM = {
    "title": plain("Really?"),
    "text": plain("Pods will move."),
    "confirm": plain("Yes, do it"),
    "deny": plain("No"),
}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.launch(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(window: Browser, slack: Slack) -> Browser:
    window.open(f"{slack.url}/?user={ON_CALL}")
    window.wait_for_text("# eks-incidents")
    return window


def at(ts: str, list_id: str = "messages") -> str:
    """The selector of a message."""
    return f'#{list_id} [data-ts="{ts}"]'


def post(slack: Slack, text: str, **more: Any) -> str:
    return str(slack.client.chat_postMessage(channel=CHANNEL, text=text, **more)["ts"])


def test_a_message_appears_and_changes_without_a_reload(browser: Browser, slack: Slack) -> None:
    ts = post(slack, "first", blocks=[{"type": "header", "text": plain(":hourglass_flowing_sand: Working")}])
    browser.wait_for_text("⏳ Working", within=at(ts))

    slack.client.chat_update(channel=CHANNEL, ts=ts, text=":white_check_mark: *Done*")

    browser.wait_for_text("✅ Done", within=at(ts))
    browser.wait_for_text("(edited)", within=at(ts))


def test_a_click_reaches_the_app_and_what_the_app_writes_is_shown(browser: Browser, slack: Slack, app: App) -> None:
    ts = slack.post_button()

    browser.click("Approve", within=at(ts))
    received = app.next()
    slack.client.chat_update(channel=CHANNEL, ts=ts, text="Approved", blocks=[section("Approved")])

    assert received.signature_is_valid
    assert received.payload["user"]["id"] == ON_CALL
    browser.wait_for_text("Approved", within=at(ts))


def test_a_button_rests_while_the_app_works_and_can_then_be_pressed_again(
    browser: Browser, slack: Slack, app: App
) -> None:
    ts = slack.post_button()
    app.replies.clear()

    browser.click("Approve", within=at(ts))
    browser.wait_until(f"!!document.querySelector('{at(ts)} [aria-busy]')")
    app.replies.set()
    browser.click("Approve", within=f"{at(ts)} :not([aria-busy])")

    assert [app.next().payload["type"], app.next().payload["type"]] == ["block_actions", "block_actions"]


def test_a_confirmation_is_shown_and_only_yes_presses_the_button(browser: Browser, slack: Slack, app: App) -> None:
    ts = slack.post_button(confirm=CONFIRM)

    browser.click("Approve", within=at(ts))
    browser.wait_for_text("Pods will move.", within="dialog:modal")
    browser.click("No")
    browser.click("Approve", within=at(ts), confirm="Yes, do it")

    assert app.next().payload["message"]["ts"] == ts
    assert app.pending == 0


def test_a_failing_app_shows_as_a_warning_at_the_message(browser: Browser, slack: Slack, app: App) -> None:
    app.status = 503
    ts = slack.post_button()

    browser.click("Approve", within=at(ts))

    browser.wait_for_text("⚠️ The app responded with status code 503.", within=f"{at(ts)} [role=alert]")


def test_the_person_chosen_is_the_one_who_clicks_and_sees(browser: Browser, slack: Slack, app: App) -> None:
    slack.client.chat_postEphemeral(channel=CHANNEL, user=ON_CALL, text="for on-call alone")
    browser.wait_for_text("for on-call alone")
    ts = slack.post_button()

    browser.open(f"{slack.url}/?user={VIEWER}")
    browser.click("Approve", within=at(ts))

    assert app.next().payload["user"]["id"] == VIEWER
    assert "for on-call alone" not in browser.text()


def test_whatever_a_cluster_writes_stays_text(browser: Browser, slack: Slack) -> None:
    hostile = "<img src=x onerror=alert(1)> <script>alert(2)</script> &lt;b&gt; <javascript:alert(3)|click>"
    ts = post(slack, hostile, blocks=[section(hostile), {"type": "header", "text": plain("<i>raw</i>")}])

    browser.wait_for_text("<i>raw</i>", within=at(ts))

    content = browser.text(at(ts))
    assert "<img src=x onerror=alert(1)> <script>alert(2)</script> <b>" in content
    made = browser.evaluate(
        f"[...document.querySelectorAll('{at(ts)} .block-section :is(img, script, b, i, a)')].length"
    )
    assert made == 0


def test_mrkdwn_is_shown_as_slack_shows_it(browser: Browser, slack: Slack) -> None:
    text = (
        "*bold* _italic_ ~gone~ `a*b*c` snake_case_name <https://example.com/?a=1&amp;b=2|docs> <@U0000ONCALL>\n"
        "&gt; quoted\n• item with `code`\n```\nNAME  IP\n```"
    )
    ts = post(slack, text)
    browser.wait_for_text("quoted", within=at(ts))

    html = browser.evaluate(f"document.querySelector('{at(ts)} .text').innerHTML")

    assert "<strong>bold</strong> <em>italic</em> <s>gone</s> <code>a*b*c</code> snake_case_name" in html
    assert 'href="https://example.com/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">docs</a>' in html
    assert '<span class="mention">@on-call</span>' in html
    assert "<blockquote>quoted</blockquote>" in html
    assert "<div>item with <code>code</code></div>" in html
    assert "<pre>NAME  IP</pre>" in html


def test_replies_open_in_a_panel_beside(browser: Browser, slack: Slack) -> None:
    ts = post(slack, "the incident")
    reply = post(slack, "a detail", thread_ts=ts)

    browser.click("1 reply", within=at(ts))

    browser.wait_for_text("a detail", within=at(reply, "thread-messages"))
    assert "a detail" not in browser.text("#messages")


def test_a_reply_that_is_broadcast_is_seen_in_the_channel_and_leads_to_its_thread(
    browser: Browser, slack: Slack
) -> None:
    ts = post(slack, "the question")
    reply = post(slack, "it expires soon", thread_ts=ts, reply_broadcast=True)

    browser.wait_for_text("it expires soon", within=at(reply))
    browser.click("replied to a thread", within=at(reply))

    browser.wait_for_text("the question", within=at(ts, "thread-messages"))


def test_a_permalink_opens_at_its_message_and_marks_it(browser: Browser, slack: Slack) -> None:
    ts = post(slack, "the one")
    for number in range(40):
        post(slack, f"later {number}")

    browser.open(slack.client.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"])

    browser.wait_until(f"!!document.querySelector('{at(ts)}.highlight')")
    top, bottom, height = browser.evaluate(
        f"(() => {{ const r = document.querySelector('{at(ts)}').getBoundingClientRect();"
        " return [r.top, r.bottom, innerHeight]; })()"
    )
    assert 0 < top < bottom < height


def test_a_modal_is_filled_in_and_sent(browser: Browser, slack: Slack, app: App) -> None:
    browser.click("Approve", within=at(slack.post_button()))
    slack.client.views_open(trigger_id=app.next().payload["trigger_id"], view=MODAL)

    browser.click("Send", within="#view")
    browser.wait_for_text("Please complete this required field.", within="#view")
    browser.type("because", into="#view input")
    browser.click("Send", within="#view")

    values = app.next().payload["view"]["state"]["values"]
    assert values == {"reason": {"text": {"type": "plain_text_input", "value": "because"}}}
    browser.wait_until("!document.querySelector('dialog:modal')")


def test_a_person_writes_in_the_channel(browser: Browser, slack: Slack) -> None:
    browser.type("looking <into> it", into="#composer-text")
    browser.click("Send", within="#composer")

    browser.wait_for_text("looking <into> it", within="#messages")
    assert slack.messages()[-1]["user"] == ON_CALL


def test_a_picture_of_one_message_is_a_png_of_its_size(browser: Browser, slack: Slack, tmp_path: Path) -> None:
    ts = post(slack, "a picture")
    browser.wait_for_text("a picture", within=at(ts))
    width = browser.evaluate(f"document.querySelector('{at(ts)}').getBoundingClientRect().width")

    browser.screenshot(tmp_path / "message.png", selector=at(ts))

    png = (tmp_path / "message.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert abs(int.from_bytes(png[16:20], "big") - width) <= 1


def test_a_button_that_is_not_there_is_reported_with_those_that_are(browser: Browser) -> None:
    with pytest.raises(BrowserError, match=r"one button 'Nowhere', but see \[.*'Send'"):
        browser.click("Nowhere", timeout=0.2)


def test_an_empty_channel_says_what_to_do(browser: Browser, slack: Slack) -> None:
    browser.open(f"{slack.url}/archives/C0RANDOM?user={ON_CALL}")

    browser.wait_for_text("Nothing here yet", within="#empty")
    assert "kubectl scale deployment" in browser.text("#empty")


def test_on_a_phone_the_message_has_the_width_of_the_screen_and_fields_stand_one_below_the_other(
    browser: Browser, slack: Slack
) -> None:
    fields = {"type": "section", "fields": [{"type": "mrkdwn", "text": f"field {number}"} for number in range(2)]}
    ts = post(slack, "fields", blocks=[fields])
    browser.wait_for_text("field 1", within=at(ts))
    place = f"[...document.querySelectorAll('{at(ts)} .field')].map((each) => each.getBoundingClientRect().x)"
    wide = browser.evaluate(place)

    browser.resize(390, 844)
    try:
        narrow = browser.evaluate(place)
        width = browser.evaluate(f"document.querySelector('{at(ts)}').getBoundingClientRect().width")
        scrolls = browser.evaluate("document.documentElement.scrollWidth > innerWidth")
    finally:
        browser.resize(1280, 900)

    assert wide[0] < wide[1]
    assert narrow[0] == narrow[1]
    assert width > 380
    assert not scrolls


def test_without_an_emoji_font_marks_are_read_as_letters(browser: Browser, slack: Slack) -> None:
    ts = post(slack, ":white_check_mark: done :x: failed :tada:")

    browser.open(f"{slack.url}/?user={ON_CALL}&emoji=none")

    browser.wait_for_text("[ok] done [x] failed :tada:", within=at(ts))


def test_a_person_can_go_through_many_pages_and_back(browser: Browser, slack: Slack) -> None:
    # More than the six connections that a browser opens to a server.
    for number in range(9):
        browser.open(f"{slack.url}/?user={ON_CALL}&visit={number}")
        browser.wait_for_text("# eks-incidents")

    browser.evaluate("history.back()")
    browser.wait_until("location.search.endsWith('visit=7')")
    post(slack, "written after the return")

    browser.wait_for_text("written after the return")
