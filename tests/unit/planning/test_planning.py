"""From a diagnosis to a plan: which block is asked for, what is refused, and what the document says."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from ip_remediator.common import cidr as cidrs
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.build_plan import plan
from ip_remediator.planning.model import BlockRequirement, Plan, digest
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import requirement
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model import Quotas, Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni
from ip_remediator.snapshot.model_vpc import Peering, Route, TransitGateway, VpcCidr
from tests.unit.support.facts import CUSTOM, Part, az, eni_config, node, pods, snapshot, subnet, vpc, zone
from tests.unit.support.plans import first_plan

NETWORK = IPv4Network
FULL = (zone("a", free=0, stuck=1), zone("b", free=0, stuck=1))
READ = Quotas(applied=True)
RECORDS = Path(__file__).parents[2] / "data" / "records"


def needed(facts: Snapshot, **options: Any) -> BlockRequirement:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return requirement(facts, diagnose(facts), PlanningOptions(**values))


def planned(facts: Snapshot, **options: Any) -> Plan:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return first_plan(facts, PlanningOptions(**values))


def refusal(facts: Snapshot, **options: Any) -> str:
    with pytest.raises(CannotPlan) as caught:
        planned(facts, **options)
    assert caught.value.alternatives
    return str(caught.value)


# --- What the block must not overlap


@pytest.mark.parametrize(
    ("facts", "taken", "owner"),
    [
        (snapshot(*FULL), "10.0.0.0/16", "CIDR of vpc-1"),
        (snapshot(*FULL, cluster=Cluster(name="prod", service_cidrs=("100.64.0.0/16",))), "100.64.0.0/16", "services"),
        (snapshot(*FULL, cluster=Cluster(name="prod", remote_cidrs=("100.64.0.0/16",))), "100.64.0.0/16", "remote"),
        (
            snapshot(*FULL, vpc=vpc(peerings=(Peering(id="pcx-1", status="active", cidrs=("100.64.0.0/16",)),))),
            "100.64.0.0/16",
            "peer of pcx-1",
        ),
        (
            snapshot(*FULL, vpc=vpc(routes=(Route(destination="100.64.0.0/16", target="tgw-1", route_table="rtb-a"),))),
            "100.64.0.0/16",
            "route to tgw-1 in rtb-a",
        ),
    ],
    ids=["vpc", "services", "remote-network", "peer", "route"],
)
def test_given_a_range_that_somebody_has_then_it_is_excluded_by_name_and_the_plan_keeps_off(
    facts: Snapshot, taken: str, owner: str
) -> None:
    assert owner in needed(facts).excluded[taken]
    assert not NETWORK(planned(facts).block).overlaps(NETWORK(taken))


def test_given_ranges_kept_for_others_then_the_plan_keeps_off() -> None:
    tailscale = NETWORK("100.64.0.0/11")
    assert needed(snapshot(*FULL), excluded=[tailscale]).excluded[str(tailscale)] == "range excluded by the settings"
    assert planned(snapshot(*FULL), excluded=[tailscale]).block.startswith("100.96.")


def test_given_a_peering_that_is_gone_then_its_range_is_free() -> None:
    gone = Peering(id="pcx-1", status="deleted", cidrs=("100.64.0.0/16",))
    assert "100.64.0.0/16" not in needed(snapshot(*FULL, vpc=vpc(peerings=(gone,)))).excluded


@pytest.mark.parametrize("way_out", ["0.0.0.0/0", "0.0.0.0/1"])
def test_given_a_default_route_then_it_takes_nothing(way_out: str) -> None:
    route = Route(destination=way_out, target="nat-1", route_table="rtb-a")
    assert planned(snapshot(*FULL, vpc=vpc(routes=(route,)))).block == "100.64.0.0/16"


def test_given_dockers_bridge_among_the_pools_then_it_is_left_alone() -> None:
    facts = snapshot(*FULL, vpc=vpc(cidrs=(VpcCidr(cidr="172.20.0.0/16"),)), cluster=Cluster(name="prod"))
    result = planned(facts, pools=[NETWORK("172.17.0.0/16"), NETWORK("172.18.0.0/16")])
    assert result.block == "172.18.0.0/22"


# --- What AWS allows


def test_given_an_rfc1918_vpc_then_198_19_is_refused_and_the_next_pool_taken() -> None:
    benchmark = NETWORK("198.19.0.0/16")
    assert "AWS allows none of the pools 198.19.0.0/16 in a VPC of 10.0.0.0/16" in refusal(
        snapshot(*FULL), pools=[benchmark]
    )
    assert planned(snapshot(*FULL), pools=[benchmark, cidrs.CGNAT]).block.startswith("100.64.")


def test_given_a_pool_of_which_aws_bars_a_part_then_the_other_part_is_used() -> None:
    result = planned(snapshot(*FULL), pools=[NETWORK("198.18.0.0/15")])
    assert NETWORK(result.block).subnet_of(NETWORK("198.18.0.0/16"))


def test_given_no_pool_then_the_refusal_says_that_none_is_configured() -> None:
    assert "(none is configured)" in refusal(snapshot(*FULL), pools=[])


def test_given_a_vpc_at_its_cidr_quota_then_the_refusal_names_the_quota_and_the_command() -> None:
    crowded = vpc("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16")
    message = refusal(snapshot(*FULL, vpc=crowded, quotas=READ))
    assert "has 5 IPv4 CIDRs and the quota is 5" in message
    assert "--quota-code L-83CA0A9D --desired-value 10" in message
    assert planned(snapshot(*FULL, vpc=crowded, quotas=Quotas(cidrs_per_vpc=50))).source == "new-cidr"


def test_given_quotas_that_were_not_read_then_aws_defaults_refuse_nothing_and_a_risk_tells() -> None:
    crowded = vpc("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16")
    made = planned(snapshot(*FULL, vpc=crowded))
    [risk] = [risk for risk in made.risks if risk.id == "near-quotas"]
    assert "CIDRs of the VPC 6 of 5" in risk.found
    assert "the quotas were not read" in risk.found


def test_given_a_vpc_at_its_cidr_quota_with_room_in_a_cgnat_cidr_then_the_room_is_used() -> None:
    crowded = vpc("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "100.70.0.0/16")
    assert planned(snapshot(*FULL, vpc=crowded)).block == "100.70.0.0/18"


def test_given_a_vpc_at_its_subnet_quota_then_the_refusal_names_the_quota_and_the_command() -> None:
    message = refusal(snapshot(*FULL, vpc=vpc(subnet_count=199), quotas=READ))
    assert "has 199 subnets, 2 more are needed and the quota is 200" in message
    assert "--quota-code L-407747CB" in message
    assert planned(snapshot(*FULL, vpc=vpc(subnet_count=198)))


def test_given_a_peering_that_this_vpc_asked_for_and_nobody_accepted_then_aws_would_add_no_cidr() -> None:
    asked = Peering(id="pcx-1", status="pending-acceptance", cidrs=("10.9.0.0/16",), requester=True)
    assert "have pcx-1 accepted, or delete it" in refusal(snapshot(*FULL, vpc=vpc(peerings=(asked,))))
    received = asked.model_copy(update={"requester": False})
    assert planned(snapshot(*FULL, vpc=vpc(peerings=(received,))))


def test_given_a_vpc_shared_by_another_account_then_no_plan_is_made() -> None:
    facts = snapshot(*FULL)
    verdict = diagnose(facts)
    shared = facts.model_copy(update={"vpc": vpc(owner_id="2")})
    with pytest.raises(CannotPlan, match="shared by account 2"):
        requirement(shared, verdict)


def test_given_a_diagnosis_that_addresses_do_not_cure_then_the_refusal_repeats_it() -> None:
    assert refusal(snapshot(zone("a", free=90, stuck=1, enis=(6, 6, 6)))).startswith("node_limit: ")


def test_given_a_snapshot_without_vpc_then_the_refusal_says_what_is_missing() -> None:
    assert "the snapshot has no vpc" in refusal(snapshot(*FULL, vpc=None))


def test_given_a_block_that_overlaps_then_planning_with_it_is_refused() -> None:
    facts = snapshot(*FULL)
    with pytest.raises(CannotPlan, match=r"overlaps the CIDR of vpc-1"):
        plan(facts, diagnose(facts), needed(facts), NETWORK("10.0.4.0/22"))


def test_given_a_block_too_small_for_the_zones_then_planning_with_it_is_refused() -> None:
    facts = snapshot(*FULL, zone("c", free=0))
    with pytest.raises(CannotPlan, match="cannot be split into 3 subnets"):
        plan(facts, diagnose(facts), needed(facts), NETWORK("100.64.0.0/28"))


# --- The CG-NAT CIDR which the VPC already has


def test_given_a_cgnat_cidr_with_room_then_it_is_used_and_no_cidr_added() -> None:
    used = Part(subnets=(subnet("a", id="subnet-old", cidr="100.64.0.0/24", free=250),))
    result = planned(snapshot(*FULL, used, vpc=vpc("100.64.0.0/16")))
    assert (result.source, result.block) == ("existing-cidr", "100.64.64.0/18")
    assert "associate_cidr" not in [change.action for change in result.changes]
    assert [option.option for option in result.options if option.taken] == ["existing-cidr"]


def test_given_a_cgnat_cidr_that_is_full_then_a_new_cidr_beside_it_is_added() -> None:
    used = Part(subnets=(subnet("a", id="subnet-old", cidr="100.64.0.0/16", free=0),))
    result = planned(snapshot(*FULL, used, vpc=vpc("100.64.0.0/16")))
    assert (result.source, result.block) == ("new-cidr", "100.65.0.0/16")
    assert result.changes[0].action == "associate_cidr"
    assert [option.option for option in result.options if option.taken] == ["new-cidr"]


def test_given_a_cgnat_cidr_that_is_kept_for_others_then_a_new_cidr_is_added() -> None:
    result = planned(snapshot(*FULL, vpc=vpc("100.64.0.0/16")), excluded=[NETWORK("100.64.0.0/16")])
    assert result.source == "new-cidr"


def test_given_a_cgnat_cidr_that_is_still_associating_then_it_is_not_used_yet() -> None:
    arriving = VpcCidr(cidr="100.64.0.0/16", state="associating")
    facts = snapshot(*FULL, vpc=vpc(cidrs=(VpcCidr(cidr="10.0.0.0/16"), arriving)))
    assert planned(facts).block == "100.65.0.0/16"


# --- Zones and sizes


def test_given_the_first_turn_to_custom_networking_then_every_zone_with_nodes_is_served() -> None:
    # Also the healthy one: a zone without ENIConfig loses its nodes when the flag is set.
    result = planned(snapshot(zone("a", free=0, stuck=1), zone("b", free=200)))
    assert [subnet.zone for subnet in result.subnets] == [az("a"), az("b")]
    assert result.strategy == "custom-networking"


def test_given_custom_networking_on_then_only_the_zones_in_need_are_served() -> None:
    configs = Part(eni_configs=(eni_config("a"), eni_config("b")))
    result = planned(snapshot(zone("a", free=0, stuck=1), zone("b", free=200), configs, env=CUSTOM))
    assert [subnet.zone for subnet in result.subnets] == [az("a")]
    assert result.strategy == "custom-networking-extension"
    assert not result.first_time


@pytest.mark.parametrize("kind", ["fargate", "windows", "own_cni"])
def test_given_nodes_that_aws_node_does_not_serve_then_their_zone_gets_no_subnet(kind: str) -> None:
    others = Part(nodes=(node("c", enis=()).model_copy(update={kind: True}),))
    assert [subnet.zone for subnet in planned(snapshot(*FULL, others)).subnets] == [az("a"), az("b")]


@pytest.mark.parametrize(
    ("nodes", "prefix"),
    [(1, 24), (3, 24), (4, 23), (100, 19), (1000, 18)],
)
def test_given_more_nodes_then_the_subnets_grow_within_bounds(nodes: int, prefix: int) -> None:
    # A t3.medium holds 3 x 6 addresses; four times that is asked for.
    facts = snapshot(zone("a", free=0, stuck=1, nodes=nodes))
    assert needed(facts, as_needed=True).subnet_prefix == prefix
    # and where addresses cost nothing none is smaller than a /19
    assert needed(facts).subnet_prefix == min(prefix, 19)


def test_given_prefix_mode_then_max_pods_sizes_the_subnet_and_half_of_it_is_reserved() -> None:
    facts = snapshot(zone("a", free=0, stuck=1, nodes=4, max_pods=110), env={"ENABLE_PREFIX_DELEGATION": "true"})
    assert needed(facts, as_needed=True).subnet_prefix == cidrs.subnet_prefix_for(4 * 4 * 110)
    assert planned(facts).subnets[0].reserve_prefixes


def test_given_unknown_instance_types_then_a_guess_sizes_the_subnet() -> None:
    facts = snapshot(
        zone("a", free=0, stuck=1, nodes=9, instance_type=None, max_enis=None, addresses_per_eni=None, max_pods=None)
    )
    assert needed(facts, as_needed=True).subnet_prefix == cidrs.subnet_prefix_for(4 * 9 * 30)


def test_given_three_zones_then_the_block_holds_their_subnets_and_one_to_come() -> None:
    result = planned(snapshot(*FULL, zone("c", free=0)), as_needed=True)
    assert result.block == "100.64.0.0/22"
    assert [subnet.cidr for subnet in result.subnets] == ["100.64.0.0/24", "100.64.1.0/24", "100.64.2.0/24"]


# --- What the document says


def test_given_a_zone_then_its_subnet_copies_route_table_and_acl_of_the_subnet_with_most_nodes() -> None:
    few = Part(nodes=(node("a", 5, home="subnet-a2"),), subnets=(subnet("a", id="subnet-a2", route_table="rtb-x"),))
    result = planned(snapshot(few, zone("a", free=0, stuck=1, nodes=2)))
    assert (result.subnets[0].route_table, result.subnets[0].network_acl) == ("rtb-a", "acl-a")
    assert "with route table rtb-a and network ACL acl-a" in result.changes[1].description


def test_given_the_first_turn_then_eniconfigs_are_named_after_zones_and_the_cni_is_switched_last() -> None:
    result = planned(snapshot(*FULL))
    assert [(change.action, change.target) for change in result.changes] == [
        ("associate_cidr", "vpc-1"),
        ("create_subnet", az("a")),
        ("create_subnet", az("b")),
        ("apply_eniconfig", az("a")),
        ("apply_eniconfig", az("b")),
        ("configure_cni", "aws-node"),
    ]
    assert result.changes[-1].manifest == {
        "env": {
            "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true",
            "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone",
        }
    }


def test_given_the_first_turn_and_a_node_that_selects_an_eniconfig_by_itself_then_that_one_is_made_too() -> None:
    # The external label and the annotation go before ENI_CONFIG_LABEL_DEF.
    result = planned(snapshot(zone("a", free=0, stuck=1, eni_config="batch"), zone("b", free=0, eni_config="default")))
    assert [subnet.eni_configs for subnet in result.subnets] == [(az("a"), "batch"), (az("b"),)]


def test_given_custom_networking_on_then_the_eniconfigs_that_nodes_select_are_pointed_elsewhere() -> None:
    other = Part(nodes=(node("a", 1, eni_config="a-batch"),))
    configs = Part(eni_configs=(eni_config("a"), eni_config("a", name="a-batch")))
    result = planned(snapshot(zone("a", free=0, stuck=1), other, configs, env=CUSTOM))
    assert result.subnets[0].eni_configs == ("a-batch", az("a"))
    assert "configure_cni" not in [change.action for change in result.changes]


def test_given_zones_that_share_an_eniconfig_then_no_plan_repoints_it() -> None:
    shared = Part(eni_configs=(eni_config("a", name="default"),))
    facts = snapshot(
        zone("a", free=0, stuck=1, eni_config=None), zone("b", free=0, eni_config=None), shared, env=CUSTOM
    )
    assert f"nodes of {az('a')}, {az('b')} select the same ENIConfig default" in refusal(facts)


@pytest.mark.parametrize(
    ("owner", "way"), [("addon", "through the vpc-cni add-on"), ("self-managed", "through DaemonSet aws-node")]
)
def test_given_who_owns_the_cni_then_the_plan_says_through_what_it_is_set(owner: Any, way: str) -> None:
    assert way in planned(snapshot(*FULL, cni=Cni(owner=owner))).changes[-1].description


def test_given_hosts_with_free_slots_then_all_pods_are_expected_at_once() -> None:
    assert planned(snapshot(*FULL)).expectation == "heals 2 of 2 pods now"


def test_given_a_host_without_free_slot_then_its_pods_are_expected_after_its_replacement() -> None:
    facts = snapshot(zone("a", free=0, stuck=1), zone("b", free=0, stuck=2, enis=(1, 1, 1)))
    assert planned(facts).expectation == "heals 1 of 3 pods now, 2 after replacing node-b0"


def test_given_leaked_enis_then_the_options_tell_how_many() -> None:
    leaked = tuple(LeakedInterface(id=id_, subnet_id="subnet-a") for id_ in ("eni-x", "eni-y"))
    option = planned(snapshot(*FULL, leaked_interfaces=leaked)).options[0]
    assert (option.option, option.taken) == ("delete-leaked-enis", False)
    assert option.reason.startswith("2 leaked ENIs")


def test_given_a_vpc_of_which_little_is_known_then_the_plan_says_what_the_block_was_not_held_against() -> None:
    unknown = planned(snapshot(*FULL, vpc=vpc(cidrs=(), routes_read=False))).unknown
    assert "the CIDRs of vpc-1: AWS refuses a block that overlaps one" in unknown
    assert "the routes of vpc-1: the block may be in use behind one" in unknown
    routes = (Route(destination="0.0.0.0/0", target="nat-1", route_table="rtb-a"),)
    assert not any("vpc-1" in item for item in planned(snapshot(*FULL, vpc=vpc(routes=routes))).unknown)


# --- The hash


def test_given_the_same_facts_then_the_hash_is_the_same_and_survives_storage() -> None:
    first, second = planned(snapshot(*FULL)), planned(snapshot(*FULL))
    assert first.hash == second.hash == digest(first)
    assert len(first.hash) == 64
    stored = Plan.model_validate(json.loads(first.model_dump_json()))
    assert digest(stored) == stored.hash


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.json")), ids=lambda path: path.stem)
def test_given_a_plan_of_the_first_release_then_its_hash_is_still_the_same(path: Path) -> None:
    [record] = [item for item in json.loads(path.read_text()) if item["sk"]["S"] == "META"]
    stored = Plan.model_validate_json(record["plan"]["S"])
    assert digest(stored) == stored.hash


@pytest.mark.parametrize(
    "facts",
    [
        snapshot(*FULL, unread=("routes of transit gateway tgw-1: throttled",)),
        snapshot(*FULL, vpc=vpc(transit_gateways=(TransitGateway(id="tgw-1", attachment="tgw-attach-1"),))),
        snapshot(*FULL, vpc=vpc(security_groups=())),
        snapshot(*FULL, quotas=Quotas(cidrs_per_vpc=2)),
    ],
    ids=["facts-unread", "transit-gateway-unread", "security-groups-read", "near-quotas"],
)
def test_given_risks_that_come_and_go_with_a_throttled_read_then_an_approval_holds(facts: Snapshot) -> None:
    before = planned(snapshot(*FULL))
    now = planned(facts)
    assert {risk.id for risk in now.risks} != {risk.id for risk in before.risks}
    assert now.hash == before.hash


@pytest.mark.parametrize(
    "facts",
    [
        snapshot(*FULL, zone("c", free=0)),
        snapshot(*FULL, vpc=vpc("100.64.0.0/16")),
        snapshot(*FULL, env={"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}, vpc=vpc(routes_read=False)),
        snapshot(*FULL, cni=Cni(owner="addon")),
        snapshot(FULL[0], Part((node("b"),), pods(1, "node-b0"), (subnet("b", network_acl="acl-other"),))),
    ],
    ids=["zone", "source", "risk", "way", "network-acl"],
)
def test_given_anything_else_to_be_done_then_the_hash_is_another(facts: Snapshot) -> None:
    assert planned(facts).hash != planned(snapshot(*FULL)).hash


def test_given_other_pods_that_wait_then_the_same_is_done_and_the_hash_stays() -> None:
    more = planned(snapshot(zone("a", free=0, stuck=2), zone("b", free=0, stuck=1)))
    assert more.expectation != planned(snapshot(*FULL)).expectation
    assert more.hash == planned(snapshot(*FULL)).hash
