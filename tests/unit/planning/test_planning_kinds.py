"""Kinds of topologies that reports tell of: what a plan promises, offers and refuses in each."""

from __future__ import annotations

import json
import shlex

import pytest

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.diagnosis.node_subnets import full_node_subnets
from ip_remediator.planning.model import Plan, RequestedStrategy
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.risks.model import Severity
from ip_remediator.snapshot.model import Quotas
from ip_remediator.snapshot.model_cluster import NetworkInterface, Node
from ip_remediator.snapshot.model_vpc import Route, SubnetReservation
from ip_remediator.snapshot.taken_ranges import taken_ranges
from tests.unit.support.facts import CUSTOM, Part, az, eni_config, node, pods, snapshot, subnet, vpc, zone
from tests.unit.support.plans import first_plan

OUTPOST = "arn:aws:outposts:ap-northeast-2:1:outpost/op-1"


# --- Nodes with one ENI


@pytest.mark.parametrize("strategy", ["custom-networking", "subnet-discovery"])
def test_given_nodes_of_one_eni_then_their_replacement_is_not_promised_by_any_new_subnet(
    strategy: RequestedStrategy,
) -> None:
    facts = snapshot(zone("a", free=0, stuck=2, enis=(4,)), env={"MAX_ENI": "1"})
    made = first_plan(facts, PlanningOptions(strategy=strategy))
    assert (made.heals_now, made.replace_nodes) == (0, ())
    assert "nor on new nodes like them" in made.expectation
    [judged] = diagnose(facts).nodes
    assert "replace" not in judged.reason


# --- Network cards


def on_cards(*cards: tuple[int | None, int], instance_type: str = "p5.48xlarge") -> Diagnosis:
    """A node whose ENIs are told as (card, addresses), in a full subnet."""
    enis = tuple(
        NetworkInterface(id=f"eni-{n}", subnet_id="subnet-a", primary=n == 0, addresses=addresses, network_card=card)
        for n, (card, addresses) in enumerate(cards)
    )
    host = Node(name="gpu", zone=az("a"), instance_type=instance_type, max_enis=64, interfaces=enis)
    return diagnose(snapshot(Part((host,), pods(1, "gpu"), (subnet("a", free=0),))))


def test_given_the_cards_were_not_read_when_ipamds_enis_fill_the_default_card_then_the_node_is_at_its_limit() -> None:
    # Two ENIs with addresses for pods are all that a p5.48xlarge has on card 0; the others are EFA's.
    result = on_cards((None, 50), (None, 50), *[(None, 1)] * 31)
    assert result.verdict is Verdict.NODE_LIMIT
    assert not result.nodes[0].relieved_now


def test_given_the_cards_were_not_read_when_an_eni_has_one_address_then_slots_stay_unknown() -> None:
    result = on_cards((None, 50), (None, 1))
    assert not result.nodes[0].relieved_now
    assert any("network cards" in text for text in result.unknown)


def test_given_every_eni_has_addresses_for_pods_then_all_are_on_the_default_card() -> None:
    assert on_cards((None, 50), instance_type="p5.48xlarge").nodes[0].relieved_now
    assert on_cards((None, 50), (None, 12), instance_type="c6in.32xlarge").nodes[0].relieved_now


# --- Outposts


def on_outpost(free: int = 0) -> Part:
    there = subnet("a", id="subnet-op", cidr="10.0.90.0/24", free=free, outpost_arn=OUTPOST)
    return Part((node("a", 7, home="subnet-op"),), pods(2, "node-a7"), (there,))


def test_given_nodes_on_an_outpost_then_no_subnet_of_the_region_is_offered_to_them() -> None:
    idle = Part(subnets=(subnet("a", id="idle", cidr="10.0.80.0/24", free=200),))
    with pytest.raises(CannotPlan) as refused:
        first_plan(snapshot(on_outpost(), zone("a", free=150), idle))
    others = [text for text in refused.value.alternatives if "outpost" not in text.lower()]
    assert not any("subnet-a" in text or "node-a7" in text for text in others), others


def test_given_nodes_on_an_outpost_beside_others_then_discovery_is_a_high_risk_for_them() -> None:
    # ipamd looks for tagged subnets by VPC and zone alone, so it finds the Region's from the Outpost too.
    made = first_plan(snapshot(zone("a", free=0, stuck=1), on_outpost(9)), PlanningOptions(strategy="subnet-discovery"))
    [outpost_risk] = [risk for risk in made.risks if risk.id == "outpost-nodes"]
    assert outpost_risk.severity is Severity.HIGH
    assert made.heals_now == 1
    assert any(f"--outpost-arn {OUTPOST}" in command for command in made.alternatives)


