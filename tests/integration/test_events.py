"""Every stage is an event on the bus, and EventBridge out of order delays nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ip_remediator.incidents.timeline import StageEvent
from tests.integration.support.deciding import answer, question
from tests.integration.support.lab import PERMANENT, Lab
from tests.integration.support.patient import Patient, patient
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


def events_of(lab: Lab, incident: str) -> list[StageEvent]:
    """As many as its timeline has entries, once they are there."""
    entries = len(lab.incidents.timeline(incident))
    result = eventually("every event is there", lambda: lab.events_of(incident), lambda events: len(events) >= entries)
    return [StageEvent.model_validate(event["detail"]) for event in result]


def test_given_a_question_when_answered_then_the_events_tell_who_asked_who_answered_and_what_came_of_it(
    lab: Lab, sick: Patient
) -> None:
    execution = lab.start(sick.name, mode="approve")
    incident = question(lab, execution)
    answer(lab, incident, "reject")
    lab.end_of(execution)

    by_title = {event.title: event for event in events_of(lab, incident.id)}

    assert by_title["incident opened"].by == execution
    assert by_title["approval pending"].plan_hash == by_title["plan done"].plan_hash
    assert by_title["approval pending"].expires_at is not None
    assert by_title["approval rejected"].by == "U0000ONCALL (on-call)"
    assert by_title["incident closed"].outcome == "rejected"


def test_given_eventbridge_takes_no_events_when_an_incident_runs_then_slack_tells_it_and_the_events_follow_later(
    lab: Lab, sick: Patient
) -> None:
    refused = {"service": "events", "action": "PutEvents", "error": "InternalException", "times": PERMANENT}
    with lab.faults(refused):
        _, incident = lab.remediate(sick.name, mode="observe")
        lab.message_saying(incident.id, "plan ready, nothing was changed")
        assert lab.events_of(incident.id) == []

    titles = [event.title for event in events_of(lab, incident.id)]

    assert titles == [entry["what"] for entry in lab.incidents.timeline(incident.id)]
