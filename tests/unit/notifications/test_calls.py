"""When people are called, whom, and what a settled call says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import (
    ApprovalState,
    Failure,
    Incident,
    Rollback,
    RollbackAssessment,
    RollbackState,
    Step,
    StepState,
)
from ip_remediator.notifications.messages.calls import calls, settled
from ip_remediator.notifications.messages.text import mention
from tests.unit.support.records import (
    DIAGNOSIS,
    MADE,
    OPENED,
    PODS,
    VERIFICATION,
    approval,
    asked,
    healed,
    incident,
    steps,
    undone,
)

GROUP = "S0000ONCALL"


def call_texts(record: Incident) -> dict[str, str]:
    return {call.about: call.mrkdwn for call in calls(record, GROUP)}


def expired() -> Incident:
    return asked().model_copy(
        update={"approval": approval(ApprovalState.EXPIRED), "outcome": Outcome.REJECTED, "closed_at": OPENED}
    )


def test_given_an_open_question_then_its_call_says_the_problem_the_question_and_until_when() -> None:
    [text] = call_texts(asked()).values()

    assert text.startswith(
        ":rotating_light: <!subteam^S0000ONCALL> prod: 2 pods have no IP address. Add 100.64.0.0/22?"
    )
    assert "Decide by <!date^1772362800^{time}|11:00 UTC>" in text


@pytest.mark.parametrize(
    ("record", "about"),
    [
        (
            healed(outcome=Outcome.PARTLY, verification=VERIFICATION.model_copy(update={"still_stuck": PODS})),
            "outcome partly",
        ),
        (healed(outcome=Outcome.FAILED), "outcome failed"),
        (undone(), "outcome undone"),
        (incident(outcome=Outcome.NOT_CURABLE, diagnosis=DIAGNOSIS), "outcome not_curable"),
        (expired(), "outcome expired"),
    ],
    ids=["partly", "failed", "undone", "not curable", "expired"],
)
def test_given_an_ending_that_needs_people_then_they_are_called_once(record: Incident, about: str) -> None:
    assert list(call_texts(record)) == [about]
    assert "<!subteam^S0000ONCALL>" in call_texts(record)[about]


@pytest.mark.parametrize(
    "record",
    [
        incident(),
        healed(),
        incident(outcome=Outcome.NOT_NEEDED, closed_at=OPENED),
        incident(outcome=Outcome.OBSERVED, closed_at=OPENED),
        asked().model_copy(update={"approval": approval(ApprovalState.REJECTED), "outcome": Outcome.REJECTED}),
        healed(outcome=Outcome.ROLLED_BACK),
    ],
    ids=["opened", "healed", "recovered", "observed", "rejected", "rolled back"],
)
def test_given_what_needs_nobody_then_nobody_is_called(record: Incident) -> None:
    assert call_texts(record) == {}


def test_given_a_question_about_to_expire_then_people_are_reminded_apart_from_the_question() -> None:
    soon = asked().model_copy(update={"approval": approval(reminded_at=OPENED + timedelta(minutes=45))})

    assert list(call_texts(soon)) == ["question Zk3-x_9", "question Zk3-x_9 reminder"]
    assert "(about 15 min)" in call_texts(soon)["question Zk3-x_9 reminder"]


def test_given_pods_that_hang_only_since_the_question_was_asked_then_that_is_a_call_of_its_own() -> None:
    calm = DIAGNOSIS.model_copy(
        update={"zones": tuple(zone.model_copy(update={"stuck_pods": 0}) for zone in DIAGNOSIS.zones)}
    )
    record = asked().model_copy(update={"diagnosis": calm})

    assert "2 pods started to wait for an address" in call_texts(record)["question Zk3-x_9 urgent"]
    assert list(call_texts(asked())) == ["question Zk3-x_9"], "these were known when it was asked"


def test_given_a_rollback_that_somebody_asked_for_in_slack_then_that_person_is_called_to_confirm_it() -> None:
    rollback = Rollback(
        state=RollbackState.ASSESSED,
        requested_by="U0000ONCALL (on-call)",
        assessment=RollbackAssessment(at=OPENED, pods=0, interfaces=1),
    )
    record = healed(rollback=rollback, rollback_approval=approval(), steps=steps(*MADE, rollback=StepState.RUNNING))

    [text] = call_texts(record).values()
    assert "<@U0000ONCALL>" in text
    assert GROUP not in text


def test_given_a_rollback_that_stopped_again_then_it_is_called_again() -> None:
    stopped = Rollback(state=RollbackState.PAUSED, requested_by="somebody")
    first = healed(rollback=stopped, steps=steps(*MADE, rollback=StepState.FAILED))
    later = healed(rollback=stopped, steps=steps(*MADE[:2], rollback=StepState.FAILED))

    assert len(call_texts(first)) == len(call_texts(later)) == 1
    assert call_texts(first).keys() != call_texts(later).keys()


@pytest.mark.parametrize(
    ("answer", "became"),
    [
        (
            approval(ApprovalState.APPROVED, decided_by="U0000ONCALL (x)", decided_at=OPENED),
            "approved by <@U0000ONCALL>",
        ),
        (approval(ApprovalState.REJECTED, decided_by="ann", decided_at=OPENED), "left as it is by ann"),
        (approval(ApprovalState.EXPIRED), "nobody answered until"),
        (approval().model_copy(update={"id": "another"}), "a newer question replaced it"),
    ],
    ids=["approved", "rejected", "expired", "replaced"],
)
@pytest.mark.parametrize("reply", ["", " reminder", " urgent"])
def test_given_an_answer_then_the_settled_replies_say_it_and_mention_no_group(
    answer: object, became: str, reply: str
) -> None:
    text = settled(asked().model_copy(update={"approval": answer}), f"question Zk3-x_9{reply}").mrkdwn

    assert became in text
    assert "<!subteam" not in text


def test_given_a_failure_that_was_rolled_back_then_its_call_says_so() -> None:
    assert "now: rolled back" in settled(healed(outcome=Outcome.ROLLED_BACK), "outcome failed").mrkdwn


@pytest.mark.parametrize(
    ("whom", "written"),
    [
        ("here", "<!here>"),
        ("U0000ONCALL", "<@U0000ONCALL>"),
        ("S0000ONCALL", "<!subteam^S0000ONCALL>"),
        ("none", ""),
        ("", ""),
        ("channel", ""),
        ("U1>", ""),
    ],
)
def test_only_users_groups_and_here_are_mentioned(whom: str, written: str) -> None:
    assert mention(whom) == written


def test_the_call_about_a_refusal_shows_its_command_as_code():
    failure = Failure(step=Step.PLAN, error="CannotPlan", message="the quota is 5: ask with `aws service-quotas x`")
    refused = incident(outcome=Outcome.NOT_CURABLE, failure=failure, closed_at=OPENED)
    [call] = [call for call in calls(refused, "none") if call.about.startswith("outcome")]
    assert "ask with `aws service-quotas x`" in call.mrkdwn


def test_given_an_expired_question_then_the_call_names_ip_addresses_as_everything_else_does() -> None:
    assert "have no IP address." in call_texts(expired())["outcome expired"]
