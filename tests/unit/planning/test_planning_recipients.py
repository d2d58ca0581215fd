"""Subnets for nodes and for the cluster: who gets them, where their addresses come from, what is left to people."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan, Recipient
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, Cluster, NodeClass, NodeGroup, SubnetTerm
from ip_remediator.snapshot.model_vpc import Route, VpcCidr
from tests.unit.support.facts import Part, az, node, snapshot, subnet, zone
from tests.unit.support.plans import first_plan

DISCOVERY = {"karpenter.sh/discovery": "shop"}
CONSENT = {"eks-ip-remediator:cluster": "shop"}
ELSEWHERE = Route(destination="10.200.0.0/16", target="tgw-1", route_table="rtb-a")


def full(**of: Any) -> Snapshot:
    """Pods have a discovered subnet with room, and no node can be launched in zone a."""
    own = subnet("a", id="pods-a", cidr="10.0.64.0/24", free=90, tags={"kubernetes.io/role/cni": "1"})
    home = subnet("a", free=0, tags=DISCOVERY, public_addresses=True)
    parts = (Part((node("a"),), (), (home, own)), zone("b", free=90))
    return snapshot(*parts, cluster=Cluster(name="shop", vpc_id="vpc-1", **of))


def of_node_launch(facts: Snapshot, **options: Any) -> Plan:
    assert diagnose(facts).verdict == "node_launch"
    return first_plan(facts, PlanningOptions(**options))


def test_given_a_node_class_that_selects_by_tags_then_the_new_subnet_bears_the_full_ones_values_of_them() -> None:
    term = SubnetTerm(tags={"karpenter.sh/discovery": "*"})
    facts = full(node_classes=(NodeClass(name="default", subnets=("subnet-a",), selector_terms=(term,)),))
    made = of_node_launch(facts)
    [planned] = made.subnets
    assert (planned.zone, planned.tags, planned.route_table) == (az("a"), DISCOVERY, "rtb-a")
    assert planned.public_addresses
    assert [(one.kind, one.name) for one in made.recipients] == [("node-class", "default")]
    assert not made.prepares_only
    assert made.handover == ()


def test_given_a_node_class_that_selects_by_id_then_a_patch_that_adds_a_term_is_handed_over() -> None:
    terms = (SubnetTerm(id="subnet-a"), SubnetTerm(tags={"team": "other"}))
    made = of_node_launch(full(node_classes=(NodeClass(name="default", subnets=("subnet-a",), selector_terms=terms),)))
    assert made.prepares_only
    [command] = made.handover
    placeholder = f"<subnet of {az('a')}>"
    added = {"op": "add", "path": "/spec/subnetSelectorTerms/-", "value": {"id": placeholder}}
    assert json.loads(shlex.split(command)[-1]) == [added]


@pytest.mark.parametrize(("tags", "ours"), [(CONSENT, True), ({}, False), ({"eks-ip-remediator:cluster": "x"}, False)])
def test_given_an_auto_scaling_group_then_it_is_extended_only_where_its_owners_tagged_it_for_this_cluster(
    tags: dict[str, str], ours: bool
) -> None:
    group = AutoScalingGroup(name="workers", subnets=("subnet-a", "subnet-b"), tags=tags)
    made = of_node_launch(full(auto_scaling_groups=(group,)))
    actions = {change.action: change for change in made.changes}
    assert ("extend_auto_scaling_group" in actions) is ours
    assert made.prepares_only is not ours
    if ours:
        wanted = ["subnet-a", "subnet-b", f"<subnet of {az('a')}>"]
        assert actions["extend_auto_scaling_group"].manifest == {"VPCZoneIdentifier": wanted}
    else:
        assert "update-auto-scaling-group" in made.handover[0]
        assert "create-or-update-tags" in made.handover[1]


def test_given_a_managed_group_beside_a_tagged_one_then_one_is_extended_and_a_like_group_is_handed_over() -> None:
    managed = NodeGroup(
        name="general",
        subnets=("subnet-a",),
        instance_types=("m5.large",),
        least=1,
        desired=2,
        most=9,
        role="arn:aws:iam::1:role/node",
        ami_type="AL2023_x86_64_STANDARD",
        capacity_type="SPOT",
        labels={"team": "a"},
        taints=({"key": "only", "value": "a", "effect": "NO_SCHEDULE"},),
        launch_template={"id": "lt-1", "version": "3"},
        disk_size=20,
    )
    group = AutoScalingGroup(name="workers", subnets=("subnet-a",), tags=CONSENT)
    made = of_node_launch(full(auto_scaling_groups=(group,), node_groups=(managed,)))
    assert not made.prepares_only
    create = made.handover[0]
    for setting in (
        "--nodegroup-name general-2",
        "--node-role arn:aws:iam::1:role/node",
        "--instance-types m5.large",
        "--ami-type AL2023_x86_64_STANDARD",
        "--capacity-type SPOT",
        "--launch-template id=lt-1,version=3",
        "--scaling-config minSize=1,maxSize=9,desiredSize=2",
        "NO_SCHEDULE",
    ):
        assert setting in create
    assert "--disk-size" not in create, "a launch template has it"
    assert "kubectl drain --selector eks.amazonaws.com/nodegroup=general" in made.handover[1]


def test_given_a_source_with_another_subnet_with_room_in_the_zone_then_nothing_is_planned_for_it() -> None:
    facts = full(auto_scaling_groups=(AutoScalingGroup(name="workers", subnets=("subnet-a", "subnet-c")),))
    roomy = facts.subnets[0].model_copy(update={"id": "subnet-c", "free": 9, "cidr": "10.0.99.0/24"})
    with pytest.raises(CannotPlan, match="recovered"):
        first_plan(facts.model_copy(update={"subnets": (*facts.subnets, roomy)}), PlanningOptions())


def test_given_launchers_of_one_zone_with_two_route_tables_then_the_plan_says_what_is_left_for_the_next() -> None:
    private = AutoScalingGroup(name="private", subnets=("subnet-a",), tags=CONSENT)
    public = AutoScalingGroup(name="public", subnets=("subnet-p",), tags=CONSENT)
    facts = full(auto_scaling_groups=(private, public))
    other = facts.subnets[0].model_copy(update={"id": "subnet-p", "cidr": "10.0.98.0/24", "route_table": "rtb-p"})
    facts = facts.model_copy(update={"subnets": (*facts.subnets, other)})
    first = of_node_launch(facts)
    assert [one.name for one in first.recipients] == ["private"]
    assert first.expectation.endswith(
        "left for the next plan, for their route table is another one: public in subnet-p (rtb-p)"
    )

    # Once the first plan is carried out, with its subnet still unused.
    marks = {"eks-ip-remediator:cluster": "shop", "eks-ip-remediator:incident": "inc-1"}
    made = facts.subnets[0].model_copy(update={"id": "subnet-new", "cidr": "100.64.0.0/24", "free": 251, "tags": marks})
    served = private.model_copy(update={"subnets": ("subnet-a", "subnet-new")})
    cluster = facts.cluster.model_copy(update={"auto_scaling_groups": (served, public)})
    second = of_node_launch(facts.model_copy(update={"subnets": (*facts.subnets, made), "cluster": cluster}))
    assert [one.name for one in second.recipients] == ["public"]
    assert [planned.route_table for planned in second.subnets] == ["rtb-p"]


@pytest.mark.parametrize(("routes", "inside"), [((ELSEWHERE,), True), ((), False)])
def test_given_routes_to_other_networks_then_addresses_are_of_the_vpcs_own_cidr(
    routes: tuple[Route, ...], inside: bool
) -> None:
    group = AutoScalingGroup(name="workers", subnets=("subnet-a",), tags=CONSENT)
    facts = full(auto_scaling_groups=(group,))
    assert facts.vpc is not None
    local = Route(destination="10.0.0.0/16", target="local", route_table="rtb-a")
    own = facts.vpc.model_copy(
        update={
            "cidrs": (VpcCidr(cidr="10.0.0.0/16"),),
            "routes": (local, *routes),
            "subnet_count": len(facts.subnets),
        }
    )
    made = of_node_launch(facts.model_copy(update={"vpc": own}))
    assert made.subnets[0].cidr.startswith("10.0.") is inside
    assert ("unallocated-space" in {risk.id for risk in made.risks}) is inside


def low() -> Snapshot:
    """The cluster's subnet of zone a has three addresses; one is enough for a pod."""
    home = subnet("a", free=3, tags={"kubernetes.io/role/internal-elb": "1", "team": "a"})
    parts = (Part((node("a"),), (), (home,)), zone("b", free=90))
    of = Cluster(name="shop", vpc_id="vpc-1", subnets=("subnet-a", "subnet-b"))
    return snapshot(*parts, cluster=of, env={"WARM_IP_TARGET": "1"})


