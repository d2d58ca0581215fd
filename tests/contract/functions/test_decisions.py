"""Questions to people and the daily limit, on a real table: asked, reminded, answered once, counted once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.approvals import kill_switch
from ip_remediator.approvals.daily_limit import TTL, DailyLimit
from ip_remediator.approvals.questions import ApprovalRefused, Approvals
from ip_remediator.common.actor import Actor
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.tag_names import KILL_SWITCH
from ip_remediator.incidents.record import Approval, ApprovalState, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.remediation.close import Lifecycle, waits
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ANN, BOB = Actor.slack("U1", "ann"), Actor.slack("U2", "bob")
APPROVED, REJECTED = ApprovalState.APPROVED, ApprovalState.REJECTED


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def approvals(table: Table, clock: Clock) -> Approvals:
    return Approvals(table, clock)


@pytest.fixture
def incident(table: Table, clock: Clock) -> str:
    return Incidents(table, clock).open("prod", "ap-northeast-2", Mode.APPROVE, "")


def ask(approvals: Approvals, incident: str, plan_hash: str = "h1", token: str = "token-1") -> Approval:
    return approvals.ask(incident, plan_hash, token, NOW + timedelta(hours=1), why="mode approve")


def shown(table: Table, incident: str) -> Approval:
    approval = Incidents(table, lambda: NOW).get(incident).approval
    assert approval is not None
    return approval


def test_given_a_reminded_question_when_answered_then_the_answer_goes_to_the_task_that_waits_now(
    table: Table, approvals: Approvals, incident: str, clock: Clock
):
    asked = ask(approvals, incident)
    clock.now += timedelta(minutes=45)
    assert approvals.remind(incident, asked, "token-2")
    assert shown(table, incident).reminded_at == clock.now

    decision = approvals.decide(asked.id, APPROVED, ANN)

    assert (decision.task_token, decision.plan_hash) == ("token-2", "h1")
    assert shown(table, incident).reminded_at == clock.now


def test_given_an_answer_between_the_two_waits_when_reminded_then_the_answer_is_passed_on(
    table: Table, approvals: Approvals, incident: str, clock: Clock
):
    asked = ask(approvals, incident)
    approvals.decide(asked.id, APPROVED, ANN)
    lifecycle = Lifecycle(table, Ledger(table, clock), clock)

    answer = lifecycle.remind(incident, "token-2")

    assert answer == {"approved": True, "by": str(ANN), "plan_hash": "h1"}
    assert shown(table, incident).state is APPROVED


def test_given_an_answer_when_the_same_click_comes_again_then_a_newer_question_stays_open(
    table: Table, approvals: Approvals, incident: str
):
    first = ask(approvals, incident)
    approvals.decide(first.id, APPROVED, ANN)
    second = ask(approvals, incident, "h2", "token-2")

    repeated = approvals.decide(first.id, APPROVED, ANN)

    assert repeated.task_token == "token-1"
    assert (shown(table, incident).id, shown(table, incident).state) == (second.id, ApprovalState.PENDING)


def test_given_an_answer_when_somebody_else_answers_then_the_first_counts(approvals: Approvals, incident: str):
    asked = ask(approvals, incident)
    approvals.decide(asked.id, REJECTED, ANN)
    with pytest.raises(ApprovalRefused, match="answered already"):
        approvals.decide(asked.id, APPROVED, BOB)


def test_given_many_people_who_click_at_once_then_one_answer_counts(approvals: Approvals, incident: str):
    asked = ask(approvals, incident)

    def click(number: int) -> bool:
        try:
            approvals.decide(asked.id, APPROVED if number % 2 else REJECTED, Actor.slack(f"U{number}"))
        except ApprovalRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(click, range(8))) == 1


def test_given_an_expired_question_when_answered_then_it_is_refused(approvals: Approvals, incident: str, clock: Clock):
    asked = ask(approvals, incident)
    clock.now += timedelta(hours=1)
    with pytest.raises(ApprovalRefused, match="expired at 13:00 UTC"):
        approvals.decide(asked.id, APPROVED, ANN)


def test_the_state_machine_waits_a_little_longer_than_the_question_is_open():
    assert waits(60) == {"approval_minutes": 60, "ask_seconds": 2700, "remind_seconds": 905}


def test_a_question_put_again_is_open_for_an_hour_at_most_so_that_all_fit_into_an_execution():
    first, again = waits(1200), waits(1200, again=True)
    assert (first["approval_minutes"], again["approval_minutes"]) == (1200, 60)
    every = [item[name] for item in (first, again, again) for name in ("ask_seconds", "remind_seconds")]
    assert sum(every) < 24 * 3600
    assert waits(5, again=True)["approval_minutes"] == 5


# ------------------------------------------------------------------------------------------------ daily limit
def test_given_a_limit_when_many_incidents_go_ahead_at_once_then_no_more_than_it_do(table: Table, clock: Clock):
    limit = DailyLimit(table, clock, per_day=3)
    with ThreadPoolExecutor(8) as pool:
        went = list(pool.map(lambda number: limit.use("vpc-1", f"incident-{number}"), range(8)))
    assert sum(went) == 3
    assert limit.allowance("vpc-1", "another").used == 3


def test_given_an_incident_when_it_is_counted_again_then_it_counts_once(table: Table, clock: Clock):
    limit = DailyLimit(table, clock, per_day=1)
    assert [limit.use("vpc-1", "one"), limit.use("vpc-1", "one"), limit.use("vpc-1", "two")] == [True, True, False]
    assert limit.allowance("vpc-1", "one").used == 0
    assert limit.allowance("vpc-1", "two").used == 1


def test_given_a_used_up_limit_then_other_vpcs_and_other_days_have_their_own(table: Table, clock: Clock):
    limit = DailyLimit(table, clock, per_day=1)
    assert limit.use("vpc-1", "one")
    assert limit.use("vpc-2", "two")
    clock.now += timedelta(days=1)
    assert limit.use("vpc-1", "three")
    item = table.get_item(Key={"pk": "VPC#vpc-1", "sk": "DAY#2026-03-02"})["Item"]
    assert item[TTL] == int((NOW + timedelta(days=2)).timestamp())


def test_given_a_limit_of_none_then_nothing_goes_ahead(table: Table, clock: Clock):
    assert not DailyLimit(table, clock, per_day=0).use("vpc-1", "one")


# ------------------------------------------------------------------------------------------------ kill switch
@pytest.mark.parametrize(("value", "stops"), [(None, False), ("off", False), (" ON ", True), ("true", True)])
def test_the_kill_switchs_parameter_stops_all_writes_unless_it_is_off_or_missing(
    aws: str, value: str | None, stops: bool
):
    ssm, name = boto3.client("ssm"), "/eks-ip-remediator/kill-switch"
    if value:
        ssm.put_parameter(Name=name, Type="String", Value=value, Overwrite=True)
    try:
        assert kill_switch.parameter_on(ssm, name) is stops
    finally:
        if value:
            ssm.delete_parameter(Name=name)


def test_the_kill_switch_of_a_cluster_is_its_tag(aws: str):
    ssm = boto3.client("ssm")
    kill_switch.check(ssm, "/no/such", {"team": "payments"})
    with pytest.raises(kill_switch.KillSwitchOn, match=KILL_SWITCH):
        kill_switch.check(ssm, "/no/such", {KILL_SWITCH: "on"})


def test_a_question_says_how_long_healed_incidents_of_its_kind_took_from_the_decision_to_the_proof(
    table: Table,
) -> None:
    clock = Clock()
    lifecycle = Lifecycle(table, Ledger(table, clock), clock)

    def asked(cluster: str) -> Approval:
        incident = lifecycle.incidents.open(cluster, "ap-northeast-2", Mode.APPROVE, "")
        lifecycle.incidents.complete(incident, Step.PLAN, plan=PLAN)
        lifecycle.ask(incident, "token", 60, "", None)
        result = lifecycle.incidents.get(incident)
        assert result.approval is not None
        if cluster != "last":
            Approvals(table, clock).decide(result.approval.id, APPROVED, ANN)
            clock.now += timedelta(seconds=100 if cluster == "one" else 140)
            lifecycle.close(incident, Outcome.HEALED if cluster != "failed" else Outcome.PARTLY, None)
        clock.now += timedelta(minutes=1)
        return result.approval

    assert asked("one").usual_seconds is None, "nothing was measured yet"
    assert asked("two").usual_seconds == 100
    assert asked("failed").usual_seconds == 120
    assert asked("last").usual_seconds == 120, "only what was healed counts"