# --- Siblings


def siblings(snapshot_: object) -> str:
    [option] = [option for option in first_plan(snapshot_).options if option.option == "sibling-subnet"]  # type: ignore[arg-type]
    return option.reason


def beside(letter: str, **fields: object) -> Part:
    """Another node subnet of zone a with 180 free addresses."""
    cidr = f"10.0.{ord(letter)}.0/24"
    defaults = {"id": f"subnet-{letter}", "cidr": cidr, "free": 180, "route_table": "rtb-a", "network_acl": "acl-a"}
    return Part((node("a", ord(letter), home=f"subnet-{letter}"),), (), (subnet("a", **defaults | fields),))  # type: ignore[arg-type]


def test_given_siblings_then_one_with_the_same_way_out_goes_first_and_another_way_out_is_said() -> None:
    public = beside("p", free=240, route_table="rtb-public")
    assert "subnet-s of" in siblings(snapshot(zone("a", free=0, stuck=1), beside("s"), public))
    assert "(other routes or network ACL)" in siblings(snapshot(zone("a", free=0, stuck=1), public))


def test_given_an_eniconfig_that_is_not_there_then_the_siblings_command_makes_it() -> None:
    advice = siblings(snapshot(zone("a", free=0, stuck=1), beside("s"), env=CUSTOM))
    assert "kubectl apply -f - <<< " in advice
    advice = siblings(
        snapshot(zone("a", free=0, stuck=1), beside("s"), Part(eni_configs=(eni_config("a"),)), env=CUSTOM)
    )
    assert f"kubectl patch eniconfig {az('a')} " in advice


def test_given_an_eniconfig_that_others_keep_then_the_sibling_goes_into_its_source() -> None:
    kept = Part(eni_configs=(eni_config("a", managed_by="kustomize-controller"),))
    advice = siblings(snapshot(zone("a", free=0, stuck=1), beside("s"), kept, env=CUSTOM))
    assert "kubectl" not in advice
    assert "managed by kustomize-controller, set spec.subnet to subnet-s in its source" in advice


def test_given_labels_are_all_that_lacks_then_no_sibling_is_offered() -> None:
    unlabelled = node("a", eni_config=None)
    meant = Part(eni_configs=(eni_config("p", name="pods-a", subnet="subnet-p"),))
    roomy = Part((unlabelled,), pods(1, unlabelled.name), (subnet("a", free=90),))
    pod_subnet = Part(subnets=(subnet("a", id="subnet-p", cidr="10.0.50.0/24", free=200),))
    only_on = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
    with pytest.raises(CannotPlan, match="kubectl label node") as refused:
        first_plan(snapshot(roomy, meant, pod_subnet, env=only_on))
    assert not any("eniconfig" in text for text in refused.value.alternatives)
    assert not any("create-tags" in text for text in refused.value.alternatives)


# --- The security groups of new ENIConfigs


def without_one(*present: tuple[str, ...], env: dict[str, str] | None = None) -> Plan:
    """Zones with an ENIConfig that has these security groups, and zone z, whose ENIConfig is missing."""
    parts = [zone("z", stuck=1)]
    for letter, groups in zip("abc", present, strict=False):
        parts += [zone(letter, free=90), Part(eni_configs=(eni_config(letter, security_groups=groups),))]
    return first_plan(snapshot(*parts, env=env or CUSTOM))


def made_with(plan: Plan) -> list[object]:
    of_z = [change for change in plan.changes if (change.action, change.target) == ("apply_eniconfig", az("z"))]
    return [(change.manifest or {})["spec"].get("securityGroups") for change in of_z]


def test_given_eniconfigs_that_all_name_the_same_groups_then_a_new_one_names_them_too() -> None:
    made = without_one(("sg-pods", "sg-db"), ("sg-db", "sg-pods"))
    assert made_with(made) == [["sg-db", "sg-pods"]]
    assert made.groups_of_eni_config(az("z")) == ("sg-db", "sg-pods")
    assert made.groups_of_eni_config(az("a")) == ()


def test_given_eniconfigs_that_name_none_then_a_new_one_names_none_either() -> None:
    made = without_one((), ())
    assert made_with(made) == [None]
    assert not any(risk.id == "eniconfigs-without-groups" for risk in made.risks)


