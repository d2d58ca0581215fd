"""Who decides: parameters, tags, risks, windows and limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.approvals.policy import Allowance, NextAction, decide, in_force
from ip_remediator.common.enums import Mode
from ip_remediator.common.tag_names import (
    ACCEPT_RISKS,
    AUTO_MAX_RISK,
    CHANGE_WINDOW,
    KILL_SWITCH,
    MODE,
    SLACK_CHANNEL,
    STRATEGY,
)
from ip_remediator.incidents.record import AskReason, Policy
from ip_remediator.risks.model import Risk, Severity

# A Monday.
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PLENTY = Allowance(per_day=5, used=0)
AUTO = Policy(mode=Mode.AUTO, auto_max_risk="medium")


def risk(severity: Severity, id_: str = "some-risk") -> Risk:
    return Risk(id=id_, severity=severity, found="f", breaks="b", remedy="r")


def with_tags(defaults: Policy = AUTO, wanted: Mode | None = None, **tags: str) -> Policy:
    names = {
        "mode": MODE,
        "max_risk": AUTO_MAX_RISK,
        "window": CHANGE_WINDOW,
        "accept": ACCEPT_RISKS,
        "channel": SLACK_CHANNEL,
        "kill": KILL_SWITCH,
        "strategy": STRATEGY,
    }
    return in_force(defaults, {names[name]: value for name, value in tags.items()}, wanted)


def action(policy: Policy, *risks: Risk, allowance: Allowance = PLENTY, now: datetime = NOON) -> tuple[NextAction, str]:
    decision = decide(policy, risks, allowance, now)
    return decision.action, decision.why


# ------------------------------------------------------------------------------------------------ decisions
def test_given_auto_and_no_risk_over_the_limit_then_it_goes_ahead():
    assert action(AUTO, risk(Severity.MEDIUM)) == (NextAction.GO, "mode auto: no risk exceeds medium")


def test_given_people_rolled_back_before_then_they_are_asked_in_mode_auto_as_well_and_observe_stays_observe():
    asked = decide(AUTO, [], PLENTY, NOON, "shop-1")
    assert (asked.action, asked.reason) == (NextAction.ASK, AskReason.AFTER_ROLLBACK)
    assert asked.why == "mode auto, but incident shop-1 was rolled back before: needs approval"
    observed = AUTO.model_copy(update={"mode": Mode.OBSERVE})
    assert decide(observed, [], PLENTY, NOON, "shop-1").action is NextAction.OBSERVE


def test_given_a_tag_for_the_strategy_then_it_is_taken_and_a_wrong_one_is_told():
    assert with_tags(strategy="Auto ").strategy == "auto"
    wrong = with_tags(strategy="sorcery")
    assert wrong.strategy is None
    assert (
        "is 'sorcery': use one of custom-networking, subnet-discovery, node-group, reclaim-warm, auto" in wrong.notes[0]
    )


def test_given_mode_approve_then_people_are_asked_even_without_a_risk():
    assert action(Policy(mode=Mode.APPROVE)) == (NextAction.ASK, "mode approve: needs approval")


def test_given_mode_observe_then_nothing_is_changed():
    assert action(Policy(mode=Mode.OBSERVE))[0] is NextAction.OBSERVE


def test_given_auto_and_a_risk_over_the_limit_then_people_are_asked_and_told_which():
    asked, why = action(AUTO, risk(Severity.HIGH, "external-snat"), risk(Severity.HIGH, "other"))
    assert asked is NextAction.ASK
    assert why == "mode auto, but the risk external-snat is high (and 1 more): needs approval"


def test_given_a_risk_that_the_cluster_accepts_then_its_severity_does_not_count():
    policy = with_tags(accept="external-snat prefix-mode-existing-nodes")
    assert action(policy, risk(Severity.HIGH, "external-snat"))[0] is NextAction.GO
    assert action(policy, risk(Severity.HIGH, "cni-owned-by-others"))[0] is NextAction.ASK


def test_given_the_days_limit_is_used_up_then_people_are_asked():
    asked, why = action(AUTO, allowance=Allowance(per_day=2, used=2))
    assert asked is NextAction.ASK
    assert "2 of 2 plans of this VPC went ahead without asking today" in why
    assert action(AUTO, allowance=Allowance(per_day=2, used=1))[0] is NextAction.GO


def test_given_a_closed_change_window_then_people_are_asked():
    policy = with_tags(window="Sat-Sun 08:00-18:00 Europe/Berlin")
    assert action(policy) == (
        NextAction.ASK,
        "mode auto, but the change window Sat-Sun 08:00-18:00 Europe/Berlin is closed: needs approval",
    )
    assert action(policy, now=datetime(2026, 3, 7, 12, 0, tzinfo=UTC))[0] is NextAction.GO


@pytest.mark.parametrize("mode", Mode)
def test_given_the_kill_switch_then_nobody_is_asked_and_nothing_changed(mode: Mode):
    policy = with_tags(Policy(mode=mode), kill="on")
    assert action(policy) == (NextAction.OBSERVE, "the kill switch is on: nothing is changed")


RISKS = st.lists(st.builds(risk, st.sampled_from(Severity), st.sampled_from(["a", "b", "c"])), max_size=4)
POLICIES = st.builds(
    Policy,
    mode=st.sampled_from(Mode),
    auto_max_risk=st.sampled_from(["low", "medium", "high"]),
    change_window=st.sampled_from(["", "Mon-Fri 08:00-18:00", "Sat 22:00-06:00 Asia/Seoul", "never"]),
    accepted_risks=st.sets(st.sampled_from(["a", "b"])).map(tuple),
    kill_switch=st.booleans(),
)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ALLOWANCES = st.builds(Allowance, st.integers(0, 3), st.integers(0, 5))


@given(POLICIES, RISKS, ALLOWANCES, TIMES)
def test_nothing_goes_ahead_unless_every_guard_allows_it(
    policy: Policy, risks: list[Risk], allowance: Allowance, now: datetime
):
    decision = decide(policy, risks, allowance, now)
    assert decision.why
    if decision.action is NextAction.GO:
        limit = Severity.parse(policy.auto_max_risk)
        assert (policy.mode, policy.kill_switch) == (Mode.AUTO, False)
        assert all(risk.severity <= limit or risk.id in policy.accepted_risks for risk in risks)
        assert allowance.used < allowance.per_day
        assert policy.change_window != "never"


@given(POLICIES, RISKS, ALLOWANCES, TIMES, st.builds(risk, st.sampled_from(Severity)))
def test_one_more_risk_never_widens_what_is_done(
    policy: Policy, risks: list[Risk], allowance: Allowance, now: datetime, more: Risk
):
    order = [NextAction.OBSERVE, NextAction.ASK, NextAction.GO]
    before, after = decide(policy, risks, allowance, now), decide(policy, [*risks, more], allowance, now)
    assert order.index(after.action) <= order.index(before.action)


# ------------------------------------------------------------------------------------------------ tags
def test_given_no_tags_then_the_stacks_parameters_hold():
    assert in_force(AUTO, {"team": "payments"}) == AUTO


def test_given_tags_then_they_go_before_the_parameters():
    policy = with_tags(
        Policy(mode=Mode.AUTO, change_window="Mon 08:00-09:00"),
        mode="Observe",
        max_risk="high",
        window="always",
        channel="#payments",
    )
    assert policy == Policy(mode=Mode.OBSERVE, auto_max_risk="high", slack_channel="#payments")


def test_given_a_run_by_hand_that_names_a_mode_then_it_goes_before_the_tag():
    assert with_tags(wanted=Mode.APPROVE, mode="observe").mode is Mode.APPROVE
    assert with_tags(wanted=Mode.AUTO, kill="on").kill_switch


@pytest.mark.parametrize(
    ("tag", "value", "taken"),
    [
        ("mode", "manual", {"mode": Mode.APPROVE}),
        ("max_risk", "none", {"auto_max_risk": "low"}),
        ("window", "weekdays", {"change_window": "never"}),
        ("window", "Mon-Fri 08:00-18:00 Europe/Atlantis", {"change_window": "never"}),
        ("channel", "not a channel!", {"slack_channel": None}),
        ("accept", "External-SNAT", {"accepted_risks": ()}),
        ("accept", "external-snat external-snta", {"accepted_risks": ("external-snat",)}),
    ],
)
def test_given_a_wrong_tag_then_the_safer_setting_is_taken_and_people_are_told(
    tag: str, value: str, taken: dict[str, Any]
):
    policy = with_tags(**{tag: value})
    assert {name: getattr(policy, name) for name in taken} == taken
    [note] = policy.notes
    assert "eks-ip-remediator:" in note


def test_given_a_wrong_mode_where_the_stack_only_observes_then_it_still_only_observes():
    assert with_tags(Policy(mode=Mode.OBSERVE), mode="manual").mode is Mode.OBSERVE


def test_given_a_window_that_cannot_be_read_then_people_are_asked():
    assert action(with_tags(window="office hours"))[0] is NextAction.ASK
    assert action(in_force(AUTO.model_copy(update={"change_window": "office hours"}), {}))[0] is NextAction.ASK


def test_given_a_misspelt_tag_then_people_are_told():
    [note] = in_force(AUTO, {"eks-ip-remediator:modus": "observe"}).notes
    assert "eks-ip-remediator:modus" in note


@pytest.mark.parametrize(("value", "on"), [("on", True), ("off", False), ("OFF", False), ("yes please", True)])
def test_given_the_kill_switchs_tag_then_only_off_is_off(value: str, on: bool):
    assert with_tags(kill=value).kill_switch is on


@given(st.dictionaries(st.sampled_from([MODE, AUTO_MAX_RISK, CHANGE_WINDOW, ACCEPT_RISKS, KILL_SWITCH]), st.text()))
def test_whatever_the_tags_hold_a_policy_comes_out(tags: dict[str, str]):
    policy = in_force(AUTO, tags)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
    assert decide(policy, [], PLENTY, NOON).why
