"""When nodes can be launched again in a subnet that pods have used up."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.diagnosis.launch_room import launchable_again, unlaunchable
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, Cluster
from tests.unit.support.facts import CUSTOM, PREFIXES, Part, az, node, pods, snapshot, subnet, zone
from tests.unit.support.plans import first_plan

WORKERS = Cluster(
    name="shop", vpc_id="vpc-1", auto_scaling_groups=(AutoScalingGroup(name="workers", subnets=("subnet-a",)),)
)


def planned(*enis: int, stuck: int, strategy: Any = "auto", **of_node: Any) -> Plan:
    part = zone("a", stuck=stuck, enis=enis, **of_node)
    return first_plan(snapshot(part, cluster=WORKERS), PlanningOptions(strategy=strategy))


def of_full_subnets(made: Plan) -> str:
    [full] = [risk for risk in made.risks if risk.id == "node-subnets-full"]
    # The message shows what breaks in a line: names and numbers stand in what was found.
    assert len(full.breaks) < 100
    return full.found


@pytest.mark.parametrize(
    ("env", "enis", "given_back"),
    [
        ({}, (6, 5), 5),  # the successor fills its primary ENI from the same subnet
        (CUSTOM, (6, 5), 10),  # the successor takes one address
        (PREFIXES, (1, 1), 0),  # with prefixes it may take more than the old one held
    ],
)
def test_given_a_full_shared_subnet_then_what_a_node_gives_back_is_less_what_its_successor_takes(
    env: dict[str, str], enis: tuple[int, ...], given_back: int
) -> None:
    facts = snapshot(zone("a", stuck=2, enis=enis), env=env)
    text = launchable_again(facts, custom_networking=facts.cni.custom_networking)
    expected = f"subnet-a gets back {given_back} addresses with the replacement of node-a0"
    assert text == (expected if given_back else "addresses there are freed")


def test_given_a_node_subnet_that_pods_are_kept_off_then_the_successor_takes_one_address() -> None:
    home = subnet("a", free=0, tags={"kubernetes.io/role/cni": "0"})
    facts = snapshot(Part((node("a", enis=(6, 5)),), (), (home,)))
    assert "gets back 10 addresses" in launchable_again(facts, custom_networking=False)


def test_given_unknown_limits_then_nothing_is_promised_to_come_back() -> None:
    unknown = {"instance_type": "x9.huge", "addresses_per_eni": None, "max_enis": None}
    facts = snapshot(zone("a", stuck=2, enis=(6, 5), **unknown))
    assert launchable_again(facts, custom_networking=False) == "addresses there are freed"


def test_given_room_for_nodes_then_there_is_nothing_to_tell() -> None:
    facts = snapshot(zone("a", free=3))
    assert unlaunchable(facts) is None


def test_given_pods_and_nodes_in_one_full_subnet_when_planned_then_the_plan_says_when_and_how_nodes_start_again() -> (
    None
):
    made = planned(6, 5, stuck=2)
    assert made.heals_now == 2
    assert "subnet-a of ap-northeast-2a (Auto Scaling group workers)" in str(made.risks)
    assert "before subnet-a gets back 5 addresses with the replacement of node-a0" in of_full_subnets(made)
    assert any("--vpc-zone-identifier subnet-a,subnet-NEW" in text for text in made.alternatives)


@pytest.mark.parametrize(("running", "following"), [(1, ("ap-northeast-2a",)), (2, ())])
def test_given_a_group_below_its_size_in_the_full_subnet_then_the_plan_says_that_the_run_for_nodes_follows(
    running: int, following: tuple[str, ...]
) -> None:
    facts = snapshot(zone("a", free=0, stuck=2))
    subnets = tuple(subnet.id for subnet in facts.subnets if subnet.zone == "ap-northeast-2a")
    group = AutoScalingGroup(name="workers", subnets=subnets, desired=2, running=running)
    facts = facts.model_copy(update={"cluster": facts.cluster.model_copy(update={"auto_scaling_groups": (group,)})})
    made = first_plan(facts)
    assert made.nodes_next == following
    assert ("the run for nodes starts by itself" in made.expectation) is bool(following)


def test_given_the_first_turn_to_custom_networking_then_it_says_that_more_nodes_are_needed() -> None:
    made = planned(6, 5, stuck=2, strategy="custom-networking")
    assert "gets back 10 addresses" in of_full_subnets(made)
    assert "more nodes are needed" in of_full_subnets(made)


def test_given_pods_beyond_what_a_successor_holds_then_they_wait_for_nodes_that_cannot_be_launched() -> None:
    """A t3.medium holds 15 pods with addresses of their own, 10 with custom networking."""
    made = planned(6, 3, 2, stuck=6, strategy="custom-networking")
    assert made.heals_now == 0
    assert made.expectation == (
        "heals 0 of 6 pods now, 2 after replacing node-a0, "
        "4 after replacing node-a0 and on further nodes, for one like it holds no more pods; "
        "no node can be launched in subnet-a"
    )


def test_given_a_successor_that_holds_them_then_no_further_node_is_spoken_of() -> None:
    made = planned(6, 1, 1, stuck=2)
    assert made.expectation == "heals 0 of 2 pods now, 2 after replacing node-a0"


def test_given_nodes_of_another_zone_with_room_then_only_the_full_zone_is_named() -> None:
    facts = snapshot(zone("a", stuck=1, enis=(6, 5)), zone("b", free=90), Part(pods=pods(0, "")))
    assert unlaunchable(facts) == f"subnet-a of {az('a')} (its nodes)"
