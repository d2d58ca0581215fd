"""The report of an incident: one page that says what the record says, and runs nothing that a cluster sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, SignalSummary
from ip_remediator_cli.commands.report import Material, render
from tests.unit.support import records
from tests.unit.support.facts import snapshot, zone

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FACTS = snapshot(zone("a", stuck=1), zone("b", free=100))
TIMELINE = [
    {"at": "2026-03-01T10:00:00.000000+00:00", "what": "incident opened", "by": "signals", "detail": "<script>"}
]
CHANGE = ChangeMade(kind=ChangeKind.ENICONFIG, target="ap-northeast-2a", before={"spec": {"subnet": "subnet-old"}})


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page(incident: Incident, *changes: ChangeMade, facts: object = FACTS) -> _Page:
    parsed = _Page()
    parsed.feed(render(Material(incident, TIMELINE, changes, facts), NOW))  # type: ignore[arg-type]
    return parsed


def test_given_an_open_question_then_nothing_is_said_to_be_left_or_decided_yet() -> None:
    result = page(records.asked())
    assert "nothing has been changed so far" in result.text
    assert "nobody" not in result.text
    assert "nothing that the incident made is left" in page(records.undone()).text


def test_given_a_remedy_with_a_command_then_it_is_shown_as_code_and_escaped() -> None:
    plan = records.PLAN
    risk = plan.risks[0].model_copy(update={"remedy": "run `aws x --y <z>`, & wait"})
    lone = plan.risks[0].model_copy(update={"remedy": "a lone ` <b>"})
    result = page(records.asked().model_copy(update={"plan": plan.model_copy(update={"risks": (risk, lone)})}))
    assert "run aws x --y <z>, & wait" in result.text
    assert "a lone ` <b>" in result.text
    assert "b" not in [tag for tag, _ in result.tags]


def test_given_a_healed_incident_then_the_page_tells_cause_plan_pods_changes_and_their_undo() -> None:
    incident = records.healed()
    result = page(incident, CHANGE)
    assert incident.diagnosis is not None
    assert incident.plan is not None
    assert incident.verification is not None
    for text in (
        incident.id,
        incident.diagnosis.summary,
        incident.plan.expectation,
        incident.plan.hash,
        "subnet-old",
        "restored as it was before",
        f"ip-remediator rollback {incident.id}",
        *(pod.address for pod in incident.verification.healed),
        *(risk.id for risk in incident.plan.risks),
    ):
        assert str(text) in result.text


@pytest.mark.parametrize("incident", [records.incident(), records.asked(), records.healed(), records.undone()])
def test_given_an_incident_at_any_stage_then_there_is_a_page(incident: Incident) -> None:
    assert incident.id in page(incident, facts=None).text


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    result = page(records.healed(reason="<img src=x onerror=alert(1)>"), CHANGE)
    assert {tag for tag, _ in result.tags} & {"script", "img", "link", "iframe", "object"} == set()
    assert [attributes for _, attributes in result.tags if {"src", "href", "onerror"} & attributes.keys()] == []
    assert "<script>" in result.text  # shown as what was written
    assert re.search(r"url\(", render(Material(records.healed(), TIMELINE, (), FACTS), NOW)) is None


def test_tables_have_headers_and_the_page_a_language_a_title_and_one_heading_of_the_first_order() -> None:
    result = page(records.healed(), CHANGE)
    tags = [tag for tag, _ in result.tags]
    assert ("html", {"lang": "en"}) in result.tags
    assert tags.count("h1") == tags.count("main") == 1
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in result.tags if tag == "th")


@pytest.mark.parametrize("kind", ChangeKind)
def test_every_change_has_a_name_for_people_and_how_it_is_taken_back(kind: ChangeKind) -> None:
    change = ChangeMade(kind=kind, target="target-1")
    assert "_" not in str(change)
    assert str(change).endswith(" target-1")
    assert ("cannot be undone" in page(records.healed(), change).text) is not kind.outstanding


def test_given_a_run_that_people_started_then_no_signals_are_counted() -> None:
    started = records.healed().model_copy(update={"signals": SignalSummary()})
    assert "0 signals" not in page(started).text
