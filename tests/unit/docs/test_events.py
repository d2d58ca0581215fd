"""docs/events.md and its schema say what the code puts on the bus, and no rule of ours takes it for a signal."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from ip_remediator.incidents.record import ApprovalState, Step, StepState
from ip_remediator.incidents.timeline import EVENT_SOURCE, EventDetail, Stage, StageEvent, State
from ip_remediator.signals.events import Dropped, parse_eventbridge
from scripts import event_schema
from tests.support.templates import resources
from tests.unit.docs.documents import ROOT, rows, sections

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    return sections((ROOT / "docs" / "events.md").read_text())


def events() -> list[StageEvent]:
    """One event of each stage and state, with every fact."""
    facts = {
        "mode": "auto",
        "verdict": "subnet_exhausted",
        "block": "100.64.0.0/22",
        "strategy": "custom-networking",
        "plan_hash": "0f4c",
        "expires_at": AT,
        "healed": 2,
        "still_stuck": 0,
        "error": "FailedCreatePodSandBox",
        "outcome": "healed",
    }
    assert facts.keys() == EventDetail.model_fields.keys()
    return [
        StageEvent(
            id="shop-1#1", at=AT, by="U1 (ada)", stage=stage, state=state, incident="shop-1", cluster="shop", **facts
        )
        for stage in Stage
        for state in State
    ]


def on_the_bus(event: StageEvent) -> dict[str, Any]:
    return {
        "id": "1",
        "source": EVENT_SOURCE,
        "detail-type": event.detail_type,
        "time": AT.isoformat(),
        "account": "000000000000",
        "region": "eu-west-1",
        "resources": [],
        "detail": event.model_dump(mode="json", exclude_none=True),
    }


def test_the_schema_is_the_models() -> None:
    assert event_schema.FILE.read_text() == event_schema.text(), "run: python scripts/event_schema.py"


def test_every_event_and_the_pages_example_fit_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(event_schema.schema())
    for event in events():
        validator.validate(on_the_bus(event)["detail"])
    [example, *_] = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "events.md").read_text(), re.DOTALL)
    validator.validate(json.loads(example))


def test_every_step_of_an_incident_and_every_answer_has_its_stage_and_state() -> None:
    assert set(Step) <= {stage.value for stage in Stage}
    assert {*StepState, *ApprovalState} <= {state.value for state in State}


def test_the_page_names_every_stage_and_state(page: dict[str, str]) -> None:
    stages = list(rows(page["Stages"]))
    assert {stage for row in stages for stage in re.findall(r"`(\w+)`", row["stage"])} == set(Stage)
    assert {state for row in stages for state in re.findall(r"`(\w+)`", row["states"])} == set(State)


def test_no_rule_that_leads_to_the_signals_lets_an_event_of_ours_in() -> None:
    rules = [resource["Properties"] for resource in resources().values() if resource["Type"] == "AWS::Events::Rule"]
    feeding = [rule["EventPattern"] for rule in rules if "SignalsQueue" in str(rule["Targets"])]
    assert len(feeding) >= 2
    for pattern in feeding:
        assert pattern["source"] == [{"anything-but": EVENT_SOURCE}] or all(
            str(source).startswith("aws.") for source in pattern["source"]
        )


def test_no_event_of_ours_is_taken_for_a_signal() -> None:
    for event in events():
        assert isinstance(parse_eventbridge(on_the_bus(event), received_at=AT), Dropped)
