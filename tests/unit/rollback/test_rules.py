"""What a rollback finds, and what stands in its way."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.common.text import some_of
from ip_remediator.incidents.record import RollbackAssessment
from ip_remediator.rollback.rules import (
    SHOWN_PODS,
    BlockInterface,
    BlockPod,
    BlockSubnet,
    BlockUse,
    PointedEniConfig,
    assess,
    draining_settings,
    in_the_way,
    interfaces_remain,
    nodes_to_cordon,
    on_block,
    pods_remain,
)
from ip_remediator.snapshot.model_cluster import EniConfig

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
OURS = BlockSubnet(id="subnet-new", zone="a", cidr="100.64.0.0/25", free=100, incident="mine")
NODES = BlockSubnet(id="subnet-nodes", zone="a", cidr="10.0.0.0/28", free=3)
ENI = BlockInterface(id="eni-1", subnet="subnet-new", cluster="demo", of_cni=True, instance="i-1")


def use(**changed: object) -> BlockUse:
    """A block that only the cluster itself uses."""
    nothing_else = BlockUse(
        incident="mine",
        cluster="demo",
        cidr="100.64.0.0/24",
        subnets=(OURS,),
        recorded={"a": OURS.id},
        others=(NODES,),
        interfaces=(ENI,),
        pods=(pod("web-1"),),
        changed=(PointedEniConfig(name="a", now="subnet-new", incident="mine"),),
        eni_configs=(EniConfig(name="a", subnet="subnet-new"),),
    )
    return nothing_else.model_copy(update=changed)


def pod(name: str, node: str = "node-1") -> BlockPod:
    return BlockPod(namespace="default", name=name, uid=f"uid-{name}", node=node, address="100.64.0.7")


def test_given_only_pods_and_enis_of_the_cluster_when_assessed_then_they_are_counted_and_nothing_forbids_it() -> None:
    result = assess(use(), NOW)
    assert isinstance(result, RollbackAssessment)
    assert (result.pods, result.pod_names, result.interfaces, result.in_the_way) == (1, ("default/web-1",), 1, ())
    assert any("3 free addresses" in note for note in result.notes)


def test_given_more_pods_than_free_addresses_elsewhere_then_it_is_told_how_many_will_hang_again() -> None:
    result = assess(use(pods=tuple(pod(f"web-{number}") for number in range(5))), NOW)
    [note, _] = result.notes
    assert note == (
        "5 pods must get an address elsewhere; the VPC's other subnets have 3 free addresses: 2 pods will hang again"
    )
    assert not any("hang again" in note for note in assess(use(), NOW).notes)


def test_given_an_empty_block_when_assessed_then_there_is_nothing_to_know() -> None:
    result = assess(use(pods=(), interfaces=()), NOW)
    assert (result.pods, result.interfaces, result.notes) == (0, 0, ())


def test_given_a_subnet_that_another_cluster_discovers_by_our_tag_then_that_one_goes_first() -> None:
    shared = BlockSubnet(id="subnet-shared", zone="a", cidr="10.0.9.0/24", free=9, discovered_by=("demo", "shop"))
    opened = use(others=(NODES, shared), kept=(shared.id,), discoverable=(shared.id,))
    [reason] = in_the_way(opened)
    assert "cluster shop discovers subnet-shared by the tag kubernetes.io/role/cni" in reason
    assert "take its tag cni.networking.k8s.aws/cluster/shop off" in reason
    # The tag was there before: it stays.
    assert not list(in_the_way(opened.model_copy(update={"discoverable": ()})))


def test_given_a_later_incident_that_stands_on_this_one_then_nothing_forbids_and_what_it_keeps_is_told() -> None:
    extended = use(
        changed=(PointedEniConfig(name="a", now="subnet-later", incident="later"),),
        others=(NODES, OURS.model_copy(update={"id": "subnet-later", "incident": "later"})),
        successors={"a": "later"},
        switched=True,
    )
    assert not list(in_the_way(extended))
    assert extended.cidr_successor == "later"
    assert any("incident later stands on this one" in note for note in assess(extended, NOW).notes)


def test_given_many_pods_when_assessed_then_all_count_and_some_are_named() -> None:
    result = assess(use(pods=tuple(pod(f"web-{number:03}") for number in range(300))), NOW)
    assert result.pods == 300
    assert result.pod_names[0] == "default/web-000"
    assert len(result.pod_names) == SHOWN_PODS


@pytest.mark.parametrize(
    ("changed", "phrases"),
    [
        (
            {"eni_configs": (EniConfig(name="theirs", subnet="subnet-new", managed_by="argocd-controller"),)},
            ["ENIConfig theirs of argocd-controller", "subnet-new"],
        ),
        (
            {"interfaces": (ENI.model_copy(update={"cluster": "other"}),)},
            ["of cluster other", "eni-1"],
        ),
        (
            {"interfaces": (BlockInterface(id="eni-2", subnet="subnet-new", description="ELB net/x"),)},
            ["not of the VPC CNI", "eni-2", "ELB net/x"],
        ),
        (
            {"changed": (PointedEniConfig(name="a", now="subnet-later", incident="later"),)},
            ["ENIConfig a", "later incident later", "roll that one back first"],
        ),
        (
            {
                "changed": (
                    PointedEniConfig(
                        name="a", before="subnet-old", now="subnet-other", incident="mine", writer="argocd-controller"
                    ),
                )
            },
            ["ENIConfig a was changed by argocd-controller", "subnet-other"],
        ),
        ({"recorded": {}}, ["subnet-new bears this incident's tags", "its record does not know it"]),
        ({"subnets": (), "others": (NODES, OURS), "cidr": None}, ["subnet-new", "lost its tags"]),
        (
            {"changed": (PointedEniConfig(name="a", now="subnet-new"),)},
            ["ENIConfig a lost this incident's label"],
        ),
        (
            {"successors": {"b": "later"}, "switched": True},
            ["ENIConfig a points at subnet-new", "custom networking stays on for the later incident later"],
        ),
        (
            {"others": (NODES, OURS.model_copy(update={"id": "subnet-x", "incident": None}))},
            ["subnet-x", "somebody else"],
        ),
    ],
)
def test_given_others_on_the_block_when_assessed_then_each_is_named_with_a_remedy(
    changed: dict[str, object], phrases: list[str]
) -> None:
    [reason] = in_the_way(use(**changed))
    assert all(words in reason for words in phrases), reason


@pytest.mark.parametrize(
    "config",
    [
        PointedEniConfig(name="a", before="subnet-old", now="subnet-old"),
        PointedEniConfig(name="a", missing=True),
        PointedEniConfig(name="a", before="subnet-old", missing=True),
        PointedEniConfig(name="a", before="subnet-old", now="subnet-new", incident="mine"),
        PointedEniConfig(name="a", before="subnet-old", now="subnet-new"),
    ],
)
def test_given_eniconfigs_restored_deleted_or_ours_when_assessed_then_they_are_not_in_the_way(
    config: PointedEniConfig,
) -> None:
    assert list(in_the_way(use(changed=(config,)))) == []


@pytest.mark.parametrize("before", [None, "subnet-old"])
def test_given_a_subnet_of_ours_that_somebody_deleted_when_assessed_then_our_eniconfig_on_it_is_not_in_the_way(
    before: str | None,
) -> None:
    ours = PointedEniConfig(name="a", before=before, now=OURS.id, incident="mine", writer="eks-ip-remediator")
    gone = use(subnets=(), interfaces=(), changed=(ours,))
    assert list(in_the_way(gone)) == []
    # given one of others that names it, too
    [reason] = in_the_way(gone.model_copy(update={"eni_configs": (EniConfig(name="theirs", subnet=OURS.id),)}))
    assert f"uses {OURS.id}: point it elsewhere" in reason


def test_given_eniconfigs_on_subnets_that_were_there_when_assessed_then_only_those_of_others_are_in_the_way() -> None:
    ours = PointedEniConfig(name="a", now="subnet-their", incident="mine")
    result = use(subnets=(), recorded={}, interfaces=(), pods=(), changed=(ours,), kept=("subnet-their",))
    theirs = EniConfig(name="b", subnet="subnet-their")
    assert list(in_the_way(result.model_copy(update={"eni_configs": (theirs,)}))) == []
    assert assess(result, NOW).notes == ("what was there before stays, with the pods and ENIs in it: subnet-their",)
    elsewhere = NODES.model_copy(update={"id": "subnet-their"})
    [reason] = in_the_way(result.model_copy(update={"kept": (), "others": (NODES, elsewhere)}))
    assert "was changed by somebody else and points at subnet-their" in reason


def test_given_an_instance_that_lives_in_the_subnet_when_assessed_then_its_node_group_must_go_first() -> None:
    living = ENI.model_copy(update={"primary": True, "instance": "i-7"})
    [reason] = in_the_way(use(interfaces=(ENI, living)))
    assert reason == "instances run in its subnets: i-7 in subnet-new; remove their node groups first"


def test_given_a_range_that_the_vpc_had_before_when_assessed_then_other_subnets_in_it_do_not_matter() -> None:
    beside = OURS.model_copy(update={"id": "subnet-x", "incident": "later"})
    assert list(in_the_way(use(cidr=None, others=(NODES, beside)))) == []


CORDONED = "AWS_MANAGE_ENIS_NON_SCHEDULABLE"


def test_given_default_settings_when_draining_then_the_spare_eni_is_given_up_also_on_cordoned_nodes() -> None:
    assert draining_settings({}) == {"WARM_ENI_TARGET": "0", CORDONED: "true"}
    assert draining_settings({"WARM_ENI_TARGET": "0", CORDONED: "True"}) == {}
    assert draining_settings({"WARM_ENI_TARGET": "0", CORDONED: "false"}) == {CORDONED: "true"}


@given(
    st.dictionaries(
        st.sampled_from(
            ["WARM_ENI_TARGET", "WARM_PREFIX_TARGET", "WARM_IP_TARGET", "MINIMUM_IP_TARGET", "MAX_ENI", CORDONED]
        ),
        st.integers(0, 20).map(str),
    )
)
def test_given_any_warm_targets_when_draining_then_none_is_left_and_nothing_else_is_touched(
    env: dict[str, str],
) -> None:
    wanted = draining_settings(env)
    after = {**env, **wanted}
    assert draining_settings(after) == {}
    assert "MAX_ENI" not in wanted
    assert all(env.get(name, "default") != value for name, value in wanted.items())


def test_given_pods_and_enis_when_nodes_are_cordoned_then_those_that_could_hand_out_the_block_again() -> None:
    enis = (ENI, ENI.model_copy(update={"id": "eni-2", "instance": "i-2"}), ENI.model_copy(update={"instance": "i-9"}))
    result = use(interfaces=enis, pods=(pod("web-1", "node-3"),))
    assert nodes_to_cordon(result, {"i-1": "node-1", "i-2": "node-2"}) == ["node-1", "node-2", "node-3"]


def test_given_addresses_when_compared_with_networks_then_only_those_inside_are_on_the_block() -> None:
    network = IPv4Network(OURS.cidr)
    assert on_block("100.64.0.127", [network])
    assert not on_block("100.64.0.128", [network])
    assert not on_block("10.0.0.1", [])


def test_what_remains_is_named_with_both_remedies() -> None:
    sentence = pods_remain(use())
    assert sentence.startswith("1 pod ")
    assert "default/web-1" in sentence
    assert "evicted" in sentence
    loose = ENI.model_copy(update={"id": "eni-2", "attached": False, "instance": None})
    text = interfaces_remain([ENI, loose])
    assert "eni-1 in subnet-new (i-1)" in text
    assert "replace the node" in text
    assert "delete it" in text
    assert "delete it" not in interfaces_remain([ENI])


@given(st.lists(st.text("abc", min_size=1, max_size=5)))
def test_however_many_names_there_are_the_rest_is_counted(names: list[str]) -> None:
    text = some_of(names)
    assert all(name in text for name in names[:5])
    assert (f"and {len(names) - 5} more" in text) == (len(names) > 5)
