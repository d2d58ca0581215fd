"""The verdict on a cluster: each of them, from facts alone wherever facts can tell."""

from __future__ import annotations

import pytest

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, Cluster, Cni, EniConfig, NetworkInterface
from ip_remediator.snapshot.model_vpc import SubnetReservation
from tests.unit.support.facts import CUSTOM, Part, az, eni_config, node, pods, snapshot, subnet, vpc, zone

FULL_ENIS = (6, 6, 6)


def verdict_of_zones(facts: Snapshot, *causes: Cause) -> dict[str, Verdict]:
    return {result.zone[-1]: result.verdict for result in diagnose(facts, causes).zones}


# --- subnet_exhausted


def test_given_no_free_address_and_stuck_pods_then_the_subnet_is_exhausted() -> None:
    result = diagnose(snapshot(zone("a", free=0, stuck=1), zone("b", free=0, stuck=1)))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert result.curable
    assert "0 free addresses in subnet-a for 1 stuck pod" in result.summary
    assert "0 free addresses in subnet-b for 1 stuck pod" in result.summary
    assert [zone.free for zone in result.zones] == [0, 0]


def test_given_fewer_free_addresses_than_stuck_pods_then_the_subnet_is_exhausted() -> None:
    facts = snapshot(zone("a", free=2, stuck=3, enis=(3,)))
    assert diagnose(facts).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_full_enis_and_fewer_free_addresses_than_a_new_eni_takes_then_the_subnet_is_exhausted() -> None:
    # ipamd asks for all six addresses of a t3.medium's new ENI in one call, and does not try with fewer.
    result = diagnose(snapshot(zone("a", free=5, stuck=1, enis=(6,))))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert "of which a node needs 6 at once" in result.summary


def test_given_as_many_free_addresses_as_a_new_eni_takes_then_the_subnet_is_not_exhausted() -> None:
    assert diagnose(snapshot(zone("a", free=6, stuck=1, enis=(6,)))).verdict is Verdict.CNI_FAULT


def test_given_a_warm_ip_target_then_a_new_eni_needs_only_that_many_addresses() -> None:
    full_eni = zone("a", free=2, stuck=1, enis=(6,))
    assert diagnose(snapshot(full_eni, env={"WARM_IP_TARGET": "1"})).verdict is Verdict.CNI_FAULT
    assert diagnose(snapshot(full_eni, env={"WARM_IP_TARGET": "2"})).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_room_on_an_eni_then_one_free_address_per_pod_is_enough() -> None:
    assert diagnose(snapshot(zone("a", free=1, stuck=1, enis=(5,)))).verdict is Verdict.CNI_FAULT


def test_given_a_second_subnet_of_the_zone_with_free_addresses_then_it_does_not_count_for_nodes_of_the_first() -> None:
    roomy = Part(nodes=(node("a", 1, home="subnet-a2"),), subnets=(subnet("a", id="subnet-a2", free=4000),))
    result = diagnose(snapshot(zone("a", free=0, stuck=2), roomy))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert "subnet-a2" not in result.summary


def test_given_a_full_subnet_and_no_stuck_pod_then_it_is_exhausted_before_anybody_waits() -> None:
    result = diagnose(snapshot(zone("a", free=0)))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert "no pod waits for one yet" in result.summary


def test_given_every_slot_taken_but_room_on_the_enis_then_the_subnet_is_at_fault_and_the_node_must_be_replaced() -> (
    None
):
    result = diagnose(snapshot(zone("a", free=0, stuck=1, enis=(1, 1, 1))))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    [judged] = result.nodes
    assert not judged.relieved_now
    assert judged.reason == "3 of 3 ENIs attached: no slot for an ENI in a new subnet, replace the node"


def test_given_free_counts_that_nobody_read_then_ec2s_own_refusal_proves_a_full_subnet() -> None:
    facts = snapshot(zone("a", free=None, stuck=1))
    assert diagnose(facts, [Cause.SUBNET_FULL]).verdict is Verdict.SUBNET_EXHAUSTED
    assert diagnose(facts, [Cause.PREFIX_FRAGMENTED]).verdict is Verdict.PREFIX_FRAGMENTED


