"""The report of an incident in a real browser: light, dark, wide, narrow, printed. axe-core finds nothing serious."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident
from ip_remediator_cli.commands.report import Material, render
from local.slack.browser import Browser, find_chromium
from tests.e2e.accessibility import serious_findings
from tests.unit.support import records
from tests.unit.support.facts import snapshot, zone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome on this machine"),
]
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FACTS = snapshot(zone("a", stuck=1), zone("b", free=100))
TIMELINE = [
    {
        "at": f"2026-03-01T10:00:{second:02}.000000+00:00",
        "what": "configure_cni done",
        "by": "arn:aws:states:eu-west-1:111122223333:execution:eks-ip-remediator-RemediationStateMachine-abc:demo",
        "detail": "set AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true ENI_CONFIG_LABEL_DEF=topology.kubernetes.io/zone",
    }
    for second in range(20)
]
CHANGES = (
    ChangeMade(kind=ChangeKind.VPC_CIDR, target="100.64.0.0/16"),
    ChangeMade(kind=ChangeKind.ENICONFIG, target="ap-northeast-2a", before={"spec": {"subnet": "subnet-old"}}),
)
WIDE, NARROW = (1280, 900), (390, 844)
INCIDENTS = {"healed": records.healed(), "undone": records.undone(), "asked": records.asked()}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.launch(tmp_path_factory.mktemp("browser")) as window:
        yield window


def shown(browser: Browser, folder: Path, incident: Incident) -> None:
    file = folder / "report.html"
    file.write_text(render(Material(incident, TIMELINE, CHANGES, FACTS), NOW), encoding="utf-8")
    browser.open(file.as_uri())
    browser.wait_for_text(incident.id)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("incident", INCIDENTS.values(), ids=INCIDENTS)
def test_given_a_report_when_it_is_seen_then_it_fits_and_axe_finds_nothing_serious(
    browser: Browser, tmp_path: Path, incident: Incident, size: tuple[int, int], scheme: str
) -> None:
    browser.resize(*size)
    browser.prefer(scheme)
    shown(browser, tmp_path, incident)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(255, 255, 255)")
    assert serious_findings(browser) == []


def test_given_a_report_when_it_is_printed_then_it_is_a_document_of_some_pages(
    browser: Browser, tmp_path: Path
) -> None:
    browser.prefer("light")
    shown(browser, tmp_path, records.healed())
    printed = browser.pdf()
    assert printed.startswith(b"%PDF-")
    assert 1 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 6


def test_given_a_page_without_a_name_for_its_picture_then_axe_is_seen_to_find_it(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.html"
    file.write_text("<!doctype html><html><body><img src='data:,'><button></button></body></html>")
    browser.open(file.as_uri())
    assert {finding.partition(":")[0] for finding in serious_findings(browser)} >= {"image-alt", "button-name"}
