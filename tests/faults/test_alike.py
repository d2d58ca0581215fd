"""Which cases are shown to be the same as others without a run of their own, and which are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cases import Call, Case, Injection
from tests.faults.inline.alike import Alike, Shown, Table, answer_of
from tests.faults.inline.answers import RETURNED
from tests.faults.report import JOINED, Rule

READ, WRITE = "DescribeSubnets", "CreateSubnet"


def call(action: str, index: int = 0, service: str = "ec2") -> Call:
    return Call("new-cidr", "remediation", "NetworkFunction", service, action, index)


def case(called: Call, fault: str, *, lasts: bool = False) -> Case:
    return Case((Injection(called, fault, lasts),))


class World:
    digest = "as it was"


@pytest.fixture
def alike(tmp_path: Path) -> Alike:
    made = Alike(Table(tmp_path), lambda: World.digest)
    made.begins("NetworkFunction", "mark")
    return made


def note_outcome(alike: Alike, one: Case, outcome: str) -> None:
    alike.answers.first(answer_of(one.injections[0]), outcome)


def test_given_a_fault_that_the_sdk_gets_over_then_it_is_as_without_only_once_that_was_seen(alike: Alike) -> None:
    first, second = (case(call(WRITE, index), "throttled") for index in (0, 1))
    assert alike.shown(first) is None
    note_outcome(alike, first, RETURNED)
    assert alike.shown(second) == Shown(Rule.ASKED_AGAIN, JOINED)
    assert alike.shown(case(call(WRITE, 1), "throttled", lasts=True)) is None
    assert alike.shown(case(call(WRITE, 1), "lost")) is None


def test_given_two_faults_that_look_the_same_to_the_code_then_one_is_run_at_a_read_and_both_at_a_write(
    alike: Alike,
) -> None:
    for action, same in ((READ, True), (WRITE, False)):
        for fault in ("unavailable", "cut"):
            note_outcome(alike, case(call(action), fault, lasts=True), "ServiceUnavailable")
        first, second = (case(call(action, 5), fault, lasts=True) for fault in ("unavailable", "cut"))
        assert alike.shown(first) is None
        assert alike.shown(second) == (Shown(Rule.SAME_ERROR, same_as=first.id) if same else None)


def test_given_kubernetes_then_the_products_own_rule_says_what_looks_the_same(alike: Alike) -> None:
    pods = call("list pods", service="kubernetes")
    first = case(pods, "throttled")
    assert alike.shown(first) is None
    assert alike.shown(case(pods, "cut")) == Shown(Rule.SAME_ERROR, same_as=first.id)
    assert alike.shown(case(pods, "slow")) is None
    assert alike.shown(case(pods, "denied")) is None


def test_given_a_function_that_is_killed_after_a_read_then_earlier_reads_show_it_until_something_changes(
    alike: Alike, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = case(call(READ), "killed")
    assert alike.shown(first) is None
    assert alike.shown(case(call(READ, 1), "killed")) == Shown(Rule.KILLED, same_as=first.id)
    assert alike.shown(case(call(WRITE), "killed")) is None
    monkeypatch.setattr(World, "digest", "changed")
    assert alike.shown(case(call(READ, 2), "killed")) is None
    alike.begins("NetworkFunction", None)
    assert alike.shown(case(call(READ, 3), "killed")) is None


def test_given_an_invocation_that_begins_as_an_earlier_one_then_its_calls_are_shown_by_those(alike: Alike) -> None:
    earlier, later = call(READ), call(READ, 1)
    alike.meets(earlier)
    assert alike.shown(case(earlier, "denied")) is None
    alike.begins("NetworkFunction", "mark")
    alike.meets(later)
    assert alike.shown(case(later, "denied")) == Shown(Rule.REPEATED, same_as=case(earlier, "denied").id)
    alike.begins("NetworkFunction", "another mark")
    alike.meets(call(READ, 2))
    assert alike.shown(case(call(READ, 2), "denied")) is None


def test_given_a_table_then_the_first_case_of_a_name_keeps_it(tmp_path: Path) -> None:
    table = Table(tmp_path)
    assert [table.first("mark", "one"), table.first("mark", "two")] == ["one", "one"]
    assert (table.get("mark"), table.get("other")) == ("one", None)
