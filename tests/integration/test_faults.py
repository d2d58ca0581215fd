"""A slice of `make faults`: a killed function, a refusal that lasts, a lost answer, at each kind of counterpart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.cases import case_of
from tests.faults.examples import FAST, SLOW
from tests.faults.world import World
from tests.integration.support.lab import Lab


@pytest.fixture(scope="module")
def world(lab: Lab) -> Iterator[World]:
    with World.made(lab, "new-cidr") as made:
        yield made


@pytest.mark.parametrize(("id_", "came"), FAST.items())
def test_given_a_fault_then_all_ends_well_and_the_same_again_heals(world: World, id_: str, came: str) -> None:
    case = case_of(id_)
    assert world.run(case.run, world.injected(case)) == came


@pytest.mark.slow
@pytest.mark.parametrize(("id_", "came"), SLOW.items())
def test_given_one_of_many_faults_then_all_ends_well_and_the_same_again_heals(
    world: World, id_: str, came: str
) -> None:
    case = case_of(id_)
    assert world.run(case.run, world.injected(case)) == came