def test_given_free_counts_that_nobody_read_and_only_the_general_string_then_nothing_is_claimed_of_the_subnet() -> None:
    result = diagnose(snapshot(zone("a", free=None, stuck=1)), [Cause.NO_ADDRESS])
    assert result.verdict is Verdict.CNI_FAULT
    assert not result.curable
    assert "the free addresses of subnet-a are unknown" in result.summary
    assert result.zones[0].free is None
    assert "free addresses of subnet-a" in result.unknown


# --- subnet discovery


# A second subnet of the zone, with room, that discovery may use.
TAGGED = Part(subnets=(subnet("a", id="subnet-a2", free=200, tags={"kubernetes.io/role/cni": "1"}),))


def test_given_a_tagged_subnet_of_the_zone_with_free_addresses_then_discovery_uses_it() -> None:
    assert diagnose(snapshot(zone("a", free=0, stuck=1), TAGGED)).verdict is Verdict.CNI_FAULT


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"ENABLE_SUBNET_DISCOVERY": "false"}, id="discovery-off"),
        pytest.param({"ENABLE_SUBNET_DISCOVERY": "0"}, id="discovery-off-as-go-spells-it"),
    ],
)
def test_given_discovery_off_then_a_tagged_subnet_helps_nobody(env: dict[str, str]) -> None:
    facts = snapshot(zone("a", free=0, stuck=1), TAGGED, env=env)
    assert diagnose(facts).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_a_cni_older_than_discovery_then_a_tagged_subnet_helps_nobody() -> None:
    facts = snapshot(zone("a", free=0, stuck=1), TAGGED, cni=Cni(version="v1.17.1-eksbuild.1"))
    assert diagnose(facts).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_a_subnet_tagged_for_another_cluster_then_it_helps_nobody_here() -> None:
    tags = {"kubernetes.io/role/cni": "1", "cni.networking.k8s.aws/cluster/staging": "1"}
    foreign = Part(subnets=(subnet("a", id="subnet-a2", free=200, tags=tags),))
    assert diagnose(snapshot(zone("a", free=0, stuck=1), foreign)).verdict is Verdict.SUBNET_EXHAUSTED


@pytest.mark.parametrize(
    ("value", "version", "verdict"),
    [
        ("yes", "v1.23.1", Verdict.CNI_FAULT),
        ("", "v1.23.1", Verdict.SUBNET_EXHAUSTED),
        ("", "v1.19.0", Verdict.CNI_FAULT),
        ("0", "v1.23.1", Verdict.SUBNET_EXHAUSTED),
        ("0", "v1.19.0", Verdict.CNI_FAULT),
    ],
)
def test_given_another_value_of_the_tag_then_it_counts_as_ipamd_reads_it(
    value: str, version: str, verdict: Verdict
) -> None:
    # pkg/awsutils: since v1.22 isSubnetValidForENICreation, before any subnet that has the tag
    tagged = Part(subnets=(subnet("a", id="subnet-a2", free=200, tags={"kubernetes.io/role/cni": value}),))
    facts = snapshot(zone("a", free=0, stuck=1), tagged, cni=Cni(version=version))
    assert diagnose(facts).verdict is verdict


def test_given_a_home_subnet_without_the_tag_then_the_clusters_that_other_tags_name_do_not_matter() -> None:
    own = subnet("a", free=100, tags={"cni.networking.k8s.aws/cluster/staging": "1"})
    assert diagnose(snapshot(Part((node("a"),), pods(1, "node-a0"), (own,)))).verdict is Verdict.CNI_FAULT


@pytest.mark.parametrize("enis", [(), (6,)], ids=["enis", "free addresses"])
def test_given_too_few_facts_then_it_is_said_that_nothing_is_proven_and_what_to_add(enis: tuple[int, ...]) -> None:
    result = diagnose(snapshot(zone("a", free=None, stuck=1, enis=enis)))
    assert result.verdict is Verdict.CNI_FAULT
    assert "nothing proves a lack of" in result.summary
    assert "capture the snapshot again, or add" in result.summary


