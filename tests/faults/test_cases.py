"""The ids of cases lead back to them, and the recorded calls become cases."""

from __future__ import annotations

from random import Random

import pytest

from tests.faults.cases import Call, Case, Injection, case_of, cases_of, pairs_of
from tests.faults.report import JOINED, Result, Rule, Sweep

CALLS = [
    Call("extension", "rollback", "ClusterFunction", "eks", action, 0) for action in ("UpdateAddon", "DescribeAddon")
]


def test_given_cases_and_pairs_then_their_ids_lead_back_to_them() -> None:
    cases = [*cases_of(CALLS), *pairs_of(CALLS, 20, Random(1))]
    assert [case_of(case.id) for case in cases] == cases
    assert len({case.id for case in cases}) == len(cases) == 16 + 14 + 20


def test_given_a_seed_then_the_pairs_are_always_the_same() -> None:
    assert pairs_of(CALLS, 5, Random(7)) == pairs_of(CALLS, 5, Random(7)) != pairs_of(CALLS, 5, Random(8))


ID = "new-cidr:remediation:NetworkFunction:ec2:CreateSubnet:1:throttled:lasting"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        ID.replace("throttled", "broken"),
        ID.replace("new-cidr", "other"),
        f"{ID}+{ID.replace('remediation', 'rollback')}",
    ],
)
def test_given_what_is_no_id_then_it_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is no id of a case|faults of different runs"):
        case_of(wrong)


def test_given_a_lasting_fault_at_a_later_call_then_earlier_ones_pass() -> None:
    [injection] = case_of(ID).injections
    fault = injection.document()
    assert (fault["skip"], fault["error"], fault["principal"]) == (1, "RequestLimitExceeded", "NetworkFunction")
    assert fault["times"] > 1000


@pytest.mark.parametrize("service", ["kubernetes", "slack"])
def test_given_a_function_that_is_killed_after_a_call_then_the_counterpart_knows_how(service: str) -> None:
    call = Call("new-cidr", "remediation", "NotifyFunction", service, "chat.postMessage", 0)
    fault = Injection(call, "killed", lasts=False).document("http://aws/_local/crash")
    assert fault["crash"] == "http://aws/_local/crash"
    assert fault["when"] in ("killed", "after")


ONCE = Case((Injection(CALLS[0], "lost", lasts=False),)).id
DONE = [Result(ONCE, "healed", "", 1.0), Result(ONCE.replace("once", "lasting"), "VIOLATION", "lock held", 2.0)]


def test_given_results_then_table_and_page_count_them_and_name_violations() -> None:
    sweep = Sweep(DONE, {"extension": 5}, "at most 9 seconds", 1.0, 1)
    page = sweep.document(["extension", "discovery"])
    assert "- 3 cases of extension were not reached.\n- No case of discovery was reached." in page
    assert "| extension | lost | once | 0 | 1 | 0 | 0 | 0 | 0 |" in page
    assert "**2 of 5 cases**" in page
    assert "lock held" in page
    assert "| extension | 5 | 2 | 2 | 1 |" in page
    summary = sweep.table()
    assert "2 of 5 cases, 2 run, 1 violations; at most 9 seconds" in summary
    assert "lock held" in summary


def test_given_a_case_that_is_shown_by_another_then_it_ends_as_that_one_did() -> None:
    other = ONCE.replace("lost", "slow")
    shown = [
        Result(other, "", "", 0.1, ONCE, Rule.BECAME),
        Result(ONCE.replace("lost", "cut"), "", "", 0.0, other, Rule.EVICTS_LATER),
        Result(ONCE.replace("lost", "throttled"), JOINED, "", 0.0, "", Rule.ASKED_AGAIN),
    ]
    sweep = Sweep([*DONE[:1], *shown], {"extension": 4}, "", 1.0, 1)
    assert [result.came for result in sweep.done] == ["healed", "healed", "healed", JOINED]
    assert "4 of 4 cases, 2 run, 0 violations" in sweep.table()


def test_given_cases_that_show_only_each_other_then_their_end_is_not_known() -> None:
    other = ONCE.replace("lost", "slow")
    sweep = Sweep([Result(ONCE, "", "", 0.1, other), Result(other, "", "", 0.1, ONCE)], {"extension": 2}, "", 1.0, 1)
    assert [result.came for result in sweep.broken] == ["VIOLATION", "VIOLATION"]


def test_given_a_case_that_was_run_to_check_a_rule_then_another_end_than_the_rule_says_is_a_violation() -> None:
    other = ONCE.replace("lost", "slow")
    world, run = ONCE.split(":")[:2]
    undisturbed = {world: {run: "healed"}}
    for came, expected, broken in (
        ("healed", "healed", False),
        ("restored", "healed", True),
        ("restored", other, False),
        ("healed", other, True),
    ):
        done = [Result(other, "restored", "", 1.0), Result(ONCE, came, "", 1.0, expected=expected)]
        sweep = Sweep(done, {world: 2}, "", 1.0, 1, undisturbed=undisturbed)
        assert [result.id for result in sweep.broken] == [ONCE] * broken


def test_given_little_time_then_each_call_gets_its_share_and_no_case_is_begun_twice() -> None:
    from tests.faults.inline.runner import Wanted  # noqa: PLC0415 - threads take turns once it is used

    cases = cases_of(CALLS)
    wanted = Wanted(cases, CALLS, float("inf"), Random(1))
    first = [case for call in CALLS for case in wanted.at(call)]
    assert sorted(first) == cases
    assert not [case for call in CALLS for case in wanted.at(call)]
    assert not [*Wanted(cases, CALLS, 0.0, Random(1)).at(CALLS[0])]