def test_given_eniconfigs_of_different_groups_then_it_is_a_risk_that_a_new_one_has_none() -> None:
    made = without_one(("sg-pods",), ("sg-pci",))
    assert made_with(made) == [None]
    [warning] = [risk for risk in made.risks if risk.id == "eniconfigs-without-groups"]
    assert warning.severity is Severity.MEDIUM
    assert "sg-pci" in warning.found
    assert "sg-pods" in warning.found
    patch = shlex.split(warning.remedy.split("`")[1])[-1]
    assert json.loads(patch) == {"spec": {"securityGroups": ["sg-..."]}}


def test_given_eniconfigs_made_before_the_first_turn_then_a_further_zones_names_their_groups() -> None:
    made = without_one(("sg-pods",), env={"ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"})
    assert made.strategy == "custom-networking"
    assert made_with(made) == [["sg-pods"]]


def test_given_a_sibling_and_no_eniconfig_then_the_one_of_the_command_names_the_others_groups() -> None:
    others = Part(eni_configs=(eni_config("b", security_groups=("sg-pods",)),))
    advice = siblings(snapshot(zone("a", free=0, stuck=1), beside("s"), zone("b", free=90), others, env=CUSTOM))
    assert '"securityGroups": ["sg-pods"]' in advice


# --- Node limits of several kinds, node subnets that are reserved


def test_given_full_nodes_of_two_types_then_each_is_told_with_what_it_holds() -> None:
    full = (6, 6, 6)
    one, other = node("a", enis=full), node("a", 1, enis=(15, 15, 15, 15), instance_type="m5.xlarge", max_enis=4)
    other = other.model_copy(update={"addresses_per_eni": 15, "max_pods": 58})
    hosts = Part((one, other), (*pods(1, one.name), *pods(1, other.name)), (subnet("a", free=100),))
    summary = diagnose(snapshot(hosts)).summary
    assert "every ENI of the instance type is attached" in summary
    assert "t3.medium holds 17 pods" in summary
    assert "m5.xlarge holds 58 pods" in summary


def test_given_a_setting_that_keeps_enis_from_nodes_then_the_limit_names_it() -> None:
    summary = diagnose(snapshot(zone("a", free=90, stuck=1, enis=(6, 6)), env={"MAX_ENI": "2"})).summary
    assert "MAX_ENI=2" in summary
    assert "t3.medium holds 12 pods" in summary


@pytest.mark.parametrize(
    ("cidrs", "full"),
    [
        ((("10.0.0.0/25", "explicit"), ("10.0.0.128/25", "prefix")), True),
        ((("10.0.0.128/25", "prefix"),), False),
    ],
)
def test_given_a_node_subnet_that_is_wholly_reserved_then_no_node_can_be_launched_there(
    cidrs: tuple[tuple[str, str], ...], full: bool
) -> None:
    reserved = tuple(SubnetReservation(cidr=cidr, kind=kind) for cidr, kind in cidrs)  # type: ignore[arg-type]
    facts = snapshot(Part((node("a"),), (), (subnet("a", free=100, reservations=reserved),)))
    assert bool(full_node_subnets(facts)) == full


# --- Routes


def test_given_a_route_whose_target_is_gone_then_its_range_may_be_used_again() -> None:
    gone = Route(destination="100.64.0.0/10", target="pcx-1", route_table="rtb-a", state="blackhole")
    facts = snapshot(zone("a", free=0, stuck=1), vpc=vpc(routes=(gone,)))
    assert first_plan(facts).source == "new-cidr"
    there = vpc(routes=(gone.model_copy(update={"state": "active"}),))
    assert "100.64.0.0/10" in taken_ranges(facts.model_copy(update={"vpc": there}))


def test_given_routes_that_a_gateway_may_have_propagated_then_nothing_is_refused_for_their_number() -> None:
    learnt = tuple(Route(destination=f"172.16.{n}.0/24", target="vgw-1", route_table="rtb-a") for n in range(120))
    full = Quotas(applied=True, routes_per_table=100)
    made = first_plan(snapshot(zone("a", free=0, stuck=1), vpc=vpc(routes=learnt), quotas=full))
    assert "near-quotas" in {risk.id for risk in made.risks}
    own = tuple(route.model_copy(update={"target": "tgw-1"}) for route in learnt)
    with pytest.raises(CannotPlan, match="121 routes that are not propagated"):
        first_plan(snapshot(zone("a", free=0, stuck=1), vpc=vpc(routes=own), quotas=full))


@pytest.mark.parametrize("origin", ["EnableVgwRoutePropagation", "Advertisement"])
def test_given_an_origin_that_propagates_then_the_route_counts_apart(origin: str) -> None:
    route = {"destination": "172.16.0.0/24", "target": "vgw-1", "route_table": "rtb-a", "origin": origin}
    assert Route.model_validate(route).propagated is True