def test_given_a_cluster_that_may_be_changed_when_its_subnets_are_low_then_the_low_one_is_replaced() -> None:
    assert diagnose(low()).verdict == "cluster_subnets"
    made = first_plan(low(), PlanningOptions(cluster_subnets_of="sh*"))
    assert made.strategy == "cluster-subnets"
    [planned] = made.subnets
    assert (planned.zone, planned.tags, planned.eni_configs) == (az("a"), {"kubernetes.io/role/internal-elb": "1"}, ())
    update = made.changes[-1]
    wanted = ["subnet-b", f"<subnet of {az('a')}>"]
    assert (update.action, update.manifest) == ("update_cluster_subnets", {"resourcesVpcConfig": {"subnetIds": wanted}})
    assert "control-plane-moves" in {risk.id for risk in made.risks}


def test_given_a_cluster_that_may_not_be_changed_when_its_subnets_are_low_then_people_are_told_how() -> None:
    for pattern in ("none", "other*"):
        with pytest.raises(CannotPlan, match="ClusterSubnetsOf") as refused:
            first_plan(low(), PlanningOptions(cluster_subnets_of=pattern))
        assert "aws eks update-cluster-config" in "\n".join(refused.value.alternatives)


_IDS = st.lists(st.sampled_from([f"subnet-{n}" for n in range(6)]), unique=True, max_size=6)


@given(_IDS, _IDS)
def test_whatever_a_recipient_has_now_it_keeps_what_is_not_replaced_and_gets_the_new_ones_once(
    present: list[str], replaced: list[str]
) -> None:
    recipient = Recipient(kind="cluster", name="shop", zones=("a", "b"), replaced=tuple(replaced))
    wanted = recipient.wanted(present, {"a": "subnet-new", "b": "subnet-0"})
    kept = [id_ for id_ in present if id_ not in replaced]
    assert set(wanted) == {*kept, "subnet-new", "subnet-0"}
    assert len(set(wanted)) == len(wanted)
    assert recipient.wanted(wanted, {"a": "subnet-new", "b": "subnet-0"}) == wanted or "subnet-0" in replaced
