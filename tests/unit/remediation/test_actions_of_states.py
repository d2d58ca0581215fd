"""The state machines ask for what the functions can do: the lint finds every kind of mismatch."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from ip_remediator.remediation.caught import STEPS
from scripts.lint_state_machines import TABLES, check
from tests.unit.docs.documents import ROOT

Machine = dict[str, Any]
NAMES = ("remediate", "rollback", "replace")


def machine(name: str) -> Machine:
    definition: Machine = json.loads((ROOT / "statemachine" / f"{name}.asl.json").read_text())
    return definition


def payload(definition: Machine, state: str) -> dict[str, Any]:
    result: dict[str, Any] = definition["States"][state]["Arguments"]["Payload"]
    return result


@pytest.mark.parametrize("name", NAMES)
def test_the_definitions_agree_with_the_tables(name: str) -> None:
    assert list(check(machine(name))) == []


def _no_such_action(definition: Machine) -> None:
    payload(definition, "Close the incident")["action"] = "clsoe"


def _field_missing(definition: Machine) -> None:
    del payload(definition, "Close the incident")["outcome"]


def _field_misspelt(definition: Machine) -> None:
    payload(definition, "Verify")["finall"] = True


def _result_misspelt(definition: Machine) -> None:
    definition["States"]["Verify"]["Assign"]["outcome"] = "{% $states.result.Payload.outcom %}"


def _input_of_the_next_state_misspelt(definition: Machine) -> None:
    definition["States"]["Do more addresses cure it?"]["Choices"][0]["Condition"] = "{% $states.input.curabel %}"


def _variable_misspelt(definition: Machine) -> None:
    definition["States"]["Create a subnet in each zone"]["Items"] = "{% $plan.zonez %}"


def _permanent_error_retried(definition: Machine) -> None:
    definition["States"]["Plan"]["Retry"][0]["ErrorEquals"] = ["CannotPlan"]


def _retry_forgotten(definition: Machine) -> None:
    definition["States"]["Plan"]["Retry"].pop()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_such_action, "Close the incident: IncidentFunction has no action 'clsoe'"),
        (_field_missing, "Close the incident: action close needs field 'outcome'"),
        (_field_misspelt, "Verify: action verify takes no field 'finall'"),
        (_result_misspelt, "Verify: action verify returns no field 'outcom'"),
        (_input_of_the_next_state_misspelt, "Do more addresses cure it?: action diagnose before it returns no field"),
        (_variable_misspelt, "$plan.zonez: action plan returns no such field"),
        (_permanent_error_retried, "Plan: CannotPlan is retried"),
        (_retry_forgotten, "Plan: Lambda.TooManyRequestsException is not retried"),
    ],
)
def test_a_mismatch_is_named(spoil: Callable[[Machine], None], message: str) -> None:
    # given a definition in which one thing is wrong
    definition = copy.deepcopy(machine("remediate"))
    spoil(definition)

    # then the lint says what and where
    assert any(problem.startswith(message) for problem in check(definition)), list(check(definition))


def test_every_action_is_asked_for_by_some_state() -> None:
    asked = set()
    for name in NAMES:
        text = (ROOT / "statemachine" / f"{name}.asl.json").read_text()
        asked |= {action.name for table in TABLES.values() for action in table if f'"action": "{action.name}"' in text}
    single = {action.name for table in TABLES.values() for action in table if len(list(table)) == 1}
    assert {action.name for table in TABLES.values() for action in table} == asked | single


def test_every_state_whose_failure_closes_an_incident_belongs_to_a_step_that_people_see() -> None:
    # given the states of a remediation that note themselves as the failed step
    states = machine("remediate")["States"]
    inner = states["Create a subnet in each zone"]["ItemProcessor"]["States"]
    noting = {name for name, state in (states | inner).items() if "Name }])" in json.dumps(state.get("Catch", []))}

    # then each has a step
    assert noting <= STEPS.keys()
