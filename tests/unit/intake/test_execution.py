"""An incident gets one execution, and its ARN is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.intake.execution import IncidentStarter
from ip_remediator.intake.window import Joined


class Window:
    def __init__(self, joined: Joined) -> None:
        self._joined = joined

    def join(self, _signals: Any) -> Joined:
        return self._joined


class Incidents:
    def __init__(self) -> None:
        self.recorded: dict[str, str] = {}

    def record_execution(self, incident: str, execution: str) -> None:
        self.recorded[incident] = execution


@pytest.mark.parametrize(
    ("joined", "recorded"),
    [
        (Joined("i-1", opened=True, start=True), {"i-1": "arn:i-1:shop-prod"}),
        (Joined("i-1", start=True), {"i-1": "arn:i-1:shop-prod"}),
        (Joined("i-1"), {}),
        (Joined(None), {}),
    ],
)
def test_given_signals_that_were_joined_then_only_an_incident_without_execution_starts_one(
    joined: Joined, recorded: dict[str, str]
) -> None:
    # given
    incidents, window = Incidents(), Window(joined)
    starter = IncidentStarter(window, incidents, lambda incident, cluster: f"arn:{incident}:{cluster}")  # type: ignore[arg-type]
    # when
    starter.take("shop-prod", [])
    # then
    assert incidents.recorded == recorded
