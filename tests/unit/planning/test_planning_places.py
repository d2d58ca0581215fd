"""Zones in which nodes can appear, Outposts, full node subnets, and pods that discovery does not move."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, Cluster, Cni, NodeClass, NodeGroup
from ip_remediator.snapshot.model_vpc import Route
from tests.unit.support.facts import CUSTOM, Part, az, eni_config, node, pods, snapshot, subnet, vpc, zone
from tests.unit.support.plans import first_plan

FULL = (zone("a", free=0, stuck=1), zone("b", free=0, stuck=1))
THIRD = Part(subnets=(subnet("c", free=50),))
OUTPOST = "arn:aws:outposts:ap-northeast-2:1:outpost/op-1"


def risk(plan: Plan, name: str) -> Risk | None:
    return next((risk for risk in plan.risks if risk.id == name), None)


def cluster(**fields: Any) -> Cluster:
    return Cluster(name="prod", vpc_id="vpc-1", **fields)


@pytest.mark.parametrize(
    "of",
    [
        {"node_groups": (NodeGroup(name="w", subnets=("subnet-a", "subnet-c"), desired=0),)},
        {"auto_scaling_groups": (AutoScalingGroup(name="w", subnets=("subnet-c",)),)},
        {"node_classes": (NodeClass(name="w", subnets=("subnet-b", "subnet-c")),), "karpenter": True},
    ],
    ids=["node group", "Auto Scaling group", "NodeClass"],
)
def test_given_a_zone_in_which_nodes_can_appear_then_the_first_turn_serves_it(of: dict[str, Any]) -> None:
    made = first_plan(snapshot(*FULL, THIRD, cluster=cluster(**of)))
    assert [subnet.zone for subnet in made.subnets] == [az("a"), az("b"), az("c")]
    [third] = [subnet for subnet in made.subnets if subnet.zone == az("c")]
    # with an ENIConfig of its name, and the way out of the subnet in which its nodes are launched
    assert third.eni_configs == (az("c"),)
    assert third.route_table == "rtb-c"
    assert risk(made, "zones-without-eniconfig") is None


def test_given_custom_networking_already_then_only_zones_in_need_are_served() -> None:
    groups = (NodeGroup(name="w", subnets=("subnet-a", "subnet-c")),)
    configs = Part(eni_configs=(eni_config("a"), eni_config("b")))
    facts = snapshot(FULL[0], zone("b", free=90), THIRD, configs, cluster=cluster(node_groups=groups), env=CUSTOM)
    assert [subnet.zone for subnet in first_plan(facts).subnets] == [az("a")]


@pytest.mark.parametrize(
    ("provisioner", "of", "named"),
    [
        ("managed", {}, "node group workers"),
        ("karpenter", {}, "Karpenter's EC2NodeClasses"),
        ("self-managed", {}, "Auto Scaling groups"),
        # as older and hand-written documents have it
        (None, {}, "what launches nodes"),
        ("managed", {"node_groups": (NodeGroup(name="workers"),)}, "the subnets of node group workers"),
        (
            "karpenter",
            {"node_classes": (NodeClass(name="d", subnets=("subnet-a",)), NodeClass(name="e"))},
            "NodeClass e",
        ),
    ],
)
def test_given_sources_of_nodes_that_were_not_read_then_a_further_zone_is_a_high_risk(
    provisioner: Any, of: dict[str, Any], named: str
) -> None:
    host = node("a", provisioner=provisioner, group="workers")
    one = Part((host,), pods(1, host.name), (subnet("a", free=0),))
    warning = risk(first_plan(snapshot(one, THIRD, cluster=cluster(**of))), "zones-without-eniconfig")
    assert warning is not None
    assert warning.severity is Severity.HIGH
    assert named in warning.found
    assert az("c") in warning.breaks
    # and where the VPC has no further zone there is none
    assert risk(first_plan(snapshot(one, cluster=cluster(**of))), "zones-without-eniconfig") is None


def test_given_a_source_in_a_subnet_that_the_snapshot_does_not_have_then_it_is_a_high_risk() -> None:
    one = Part((node("a"),), pods(1, "node-a0"), (subnet("a", free=0),))
    classes = (NodeClass(name="default", subnets=("subnet-a", "subnet-of-c")),)
    warning = risk(first_plan(snapshot(one, cluster=cluster(node_classes=classes))), "zones-without-eniconfig")
    assert warning is not None
    assert "subnet-of-c" in warning.found


@pytest.mark.parametrize("of", ["node_groups", "auto_scaling_groups"])
def test_given_instance_types_of_one_eni_that_only_an_empty_group_has_then_it_is_a_high_risk(of: str) -> None:
    kind = NodeGroup if of == "node_groups" else AutoScalingGroup
    group = kind(name="hpc", subnets=("subnet-a",), instance_types=("hpc6id.32xlarge",), desired=0)
    warning = risk(first_plan(snapshot(*FULL, cluster=cluster(**{of: (group,)}))), "no-eni-for-pods")
    assert warning is not None
    assert "hpc6id.32xlarge has no ENI for pods" in warning.found


def test_given_a_node_of_one_eni_of_an_unknown_type_then_it_is_a_high_risk_whatever_an_eni_holds() -> None:
    host = node("a", instance_type="x9.new", max_enis=1, default_card_enis=1, addresses_per_eni=None)
    made = first_plan(snapshot(Part((host,), pods(1, host.name), (subnet("a", free=0),))))
    assert risk(made, "no-eni-for-pods") is not None
    assert made.replace_nodes == ()


def test_given_zones_that_a_person_leaves_out_then_it_is_a_high_risk() -> None:
    groups = (NodeGroup(name="w", subnets=("subnet-c",)),)
    facts = snapshot(*FULL, THIRD, cluster=cluster(node_groups=groups))
    warning = risk(first_plan(facts, PlanningOptions(zones=(az("a"), az("b")))), "zones-without-eniconfig")
    assert warning is not None
    assert f"node group w can launch nodes in {az('c')}" in warning.found


# --- Outposts


def on_outpost(**fields: Any) -> Part:
    there = subnet("a", id="subnet-op", cidr="10.0.90.0/24", free=0, **fields)
    host = node("a", 7, home="subnet-op")
    return Part((host,), pods(2, host.name), (there,))


def test_given_nodes_on_an_outpost_beside_nodes_of_the_region_then_nothing_is_promised_to_them() -> None:
    made = first_plan(snapshot(FULL[0], on_outpost(outpost_arn=OUTPOST)))
    assert made.heals_now == 1
    warning = risk(made, "outpost-nodes")
    assert warning is not None
    assert warning.severity is Severity.HIGH
    # and the new subnet gets the way out of the Region's
    assert [subnet.route_table for subnet in made.subnets] == ["rtb-a"]


@pytest.mark.parametrize("told_by", ["subnet", "node", "local gateway"])
def test_given_nodes_in_need_on_an_outpost_only_then_the_refusal_says_so(told_by: str) -> None:
    routes = (Route(destination="192.168.0.0/16", target="lgw-1", route_table="rtb-op"),)
    part = {
        "subnet": on_outpost(outpost_arn=OUTPOST),
        "local gateway": on_outpost(route_table="rtb-op"),
        "node": Part((node("a", 7, home="subnet-op", outpost_arn=OUTPOST),), pods(2, "node-a7"), on_outpost().subnets),
    }[told_by]
    facts = snapshot(part, zone("b", free=90), vpc=vpc(routes=routes if told_by == "local gateway" else ()))
    with pytest.raises(CannotPlan, match="on an Outpost") as refused:
        first_plan(facts)
    [cure] = [text for text in refused.value.alternatives if "--outpost-arn" in text]
    assert f"--outpost-arn {OUTPOST if told_by != 'local gateway' else '$(aws outposts list-outposts'}" in cure
    assert "--availability-zone ap-northeast-2a" in cure
    assert "--cidr-block 10.0.0.0/24" in cure
    assert "kubectl label node node-a7 " in cure
    assert not any("create-tags" in text for text in refused.value.alternatives)
    [judged] = [one for one in diagnose(facts).nodes if one.name == "node-a7"]
    assert not judged.relieved_now


# --- Nodes that cannot be launched


def spare_pods(letter: str, *, node_free: int, pod_free: int = 500, stuck: int = 0) -> Part:
    """A zone whose pods have a subnet of their own."""
    host = node(letter, enis=(1, 6))
    enis = (host.interfaces[0], host.interfaces[1].model_copy(update={"subnet_id": f"pods-{letter}"}))
    host = host.model_copy(update={"interfaces": enis})
    own = subnet(letter, id=f"pods-{letter}", cidr=f"100.64.{ord(letter)}.0/24", free=pod_free)
    config = eni_config(letter, subnet=f"pods-{letter}")
    return Part((host,), pods(stuck, host.name), (subnet(letter, free=node_free), own), (config,))


def launchless(**of: Any) -> Snapshot:
    groups = (NodeGroup(name="w", subnets=("subnet-a", "subnet-b")),)
    parts = (spare_pods("a", node_free=0), spare_pods("b", node_free=9))
    return snapshot(*parts, env=CUSTOM, cluster=cluster(node_groups=groups, **of))


def test_given_a_full_node_subnet_and_pods_that_are_well_then_only_subnets_for_nodes_are_planned() -> None:
    result = diagnose(launchless())
    assert result.verdict is Verdict.NODE_LAUNCH
    assert {item.zone: item.verdict for item in result.zones} == {az("a"): "node_launch", az("b"): "recovered"}
    assert any("aws eks create-nodegroup" in item for item in result.alternatives)
    for strategy in ("custom-networking", "subnet-discovery", "node-group"):
        made = first_plan(launchless(), PlanningOptions(strategy=strategy))
        # whatever was asked for pods, in that zone, though custom networking is on
        assert made.strategy == "node-group"
        assert [(item.zone, item.eni_configs) for item in made.subnets] == [(az("a"), ())]
        # the group's own subnets cannot be changed
        assert made.prepares_only
        assert "create-nodegroup" in made.handover[0]


def test_given_a_full_node_subnet_and_a_shortage_that_nobody_waits_for_then_coming_nodes_are_not_promised_pods() -> (
    None
):
    made = first_plan(snapshot(zone("a", free=0), zone("b", free=90)))
    assert "on the present nodes, for no node can be launched in subnet-a" in made.expectation
    warning = risk(made, "node-subnets-full")
    assert warning is not None
    assert "custom networking makes it worse" in warning.found


def test_given_cluster_subnets_below_what_eks_needs_then_they_are_told_whatever_the_verdict() -> None:
    low = cluster(subnets=("subnet-b",))
    facts = snapshot(zone("a", free=90), zone("b", free=4), cluster=low, env={"WARM_IP_TARGET": "1"})
    assert diagnose(facts).verdict is Verdict.CLUSTER_SUBNETS
    assert "aws eks update-cluster-config" in "\n".join(diagnose(facts).alternatives)
    stuck = snapshot(zone("a", free=0, stuck=1), zone("b", free=4), cluster=low)
    assert diagnose(stuck).verdict is Verdict.SUBNET_EXHAUSTED
    assert risk(first_plan(stuck), "cluster-subnets-low")
    unread = snapshot(zone("a", free=90), zone("b", free=4), env={"WARM_IP_TARGET": "1"})
    assert diagnose(unread).verdict is Verdict.RECOVERED


# --- Branch ENIs


def test_given_pods_that_may_have_branch_enis_then_discovery_promises_nothing_and_auto_takes_another_way() -> None:
    facts = snapshot(*FULL, cni=Cni(version="v1.22.1", env={"ENABLE_POD_ENI": "true"}))
    made = first_plan(facts, PlanningOptions(strategy="subnet-discovery"))
    assert made.heals_now == 0
    assert "2 unless they have security groups of their own" in made.expectation
    assert risk(made, "branch-enis-not-discovered")
    other = first_plan(facts, PlanningOptions(strategy="auto"))
    assert other.strategy == "custom-networking"
    assert "trunk ENIs" in other.strategy_reason
