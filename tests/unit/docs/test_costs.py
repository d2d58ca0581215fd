"""The arithmetic of docs/costs.md is right, and its count of states is the state machine's."""

from __future__ import annotations

import json
import re

import pytest

from tests.unit.docs.documents import ROOT, rows, sections

# Where each choice leads when signals opened the incident, mode is auto, and the pods come up.
HEALED = {
    "Has the incident been opened?": "Diagnose",
    "Do more addresses cure it?": "Plan",
    "Who decides?": "Add the CIDR to the VPC",
    "Does every zone have its subnet?": "Who takes addresses from the subnets?",
    "Who takes addresses from the subnets?": "Create the ENIConfigs",
    "Did it fail?": "Done",
}


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    return sections((ROOT / "docs" / "costs.md").read_text())


def test_every_position_is_its_amount_times_its_price(page: dict[str, str]) -> None:
    # given the bill of a remediation
    *positions, total = rows(page["One remediation"])

    # then each line and the sum are right to the millionth of a dollar that is shown
    for position in positions:
        dollars = float(position["amount"]) * float(position["unit price in dollars"])
        assert f"{dollars:.6f}" == position["dollars"], position["position"]
    exact = sum(float(one["amount"]) * float(one["unit price in dollars"]) for one in positions)
    assert f"{exact:.6f}" == total["dollars"]


def test_a_remediation_has_as_many_states_as_the_formula_says(page: dict[str, str]) -> None:
    # given the path of a remediation that heals
    states = json.loads((ROOT / "statemachine" / "remediate.asl.json").read_text())["States"]
    at, path = "Has the incident been opened?", []
    while at:
        path.append(at)
        reachable = {choice["Next"] for choice in states[at].get("Choices", [])} | {states[at].get("Default")}
        assert at not in HEALED or HEALED[at] in reachable
        at = HEALED.get(at) or states[at].get("Next", "")

    # then it has the fixed part of the formula, and one more for each zone of the Map
    fixed = re.search(r"state transitions += (\d+) \+ Z", page["One remediation"])
    assert fixed
    assert len(path) == int(fixed[1])
    assert sum(states[state]["Type"] == "Map" for state in path) == 1


def test_the_transitions_of_the_bill_are_those_of_two_zones(page: dict[str, str]) -> None:
    billed = {row["position"]: row["amount"] for row in rows(page["One remediation"])}
    fixed = re.search(r"state transitions += (\d+) \+ Z", page["One remediation"])
    assert fixed
    assert billed["state transitions"] == str(int(fixed[1]) + 2)