def test_given_nodes_whose_enis_are_unknown_then_the_evidence_names_the_subnets_that_the_verdict_rests_on() -> None:
    dark = node("a").model_copy(update={"interfaces": ()})
    result = diagnose(snapshot(Part((dark,), pods(1, dark.name), (subnet("a", free=0),))))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert result.evidence[0] == f"subnet subnet-a (10.0.0.0/24, {dark.zone}) has 0 free addresses"


def test_given_a_tagged_subnet_of_another_zone_then_it_helps_nobody_here() -> None:
    elsewhere = Part(subnets=(subnet("b", free=200, tags={"kubernetes.io/role/cni": "1"}),))
    assert diagnose(snapshot(zone("a", free=0, stuck=1), elsewhere)).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_the_nodes_subnet_is_excluded_by_its_tag_then_its_free_addresses_do_not_count_for_a_new_eni() -> None:
    own = subnet("a", free=100, tags={"kubernetes.io/role/cni": "0"})
    other = subnet("a", id="subnet-a2", free=0, tags={"kubernetes.io/role/cni": "1"})
    facts = snapshot(Part((node("a"),), pods(1, "node-a0"), (own, other)))
    assert diagnose(facts).verdict is Verdict.SUBNET_EXHAUSTED


# --- prefix_fragmented


def prefix_zone(free: int, free_prefixes: int | None, **more: int) -> Part:
    host = node("a", enis=(1,))
    return Part((host,), pods(more.get("stuck", 2), host.name), (subnet("a", free=free, free_prefixes=free_prefixes),))


PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}


@pytest.mark.parametrize("causes", [(), (Cause.NO_ADDRESS,), (Cause.SUBNET_FULL,), (Cause.PREFIX_FRAGMENTED,)])
def test_given_prefix_mode_and_many_free_addresses_but_no_free_28_then_the_subnet_is_fragmented(
    causes: tuple[Cause, ...],
) -> None:
    result = diagnose(snapshot(prefix_zone(free=180, free_prefixes=0), env=PREFIXES), causes)
    assert result.verdict is Verdict.PREFIX_FRAGMENTED
    assert result.curable
    assert "180 free, none contiguous" in result.summary
    assert any("180 free addresses, 0 free /28 prefixes" in fact for fact in result.evidence)


@pytest.mark.parametrize("cause", [Cause.SUBNET_FULL, Cause.PREFIX_FRAGMENTED])
def test_given_prefix_mode_and_uncounted_prefixes_then_the_refusal_of_a_subnet_that_is_not_full_proves_it(
    cause: Cause,
) -> None:
    # ipamd says "subnet doesn't seem to have enough IPs/Prefixes" of both, which arrives as subnet_full.
    facts = snapshot(prefix_zone(free=180, free_prefixes=None), env=PREFIXES)
    assert diagnose(facts, [cause]).verdict is Verdict.PREFIX_FRAGMENTED


def test_given_prefix_mode_and_free_28s_then_ipamds_ambiguous_words_prove_nothing() -> None:
    facts = snapshot(prefix_zone(free=180, free_prefixes=4), env=PREFIXES)
    assert diagnose(facts, [Cause.SUBNET_FULL]).verdict is Verdict.CNI_FAULT


def test_given_prefix_mode_and_fewer_free_addresses_than_a_28_holds_then_the_subnet_is_exhausted() -> None:
    result = diagnose(snapshot(prefix_zone(free=12, free_prefixes=0), env=PREFIXES))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert "of which a node needs 16 at once" in result.summary


def test_given_single_addresses_then_ec2s_word_of_prefixes_makes_nothing_fragmented() -> None:
    facts = snapshot(prefix_zone(free=180, free_prefixes=0))
    assert diagnose(facts, [Cause.PREFIX_FRAGMENTED]).verdict is Verdict.CNI_FAULT


# --- eniconfig_missing


