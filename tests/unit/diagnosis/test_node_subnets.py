"""Full node subnets: when no node can be launched, and what is printed for those who launch nodes."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.diagnosis.node_subnets import launcher_cures
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, Cluster, NodeClass, SubnetTerm
from ip_remediator.snapshot.model_vpc import Subnet, SubnetReservation
from tests.unit.support.facts import CUSTOM, Part, eni_config, node, snapshot, subnet, zone
from tests.unit.support.plans import first_plan

OUTPOST = "arn:aws:outposts:ap-northeast-2:1:outpost/op-1"
POD_SUBNET = subnet("a", id="pods-a", cidr="10.0.64.0/24", free=90)


def launching(*homes: Subnet, nodes_in: str = "subnet-a", **of: Any) -> Snapshot:
    """Pods have a subnet of their own with room; `of` tells what launches nodes in `homes`."""
    host = node("a", home=nodes_in, enis=(1,))
    parts = (Part((host,), (), (*homes, POD_SUBNET), (eni_config("a", subnet="pods-a"),)),)
    return snapshot(*parts, env=CUSTOM, cluster=Cluster(name="shop", vpc_id="vpc-1", **of))


def group(*subnets: str, name: str = "workers") -> AutoScalingGroup:
    return AutoScalingGroup(name=name, subnets=subnets)


def printed(facts: Snapshot) -> str:
    return "\n".join(launcher_cures(facts))


def test_given_no_full_node_subnet_then_no_patch_of_a_node_class_is_printed() -> None:
    # A merge patch with no terms would leave Karpenter without subnets.
    roomy = launching(subnet("a", free=90), karpenter=True)
    assert printed(roomy) == ""
    short = snapshot(zone("a", free=3, stuck=1), cluster=Cluster(name="shop", karpenter=True))
    assert not any("ec2nodeclass" in text for text in first_plan(short).alternatives)


@pytest.mark.parametrize("terms", [(), (SubnetTerm(id="subnet-a"), SubnetTerm(tags={"team": "other"}))])
def test_given_a_node_class_then_a_term_is_added_and_none_that_is_there_is_written(
    terms: tuple[SubnetTerm, ...],
) -> None:
    classes = (NodeClass(name="default", subnets=("subnet-a",), selector_terms=terms),)
    [cure] = launcher_cures(launching(subnet("a", free=0), node_classes=classes))
    words = shlex.split(cure.removeprefix("Karpenter: "))
    assert words[:6] == ["kubectl", "patch", "ec2nodeclass", "default", "--type", "json"]
    [added] = json.loads(words[-1])
    assert added["op"] == "add"
    assert added["path"] == "/spec/subnetSelectorTerms/-"


def test_given_several_launchers_then_each_is_given_what_takes_the_place_of_its_own_subnets() -> None:
    other = subnet("b", free=0)
    facts = launching(subnet("a", free=0), other, auto_scaling_groups=(group("subnet-a"), group("subnet-b", name="b")))
    [first, second] = launcher_cures(facts)
    assert "subnet-NEW-ap-northeast-2a" in first
    assert "ap-northeast-2b" not in first
    assert "subnet-NEW-ap-northeast-2b" in second
    assert "ap-northeast-2a" not in second


def test_given_a_launcher_with_another_subnet_with_room_in_the_zone_then_nodes_can_be_launched() -> None:
    other = subnet("a", id="subnet-c", cidr="10.0.99.0/24", free=9)
    facts = launching(subnet("a", free=0), other, auto_scaling_groups=(group("subnet-a", "subnet-c"),))
    assert diagnose(facts).verdict == "recovered"
    beside = launching(subnet("a", free=0), other, auto_scaling_groups=(group("subnet-a"), group("subnet-c", name="c")))
    assert diagnose(beside).verdict == "node_launch"


def test_given_a_full_subnet_that_only_old_nodes_are_in_then_nodes_can_be_launched() -> None:
    old, present = subnet("a", free=0), subnet("b", free=9)
    facts = launching(old, present, auto_scaling_groups=(group("subnet-b"),))
    assert diagnose(facts).verdict == "recovered"


def test_given_all_that_is_free_is_reserved_then_the_plan_makes_a_subnet_for_nodes() -> None:
    reserved = SubnetReservation(cidr="10.0.0.0/24", kind="explicit")
    home = subnet("a", free=60, reservations=(reserved,))
    made = first_plan(launching(home, auto_scaling_groups=(group("subnet-a"),)))
    assert made.strategy == "node-group"


def on_outpost() -> Diagnosis:
    there = subnet("a", id="subnet-op", cidr="10.0.90.0/28", free=0, outpost_arn=OUTPOST)
    idle = subnet("a", id="idle", cidr="10.0.91.0/24", free=200, route_table="rtb-a")
    facts = launching(there, idle, subnet("a", free=9), auto_scaling_groups=(group("subnet-op"),))
    with pytest.raises(CannotPlan, match="are on an Outpost"):
        first_plan(facts)
    return diagnose(facts)


def test_given_a_full_node_subnet_on_an_outpost_then_no_subnet_of_the_region_is_named_in_its_place() -> None:
    alternatives = "\n".join(on_outpost().alternatives)
    assert f"--outpost-arn {OUTPOST}" in alternatives
    assert "idle" not in alternatives
    assert "A plan makes them" not in alternatives
