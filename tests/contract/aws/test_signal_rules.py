"""The rules of template.yaml let the recorded events through that become signals, and hold back what they can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "data" / "signals"
HELD_BACK = {"alarm_back_to_ok", "alarm_composite", "alarm_of_other_service", "event_unrelated", "own_signal"}


@pytest.fixture(scope="module")
def patterns() -> list[dict[str, Any]]:
    resources = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
    return [resources[name]["Properties"]["EventPattern"] for name in ("AlarmsRule", "KubernetesEventsRule")]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("[aeo]*.json")), ids=lambda path: path.stem)
def test_given_a_recorded_event_when_it_is_put_then_a_rule_lets_it_through_or_not(
    aws: LocalAws, patterns: list[dict[str, Any]], path: Path
) -> None:
    events = aws.client("events")
    matched = [
        events.test_event_pattern(EventPattern=json.dumps(pattern), Event=path.read_text())["Result"]
        for pattern in patterns
    ]
    assert sum(matched) == (path.stem not in HELD_BACK)