def test_given_custom_networking_and_no_eniconfig_for_a_zone_then_it_is_missing_there() -> None:
    facts = snapshot(
        zone("a", free=100), Part(eni_configs=(eni_config("a"),)), zone("b", free=100, stuck=1), env=CUSTOM
    )
    result = diagnose(facts)
    assert result.verdict is Verdict.ENICONFIG_MISSING
    assert result.curable
    assert f"there is no ENIConfig {az('b')}" in result.summary
    assert verdict_of_zones(facts) == {"a": Verdict.RECOVERED, "b": Verdict.ENICONFIG_MISSING}


def test_given_a_missing_eniconfig_then_it_is_found_even_when_no_pod_is_stuck() -> None:
    # Its nodes are NotReady, so nothing is scheduled there that could be stuck.
    assert diagnose(snapshot(zone("a", free=100), env=CUSTOM)).verdict is Verdict.ENICONFIG_MISSING


def test_given_nodes_that_select_nothing_then_the_eniconfig_default_is_meant() -> None:
    facts = snapshot(zone("a", free=100, eni_config=None), env=CUSTOM)
    assert "there is no ENIConfig default" in diagnose(facts).summary


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (eni_config("a", subnet="subnet-gone"), "names subnet-gone, which the VPC does not have"),
        (eni_config("a", subnet="subnet-b"), f"names subnet-b of {az('b')}, and nodes of {az('a')} select it"),
        (eni_config("a", subnet=None), "names no subnet"),
    ],
    ids=["subnet-gone", "wrong-zone", "no-subnet"],
)
def test_given_an_eniconfig_that_no_eni_can_be_made_by_then_that_is_the_verdict(config: EniConfig, words: str) -> None:
    facts = snapshot(
        zone("a", free=100, stuck=1), zone("b", free=100), Part(eni_configs=(config, eni_config("b"))), env=CUSTOM
    )
    result = diagnose(facts)
    assert result.verdict is Verdict.ENICONFIG_MISSING
    assert words in result.summary


def test_given_eniconfigs_that_fit_and_ipamd_cannot_use_them_then_their_security_groups_are_suspected() -> None:
    facts = snapshot(zone("a", free=100, stuck=1), Part(eni_configs=(eni_config("a"),)), env=CUSTOM)
    result = diagnose(facts, [Cause.ENICONFIG_MISSING])
    assert result.verdict is Verdict.CNI_FAULT
    assert "security groups" in result.summary


def test_given_custom_networking_then_the_eniconfigs_subnet_counts_and_not_the_nodes() -> None:
    pods_subnet = Part(
        subnets=(subnet("a", id="subnet-pods", free=0),), eni_configs=(eni_config("a", subnet="subnet-pods"),)
    )
    facts = snapshot(zone("a", free=100, stuck=1, enis=(1,)), pods_subnet, env=CUSTOM)
    result = diagnose(facts)
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert "0 free addresses in subnet-pods" in result.summary


