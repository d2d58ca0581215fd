"""What people see of each stage in the local Slack page, at a desk and on a phone; axe-core finds nothing serious."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, RollbackState
from ip_remediator.incidents.replacement_record import ReplacementState
from ip_remediator.notifications.messages.message import render
from local.slack.browser import Browser, find_chromium
from tests.e2e.accessibility import serious_findings
from tests.stack.slack.harness import CHANNEL, ON_CALL, Slack, address_of, start_process
from tests.support.patience import within
from tests.unit.notifications.test_messages_replacement import partly, replacing
from tests.unit.notifications.test_messages_rollback import question, rolling
from tests.unit.support import records

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome on this machine"),
]
DESK, PHONE = (1280, 900), (390, 844)
STAGES = {
    "opened": records.incident(),
    "asked": records.asked(),
    "healed": records.healed(),
    "undone": records.undone(),
    "partly healed": partly(),
    "nodes being replaced": replacing(ReplacementState.RUNNING),
    "rollback asked": question(),
    "rolled back": rolling(RollbackState.DONE, outcome=Outcome.ROLLED_BACK),
}


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    process = start_process("--port", "0")
    try:
        yield Slack(address_of(process))
    finally:
        process.terminate()
        process.communicate(timeout=within(10))


@pytest.fixture(scope="module")
def browser(slack: Slack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.launch(tmp_path_factory.mktemp("browser")) as window:
        window.open(f"{slack.url}/?user={ON_CALL}")
        window.wait_for_text("# eks-incidents")
        yield window


def shown(browser: Browser, slack: Slack, incident: Incident) -> str:
    """Posts the incident's message; its selector on the page."""
    message = render(incident)
    assert message is not None
    ts = slack.client.chat_postMessage(channel=CHANNEL, text=message.text, blocks=message.blocks)["ts"]
    place = f'#messages [data-ts="{ts}"]'
    browser.wait_until(f"!!document.querySelector('{place}')")
    browser.evaluate(f"document.querySelector('{place}').scrollIntoView({{block: 'start'}})")
    return place


def test_given_an_empty_channel_then_axe_finds_nothing_serious(browser: Browser) -> None:
    for size in (DESK, PHONE):
        browser.resize(*size)
        assert serious_findings(browser) == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("incident", STAGES.values(), ids=STAGES)
def test_given_a_stage_then_its_message_fits_and_axe_finds_nothing_serious(
    browser: Browser, slack: Slack, incident: Incident, size: tuple[int, int]
) -> None:
    browser.resize(*size)
    place = shown(browser, slack, incident)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate(f"document.querySelector('{place}').getBoundingClientRect().right <= innerWidth")
    assert serious_findings(browser) == []


def test_given_a_question_on_a_phone_then_its_headline_and_its_buttons_are_seen_together(
    browser: Browser, slack: Slack
) -> None:
    browser.resize(*PHONE)
    place = shown(browser, slack, records.asked())
    heights = browser.evaluate(
        f"(() => {{ const message = document.querySelector('{place}');"
        " const top = message.querySelector('.block-header').getBoundingClientRect().top;"
        " const buttons = [...message.querySelectorAll('button')].map((one) => one.getBoundingClientRect().bottom);"
        " return [top, Math.max(...buttons)]; })()"
    )
    assert heights[1] - heights[0] < PHONE[1] - 120, heights
