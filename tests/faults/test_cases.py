"""The ids of cases lead back to them, and the recorded calls become cases."""

from __future__ import annotations

import pytest

from tests.faults.cases import Call, Case, calls_of, case_of, cases_of
from tests.faults.report import Result, document, table

ROLE = "arn:aws:sts::000000000000:assumed-role/stack-NetworkFunctionRole-1/network"


def recorded(service: str, action: str, principal: str = ROLE) -> dict[str, str]:
    return {"service": service, "action": action, "principal": principal}


def test_given_recorded_calls_then_writes_are_numbered_and_of_reads_the_first_stands_for_all() -> None:
    calls = [
        *[recorded("ec2", "DescribeSubnets")] * 5,
        *[recorded("ec2", "CreateSubnet")] * 2,
        recorded("ec2", "CreateSubnet", "root"),
    ]
    result = calls_of("remediation", calls, ("NetworkFunction",))
    assert [(call.action, call.index) for call in result] == [
        ("CreateSubnet", 0),
        ("CreateSubnet", 1),
        ("DescribeSubnets", 0),
    ]


def test_given_a_case_then_its_id_leads_back_to_it() -> None:
    calls = [Call("rollback", "ClusterFunction", "eks", action, 0) for action in ("UpdateAddon", "DescribeAddon")]
    cases = list(cases_of(calls))
    assert [case_of(case.id) for case in cases] == cases
    assert len({case.id for case in cases}) == len(cases) == 18


@pytest.mark.parametrize("wrong", ["", "x", "remediation:F:ec2:A:0:broken:once", "other:F:ec2:A:0:lost:once"])
def test_given_what_is_no_id_then_it_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no id of a case"):
        case_of(wrong)


def test_given_a_lasting_fault_at_a_later_call_then_earlier_ones_pass() -> None:
    call = Call("remediation", "NetworkFunction", "ec2", "CreateSubnet", 1)
    fault = Case(call, "throttled", lasts=True).document()
    assert (fault["skip"], fault["error"], fault["principal"]) == (1, "RequestLimitExceeded", "NetworkFunction")
    assert fault["times"] > 1000


def test_given_results_then_table_and_page_count_them_and_name_violations() -> None:
    id_ = "remediation:NetworkFunction:ec2:CreateSubnet:0:lost:once"
    result = [Result(id_, "healed", "", 1.0), Result(id_.replace("once", "lasting"), "VIOLATION", "lock held", 2.0)]
    assert "| lost | once | 1 | 0 | 0 | 0 | 0 |" in document(result, 2, 1)
    told = table(result, 2, 1)
    assert "2 of 2 cases, seed 1, 1 violations" in told
    assert "lock held" in told
