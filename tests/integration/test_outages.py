"""Slack away: the remediation goes on, and Amazon SNS tells people instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from tests.integration.support.lab import PERMANENT, Lab
from tests.integration.support.patient import Patient
from tests.support.waiting import eventually


@contextmanager
def slack_outage(lab: Lab) -> Iterator[None]:
    for fault in ({"method": "chat.postMessage", "status": 500}, {"method": "chat.update", "drop": True}):
        lab.slack("POST", "/_control/faults", {**fault, "times": PERMANENT})
    try:
        yield
    finally:
        lab.slack("DELETE", "/_control/faults")


def test_given_slack_is_away_when_remediated_then_the_pods_are_healed_and_sns_tells_so(lab: Lab, sick: Patient) -> None:
    with slack_outage(lab):
        ended, incident = lab.remediate(sick.name)
        assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.HEALED)
        assert len(sick.moved()) == 2
        alerts = eventually("SNS tells of the cure", lambda: alerts_of(lab, incident), healed, seconds=90)
    assert lab.messages(incident.id) == []
    assert any("Slack could not be used" in alert["Message"] for alert in alerts)
    # One e-mail for each state, or a few where another container sends one again, but not one for each step.
    assert len(alerts) <= 2 * len({alert["Subject"] for alert in alerts})


def healed(alerts: list[dict[str, Any]]) -> bool:
    return any("healed" in alert["Subject"] for alert in alerts)


def alerts_of(lab: Lab, incident: Incident) -> list[dict[str, Any]]:
    return [alert for alert in lab.alerts.bodies() if incident.id in alert["Message"]]
