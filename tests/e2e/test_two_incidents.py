"""Two clusters ask at once in one channel: what is pressed concerns the cluster that it names, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ApprovalState
from local.cluster.scenario_spec import Scenario
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
CURE_SECONDS = 90.0
PHONE = (390, 844)


@pytest.fixture
def clusters(lab: Lab) -> Iterator[tuple[Patient, Patient]]:
    with patient(lab, replace(Scenario(), cluster="shop-prod")) as prod, lab.beside("shop-staging") as beside:
        tags = beside.stack.servers.endpoint_tags
        with patient(beside, replace(Scenario(), cluster="shop-staging", endpoint_tags=tags)) as staging:
            for cluster in (prod, staging):
                cluster.settle(running=8, stuck=2)
            yield prod, staging


@pytest.fixture
def browser(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.launch(tmp_path_factory.mktemp("browser"), *PHONE) as window:
        window.open(lab.stack.servers.slack_url)
        window.wait_for_text("# eks-incidents")
        yield window


def message_of(cluster: Patient, browser: Browser, text: str) -> str:
    """A selector of the message once its headline has `text`. The page draws a message anew when it changes."""
    mark = (
        f"(() => {{ const message = [...document.querySelectorAll('#messages > .message')].find((message) => "
        f"message.querySelector('.block-header')?.innerText.includes({json.dumps(f'{cluster.name}: {text}')}));"
        f" message?.setAttribute('data-cluster', {json.dumps(cluster.name)}); return !!message; }})()"
    )
    browser.wait_until(mark, lambda: f"{cluster.name}: {text} in {browser.text('#messages')}", within(CURE_SECONDS))
    return f"[data-cluster='{cluster.name}']"


def test_given_two_open_questions_when_one_is_approved_and_the_other_left_then_each_dialog_names_its_own_cluster(
    lab: Lab, clusters: tuple[Patient, Patient], browser: Browser
) -> None:
    prod, staging = clusters
    executions = {cluster.name: cluster.lab.start(cluster.name) for cluster in clusters}
    for cluster in clusters:
        browser.click("All 6 changes", within=message_of(cluster, browser, "2 pods have no IP address. Add"))
        browser.wait_for_text(f"{cluster.name}: 6 changes of plan", within="#view")
        browser.click("Close", within="#view")
    blocks = {cluster.name: _block(lab, executions[cluster.name]) for cluster in clusters}
    assert len(set(blocks.values())) == 2

    browser.click("Leave as it is", within=message_of(staging, browser, "2 pods have no IP address. Add"))
    browser.wait_for_text(f"{staging.name}: Leave it as it is?", within="#confirm")
    browser.click("Leave as it is", within="#confirm")
    add = f"Add {blocks[prod.name]}"
    browser.click(add, within=message_of(prod, browser, "2 pods have no IP address. Add"))
    browser.wait_for_text(f"{prod.name}: {add}?", within="#confirm")
    browser.click(add, within="#confirm")

    message_of(staging, browser, "left as it is, nothing was changed")
    healed = message_of(prod, browser, "healed, 2 pods are running")
    browser.wait_for_text(f"{staging.name}: Add {blocks[staging.name]}? Settled, left as it is by", within="#messages")
    browser.wait_for_text(f"{prod.name}: {add}? Settled, approved by", within="#messages")
    browser.click("Roll back…", within=healed)
    browser.wait_for_text(f"{prod.name}: Roll back?", within="#confirm")
    browser.click("Cancel", within="#confirm")

    for cluster, outcome, answer in (
        (prod, Outcome.HEALED, ApprovalState.APPROVED),
        (staging, Outcome.REJECTED, ApprovalState.REJECTED),
    ):
        lab.end_of(executions[cluster.name])
        incident = lab.incident_of(executions[cluster.name])
        assert incident.approval is not None
        assert (incident.outcome, incident.approval.state) == (outcome, answer)
    assert len(prod.moved()) == 2
    assert staging.moved() == {}


def _block(lab: Lab, execution: str) -> str:
    plan = eventually("the plan", lambda: lab.incident_of(execution).plan)
    return str(plan.block)
