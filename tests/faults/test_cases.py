"""The ids of cases lead back to them, and the recorded calls become cases."""

from __future__ import annotations

from random import Random

import pytest

from tests.faults.cases import Call, Case, Injection, case_of, cases_of, pairs_of
from tests.faults.report import Result, document, table

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


def test_given_results_then_table_and_page_count_them_and_name_violations() -> None:
    id_ = Case((Injection(CALLS[0], "lost", lasts=False),)).id
    done = [Result(id_, "healed", "", 1.0), Result(id_.replace("once", "lasting"), "VIOLATION", "lock held", 2.0)]
    page = document(done, 5, 1, unreached=["discovery"])
    assert "Not at all: discovery." in page
    assert "| extension | lost | once | 0 | 1 | 0 | 0 | 0 | 0 |" in page
    assert "ran **2 of 5 cases**" in page
    assert "lock held" in page
    summary = table(done, 5, 1, ["discovery"])
    assert "not asked for: discovery" in summary
    assert "2 of 5 cases, seed 1, 1 violations" in summary
    assert "lock held" in summary
