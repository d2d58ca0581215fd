"""A slice of `make faults`: a killed function, a refusal that lasts, a lost answer, at each kind of counterpart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.cases import case_of
from tests.faults.world import World
from tests.integration.support.lab import Lab

FAST = {
    "new-cidr:remediation:NetworkFunction:ec2:CreateSubnet:0:killed:once": "healed",
    "new-cidr:remediation:ClusterFunction:kubernetes:create_eniconfigs:1:denied:lasting": "restored",
}
SLOW = {
    "new-cidr:remediation:ClusterFunction:eks:UpdateAddon:0:lost:once": "healed",
    "new-cidr:remediation:IncidentFunction:dynamodb:UpdateItem:0:unavailable:lasting": "healed",
    "new-cidr:remediation:NotifyFunction:slack:chat.postMessage:0:killed:once": "healed",
    "new-cidr:rollback-evict:NetworkFunction:ec2:DeleteSubnet:0:denied:lasting": "stopped, resumable",
    "new-cidr:rollback-evict:ClusterFunction:kubernetes:create_pods/eviction:0:lost:once": "restored",
    "new-cidr:rollback:ClusterFunction:kubernetes:list_pods:0:cut:lasting": "stopped, resumable",
}


@pytest.fixture(scope="module")
def world(lab: Lab) -> Iterator[World]:
    with World.made(lab, "new-cidr") as made:
        yield made


@pytest.mark.parametrize(("id_", "came"), FAST.items())
def test_given_a_fault_then_all_ends_well_and_the_same_again_heals(world: World, id_: str, came: str) -> None:
    assert world.run(case_of(id_)) == came


@pytest.mark.slow
@pytest.mark.parametrize(("id_", "came"), SLOW.items())
def test_given_one_of_many_faults_then_all_ends_well_and_the_same_again_heals(
    world: World, id_: str, came: str
) -> None:
    assert world.run(case_of(id_)) == came
