"""How pods get the addresses: what can be asked for, what `auto` makes of it, what is handed over, who benefits."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.incidents.record import RunRequest
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.notifications.messages.planned import brief
from ip_remediator.planning.model import REQUESTED_STRATEGIES, Plan, RequestedStrategy, handover_of
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.remediation.requests import required
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model import Quotas, Snapshot
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, Cluster, Cni, NodeClass, NodeGroup
from ip_remediator_cli import parser
from tests.unit.support.facts import CUSTOM, PREFIXES, Part, az, eni_config, pods, snapshot, subnet, vpc, zone
from tests.unit.support.plans import first_plan

FULL = (zone("a", free=0, stuck=1), zone("b", free=0, stuck=1))
CONFIGS = Part(eni_configs=(eni_config("a"), eni_config("b")))
DISCOVERY = PlanningOptions(strategy="subnet-discovery")
AUTO = PlanningOptions(strategy="auto")
NODE_GROUP = PlanningOptions(strategy="node-group")
OTHER = {"eks-ip-remediator:cluster": "other"}
SCOPED = {"kubernetes.io/role/cni": "1", "cni.networking.k8s.aws/cluster/prod": "shared"}


def cni(version: str | None = "v1.23.1-eksbuild.1", **env: str) -> Cni:
    return Cni(version=version, env=env)


def actions(plan: Plan) -> list[str]:
    return [change.action for change in plan.changes]


def test_the_command_line_offers_every_strategy() -> None:
    assert parser._STRATEGIES == REQUESTED_STRATEGIES == get_args(RequestedStrategy)


# --- Subnet discovery


def test_given_discovery_then_only_zones_in_need_get_a_tagged_subnet_and_the_cluster_is_not_touched() -> None:
    result = first_plan(snapshot(zone("a", free=0, stuck=1), zone("b", free=200)), DISCOVERY)
    assert result.strategy == "subnet-discovery"
    assert actions(result) == ["associate_cidr", "create_subnet"]
    assert [(subnet.zone, subnet.tags, subnet.eni_configs) for subnet in result.subnets] == [(az("a"), SCOPED, ())]
    assert "tagged kubernetes.io/role/cni=1" in result.changes[1].description
    assert result.expectation == "heals 1 of 1 pods now"


@pytest.mark.parametrize(
    ("version", "tags"),
    [
        ("v1.18.0", {"kubernetes.io/role/cni": "1"}),
        ("v1.22.0-eksbuild.2", {"kubernetes.io/role/cni": "1"}),
        ("v1.22.1", SCOPED),
        ("1.30", SCOPED),
        (None, {"kubernetes.io/role/cni": "1"}),
    ],
)
def test_given_the_version_of_the_cni_then_the_tags_are_those_that_it_reads(
    version: str | None, tags: dict[str, str]
) -> None:
    assert first_plan(snapshot(*FULL, cni=cni(version)), DISCOVERY).subnets[0].tags == tags


def test_given_a_subnet_of_the_operators_then_it_is_tagged_with_what_it_lacks() -> None:
    spare = Part(
        subnets=(
            subnet("a", id="spare", cidr="10.0.9.0/24", free=251, tags={"eks-ip-remediator:pod-subnet": "shared"}),
        )
    )
    result = first_plan(snapshot(zone("a", free=0, stuck=1), spare), DISCOVERY)
    assert result.source == "existing-subnets"
    assert [(change.action, change.target) for change in result.changes] == [("tag_subnet", "spare")]
    assert result.subnets[0].tags == SCOPED


def test_given_a_subnet_that_the_cni_discovers_already_then_tagging_it_is_no_cure() -> None:
    tagged = Part(subnets=(subnet("a", id="known", cidr="10.0.9.0/24", free=5, tags={"kubernetes.io/role/cni": "1"}),))
    result = first_plan(snapshot(zone("a", free=0, stuck=9), tagged), DISCOVERY)
    assert result.source == "new-cidr"


@pytest.mark.parametrize(
    ("facts", "phrases"),
    [
        (snapshot(*FULL, CONFIGS, env=CUSTOM), ("custom networking is on", "use custom-networking")),
        (snapshot(*FULL, cni=cni("v1.17.9")), ("does not discover subnets, 1.18.0 and later do", "update it")),
        (
            snapshot(*FULL, cni=cni(ENABLE_SUBNET_DISCOVERY="false")),
            ("ENABLE_SUBNET_DISCOVERY=false", "set it to true"),
        ),
    ],
    ids=["custom-networking", "too-old", "switched-off"],
)
def test_given_a_cluster_that_cannot_discover_then_asking_for_it_is_refused_with_the_remedy(
    facts: Snapshot, phrases: tuple[str, ...]
) -> None:
    with pytest.raises(CannotPlan) as caught:
        first_plan(facts, DISCOVERY)
    assert caught.value.field == "strategy"
    assert all(words in str(caught.value) for words in phrases)
    with pytest.raises(InvalidInput, match=r"^field 'strategy': strategy subnet-discovery is not possible"):
        required(facts, diagnose(facts), RunRequest(strategy="subnet-discovery"), PlanningOptions())
    assert first_plan(facts, PlanningOptions()).strategy.startswith("custom-networking")


# --- Auto


def test_given_auto_and_a_cni_that_discovers_then_that_is_chosen_because_nothing_is_reconfigured() -> None:
    result = first_plan(snapshot(*FULL), AUTO)
    assert result.strategy == "subnet-discovery"
    assert "nothing of aws-node is changed or restarted" in result.strategy_reason


@pytest.mark.parametrize(
    ("facts", "strategy", "phrase"),
    [
        (snapshot(*FULL, CONFIGS, env=CUSTOM), "custom-networking-extension", "aws-node is not restarted"),
        (snapshot(*FULL, cni=cni("v1.16.0")), "custom-networking", "does not discover"),
        (snapshot(*FULL, cni=cni(ENABLE_SUBNET_DISCOVERY="0")), "custom-networking", "ENABLE_SUBNET_DISCOVERY=false"),
        (snapshot(*FULL, cni=cni(None)), "custom-networking", "is unknown"),
        (
            snapshot(*FULL, cni=cni("v1.22.0"), vpc=vpc(clusters=("prod", "other"))),
            "custom-networking",
            "from the VPC's other clusters (other)",
        ),
        (snapshot(*FULL, vpc=vpc(clusters=("prod", "other"))), "subnet-discovery", "discovers tagged subnets"),
        (snapshot(*FULL, cni=cni("v1.22.0"), vpc=vpc(clusters=("prod",))), "subnet-discovery", "discovers"),
    ],
    ids=["on", "too-old", "switched-off", "unknown", "would-reach-others", "scoped", "alone"],
)
def test_given_auto_then_the_least_disruptive_that_works_is_chosen_and_the_reason_said(
    facts: Snapshot, strategy: str, phrase: str
) -> None:
    result = first_plan(facts, AUTO)
    assert (result.strategy, phrase in result.strategy_reason) == (strategy, True)


def test_given_auto_asked_for_by_a_run_then_leaked_enis_may_still_be_the_answer() -> None:
    leaked = tuple(
        LeakedInterface(id=f"eni-{item}", subnet_id=f"subnet-{item}", addresses=6, cluster="prod") for item in "ab"
    )
    facts = snapshot(*FULL, leaked_interfaces=leaked)
    needed = required(facts, diagnose(facts), RunRequest(strategy="auto"), PlanningOptions())
    assert needed.strategy == "delete-leaked-enis"


# --- Node groups


def groups(*names: str) -> Cluster:
    return Cluster(
        name="prod",
        vpc_id="vpc-1",
        node_groups=tuple(NodeGroup(name=name, instance_types=("m5.large",), desired=3) for name in names),
    )


def test_given_node_groups_then_every_zone_gets_a_subnet_and_the_rest_is_told() -> None:
    result = first_plan(snapshot(zone("a", free=0, stuck=1), zone("b", free=200), cluster=groups("web")), NODE_GROUP)
    assert actions(result) == ["associate_cidr", "create_subnet", "create_subnet"]
    assert (result.heals_now, result.replace_nodes, result.prepares_only) == (0, ("node-a0",), True)
    assert result.expectation == "heals 0 of 1 pods now, 1 when they run on the new node groups"
    create, drain = handover_of(result, {az("a"): "subnet-1", az("b"): "subnet-2"})
    assert create.startswith("aws eks create-nodegroup --cluster-name prod --nodegroup-name web-pods --node-role")
    assert "--subnets subnet-1 subnet-2 --instance-types m5.large" in create.replace("'", "")
    assert "--scaling-config minSize=3,maxSize=6,desiredSize=3" in create
    assert "kubectl drain" in drain


def test_given_every_kind_of_launcher_then_each_is_told_how_it_gets_the_subnets() -> None:
    cluster = groups("web").model_copy(
        update={
            "auto_scaling_groups": (AutoScalingGroup(name="workers", subnets=("subnet-a",)),),
            "node_classes": (NodeClass(name="default", subnets=("subnet-a",)),),
            "karpenter": True,
        }
    )
    managed, scaled, karpenter, drain = first_plan(snapshot(*FULL, cluster=cluster), NODE_GROUP).handover
    new = f"<subnet of {az('a')}>"
    assert f"--subnets '{new}' " in managed
    assert f"--vpc-zone-identifier 'subnet-a,{new}," in scaled
    assert f'{{"id": "{new}"}}' in karpenter
    assert "kubectl drain" in drain


def test_given_karpenter_then_its_node_class_is_told_and_no_group_invented() -> None:
    cluster = Cluster(name="prod", vpc_id="vpc-1", karpenter=True)
    handover = first_plan(snapshot(*FULL, cluster=cluster), NODE_GROUP).handover
    assert f'EC2NodeClass of Karpenter: subnetSelectorTerms: [{{"id": "<subnet of {az("a")}>"}}' in handover[0]
    assert not any("eksctl" in text for text in handover)


def test_given_dozens_of_node_groups_then_the_first_are_told_and_the_rest_counted() -> None:
    handover = first_plan(snapshot(*FULL, cluster=groups(*(f"g{n}" for n in range(40)))), NODE_GROUP).handover
    assert "the same for the other 35 managed node groups" in handover
    assert len(handover) < 15


def test_given_custom_networking_then_node_groups_would_not_help() -> None:
    with pytest.raises(CannotPlan, match="pods of new nodes would take addresses of the ENIConfigs' subnets"):
        first_plan(snapshot(*FULL, CONFIGS, env=CUSTOM), NODE_GROUP)


# --- What belongs to others


def by_gitops(**fields: Any) -> Snapshot:
    return snapshot(*FULL, **({"cni": Cni(version="v1.23.1", owner="gitops", owned_by="Argo CD cni")} | fields))


def test_given_a_daemonset_of_others_then_subnets_are_made_and_the_cluster_is_handed_over() -> None:
    result = first_plan(by_gitops())
    assert [change.by_hand for change in result.changes] == [False] * 3 + [True] * 3
    assert (result.heals_now, result.prepares_only) == (0, True)
    assert result.expectation == "heals 0 of 2 pods now, 2 when the handed-over changes are applied"
    first, config, *_, settings = handover_of(result, {az("a"): "subnet-1", az("b"): "subnet-2"})
    assert first == "aws-node is managed by Argo CD cni: put the following into its source, ENIConfigs first"
    assert '"spec": {"subnet": "subnet-1"}' in config
    assert "managed-by" not in config
    assert settings.startswith("kubectl -n kube-system set env daemonset/aws-node AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=")
    assert "subnet-discovery" in result.alternatives[0]


def test_given_a_helm_release_then_the_settings_are_handed_over_as_its_values() -> None:
    release = Cni(version="v1.23.1", owner="helm", owned_by="Helm release aws-vpc-cni")
    *_, settings = first_plan(by_gitops(cni=release)).handover
    where, _, values = settings.partition(": ")
    assert where == "in the values of Helm release aws-vpc-cni"
    assert json.loads(values) == {"env": CUSTOM}


def test_given_no_crd_then_it_is_handed_over_before_the_eniconfigs() -> None:
    bare = Cni(version="v1.23.1", owner="helm", eni_config_crd=False)
    assert "eniconfigs.crd.k8s.amazonaws.com, which is missing" in first_plan(by_gitops(cni=bare)).handover[1]


def test_given_a_cluster_without_the_crd_then_the_plan_and_the_message_say_that_it_is_created_first() -> None:
    bare = Cni(version="v1.23.1", eni_config_crd=False)
    result = first_plan(snapshot(*FULL, cni=bare))
    actions = [change.action for change in result.changes]
    assert actions.index("create_crd") < actions.index("apply_eniconfig")
    assert (result.makes_crd, "the CRD of ENIConfigs" in brief(result)) == (True, True)
    # given one that has it, or a plan that writes no ENIConfig
    for other in (first_plan(snapshot(*FULL)), first_plan(snapshot(*FULL, cni=bare), AUTO)):
        assert (other.makes_crd, "CRD" in brief(other)) == (False, False)


def test_given_a_daemonset_of_others_and_discovery_then_nothing_needs_to_be_handed_over() -> None:
    result = first_plan(by_gitops(), AUTO)
    assert (result.strategy, result.handover, result.heals_now) == ("subnet-discovery", (), 2)


def test_given_custom_networking_on_then_the_daemonset_is_not_written_and_its_owner_does_not_matter() -> None:
    on = Cni(version="v1.23.1", owner="helm", env=CUSTOM)
    assert not first_plan(snapshot(*FULL, CONFIGS, cni=on)).handover


def test_given_eniconfigs_of_others_then_they_are_handed_over() -> None:
    theirs = Part(eni_configs=tuple(eni_config(item, managed_by="argocd-controller") for item in "ab"))
    result = first_plan(snapshot(*FULL, theirs, env=CUSTOM))
    assert result.strategy == "custom-networking-extension"
    assert result.handover[0].startswith(f"ENIConfig {az('a')} is managed by argocd-controller")
    assert all(change.by_hand == (change.action == "apply_eniconfig") for change in result.changes)


# --- Who benefits


def test_given_hosts_with_and_without_free_slots_then_both_are_counted() -> None:
    full = zone("b", free=0, stuck=3, enis=(6, 1, 1))
    result = first_plan(snapshot(zone("a", free=0, stuck=14, addresses_per_eni=10), full))
    assert result.expectation == "heals 14 of 17 pods now, 3 after replacing node-b0"
    assert (result.heals_now, result.replace_nodes) == (14, ("node-b0",))


@pytest.mark.parametrize(("env", "now"), [({}, 10), (PREFIXES, 30)], ids=["addresses", "prefixes"])
def test_given_more_pods_than_the_free_slots_of_their_node_hold_then_no_more_are_promised(
    env: dict[str, str], now: int
) -> None:
    # given two free slots for ENIs of 6 addresses, one of which is the ENI's own
    result = first_plan(snapshot(zone("a", free=0, stuck=30), env=env))
    limit = "the ENIs of node-a0 hold no more; no node can be launched in subnet-a"
    beyond = f", 20 only on further nodes: {limit}" if now < 30 else ""
    assert result.expectation == f"heals {now} of 30 pods now{beyond}"
    assert (result.heals_now, result.replace_nodes) == (now, ())


def test_given_an_ipamd_that_waits_for_a_full_subnet_then_its_node_is_to_be_replaced() -> None:
    # given a CNI before 1.18, and a second ENI with room in the full pod subnet
    old = Cni(version="v1.16.0", env=CUSTOM)
    result = first_plan(snapshot(zone("a", free=0, stuck=2, enis=(1, 3)), CONFIGS, cni=old))
    assert result.expectation == "heals 0 of 2 pods now, 2 after replacing node-a0"
    assert result.replace_nodes == ("node-a0",)


def test_given_a_node_that_a_setting_holds_back_then_its_pods_are_not_promised() -> None:
    env = {"MINIMUM_IP_TARGET": "7"}
    facts = snapshot(zone("a", free=0, stuck=1, enis=(6, 6)), zone("b", free=0, stuck=2, enis=(6,)), env=env)
    assert first_plan(facts).expectation == ("heals 2 of 3 pods now, 1 on node-a0 not before WARM_IP_TARGET is set")


def test_given_a_node_whose_enis_are_unknown_then_nothing_is_promised_and_no_replacement_is_asked_for() -> None:
    result = first_plan(
        snapshot(zone("a", free=0, stuck=1), zone("b", free=0, stuck=2, max_enis=None, instance_type=None))
    )
    assert result.expectation == "heals 1 of 3 pods now, 2 if node-b0 can take another ENI, which is unknown"
    assert (result.heals_now, result.replace_nodes) == (1, ())


def test_given_pods_elsewhere_then_they_are_not_promised() -> None:
    facts = snapshot(zone("a", free=0, stuck=1), Part(pods=pods(2, "no-such-node")))
    assert first_plan(facts).expectation == "heals 1 of 3 pods now, 2 on nodes that it does not serve"


def test_given_many_nodes_to_replace_then_the_first_are_named() -> None:
    hosts = [zone(letter, free=0, stuck=1, enis=(6, 6, 6)) for letter in "bcdefgh"]
    result = first_plan(snapshot(zone("a", free=0, stuck=1), *hosts))
    assert "after replacing node-b0, node-c0, node-d0, node-e0, node-f0 and 2 more" in result.expectation
    assert len(result.replace_nodes) == 7


def test_given_thousands_of_full_nodes_then_the_plan_stays_small() -> None:
    crowd = zone("a", free=0, stuck=0, nodes=1000, enis=(6, 6, 5))
    waiting = Part(pods=tuple(pod for node in crowd.nodes for pod in pods(1, node.name)))
    result = first_plan(snapshot(crowd, waiting, quotas=Quotas(applied=True, interfaces_per_zone=50_000)))
    assert result.expectation.startswith("heals 0 of 1000 pods now, 1000 after replacing node-a0, ")
    assert len(result.replace_nodes) == 500
    assert len(result.model_dump_json()) < 50_000


# --- Prepared, and waiting for people


@pytest.mark.parametrize("options", [NODE_GROUP, PlanningOptions()], ids=["node-group", "aws-node of Argo CD"])
def test_given_prepared_subnets_that_no_node_uses_then_no_more_are_made(options: PlanningOptions) -> None:
    ours = {"eks-ip-remediator:incident": "prod-1", "eks-ip-remediator:cluster": "prod"}
    owned = Cni(version="v1.23.1", owner="gitops", owned_by="argocd.argoproj.io/instance=cni")
    waiting = Part(subnets=(subnet("a", id="subnet-made", cidr="100.64.0.0/24", free=251, tags=ours),))
    with pytest.raises(CannotPlan, match="subnet-made of incident prod-1 are prepared and no node uses them yet"):
        first_plan(snapshot(*FULL, waiting, CONFIGS, cni=owned), options)
    theirs = Part(subnets=(subnet("a", id="subnet-x", cidr="100.64.0.0/24", tags={**ours, **OTHER}),))
    assert first_plan(snapshot(*FULL, theirs, CONFIGS, cni=owned), options).prepares_only


def test_given_prepared_subnets_then_a_plan_that_we_carry_out_ourselves_is_made_all_the_same() -> None:
    ours = {"eks-ip-remediator:incident": "prod-1", "eks-ip-remediator:cluster": "prod"}
    waiting = Part(subnets=(subnet("a", id="subnet-made", cidr="100.64.0.0/24", free=251, tags=ours),))
    assert first_plan(snapshot(*FULL, waiting, CONFIGS), DISCOVERY).strategy == "subnet-discovery"
