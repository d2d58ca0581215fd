"""The definitions as files have them, and traced: with every transition visible in an execution's path."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from tests.unit.docs.documents import ROOT

NAMES = ("remediate", "rollback", "replace")
Definition = dict[str, Any]
State = dict[str, Any]


def load(name: str) -> Definition:
    """The definition, with the placeholders of functions in it."""
    text = (ROOT / "statemachine" / f"{name}.asl.json").read_text()
    definition: Definition = json.loads(text.replace("${Partition}", "aws"))
    return definition


def levels(machine: Definition) -> Iterator[dict[str, State]]:
    """The states of the machine, then those of each Map in it."""
    yield machine["States"]
    for state in machine["States"].values():
        if "ItemProcessor" in state:
            yield from levels(state["ItemProcessor"])


def states(machine: Definition) -> dict[str, State]:
    """Every state by its name; names are unique in a definition."""
    return {name: state for level in levels(machine) for name, state in level.items()}


def inside_maps(machine: Definition) -> set[str]:
    """Names of the states that iterations of a Map run."""
    _, *inner = levels(machine)
    return {name for level in inner for name in level}


def transitions(machine: Definition) -> set[str]:
    """Every transition, named as `traced` names it."""
    return {label for name, state in states(machine).items() for label, _, _ in _leaving(name, state)}


def traced(definition: Definition) -> Definition:
    """A copy in which a Pass state with the transition's name stands in each transition, and in which each function
    is told which state of which execution calls it. Which Choice rule or Catch was taken is then part of the path.
    """
    machine = copy.deepcopy(definition)
    for level in list(levels(machine)):
        for name, state in list(level.items()):
            for label, owner, key in _leaving(name, state):
                level[label] = {"Type": "Pass", "Next": owner[key]}
                owner[key] = label
            if state["Type"] == "Task":
                trace = {"state": name, "walk": "{% $states.context.Execution.Name %}"}
                state["Arguments"]["Payload"]["trace"] = trace
    return machine


def _leaving(name: str, state: State) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each transition of a state: its name, and where it says what comes next."""
    for key in ("Next", "Default"):
        if key in state:
            yield f"{name}: {key}", state, key
    for key in ("Choices", "Catch"):
        for number, rule in enumerate(state.get(key, []), start=1):
            yield f"{name}: {key} {number}", rule, "Next"
