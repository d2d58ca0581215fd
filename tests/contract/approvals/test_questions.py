"""Questions to people on DynamoDB: answered once, by the first, in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ip_remediator.approvals.questions import AnsweredQuestion, ApprovalRefused, Approvals
from ip_remediator.common.actor import Actor
from ip_remediator.common.enums import Mode
from ip_remediator.incidents.record import Approval, ApprovalState
from ip_remediator.incidents.repository import Incidents
from tests.contract.conftest import Clock, at_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ADA, BOB = Actor.named("ada"), Actor.named("bob")
APPROVED, REJECTED = ApprovalState.APPROVED, ApprovalState.REJECTED


@pytest.fixture
def incidents(table: Table, clock: Clock) -> Incidents:
    return Incidents(table, clock)


@pytest.fixture
def approvals(table: Table, clock: Clock) -> Approvals:
    return Approvals(table, clock)


@pytest.fixture
def incident(incidents: Incidents, cluster: str) -> str:
    return incidents.open(cluster, "eu-west-1", Mode.APPROVE, "started by hand")


@pytest.fixture
def question(approvals: Approvals, incident: str, clock: Clock) -> Approval:
    return approvals.ask(incident, "hash-1", "token-1", clock.now + timedelta(hours=1))


def test_given_a_question_then_the_record_shows_it_without_its_token(
    incidents: Incidents, incident: str, question: Approval
) -> None:
    record = incidents.get(incident)
    assert record.approval == question
    assert question.state is ApprovalState.PENDING
    assert "token-1" not in record.model_dump_json()


def test_given_a_question_when_answered_then_plan_person_and_time_are_recorded(
    approvals: Approvals, incidents: Incidents, incident: str, question: Approval, clock: Clock
) -> None:
    clock.advance(minutes=5)
    assert approvals.decide(question.id, APPROVED, ADA) == AnsweredQuestion(incident, "token-1", "hash-1")
    decided = incidents.get(incident).approval
    assert decided
    assert (decided.state, decided.decided_by, decided.decided_at) == (APPROVED, ADA, clock.now)
    assert decided.plan_hash == "hash-1"
    entries = incidents.timeline(incident)
    assert [(entry["what"], entry["by"]) for entry in entries if entry["what"].startswith("approval")] == [
        ("approval pending", "eks-ip-remediator"),
        ("approval approved", "ada"),
    ]


def test_given_an_answered_question_then_another_answer_is_refused(
    approvals: Approvals, incidents: Incidents, incident: str, question: Approval
) -> None:
    approvals.decide(question.id, REJECTED, ADA)
    for state, by in ((APPROVED, ADA), (REJECTED, "bob"), (APPROVED, "bob")):
        with pytest.raises(ApprovalRefused, match="answered already"):
            approvals.decide(question.id, state, by)
    decided = incidents.get(incident).approval
    assert decided
    assert (decided.state, decided.decided_by) == (REJECTED, ADA)


def test_given_an_answer_whose_caller_crashed_then_the_same_answer_finds_the_waiting_execution_again(
    approvals: Approvals, question: Approval
) -> None:
    first = approvals.decide(question.id, APPROVED, ADA)
    assert approvals.decide(question.id, APPROVED, ADA) == replace(first, repeated=True)


def test_given_twenty_people_who_click_at_once_then_one_decides(
    approvals: Approvals, incidents: Incidents, incident: str, question: Approval
) -> None:
    states = (APPROVED, REJECTED)
    results = at_once(
        20, lambda number: approvals.decide(question.id, states[number % 2], Actor.named(f"person-{number}"))
    )
    winners = [number for number, result in enumerate(results) if isinstance(result, AnsweredQuestion)]
    assert len(winners) == 1
    assert sum(isinstance(result, ApprovalRefused) for result in results) == 19
    decided = incidents.get(incident).approval
    assert decided
    assert (str(decided.decided_by), decided.state) == (f"person-{winners[0]}", states[winners[0] % 2])


def test_given_a_question_that_expired_then_an_answer_is_refused_and_changes_nothing(
    approvals: Approvals, incidents: Incidents, incident: str, question: Approval, clock: Clock
) -> None:
    clock.advance(hours=1)
    with pytest.raises(ApprovalRefused, match="expired at 13:00 UTC, which is a rejection"):
        approvals.decide(question.id, APPROVED, ADA)
    assert incidents.get(incident).approval == question


def test_given_a_question_until_its_last_moment_then_it_can_be_answered(
    approvals: Approvals, question: Approval, clock: Clock
) -> None:
    clock.advance(minutes=59, seconds=59)
    assert approvals.decide(question.id, APPROVED, ADA)


def test_given_an_unknown_question_then_the_answer_is_refused(approvals: Approvals) -> None:
    with pytest.raises(ApprovalRefused, match="exist or has already been removed"):
        approvals.decide("made-up", APPROVED, ADA)
