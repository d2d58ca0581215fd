"""A plan touches what is short, names what is not, and promises nothing that ipamd would not do."""

from __future__ import annotations

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.model import Snapshot
from tests.unit.support.corpus import FOLDER
from tests.unit.support.plans import first_plan


def facts(name: str) -> Snapshot:
    return Snapshot.model_validate_json((FOLDER / f"{name}.json").read_text())


def planned(name: str, strategy: str = "custom-networking") -> Plan:
    return first_plan(facts(name), PlanningOptions(strategy=strategy))  # type: ignore[arg-type]


def test_given_two_eniconfigs_in_a_zone_then_only_the_short_one_is_pointed_elsewhere_with_its_own_way_out() -> None:
    made = planned("subnet_exhausted/one-eniconfig-of-two-in-a-zone")
    [subnet] = made.subnets
    assert subnet.eni_configs == ("web-1a",)
    assert (subnet.route_table, subnet.network_acl) == ("rtb-n", "acl-n")
    assert [change.target for change in made.changes if change.action == "apply_eniconfig"] == ["web-1a"]
    present = facts("subnet_exhausted/one-eniconfig-of-two-in-a-zone").eni_config("web-1a")
    assert present is not None
    assert made.replaced_by_eni_config("web-1a") == present.subnet != subnet.id
    assert made.heals_now == 2
    assert any("ENIConfig vault-1a" in text and "230 free addresses" in text for text in made.alternatives)


def test_given_two_short_eniconfigs_with_different_routes_then_one_is_served_and_the_other_named_as_next() -> None:
    recorded = facts("subnet_exhausted/one-eniconfig-of-two-in-a-zone")
    subnets = tuple(one.model_copy(update={"free": 0}) if one.id == "subnet-v" else one for one in recorded.subnets)
    made = first_plan(recorded.model_copy(update={"subnets": subnets}))
    assert [subnet.eni_configs for subnet in made.subnets] == [("web-1a",)]
    assert any(text.startswith("short as well") and "vault-1a" in text for text in made.alternatives)


def test_given_nodes_of_one_eni_then_custom_networking_is_a_high_risk_and_no_replacement_is_promised() -> None:
    made = planned("subnet_exhausted/a-node-type-of-one-eni")
    assert made.strategy == "custom-networking"
    assert {risk.id: risk.severity.name for risk in made.risks}["no-eni-for-pods"] == "HIGH"
    assert (made.heals_now, made.replace_nodes) == (0, ())
    assert "hpc-1, nor on new nodes like them" in made.expectation


def test_given_a_cordoned_host_then_its_pods_are_not_promised_before_it_is_uncordoned() -> None:
    made = planned("subnet_exhausted/a-cordoned-host-in-a-full-subnet")
    assert (made.heals_now, made.replace_nodes) == (0, ())
    assert "1 on a-1 not before they are uncordoned" in made.expectation
    recorded = facts("subnet_exhausted/a-cordoned-host-in-a-full-subnet")
    env = {"AWS_MANAGE_ENIS_NON_SCHEDULABLE": "true"}
    assert first_plan(recorded.model_copy(update={"cni": recorded.cni.model_copy(update={"env": env})})).heals_now == 1


def test_given_xen_nodes_in_prefix_mode_then_no_prefixes_are_reserved_that_would_keep_addresses_from_them() -> None:
    made = planned("subnet_exhausted/xen-in-prefix-mode")
    assert [subnet.reserve_prefixes for subnet in made.subnets] == [False]
    assert made.heals_now == 1


def test_given_eniconfigs_that_nobody_selects_then_labels_are_named_and_nothing_is_added() -> None:
    with pytest.raises(CannotPlan, match=r"kubectl label node a-1 k8s\.amazonaws\.com/eniConfig=pods-1a") as caught:
        planned("eniconfig_missing/nobody-selects-the-eniconfigs-of-two-zones")
    assert "kubectl label node b-1 k8s.amazonaws.com/eniConfig=pods-1b" in str(caught.value)


def test_given_a_zone_that_is_short_though_nobody_waits_there_then_the_same_plan_serves_it() -> None:
    made = planned("subnet_exhausted/a-second-zone-is-short-as-well", "subnet-discovery")
    assert [subnet.zone for subnet in made.subnets] == ["eu-west-1a", "eu-west-1b"]
    alone = planned("subnet_exhausted/short-before-anybody-waits", "subnet-discovery")
    assert [subnet.zone for subnet in alone.subnets] == ["eu-west-1a"]


def test_given_zones_with_room_then_the_plan_spares_them_and_says_what_is_free_there() -> None:
    made = planned("subnet_exhausted/other-zones-have-room")
    assert [(subnet.zone, subnet.eni_configs) for subnet in made.subnets] == [("eu-west-1a", ("eu-west-1a",))]
    assert any("4,000 free addresses" in text and "spread" in text for text in made.alternatives)
    first = planned("subnet_exhausted/short-before-anybody-waits")
    assert any("touches eu-west-1a alone and spares eu-west-1b" in text for text in first.alternatives)


def test_given_security_groups_for_pods_then_max_pods_of_new_nodes_leaves_out_both_enis() -> None:
    recorded = facts("node_limit/the-last-slot-is-the-trunks")
    stuck = tuple(one.model_copy(update={"free": 0}) if one.id == "subnet-p" else one for one in recorded.subnets)
    env = recorded.cni.env | {"MAX_ENI": "9"}
    room = recorded.model_copy(update={"subnets": stuck, "cni": recorded.cni.model_copy(update={"env": env})})
    assert "holds 11 pods" in diagnose(room).summary
    # More nodes are the cure, and these find too few addresses: they get some, and nothing is promised to this one.
    made = first_plan(room)
    assert made.heals_now == 0
    assert "and on further nodes" in made.expectation
    [advised] = [option.reason for option in made.options if option.option == "max-pods"]
    assert "hold 11 pods" in advised
