"""Modes approve and observe: people decide, by signed clicks on the message's buttons."""

from __future__ import annotations

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ApprovalState
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient


def test_given_mode_approve_when_asked_then_slack_shows_buttons_and_nothing_is_changed(
    lab: Lab, unanswered: str
) -> None:
    incident = lab.incident_of(unanswered)
    assert incident.open
    assert incident.approval is not None
    assert incident.plan is not None
    assert incident.approval.plan_hash == incident.plan.hash
    [message] = lab.messages(incident.id)
    assert lab.buttons(message) == ["approve", "reject"]
    [token] = lab.task_tokens(incident.id)
    assert token not in str(lab.slack("GET", "/_control/messages"))
    assert lab.changes(incident.id) == []


def test_given_mode_observe_when_diagnosed_then_the_plan_is_shown_and_everything_is_as_before(
    lab: Lab, sick: Patient
) -> None:
    before = sick.world()
    ended, incident = lab.remediate(sick.name, mode="observe")
    assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.OBSERVED)
    assert sick.world() == before
    message = lab.message_saying(incident.id, "plan ready, nothing was changed")
    assert lab.buttons(message) == ["run_again"]


def test_given_a_question_when_rejected_then_everything_is_as_before(lab: Lab, sick: Patient) -> None:
    before = sick.world()
    execution = lab.start(sick.name, mode="approve")
    incident = lab.incident_when_known(execution)
    lab.click(lab.message_saying(incident.id, "If nobody answers"), "reject")
    assert lab.end_of(execution).status == "SUCCEEDED"
    rejected = lab.incidents.get(incident.id)
    assert rejected.outcome is Outcome.REJECTED
    assert rejected.approval is not None
    assert rejected.approval.state is ApprovalState.REJECTED
    assert sick.world() == before
    message = lab.message_saying(incident.id, "left as it is, nothing was changed")
    assert lab.buttons(message) == ["run_again"]


def test_given_a_question_when_approved_by_a_click_then_the_pods_are_healed(lab: Lab, sick: Patient) -> None:
    execution = lab.start(sick.name, mode="approve")
    incident = lab.incident_when_known(execution)
    lab.click(lab.message_saying(incident.id, "If nobody answers"), "approve")
    assert lab.end_of(execution).status == "SUCCEEDED"
    healed = lab.incidents.get(incident.id)
    assert healed.outcome is Outcome.HEALED
    assert healed.approval is not None
    assert healed.approval.state is ApprovalState.APPROVED
    assert healed.approval.decided_by is not None
    assert healed.approval.decided_by.slack_user == "U0000ONCALL"
    assert len(sick.moved()) == 2
    message = lab.message_saying(incident.id, "healed")
    assert lab.buttons(message) == ["rollback"]
    assert len(lab.messages(incident.id)) == 1
