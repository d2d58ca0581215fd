"""People press the buttons in a real browser; the deployed functions answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ApprovalState, Incident
from local.slack.browser import Browser, find_chromium
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.support.patience import within
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None, reason="no Chromium or Chrome on this machine: install one to press the buttons"
    ),
]
# The newest one with a headline: replies that are shown in the channel as well stand below it.
LEAVE = "Leave as it is"
MESSAGE = "#messages > :nth-last-child(1 of .message:has(.block-header))"
CURE_SECONDS, ROLLBACK_SECONDS = 90.0, 180.0


@pytest.fixture(scope="module")
def browser(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.launch(tmp_path_factory.mktemp("browser"), height=1500) as window:
        window.open(lab.stack.servers.slack_url)
        window.wait_for_text("# eks-incidents")
        yield window


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    """Two pods without an address, known to nobody yet."""
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


def add_block(lab: Lab, execution: str) -> str:
    """What the button reads that carries the plan out."""
    plan = lab.incident_of(execution).plan
    assert plan is not None
    return f"Add {plan.block}"


def asked(lab: Lab, cluster: Patient, browser: Browser) -> str:
    """Starts a run and waits until the page shows its question; the execution."""
    execution = lab.start(cluster.name)
    incident = eventually("the incident is open", lambda: lab.incidents.open_incident(cluster.name))
    browser.wait_for_text(str(incident), within=MESSAGE, timeout=within(CURE_SECONDS))
    browser.wait_for_text("If nobody answers", within=MESSAGE, timeout=within(CURE_SECONDS))
    return execution


def test_given_a_question_when_somebody_presses_reject_then_nothing_is_changed(
    lab: Lab, sick: Patient, browser: Browser
) -> None:
    before = sick.world()
    execution = asked(lab, sick, browser)

    browser.click(LEAVE, within=MESSAGE)
    browser.wait_for_text(f"{sick.name}: Leave it as it is?", within="#confirm")
    browser.wait_for_text("Nothing changes: 2 pods go on waiting", within="#confirm")
    browser.click(LEAVE, within="#confirm")

    browser.wait_for_text("left as it is, nothing was changed", within=MESSAGE, timeout=within(CURE_SECONDS))
    lab.end_of(execution)
    incident = lab.incident_of(execution)
    assert incident.outcome is Outcome.REJECTED
    assert sick.world() == before
    assert LEAVE not in browser.buttons()


def test_given_a_question_when_the_confirmation_is_cancelled_then_it_stays_open(
    lab: Lab, sick: Patient, browser: Browser
) -> None:
    execution = asked(lab, sick, browser)

    browser.click(add_block(lab, execution), within=MESSAGE, confirm="Cancel")

    incident = lab.incident_of(execution)
    assert incident.approval is not None
    assert incident.approval.state is ApprovalState.PENDING
    browser.click(LEAVE, within=MESSAGE, confirm=LEAVE)
    browser.wait_for_text("left as it is, nothing was changed", within=MESSAGE, timeout=within(CURE_SECONDS))
    lab.end_of(execution)


def test_given_a_question_when_somebody_approves_and_later_rolls_back_then_pods_are_healed_and_the_vpc_is_as_before(
    lab: Lab, sick: Patient, browser: Browser
) -> None:
    before = sick.world()
    execution = asked(lab, sick, browser)

    add = add_block(lab, execution)
    browser.click(add, within=MESSAGE)
    browser.wait_for_text(f"{sick.name}: {add}?", within="#confirm")
    browser.wait_for_text("6 changes.", within="#confirm")
    browser.click(add, within="#confirm")
    browser.wait_for_text(f"{sick.name}: healed", within=MESSAGE, timeout=within(CURE_SECONDS))

    lab.end_of(execution)
    incident = lab.incident_of(execution)
    assert len(sick.moved()) == 2
    assert incident.approval is not None
    assert incident.approval.state is ApprovalState.APPROVED
    assert "U0000ONCALL" in str(incident.approval.decided_by)
    assert_details_are_in_a_modal(browser, incident)

    browser.click("Roll back…", within=MESSAGE, confirm="Check")
    browser.wait_for_text("2 pods have addresses of its subnets", within=MESSAGE, timeout=within(CURE_SECONDS))
    assert len(sick.moved()) == 2
    browser.click("Roll back, evict 2 pods", within=MESSAGE)
    browser.wait_for_text("2 pods will be evicted", within="#confirm")
    browser.click("Evict 2 pods", within="#confirm")
    browser.wait_for_text("is free again", within=MESSAGE, timeout=within(ROLLBACK_SECONDS))

    assert lab.incidents.get(incident.id).outcome is Outcome.ROLLED_BACK
    assert sick.world() == before


def assert_details_are_in_a_modal(browser: Browser, incident: Incident) -> None:
    """One message in the channel; every change and manifest is one click away."""
    assert incident.plan is not None
    browser.click(f"All {len(incident.plan.changes)} changes", within=MESSAGE)
    for change in incident.plan.changes:
        browser.wait_for_text(change.description, within="#view")
    browser.wait_for_text("kind: ENIConfig", within="#view")
    browser.click("Close", within="#view")
    browser.wait_until("!document.querySelector('dialog:modal')")
