"""Topologies of the corpus, after public reports: what their plans and refusals must say, and must not."""

from __future__ import annotations

import json
from functools import cache

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.risks.model import Severity
from ip_remediator.snapshot.model import Snapshot
from tests.unit.support.corpus import CASES
from tests.unit.support.plans import first_plan


def facts_of(name: str) -> Snapshot:
    [case] = [case for case in CASES if case.name == name]
    return case.snapshot


@cache
def plan_of(name: str) -> Plan:
    return first_plan(facts_of(name))


def refusal_of(name: str) -> CannotPlan:
    with pytest.raises(CannotPlan) as caught:
        first_plan(facts_of(name))
    return caught.value


def test_given_nodes_that_cannot_be_launched_then_nothing_for_pods_is_offered_instead() -> None:
    made = plan_of("node_launch/node-classes-by-tag-and-by-id")
    assert not any("strategy subnet-discovery" in text for text in made.alternatives)
    [recipient] = made.recipients
    assert recipient.name == "default"
    assert "patch ec2nodeclass gpu" in str(made.handover)


def test_given_a_pool_without_a_free_block_then_the_refusal_names_the_space_that_the_vpc_has() -> None:
    refused = refusal_of("subnet_exhausted/the-whole-pool-is-routed-away")
    assert "100.64.0.0/10 is the route to tgw-1" in str(refused)
    assert any("aws ec2 create-subnet --vpc-id vpc-1" in text for text in refused.alternatives)


def test_given_an_eniconfig_that_two_zones_select_then_no_command_points_it_elsewhere() -> None:
    refused = refusal_of("subnet_exhausted/one-eniconfig-for-two-zones")
    assert "an ENIConfig per zone" in str(refused)
    assert not any("patch eniconfig default" in text for text in refused.alternatives)


def test_given_a_tagged_subnet_without_a_way_out_then_it_is_used_with_a_high_risk_and_the_command() -> None:
    made = plan_of("subnet_exhausted/a-tagged-subnet-without-a-way-out")
    assert made.source == "existing-subnets"
    [risk] = [risk for risk in made.risks if risk.id == "routes-missing"]
    assert risk.severity is Severity.HIGH
    assert "aws ec2 create-route --route-table-id rtb-iso --destination-cidr-block 0.0.0.0/0" in risk.remedy


def test_given_two_short_eniconfigs_whose_subnets_have_other_routes_then_one_is_served_and_the_other_named() -> None:
    made = plan_of("subnet_exhausted/two-eniconfigs-of-a-zone-with-other-routes")
    [made_for] = [subnet.eni_configs for subnet in made.subnets]
    [other] = {"general", "pci"} - set(made_for)
    assert any(f"ENIConfig {other}" in text and "plan for it next" in text for text in made.alternatives)
    assert made.heals_now == 1


def test_given_nitro_and_xen_behind_one_eniconfig_then_the_subnet_reserves_nothing_for_prefixes() -> None:
    [made] = plan_of("subnet_exhausted/nitro-and-xen-share-an-eniconfig").subnets
    assert not made.reserve_prefixes


def test_given_a_last_slot_that_is_the_trunks_then_nothing_is_promised_before_the_node_is_replaced() -> None:
    made = plan_of("subnet_exhausted/security-groups-custom-networking-and-split-cidrs")
    assert (made.heals_now, made.replace_nodes) == (0, ("n1",))
    assert [(subnet.zone, subnet.cidr) for subnet in made.subnets] == [("us-east-2a", "100.65.0.0/24")]
    assert {risk.id: risk.severity for risk in made.risks}["security-group-pods-leave"] is Severity.HIGH


def test_given_both_pods_and_a_group_without_addresses_then_the_plan_says_that_the_run_for_nodes_follows() -> None:
    made = plan_of("subnet_exhausted/a-group-below-its-size-in-the-same-subnet")
    assert made.nodes_next == ("us-east-2a",)
    assert "the run for nodes starts by itself" in made.expectation


def test_given_peers_that_use_up_the_units_then_the_refusal_has_the_code_of_their_quota() -> None:
    refused = refusal_of("subnet_exhausted/peers-use-up-the-network-address-units")
    assert (refused.quota, "--quota-code L-CD17FD4B" in str(refused)) == ("L-CD17FD4B", True)


def test_given_an_eniconfig_with_a_deleted_security_group_then_nothing_is_promised_before_it_is_put_right() -> None:
    made = plan_of("subnet_exhausted/an-eniconfig-with-a-deleted-security-group")
    assert made.heals_now == 0
    assert "1 on n1 not before their security groups are put right" in made.expectation
    assert {risk.id: risk.severity for risk in made.risks}["eniconfigs-refer-elsewhere"] is Severity.HIGH


def test_given_nine_zones_then_their_subnets_share_one_block() -> None:
    made = plan_of("subnet_exhausted/nine-zones-in-one-block")
    assert (made.block, {subnet.cidr[-3:] for subnet in made.subnets}) == ("100.64.0.0/16", {"/20"})


def test_given_max_pods_unread_then_the_risk_still_has_what_a_new_node_holds() -> None:
    facts = facts_of("subnet_exhausted/a-group-below-its-size-in-the-same-subnet")
    env = {"ENABLE_SUBNET_DISCOVERY": "false"}
    made = first_plan(facts.model_copy(update={"cni": facts.cni.model_copy(update={"env": env})}))
    [risk] = [risk for risk in made.risks if risk.id == "max-pods-on-new-nodes"]
    assert "m5.large 20" in risk.found


def test_given_pods_on_full_nodes_then_the_answer_says_that_they_do_not_move_by_themselves() -> None:
    name = "node_limit/bound-to-full-nodes-and-none-can-be-launched"
    alternatives = diagnose(facts_of(name)).alternatives
    assert any("stay bound to their full node" in text for text in alternatives)
    assert any("aws eks create-nodegroup" in text for text in alternatives)


def test_given_a_group_that_lacks_something_else_than_the_worst_then_its_zone_names_that_too() -> None:
    [zone] = diagnose(facts_of("subnet_exhausted/a-stale-label-beside-a-full-subnet")).zones
    assert "there is no ENIConfig old-2a" in zone.reason
    made = plan_of("subnet_exhausted/a-stale-label-beside-a-full-subnet")
    manifests = json.dumps([change.manifest for change in made.changes])
    assert "old-2a" in manifests