def test_given_custom_networking_as_go_spells_it_then_it_is_on() -> None:
    assert diagnose(snapshot(zone("a", free=9), env={**CUSTOM, "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "1"})).verdict is (
        Verdict.ENICONFIG_MISSING
    )


# --- node_limit


def test_given_every_eni_attached_and_full_then_the_node_is_at_its_limit() -> None:
    result = diagnose(snapshot(zone("a", free=100, stuck=1, enis=FULL_ENIS)))
    assert result.verdict is Verdict.NODE_LIMIT
    assert not result.curable
    assert "node-a0: every ENI of the instance type is attached and full" in result.summary


def test_given_a_full_subnet_and_pods_only_on_nodes_at_their_limit_then_more_addresses_would_not_help_them() -> None:
    assert diagnose(snapshot(zone("a", free=0, stuck=1, enis=FULL_ENIS))).verdict is Verdict.NODE_LIMIT


def test_given_a_full_pod_subnet_and_pods_only_on_nodes_at_their_limit_then_further_nodes_lack_addresses() -> None:
    # Nodes can be launched, and would find none: their pods would never hang visibly, for they stay NotReady.
    on_pods = [NetworkInterface(id=f"eni-p{n}", subnet_id="pods-a", addresses=6) for n in range(2)]
    host = node("a", enis=(1,))
    host = host.model_copy(update={"interfaces": (*host.interfaces, *on_pods)})
    of_pods = subnet("a", id="pods-a", cidr="10.0.64.0/24", free=2)
    parts = Part((host,), pods(1, host.name), (subnet("a", free=90), of_pods), (eni_config("a", subnet="pods-a"),))
    result = diagnose(snapshot(parts, env=CUSTOM))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert "every ENI of the instance type is attached and full" in result.summary
    assert "these find too few addresses: 2 free addresses in pods-a, where a node asks for 6 at once" in result.summary
    assert not result.nodes[0].relieved_now


def test_given_pods_on_nodes_at_their_limit_where_none_can_be_launched_then_subnets_for_nodes_are_named() -> None:
    group = AutoScalingGroup(name="workers", subnets=("subnet-a",))
    facts = snapshot(
        zone("a", free=0, stuck=1, enis=FULL_ENIS), cluster=Cluster(name="prod", auto_scaling_groups=(group,))
    )
    result = diagnose(facts)
    assert result.verdict is Verdict.NODE_LIMIT
    assert "no node can be launched in subnet-a" in result.summary
    assert any("--vpc-zone-identifier subnet-a,subnet-NEW" in text for text in result.alternatives)


@pytest.mark.parametrize("name", ["DISABLE_NETWORK_RESOURCE_PROVISIONING", "ENABLE_IMDS_ONLY_MODE"])
def test_given_an_ipamd_that_attaches_nothing_then_a_full_subnet_is_no_shortage_of_pods(name: str) -> None:
    result = diagnose(snapshot(zone("a", free=0), env={name: "true"}))
    assert result.verdict is Verdict.NODE_LAUNCH
    assert result.groups[0].verdict is Verdict.RECOVERED
    assert f"{name}=true keeps ipamd from attaching any ENI" in result.groups[0].reason


def test_given_a_reservation_for_prefixes_and_nodes_that_take_them_then_zone_and_group_count_the_same_as_free() -> None:
    reserved = SubnetReservation(cidr="10.0.0.128/25", kind="prefix")
    home = subnet("a", free=130, free_prefixes=8, reservations=(reserved,))
    result = diagnose(snapshot(Part((node("a"),), (), (home,)), env={"ENABLE_PREFIX_DELEGATION": "true"}))
    assert [one.free for one in (*result.zones, *result.groups)] == [130, 130]


def test_given_subnets_of_another_account_then_the_vpc_is_shared_though_its_owner_was_not_read() -> None:
    shared = Part((node("a"),), pods(1, "node-a0"), (subnet("a", free=0, owner_id="999"),))
    result = diagnose(snapshot(shared, vpc=vpc(owner_id=None)))
    assert result.verdict is Verdict.UNSUPPORTED
    assert "shared by account 999" in result.summary


def test_given_a_full_subnet_and_only_some_nodes_at_their_limit_then_the_subnet_is_exhausted() -> None:
    limited = Part(nodes=(node("a", 1, enis=FULL_ENIS),), pods=pods(2, "node-a1"))
    assert diagnose(snapshot(zone("a", free=0, stuck=1), limited)).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_the_node_limit_in_the_signals_and_a_node_with_room_then_the_facts_count() -> None:
    facts = snapshot(zone("a", free=0, stuck=1))
    assert diagnose(facts, [Cause.NODE_LIMIT]).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_unknown_enis_then_the_node_limit_in_the_signals_is_believed() -> None:
    facts = snapshot(zone("a", free=100, stuck=1, enis=()))
    assert diagnose(facts, [Cause.NODE_LIMIT]).verdict is Verdict.NODE_LIMIT


# --- eni_quota and cni_fault


def test_given_the_regions_eni_quota_is_used_up_then_no_subnet_helps_however_full_it_is() -> None:
    assert diagnose(snapshot(zone("a", free=0, stuck=1)), [Cause.ENI_QUOTA]).verdict is Verdict.ENI_QUOTA
    assert diagnose(snapshot(zone("a", free=100, stuck=1)), [Cause.ENI_QUOTA]).verdict is Verdict.ENI_QUOTA


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.CNI_IAM, "AmazonEKS_CNI_Policy"),
        (Cause.CNI_THROTTLED, "throttles"),
        (Cause.CNI_DOWN, "aws-node pod"),
        (Cause.SUBNET_TAGS, "kubernetes.io/role/cni"),
    ],
)
def test_given_free_addresses_and_a_fault_in_the_signals_then_it_is_the_cni(cause: Cause, words: str) -> None:
    result = diagnose(snapshot(zone("a", free=100, stuck=1)), [cause])
    assert result.verdict is Verdict.CNI_FAULT
    assert not result.curable
    assert words in result.summary


