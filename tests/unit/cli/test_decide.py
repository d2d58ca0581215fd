"""`approve` and `reject`: which question is open, and what must be right before it is answered."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta
from typing import Any

import pytest

from ip_remediator.common.actor import Actor
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Approval, ApprovalState, Incident, StepState
from ip_remediator_cli.commands import decide
from ip_remediator_cli.commands.decide import question_of
from ip_remediator_cli.errors import BadInput
from ip_remediator_cli.open_questions import only_one_that_asks, state_of, under_way
from tests.unit.support import records


def asked(state: ApprovalState = ApprovalState.PENDING, minutes: int = 30) -> Approval:
    now = utc_now()
    return Approval(id="q1", state=state, plan_hash="ab12cd", asked_at=now, expires_at=now + timedelta(minutes=minutes))


@pytest.fixture
def planned() -> Incident:
    return records.asked()


def test_given_an_open_question_about_the_plan_then_the_plan_is_shown(planned: Incident) -> None:
    incident = planned.model_copy(update={"approval": asked()})
    question = question_of(incident)
    assert question.approval.id == "q1"
    assert incident.plan is not None
    assert incident.plan.hash in question.shown
    for change in incident.plan.changes:
        assert change.description.split()[0] in question.shown


@pytest.mark.parametrize(
    "approval", [None, asked(ApprovalState.APPROVED), asked(ApprovalState.EXPIRED), asked(minutes=-1)]
)
def test_given_no_open_question_then_it_says_so_with_what_to_do(planned: Incident, approval: Approval | None) -> None:
    closed = {"approval": approval, "outcome": Outcome.REJECTED}
    with pytest.raises(BadInput, match=r"waits for no answer.*start --cluster"):
        question_of(planned.model_copy(update=closed))


def test_given_that_somebody_answered_before_then_it_says_who_and_offers_no_start_beside_the_run(
    planned: Incident,
) -> None:
    answered = asked(ApprovalState.APPROVED).model_copy(
        update={"decided_at": utc_now(), "decided_by": Actor.slack("U0000ONCALL", "on-call")}
    )
    with pytest.raises(BadInput, match=r"waits for no answer: approved by U0000ONCALL \(on-call\) at ") as refused:
        question_of(planned.model_copy(update={"approval": answered}))
    assert "start --cluster" not in str(refused.value)


def replaced(incident: Incident, **fields: Any) -> Incident:
    return incident.model_copy(update=fields)


def test_given_several_open_questions_then_latest_is_refused_with_the_ids(planned: Incident) -> None:
    """The newest incident may be another cluster's: `reject latest` would answer the wrong question."""
    plan = replaced(planned, id="a", approval=asked())
    rollback = replaced(records.healed(), id="b", rollback_approval=asked())
    silent = [replaced(planned, id="c", approval=asked(minutes=-1)), replaced(records.healed(), id="d")]
    assert only_one_that_asks([*silent, plan]) is plan
    assert only_one_that_asks([*silent, rollback]) is rollback
    assert only_one_that_asks(silent) is None
    with pytest.raises(BadInput, match=r"2 incidents wait for an answer, name one of them: a \(plan\), b \(rollback\)"):
        only_one_that_asks([plan, *silent, rollback])


@pytest.mark.parametrize(
    ("fields", "state", "listed_as_open"),
    [
        ({"outcome": None, "approval": None}, "(open)", True),
        ({"outcome": None, "approval": asked()}, "asks: plan", True),
        ({"rollback_approval": asked()}, "asks: rollback", True),
        ({"replacement_approval": asked()}, "asks: nodes", True),
        ({"steps": records.steps(rollback=StepState.RUNNING)}, "rolling back", True),
        ({"steps": records.steps(replace_nodes=StepState.RUNNING)}, "replacing nodes", True),
        ({"steps": records.steps(rollback=StepState.FAILED)}, "healed", False),
        ({"outcome": Outcome.NOT_CURABLE}, "not_curable", False),
    ],
)
def test_given_a_list_then_it_says_what_asks_or_is_changed_also_after_the_incident_was_closed(
    fields: dict[str, Any], state: str, *, listed_as_open: bool
) -> None:
    incident = replaced(records.healed(), **fields)
    assert state_of(incident) == state
    assert under_way(incident) is listed_as_open


def test_given_evict_for_a_plan_then_it_is_refused_instead_of_forgotten(planned: Incident) -> None:
    question = question_of(planned.model_copy(update={"approval": asked()}))
    with pytest.raises(BadInput, match="--evict: the open question is not about a rollback"):
        decide._check(Namespace(plan=None, evict=True), question)


def test_given_another_plan_than_the_one_read_then_nothing_is_answered(planned: Incident) -> None:
    question = question_of(planned.model_copy(update={"approval": asked()}))
    decide._check(Namespace(plan="ab12", evict=False), question)
    with pytest.raises(BadInput, match="--plan: the open question is about plan ab12cd, not ffff"):
        decide._check(Namespace(plan="ffff", evict=False), question)


def test_given_no_terminal_and_no_yes_then_nobody_is_taken_for_having_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(BadInput, match="--yes"):
        decide.confirmed("approve?")


def test_given_an_end_of_input_at_the_terminal_then_nobody_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", ended)
    assert decide.confirmed("approve?") is False
