"""What decides whether two worlds go on alike, and what only people read."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from ip_remediator.watchdog.watch import _NOT_BEGUN
from tests.faults.inline import state
from tests.faults.inline.state import READ_AGAIN, decisive

LIBRARY = Path(__file__).resolve().parents[2] / "layers/core/ip_remediator"


def failure(error: str, message: str) -> str:
    """As Step Functions hands it to the function that closes: JSON within JSON."""
    cause = json.dumps({"errorMessage": message, "errorType": error})
    return json.dumps({"action": "close", "failure": {"Error": error, "Cause": cause, "step": "Diagnose"}})


def answer(error: str, message: str) -> str:
    """As a function gives it to Step Functions."""
    return json.dumps({"error": {"errorType": error, "errorMessage": message}})


def test_given_a_caught_error_that_a_fault_caused_then_neither_its_text_nor_its_class_counts() -> None:
    vpcs, subnets = ("describe_vpcs: Unauthorized: injected by a test", "describe_subnets: injected by a test")
    assert decisive(failure("PermissionDenied", vpcs)) == decisive(failure("RequestRefused", subnets))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("PermissionDenied", "RequestRefused", True),
        ("PermissionDenied", "Transient", False),
        ("Transient", "Runtime.ExitError", True),
        ("PermissionDenied", "CannotPlan", False),
        ("VpcLocked", "CannotPlan", False),
    ],
)
def test_given_an_error_that_a_fault_caused_then_it_counts_what_the_state_machine_does_about_it(
    first: str, second: str, same: bool
) -> None:
    text = "describe_vpcs: injected by a test"
    assert (decisive(answer(first, text)) == decisive(answer(second, text))) is same
    assert decisive(answer(first, "its own words")) != decisive(answer(second, "its own words"))


def test_given_the_product_then_it_decides_by_no_class_of_a_caught_error_that_the_machines_do_not_name() -> None:
    compared = {name for path in modules_that_decide() for name in _compared_with_error_of(path)}
    # By _OF_OTHERS and QUOTA_REACHED the watchdog asks CloudTrail for names, which changes nothing but what people are
    # told.
    assert compared == {"_NOT_BEGUN", "_OF_OTHERS", "QUOTA_REACHED"}
    assert {*_NOT_BEGUN} <= state._NAMED


def test_given_a_text_that_no_fault_caused_then_it_counts() -> None:
    own = ("the subnet has 2 ENIs", "the subnet has 3 ENIs")
    assert decisive(failure("NotYet", own[0])) != decisive(failure("NotYet", own[1]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"unknown": ["the daemonsets"]}, {"unknown": []}),
        ({"risks": [{"id": "facts-unread", "found": "x"}, {"id": "a"}]}, {"risks": [{"id": "a"}]}),
        ({"at": "2026-01-01T10:00:00Z"}, {"at": "2026-01-02T11:30:00Z"}),
    ],
)
def test_given_what_only_people_read_or_chance_made_then_it_does_not_count(one: object, other: object) -> None:
    assert decisive(json.dumps(one)) == decisive(json.dumps(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"risks": [{"id": "a"}]}, {"risks": []}),
        ({"subnets": ["10.0.0.0/24"]}, {"subnets": ["10.0.1.0/24"]}),
        ({"open": True}, {"open": False}),
    ],
)
def test_given_what_decides_then_it_counts(one: object, other: object) -> None:
    assert decisive(json.dumps(one)) != decisive(json.dumps(other))


def test_given_the_functions_of_a_run_then_after_the_plan_they_read_only_the_facts_that_are_compared() -> None:
    # The plan's own facts are compared until there is a plan; the view of a click is opened by people.
    others = ("remediation/plan.py", "slack_interactions/details.py", "node_replacement/", "incidents/snapshots.py")
    modules = [path for path in LIBRARY.rglob("*.py") if not str(path.relative_to(LIBRARY)).startswith(others)]
    read = {name for path in modules for name in _taken_of_snapshots(ast.parse(path.read_text()))}
    assert read == set(READ_AGAIN)


def _taken_of_snapshots(tree: ast.AST) -> set[str]:
    """The attributes taken of what `snapshot_of` returns; `?` where it is used in another way."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "snapshot_of"]
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.value in calls]
    return {node.attr for node in taken} | ({"?"} if len(taken) < len(calls) else set())


def modules_that_decide() -> list[Path]:
    """All but those that write to people."""
    return [path for path in LIBRARY.rglob("*.py") if "notifications" not in path.parts]


def _compared_with_error_of(path: Path) -> set[str]:
    """With what an attribute `error` is compared."""
    compared = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Compare)]
    sides = [[node.left, *node.comparators] for node in compared]
    others = [side for both in sides if any(_is_error(side) for side in both) for side in both if not _is_error(side)]
    return {ast.unparse(side) for side in others}


def _is_error(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "error"


def _name(function: ast.AST) -> str:
    return function.id if isinstance(function, ast.Name) else ""
