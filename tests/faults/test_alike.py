"""Which cases are shown to be the same as others without a run of their own, and which are not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faults.cases import ROLLBACK, WITH_EVICTIONS, Call, Case, Injection
from tests.faults.inline.alike import TELLS, Alike, EvictsLater, Shown, Table, answer_of
from tests.faults.inline.answers import RETURNED
from tests.faults.inline.forks import Met
from tests.faults.report import JOINED, Rule

LIBRARY = Path(__file__).resolve().parents[2] / "layers/core/ip_remediator"
READ, WRITE = "DescribeSubnets", "CreateSubnet"


def call(action: str, index: int = 0, service: str = "ec2") -> Call:
    return Call("new-cidr", "remediation", "NetworkFunction", service, action, index)


def case(called: Call, fault: str, *, lasts: bool = False) -> Case:
    return Case((Injection(called, fault, lasts),))


class World:
    digest = "as it was"
    messages = "none"


@pytest.fixture
def alike(tmp_path: Path) -> Alike:
    made = Alike(Table(tmp_path), lambda: World.digest, lambda: World.messages)
    made.begins("NetworkFunction")
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


@pytest.mark.parametrize(
    ("action", "outcome", "same"),
    [
        (READ, "ServiceUnavailable", True),
        (READ, "PermissionDenied", True),
        (WRITE, "ServiceUnavailable", True),  # it may have taken effect: there is no answer to look at
        (WRITE, "Throttled", False),
        (READ, "Throttled", True),
        (WRITE, "RequestRefused", False),
    ],
)
def test_given_two_faults_that_look_the_same_to_the_code_then_one_is_run_unless_the_answer_of_a_write_counts(
    alike: Alike, action: str, outcome: str, same: bool
) -> None:
    for fault in ("unavailable", "cut"):
        note_outcome(alike, case(call(action), fault, lasts=True), outcome)
    first, second = (case(call(action, 5), fault, lasts=True) for fault in ("unavailable", "cut"))
    assert alike.shown(first) is None
    assert alike.shown(second) == (Shown(Rule.SAME_ERROR, same_as=first.id) if same else None)


def test_given_kubernetes_then_the_products_own_rule_says_what_looks_the_same(alike: Alike) -> None:
    pods = call("list pods", service="kubernetes")
    first = case(pods, "throttled")
    assert alike.shown(first) is None
    assert alike.shown(case(pods, "cut")) == Shown(Rule.SAME_ERROR, same_as=first.id)
    assert alike.shown(case(pods, "slow")) == Shown(Rule.SAME_ERROR, same_as=first.id)
    assert alike.shown(case(pods, "denied")) is None
    # While it lasts, the waits add up to more than a function's time.
    assert alike.shown(case(pods, "throttled", lasts=True)) is None
    assert alike.shown(case(pods, "slow", lasts=True)) is None


def test_given_a_function_that_is_killed_after_a_read_then_earlier_reads_show_it_until_something_changes(
    alike: Alike, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = case(call(READ), "killed")
    assert alike.shown(first) is None
    assert alike.shown(case(call(READ, 1), "killed")) == Shown(Rule.KILLED, same_as=first.id)
    assert alike.shown(case(call(WRITE), "killed")) is None
    monkeypatch.setattr(World, "digest", "changed")
    assert alike.shown(case(call(READ, 2), "killed")) is None
    alike.begins("NetworkFunction")
    assert alike.shown(case(call(READ, 3), "killed")) is None


def test_given_a_function_that_is_killed_after_a_write_then_that_shows_the_read_right_after_it(
    alike: Alike, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, read, later = call(WRITE), call(READ), call(READ, 1)
    alike.meets(write)
    assert alike.shown(case(write, "killed")) is None
    monkeypatch.setattr(World, "digest", "written")
    alike.meets(read)
    assert alike.shown(case(read, "killed", lasts=True)) is None
    for called in (read, later):
        assert alike.shown(case(called, "killed")) == Shown(Rule.KILLED, same_as=case(write, "killed").id)
        alike.meets(later)


def test_given_the_product_then_its_code_treats_throttling_and_silence_alike_but_where_the_rule_says_so() -> None:
    """In `dynamodb` only a cancelled transaction counts, in `eks_addon` only ResourceInUse, `rollout` asks Kubernetes
    alone, `attempts` is about changes of EC2."""
    kinds = {"Throttled", "ServiceUnavailable"}
    modules = {path.stem for path in LIBRARY.rglob("*.py") if _distinguished(ast.parse(path.read_text())) & kinds}
    assert modules == {"dynamodb", "eks_addon", "rollout", "attempts"}


def _distinguished(tree: ast.AST) -> set[str]:
    """The errors that are caught, or looked for, by their names."""
    caught = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type]
    asked = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"]
    return {name.id for part in [*caught, *asked] for name in ast.walk(part) if isinstance(name, ast.Name)}


def of_rollback(run: str, fault: str = "cut", *, function: str = "ClusterFunction", lasts: bool = False) -> Injection:
    return Injection(Call("new-cidr", run, function, "kubernetes", "create pods/eviction", 0), fault, lasts)


def test_given_cases_that_end_before_the_evictions_then_they_show_those_of_the_rollback_without_any(
    tmp_path: Path,
) -> None:
    evicts_later = EvictsLater(Table(tmp_path))
    cut, slow, denied, lost = (of_rollback(WITH_EVICTIONS, fault).id for fault in ("cut", "slow", "denied", "lost"))
    evicts_later.ended(cut, JOINED)
    evicts_later.ended(slow, cut)
    evicts_later.ended(denied, denied)
    evicts_later.ended(lost, "one that went on to the evictions")
    expected = {
        "cut": Shown(Rule.EVICTS_LATER, JOINED),
        "slow": Shown(Rule.EVICTS_LATER, JOINED),
        "denied": Shown(Rule.EVICTS_LATER, same_as=denied),
        "lost": None,
        "killed": None,
    }
    assert {fault: evicts_later.shown(of_rollback(ROLLBACK, fault), ()) for fault in expected} == expected
    assert evicts_later.shown(of_rollback(ROLLBACK, function=TELLS), ()) is None


def test_given_a_lasting_fault_that_met_no_call_any_more_then_it_shows_a_rollback_only_where_it_meets_none(
    tmp_path: Path,
) -> None:
    evicts_later, here = EvictsLater(Table(tmp_path)), of_rollback(ROLLBACK, lasts=True)
    evicts_later.ended(of_rollback(WITH_EVICTIONS, lasts=True).id, JOINED)
    assert evicts_later.shown(here, ()) == Shown(Rule.EVICTS_LATER, JOINED)
    assert evicts_later.shown(here, {here.call.kind}) is None


def test_given_a_fault_that_lasts_at_what_tells_people_then_it_is_as_from_an_earlier_call_on_while_the_messages_stay(
    alike: Alike, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (
        case(Call("new-cidr", "remediation", TELLS, "slack", "chat.update", index), "cut", lasts=True)
        for index in range(3)
    )
    assert alike.shown(first) is None
    assert alike.shown(second) == Shown(Rule.UNTOLD, same_as=first.id)
    monkeypatch.setattr(World, "messages", "one")
    assert alike.shown(third) is None


def test_given_a_table_then_the_first_case_of_a_name_keeps_it(tmp_path: Path) -> None:
    table = Table(tmp_path)
    assert [table.first("mark", "one"), table.first("mark", "two")] == ["one", "one"]
    assert (table.get("mark"), table.get("other")) == ("one", None)


def test_given_a_table_then_the_first_text_of_a_name_stays(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.write("mark", "one")
    table.write("mark", "two")
    assert (table.read("mark"), table.read("other")) == ("one", None)
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_given_a_run_then_the_calls_after_a_mark_are_those_since_it_was_first_passed() -> None:
    met = Met((call(READ), call(WRITE), call(READ, 1)), {"early": 1, "end": 3})
    kinds = {("NetworkFunction", "ec2", READ), ("NetworkFunction", "ec2", WRITE)}
    assert (met.kinds_after("early"), met.kinds_after("end"), met.kinds_after("other")) == (kinds, set(), None)
