"""What is offered where more addresses are no cure, or no plan is possible: concrete for the cluster at hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.alternatives import ALTERNATIVES, alternatives
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import requirement
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, FargateProfile, NodeGroup
from tests.unit.support.facts import CUSTOM, PREFIXES, Part, eni_config, node, pods, snapshot, subnet, vpc, zone

FULL = (zone("a", free=0, stuck=1),)
FARGATE = Part(nodes=(node("a", enis=(), fargate=True),), pods=pods(1, "node-a0"))
PROFILE = FargateProfile(name="batch", subnets=("subnet-1", "subnet-2"))


def cluster(**fields: Any) -> Cluster:
    return Cluster(**({"name": "prod", "vpc_id": "vpc-1"} | fields))


@pytest.mark.parametrize(
    ("facts", "phrases"),
    [
        (snapshot(*FULL, cluster=cluster(ip_family="ipv6")), ["/80 prefix"]),
        (
            snapshot(*FULL, cluster=cluster(auto_mode=True, security_group="sg-1")),
            [
                "podSubnetSelectorTerms",
                "podSecurityGroupSelectorTerms: [{id: sg-1}]",
                "--vpc-id vpc-1 --cidr-block 100.64",
            ],
        ),
        (
            snapshot(*FULL, cni=Cni(installed=False)),
            ["Calico", "create-addon --addon-name vpc-cni --cluster-name prod"],
        ),
        (
            snapshot(*FULL, vpc=vpc(owner_id="999")),
            ["ask account 999", "ap-northeast-2a", "shared with account 1 by AWS RAM"],
        ),
        (
            snapshot(FARGATE, cluster=cluster(fargate_profiles=(PROFILE,))),
            [
                "profile batch uses subnet-1 subnet-2",
                "--fargate-profile-name batch-2 --subnets subnet-1 subnet-2 subnet-NEW",
            ],
        ),
        (snapshot(FARGATE), ["aws eks list-fargate-profiles --cluster-name prod"]),
        (snapshot(Part(nodes=(node("a", enis=(), windows=True),))), ["enable-windows-prefix-delegation"]),
        (snapshot(Part(nodes=(node("a", enis=(), own_cni=True),))), ["hybrid nodes", "NodeClass"]),
    ],
    ids=["ipv6", "auto-mode", "other-cni", "shared-vpc", "fargate", "fargate-unknown", "windows", "hybrid"],
)
def test_given_an_unsupported_cluster_then_what_fits_it_is_told_by_diagnosis_and_refusal(
    facts: Snapshot, phrases: list[str]
) -> None:
    diagnosis = diagnose(facts)
    assert diagnosis.verdict is Verdict.UNSUPPORTED
    text = "\n".join(diagnosis.alternatives)
    assert [words for words in phrases if words not in text] == []
    with pytest.raises(CannotPlan) as caught:
        requirement(facts, diagnosis)
    assert caught.value.alternatives == diagnosis.alternatives


def test_given_a_node_limit_then_larger_types_prefixes_and_max_pods_are_told() -> None:
    advice = diagnose(snapshot(zone("a", free=90, stuck=1, enis=(6, 6, 6), max_pods=29))).alternatives
    assert advice[0] == "add nodes, or use instance types with more ENIs than t3.medium (3 ENIs of 6 addresses)"
    assert "ENABLE_PREFIX_DELEGATION=true" in advice[1]
    assert advice[2].startswith("keep pods off full nodes: max-pods is 29 and the ENIs of t3.medium hold 17 pods")
    assert "--max-pods=17 for t3.medium" in advice[2]


def test_given_an_eni_quota_then_the_command_that_asks_for_more_is_told() -> None:
    advice = alternatives(snapshot(*FULL), Verdict.ENI_QUOTA)
    assert "--quota-code L-DF5E4CA3 --desired-value 6000" in advice[0]


def test_given_a_vpc_whose_ranges_are_known_then_the_example_block_keeps_clear_of_them() -> None:
    facts = snapshot(*FULL, cluster=cluster(auto_mode=True), vpc=vpc("100.64.0.0/16"))
    assert "--cidr-block 100.65.0.0/20" in diagnose(facts).alternatives[-1]


def test_given_idle_subnets_then_the_largest_of_each_zone_is_offered_with_the_command_that_tags_it() -> None:
    idle = Part(
        subnets=(
            subnet("a", id="small", cidr="10.0.20.0/24", free=40),
            subnet("a", id="large", cidr="10.0.21.0/24", free=240),
            subnet("a", id="public", cidr="10.0.22.0/24", free=250, tags={"kubernetes.io/role/elb": "1"}),
            subnet("b", id="elsewhere", cidr="10.0.23.0/24", free=250),
        )
    )
    advice = diagnose(snapshot(*FULL, idle)).alternatives[0]
    assert "large (ap-northeast-2a, 240 free)" in advice
    assert advice.endswith("--resources large --tags Key=eks-ip-remediator:pod-subnet,Value=prod")


def test_given_nothing_is_needed_then_there_is_no_alternative() -> None:
    assert diagnose(snapshot(zone("a", free=90))).alternatives == ()


def test_given_a_shortage_that_addresses_cure_then_the_general_alternatives_are_told() -> None:
    warm, *others = diagnose(snapshot(*FULL)).alternatives
    assert "WARM_IP_TARGET" in warm
    assert tuple(others) == ALTERNATIVES


@pytest.mark.parametrize("env", [{"WARM_IP_TARGET": "2"}, {"WARM_ENI_TARGET": "0"}, PREFIXES])
def test_given_no_node_keeps_a_spare_eni_then_warm_targets_are_no_alternative(env: dict[str, str]) -> None:
    assert not any("WARM_IP_TARGET" in text for text in diagnose(snapshot(*FULL, env=env)).alternatives)


def test_given_another_zone_has_room_then_spreading_over_the_zones_is_told_with_the_count() -> None:
    advice = diagnose(snapshot(FULL[0], zone("b", free=140), zone("c", free=9))).alternatives[0]
    assert "ap-northeast-2b has 140 free addresses" in advice
    assert "ap-northeast-2c" not in advice
    assert "topologySpreadConstraints" in advice


LOCAL_ZONE = "ap-northeast-2-tpe-1a"


def in_local_zone(free: int, stuck: int = 0) -> Part:
    home = subnet("l", zone=LOCAL_ZONE, free=free)
    return Part((node("l", zone=LOCAL_ZONE),), pods(stuck, "node-l0"), (home,))


def spread(facts: Snapshot) -> list[str]:
    return [text for text in diagnose(facts).alternatives if "topologySpreadConstraints" in text]


def test_given_a_local_zone_or_an_outpost_then_nothing_is_to_be_spread_from_or_to_it() -> None:
    assert spread(snapshot(in_local_zone(0, stuck=1), zone("a", free=140))) == []
    assert spread(snapshot(zone("a", stuck=1), in_local_zone(140))) == []
    there = subnet("b", id="op", free=140, outpost_arn="arn:aws:outposts:ap-northeast-2:1:outpost/op-1")
    assert spread(snapshot(zone("a", stuck=1), Part((node("b", home="op"),), (), (there,)))) == []


def test_given_an_eniconfig_that_is_missing_then_spreading_and_saving_addresses_are_no_cure() -> None:
    facts = snapshot(zone("a", free=90, stuck=1), zone("b", free=90), Part(eni_configs=(eni_config("b"),)), env=CUSTOM)
    assert diagnose(facts).verdict == "eniconfig_missing"
    assert diagnose(facts).alternatives == ()


def test_given_a_zone_without_nodes_in_which_some_can_be_launched_then_its_room_is_told() -> None:
    group = NodeGroup(name="workers", subnets=("subnet-a", "subnet-c"))
    third = Part(subnets=(subnet("c", free=140),))
    [advice] = spread(snapshot(zone("a", stuck=1), third, cluster=cluster(node_groups=(group,))))
    assert "ap-northeast-2c has 140 free addresses and no node yet, though node group workers" in advice
    # with custom networking pods take addresses elsewhere
    custom = snapshot(
        zone("a", stuck=1),
        third,
        Part(eni_configs=(eni_config("a"),)),
        env=CUSTOM,
        cluster=cluster(node_groups=(group,)),
    )
    assert spread(custom) == []


@given(
    verdict=st.sampled_from(Verdict),
    cidr=st.sampled_from(["10.0.0.0/16", "10.0.0.1/16", "fd00::/64", "nonsense", ""]),
    facts=st.fixed_dictionaries(
        {},
        optional={
            "auto_mode": st.booleans(),
            "ip_family": st.sampled_from(["ipv4", "ipv6"]),
            "fargate_profiles": st.just((PROFILE,) * 9),
        },
    ),
)
def test_whatever_a_document_says_alternatives_are_few_short_lines(
    verdict: Verdict, cidr: str, facts: dict[str, Any]
) -> None:
    document = snapshot(FARGATE, cluster=cluster(service_cidrs=(cidr,), **facts))
    advice = alternatives(document, verdict)
    assert len(advice) <= 6
    assert all(0 < len(text) < 900 and "\n" not in text for text in advice)
