"""Executions that end in any way: nothing says afterwards that it is being worked on, and people are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import Incident, RollbackState
from ip_remediator.watchdog.rules import interrupted_change
from local.cluster.kube import NODES
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient
from tests.integration.support.rollbacks import start_rollback
from tests.support.waiting import eventually

SECONDS = 60.0
# Where a run is stopped; each is the last state of another kind: nothing made, something made, the CNI switched.
REMEDIATING = ["Diagnose", "Create a subnet in each zone", "Configure the CNI", "Verify"]
ROLLING_BACK = ["Assess what uses the block", "Stop new ENIs in the subnets", "Wait for the ENIs to leave"]


def stop_at(lab: Lab, execution: str, state: str) -> None:
    """`aws stepfunctions stop-execution`, as soon as the execution has entered the state."""
    sfn = lab.aws("stepfunctions")

    def entered() -> bool:
        events = sfn.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        return any(event.get("stateEnteredEventDetails", {}).get("name") == state for event in events)

    eventually(f"{state} is entered", entered, seconds=SECONDS)
    sfn.stop_execution(executionArn=execution, error="OnCall", cause="stopped by hand")


def settled(lab: Lab, incident: str) -> Incident:
    """Once the watchdog has looked: at the execution's end, and again when a function that ran on has ended."""

    def looked() -> Incident:
        sweep(lab)
        return lab.incidents.get(incident)

    return eventually("the watchdog has looked", looked, nothing_under_way, seconds=SECONDS)


def nothing_under_way(record: Incident) -> bool:
    return not record.open and interrupted_change(record) is None


def assert_nothing_is_held(lab: Lab, sick: Patient) -> None:
    assert lab.incidents.open_incident(sick.name) is None
    assert lab.lock_holder(sick.vpc_id) is None
    assert not any(node["spec"].get("unschedulable") for node in sick.api.get(NODES.path())["items"])


def _one_of_them_fast(states: Sequence[str], fast: str) -> list[Any]:
    """Each takes a quarter of a minute; one stands for all in the fast suite."""
    assert fast in states
    return [pytest.param(state, marks=() if state == fast else pytest.mark.slow) for state in states]


@pytest.mark.parametrize("state", _one_of_them_fast(REMEDIATING, "Configure the CNI"))
def test_given_a_remediation_that_is_stopped_by_hand_then_it_is_closed_told_and_what_stands_can_be_rolled_back(
    lab: Lab, sick: Patient, state: str
) -> None:
    before = sick.world()
    execution = lab.start(sick.name)
    incident = lab.incident_when_known(execution).id
    stop_at(lab, execution, state)
    record = settled(lab, incident)
    assert record.outcome in (Outcome.UNDONE, Outcome.FAILED, Outcome.HEALED)
    assert_nothing_is_held(lab, sick)
    if record.outcome is not Outcome.HEALED:
        assert record.failure
        assert "was stopped" in record.failure.message
        lab.message_saying(incident, "failed")
    if lab.changes(incident):
        assert lab.roll_back(incident).status == "SUCCEEDED"
    assert sick.world() == before
    settled(lab, incident)


def test_given_a_question_when_its_execution_is_stopped_then_it_has_expired_and_the_block_is_free(
    lab: Lab, sick: Patient
) -> None:
    execution = lab.start(sick.name, mode="approve")
    incident = lab.incident_when_known(execution).id
    lab.message_saying(incident, "If nobody answers")
    stop_at(lab, execution, "Ask people")
    record = settled(lab, incident)
    assert (record.outcome, record.approval and record.approval.state) == (Outcome.UNDONE, "expired")
    assert lab.ledger.reservation_of(incident) is None
    assert_nothing_is_held(lab, sick)
    assert lab.buttons(lab.message_saying(incident, "failed")) != ["approve", "reject"]


@pytest.mark.parametrize("state", _one_of_them_fast(ROLLING_BACK, "Wait for the ENIs to leave"))
def test_given_a_rollback_that_is_stopped_by_hand_then_it_is_paused_told_and_goes_on_where_it_was(
    lab: Lab, sick: Patient, state: str
) -> None:
    before = sick.world()
    _, healed = lab.remediate(sick.name)
    assert healed.outcome is Outcome.HEALED
    execution = start_rollback(lab, healed.id, confirmed=True, evict=True)
    stop_at(lab, execution, state)
    record = settled(lab, healed.id)
    assert record.rollback
    assert record.rollback.state is RollbackState.PAUSED
    assert_nothing_is_held(lab, sick)
    message = lab.message_saying(healed.id, "was stopped")
    assert "rollback" in lab.buttons(message)
    assert lab.roll_back(healed.id).status == "SUCCEEDED"
    assert sick.world() == before


def test_given_an_incident_that_was_opened_and_never_started_when_swept_then_it_is_started(
    lab: Lab, sick: Patient
) -> None:
    """The opening write took effect, its answer was lost, and the function was killed."""
    incident = lab.incidents.open(sick.name, "ap-northeast-2", Mode.AUTO, "signals")
    key = {"pk": f"INCIDENT#{incident}", "sk": "META"}
    lab.incidents._records.update(key, "SET opened_at = :then", {":then": "2026-01-01T00:00:00+00:00"})
    looked = sweep(lab)
    assert looked[incident] == "started"
    record = eventually(
        "it ends", lambda: lab.incidents.get(incident), lambda current: not current.open, seconds=SECONDS
    )
    assert record.outcome is Outcome.HEALED
    settled(lab, incident)


def sweep(lab: Lab) -> dict[str, str]:
    """What the rule does every five minutes."""
    answer = lab.aws("lambda").invoke(FunctionName="eks-ip-remediator-watchdog", Payload=b"{}")
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, document
    return dict(document["looked"])