@pytest.mark.parametrize("cause", [Cause.CNI_THROTTLED, Cause.CNI_DOWN])
def test_given_a_full_subnet_then_a_passing_fault_of_the_cni_does_not_hide_it(cause: Cause) -> None:
    assert diagnose(snapshot(zone("a", free=0, stuck=1)), [cause]).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_free_addresses_and_nothing_else_then_people_are_sent_to_aws_node() -> None:
    result = diagnose(snapshot(zone("a", free=100, stuck=1)), [Cause.NO_ADDRESS])
    assert result.verdict is Verdict.CNI_FAULT
    assert "100 addresses are free in subnet-a" in result.summary
    assert "aws-node" in result.summary


def test_given_unknown_enis_then_nothing_is_claimed_and_the_gap_is_named() -> None:
    result = diagnose(snapshot(zone("a", free=100, stuck=1, enis=())))
    assert result.verdict is Verdict.CNI_FAULT
    assert "the ENIs of node-a0 are unknown" in result.summary
    assert "ENI slots of node-a0" in result.unknown
    assert not result.nodes[0].relieved_now


def test_given_a_host_without_zone_then_its_stuck_pods_are_not_overlooked() -> None:
    facts = snapshot(zone("b", free=100), Part((node("a", zone=None),), pods(1, "node-a0")))
    result = diagnose(facts)
    assert result.verdict is Verdict.CNI_FAULT
    assert "node-a0" in result.summary


# --- mixed zones, recovered


def test_given_zones_of_different_trouble_then_the_curable_one_names_the_verdict_and_each_keeps_its_own() -> None:
    facts = snapshot(zone("a", free=0, stuck=1), zone("b", free=90, stuck=1, enis=FULL_ENIS), zone("c", free=50))
    result = diagnose(facts)
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert verdict_of_zones(facts) == {
        "a": Verdict.SUBNET_EXHAUSTED,
        "b": Verdict.NODE_LIMIT,
        "c": Verdict.RECOVERED,
    }
    assert az("b") not in result.summary


def test_given_pods_hang_in_one_zone_then_a_full_subnet_elsewhere_does_not_hide_why() -> None:
    facts = snapshot(zone("a", free=90, stuck=1), zone("b", free=0))
    result = diagnose(facts, [Cause.CNI_IAM])
    assert result.verdict is Verdict.CNI_FAULT
    assert verdict_of_zones(facts, Cause.CNI_IAM)["b"] is Verdict.SUBNET_EXHAUSTED


def test_given_no_stuck_pod_and_free_addresses_then_the_cluster_has_recovered() -> None:
    result = diagnose(snapshot(zone("a", free=90), zone("b", free=90)), [Cause.SUBNET_FULL])
    assert result.verdict is Verdict.RECOVERED
    assert not result.curable


def test_given_a_cluster_without_nodes_then_there_is_nothing_to_cure() -> None:
    result = diagnose(snapshot())
    assert result.verdict is Verdict.RECOVERED
    assert result.summary == "no node and no stuck pod was found: there is nothing to cure"


def test_given_the_host_of_a_stuck_pod_is_gone_then_the_pod_counts_for_no_zone() -> None:
    facts = snapshot(zone("a", free=90), Part(pods=pods(1, "node-gone")))
    assert diagnose(facts).verdict is Verdict.RECOVERED


