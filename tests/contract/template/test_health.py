"""The alarms on the remediator's own health, and its dashboard: made when asked for, each on a metric that exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.templates import resources

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", name="resources")
def _resources() -> dict[str, Any]:
    return resources()


def test_every_alarm_is_optional_tells_when_it_is_over_and_is_documented(resources: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "operations-reference.md").read_text()
    alarms = {name: one for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert len(alarms) == 16
    for name, alarm in alarms.items():
        assert alarm["Condition"] == "HasHealthTopic"
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == [{"Ref": "HealthTopicArn"}]
        documented = name.replace("Rollback", "Remediation").replace("Replacement", "Remediation")
        assert f"`{documented}`" in page


def test_the_dashboard_is_json_once_its_references_are_filled_in(resources: dict[str, Any]) -> None:
    text = resources["HealthDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    body = json.loads(re.sub(r"\$\{[\w:.]+\}", "x", text))
    assert [widget["properties"]["title"].split()[0] for widget in body["widgets"]] == [
        "Fewest",
        "Free",
        "Remediations",
        "Time",
        "Signals",
    ]
