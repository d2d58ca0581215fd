"""What decides whether two worlds go on alike, and what only people read."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.faults.inline.state import READ_AGAIN, decisive

ROOT = Path(__file__).resolve().parents[2]


def failure(error: str, message: str) -> str:
    """As Step Functions hands it to the function that closes: JSON within JSON."""
    cause = json.dumps({"errorMessage": message, "errorType": error})
    return json.dumps({"action": "close", "failure": {"Error": error, "Cause": cause, "step": "Diagnose"}})


def test_given_two_refused_reads_then_the_class_of_the_error_counts_and_its_text_does_not() -> None:
    vpcs, subnets = ("describe_vpcs: Unauthorized: injected by a test", "describe_subnets: injected by a test")
    assert decisive(failure("PermissionDenied", vpcs)) == decisive(failure("PermissionDenied", subnets))
    assert decisive(failure("PermissionDenied", vpcs)) != decisive(failure("RequestRefused", vpcs))


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
    library = ROOT / "layers/core/ip_remediator"
    modules = [path for path in library.rglob("*.py") if not str(path.relative_to(library)).startswith(others)]
    read = {name for path in modules for name in _taken_of_snapshots(ast.parse(path.read_text()))}
    assert read == set(READ_AGAIN)


def _taken_of_snapshots(tree: ast.AST) -> set[str]:
    """The attributes taken of what `snapshot_of` returns; `?` where it is used in another way."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "snapshot_of"]
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.value in calls]
    return {node.attr for node in taken} | ({"?"} if len(taken) < len(calls) else set())


def _name(function: ast.AST) -> str:
    return function.id if isinstance(function, ast.Name) else ""