# --- unsupported


FARGATE = Part((node("a", 9, fargate=True, enis=()),), pods(1, "node-a9"))
WINDOWS = Part((node("a", 8, windows=True),), pods(1, "node-a8"))
HYBRID = Part((node("a", 7, own_cni=True, enis=()),), pods(1, "node-a7"))
FULL = zone("a", free=0, stuck=1)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (snapshot(FULL, cluster=Cluster(name="prod", ip_family="ipv6")), "IPv6"),
        (snapshot(FULL, cluster=Cluster(name="prod", auto_mode=True)), "Auto Mode"),
        (snapshot(FULL, cni=Cni(installed=False)), "does not run the Amazon VPC CNI"),
        (snapshot(FULL, vpc=vpc(owner_id="2")), "shared by account 2"),
        (snapshot(FARGATE), "every node is Fargate"),
        (snapshot(WINDOWS), "Windows"),
        (snapshot(zone("a", free=0), FARGATE), "the pods wait on nodes that all are Fargate"),
        (snapshot(zone("a", free=0), WINDOWS), "the pods wait on nodes that all are Windows"),
        (snapshot(zone("a", free=0), HYBRID), "the pods wait on nodes that all are hybrid"),
    ],
    ids=[
        "ipv6",
        "auto-mode",
        "other-cni",
        "shared-vpc",
        "fargate",
        "windows",
        "stuck-on-fargate",
        "stuck-on-windows",
        "stuck-on-hybrid",
    ],
)
def test_given_a_cluster_that_no_secondary_cidr_can_help_then_it_is_unsupported_and_says_why(
    facts: Snapshot, words: str
) -> None:
    result = diagnose(facts)
    assert result.verdict is Verdict.UNSUPPORTED
    assert not result.curable
    assert words in result.summary
    assert result.summary == f"{result.evidence[0]}; next: see the alternatives, no plan is possible here"


def test_given_fargate_beside_ordinary_nodes_then_only_the_ordinary_ones_are_judged() -> None:
    result = diagnose(snapshot(FULL, FARGATE))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert [judged.name for judged in result.nodes] == ["node-a0"]
    assert result.zones[0].stuck_pods == 1


def test_given_an_unknown_account_then_a_vpcs_owner_alone_makes_it_not_shared() -> None:
    assert diagnose(snapshot(FULL, account_id=None, vpc=vpc(owner_id="2"))).verdict is Verdict.SUBNET_EXHAUSTED


# --- nodes and evidence


def test_given_a_free_slot_then_the_node_is_relieved_at_once() -> None:
    [judged] = diagnose(snapshot(FULL)).nodes
    assert judged.relieved_now
    assert judged.reason == "1 of 3 ENIs attached: the next ENI comes from the new subnet"


def test_given_prefix_mode_without_custom_networking_then_the_node_keeps_its_prefixes_and_is_relieved() -> None:
    [judged] = diagnose(snapshot(prefix_zone(free=0, free_prefixes=0), env=PREFIXES)).nodes
    assert judged.relieved_now
    assert judged.reason == "1 of 3 ENIs attached: the next ENI comes from the new subnet"


def test_given_a_diagnosis_then_its_evidence_names_subnets_pods_signals_and_the_cni() -> None:
    evidence = diagnose(snapshot(FULL), [Cause.SUBNET_FULL]).evidence
    assert f"subnet subnet-a (10.0.0.0/24, {az('a')}) has 0 free addresses" in evidence
    assert f"1 pod without an address in {az('a')}" in evidence
    assert "the signals prove subnet_full (EC2 words it InsufficientFreeAddressesInSubnet)" in evidence
    assert "the VPC CNI v1.23.1-eksbuild.1 runs with custom networking off" in evidence


def test_given_no_vpc_facts_then_the_gap_is_named() -> None:
    assert "the VPC's CIDRs, peers and routes" in diagnose(snapshot(FULL, vpc=None)).unknown
