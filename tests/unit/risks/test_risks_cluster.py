"""What the cluster itself brings: settings of aws-node, webhooks, owners, other clusters of the VPC, quotas."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.risks.model import Risk, Severity
from ip_remediator.risks.ownership import foreign_owner
from ip_remediator.snapshot.model import Quotas, Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, NetworkInterface, Webhook
from ip_remediator.snapshot.model_vpc import Peering, SecurityGroup
from tests.unit.support.facts import CUSTOM, Part, az, eni_config, node, snapshot, subnet, zone
from tests.unit.support.moving import FULL, ordinary, ordinary_vpc, risks

DISCOVERY = "subnet-discovery"
EXTENSION = "custom-networking-extension"
STRICT = Webhook(name="mutate.cert-manager.io", service="cert-manager/webhook")
LENIENT = Webhook(name="inject.istio.io", service="istio/istiod", failure_policy="Ignore")


def with_cluster(**fields: Any) -> Snapshot:
    facts = ordinary()
    return facts.model_copy(update={"cluster": facts.cluster.model_copy(update=fields)})


def with_cni(*parts: Part, **fields: Any) -> Snapshot:
    return ordinary(*parts).model_copy(update={"cni": Cni(**fields)})


def max_pods(*parts: Part, env: dict[str, str] | None = None, karpenter: bool | None = None) -> Risk | None:
    facts = ordinary(*parts).model_copy(update={"cni": Cni(version="v1.19.0", env=env or {})})
    facts = facts.model_copy(update={"cluster": facts.cluster.model_copy(update={"karpenter": karpenter})})
    return risks(facts).get("max-pods-on-new-nodes")


# The control plane


@pytest.mark.parametrize(
    ("webhooks", "severity"),
    [((), Severity.LOW), ((LENIENT,), Severity.LOW), ((LENIENT, STRICT), Severity.MEDIUM)],
    ids=["none", "ignored", "fail"],
)
def test_given_webhooks_that_must_answer_then_the_control_planes_delay_weighs_more(
    webhooks: tuple[Webhook, ...], severity: Severity
) -> None:
    risk = risks(with_cluster(webhooks=webhooks))["control-plane-delay"]
    assert risk.severity is severity
    assert ("mutate.cert-manager.io" in risk.found) is (severity is Severity.MEDIUM)


@pytest.mark.parametrize(("source", "reported"), [("new-cidr", True), ("ipam-pool", True), ("existing-cidr", False)])
def test_given_a_cidr_that_the_control_plane_knows_then_it_is_not_late(source: str, reported: bool) -> None:
    assert ("control-plane-delay" in risks(with_cluster(webhooks=(STRICT,)), source=source)) is reported


# aws-node


def test_given_nodes_with_max_pods_for_all_enis_then_the_new_number_is_named_by_type() -> None:
    # given a t3.medium (3 ENIs of 6) and an m5.large (3 of 10), as EKS sets them
    risk = max_pods(zone("a"), zone("b", instance_type="m5.large", addresses_per_eni=10, max_pods=29))
    assert risk is not None
    assert risk.severity is Severity.LOW
    assert risk.found.endswith("m5.large can run 20 pods instead of 29, t3.medium can run 12 pods instead of 17")


def test_given_max_pods_that_fit_already_then_there_is_no_risk() -> None:
    assert max_pods(zone("a", max_pods=12)) is None
    assert max_pods(zone("a", max_pods=13)) is not None


def test_given_prefix_mode_then_a_prefix_is_sixteen_addresses() -> None:
    env = {"ENABLE_PREFIX_DELEGATION": "true"}
    assert max_pods(zone("a", max_pods=110), env=env) is None
    risk = max_pods(zone("a", max_enis=2, addresses_per_eni=2, max_pods=110), env=env)
    assert risk is not None
    assert risk.found.endswith("t3.medium can run 18 pods instead of 110")


@pytest.mark.parametrize(
    ("provisioner", "karpenter", "severity"),
    [
        ("managed", None, Severity.LOW),
        ("self-managed", None, Severity.MEDIUM),
        ("karpenter", None, Severity.MEDIUM),
        ("managed", True, Severity.MEDIUM),
    ],
)
def test_given_nodes_whose_max_pods_others_set_then_it_weighs_more(
    provisioner: str, karpenter: bool | None, severity: Severity
) -> None:
    risk = max_pods(zone("a", provisioner=provisioner), karpenter=karpenter)
    assert risk is not None
    assert risk.severity is severity
    assert ("RESERVED_ENIS=1" in risk.remedy) is bool(karpenter or provisioner == "karpenter")


def test_given_nodes_of_unknown_limits_then_that_is_said() -> None:
    risk = max_pods(zone("a", max_enis=None, instance_type=None))
    assert risk is not None
    assert "unknown" in risk.found


def test_given_prefixes_on_primary_enis_then_their_nodes_are_named() -> None:
    primary = NetworkInterface(id="eni-1", subnet_id="subnet-a", primary=True, prefixes=2)
    host = node("a").model_copy(update={"interfaces": (primary,)})
    facts = with_cni(Part(nodes=(host,), subnets=(subnet("a"),)), env={"ENABLE_PREFIX_DELEGATION": "true"})
    assert "node-a0" in risks(facts)["prefix-mode-existing-nodes"].found
    assert "prefix-mode-existing-nodes" not in risks(facts, strategy=DISCOVERY)


@pytest.mark.parametrize(("value", "reported"), [("false", True), ("true", False), (None, False)])
def test_given_node_ports_turned_off_in_the_cni_then_their_answers_go_astray(value: str | None, reported: bool) -> None:
    facts = with_cni(env={"AWS_VPC_CNI_NODE_PORT_SUPPORT": value} if value else {})
    assert ("node-port-support-off" in risks(facts)) is reported
    assert "node-port-support-off" not in risks(facts, strategy=DISCOVERY)


@pytest.mark.parametrize(("owner", "way"), [("addon", "configurationValues"), ("self-managed", "kubectl")])
def test_the_remedy_for_node_ports_goes_the_way_of_the_settings_owner(owner: Any, way: str) -> None:
    risk = risks(with_cni(owner=owner, env={"AWS_VPC_CNI_NODE_PORT_SUPPORT": "false"}))["node-port-support-off"]
    assert way in risk.remedy


@pytest.mark.parametrize(
    ("cni", "severity"),
    [
        (Cni(version="v1.18.0"), None),
        (Cni(version="v1.17.1"), Severity.HIGH),
        (Cni(version="v1.19.0", env={"ENABLE_SUBNET_DISCOVERY": "false"}), Severity.HIGH),
        (Cni(version="v1.19.0", env=CUSTOM), Severity.HIGH),
        (Cni(), Severity.MEDIUM),
    ],
    ids=["supported", "old", "off", "custom-networking", "unknown"],
)
def test_given_subnet_discovery_that_the_cni_does_not_do_then_the_cure_is_at_risk(
    cni: Cni, severity: Severity | None
) -> None:
    facts = ordinary().model_copy(update={"cni": cni})
    risk = risks(facts, strategy=DISCOVERY).get("subnet-discovery-not-in-force")
    assert (risk.severity if risk else None) is severity
    assert "subnet-discovery-not-in-force" not in risks(facts)


# Owners


@pytest.mark.parametrize("manager", ["argocd-controller", "Terraform", "HashiCorp", "kustomize-controller", "helm"])
def test_given_a_field_manager_that_keeps_aws_node_then_its_settings_are_handed_over(manager: str) -> None:
    facts = with_cni(managers=("kubectl", manager))
    risk = risks(facts)["cni-owned-by-others"]
    assert foreign_owner(facts) == f"aws-node is managed by {manager}"
    assert risk.found == f"{foreign_owner(facts)}: its settings are handed over, not written"
    assert "cni-owned-by-others" not in risks(facts, strategy=DISCOVERY)


@pytest.mark.parametrize("cni", [Cni(owner="addon", managers=("eks", "Terraform")), Cni(managers=("kubectl-edit",))])
def test_given_the_add_on_or_people_then_we_may_write(cni: Cni) -> None:
    assert foreign_owner(ordinary().model_copy(update={"cni": cni})) is None


def test_given_custom_networking_on_then_only_eniconfigs_are_written_and_their_owner_counts() -> None:
    kept = Part(eni_configs=(eni_config("a", managed_by="argocd-controller"),))
    helm = {"owner": "helm", "owned_by": "Helm release aws-vpc-cni"}
    assert foreign_owner(with_cni(**helm, env=CUSTOM)) is None
    assert foreign_owner(with_cni(**helm)) == "aws-node is managed by Helm release aws-vpc-cni"
    owner = foreign_owner(with_cni(FULL, kept, env=CUSTOM))
    assert owner == f"ENIConfig {az('a')} is managed by argocd-controller"


# Others in the VPC


def test_given_another_cluster_in_the_vpc_then_it_is_known() -> None:
    risk = risks(ordinary(clusters=("prod", "stage")))["other-clusters-in-vpc"]
    assert risk.severity is Severity.LOW
    assert "stage" in risk.found
    assert "prod" not in risk.found
    assert "other-clusters-in-vpc" not in risks(ordinary(clusters=("prod",)))


@pytest.mark.parametrize(
    ("version", "clusters", "severity"),
    [
        ("v1.19.0", ("prod", "stage"), Severity.MEDIUM),
        ("v1.22.0-eksbuild.1", ("prod", "stage"), Severity.MEDIUM),
        ("v1.22.1-eksbuild.1", ("prod", "stage"), Severity.LOW),
        ("v1.19.0", ("prod",), None),
        ("v1.19.0", (), Severity.LOW),
        ("v1.22.1", (), None),
    ],
)
def test_the_tag_of_discovery_reaches_other_clusters_where_it_has_no_scope(
    version: str, clusters: tuple[str, ...], severity: Severity | None
) -> None:
    facts = ordinary(clusters=clusters).model_copy(update={"cni": Cni(version=version)})
    risk = risks(facts, strategy=DISCOVERY).get("discovery-reaches-other-clusters")
    assert (risk.severity if risk else None) is severity
    assert "discovery-reaches-other-clusters" not in risks(facts)


def test_given_an_eniconfig_in_use_with_a_group_of_another_vpc_then_new_enis_are_refused() -> None:
    groups = (SecurityGroup(id="sg-1", vpc_id="vpc-1"), SecurityGroup(id="sg-2", vpc_id="vpc-peer"))
    configs = Part(eni_configs=(eni_config("a", security_groups=("sg-1", "sg-2", "sg-gone")),))
    facts = snapshot(FULL, configs, env=CUSTOM, vpc=ordinary_vpc(security_groups=groups))
    risk = risks(facts, strategy=EXTENSION)["eniconfigs-refer-elsewhere"]
    assert risk.severity is Severity.HIGH
    assert risk.found == f"ENIConfig {az('a')} names sg-2, sg-gone: not in vpc-1"
    assert f"kubectl edit eniconfig {az('a')}" in risk.remedy


def test_given_an_eniconfig_in_use_whose_subnet_is_gone_then_the_plan_itself_mends_it() -> None:
    configs = Part(eni_configs=(eni_config("a", subnet="subnet-gone"),))
    assert "eniconfigs-refer-elsewhere" not in risks(snapshot(FULL, configs, env=CUSTOM), strategy=EXTENSION)


def test_given_an_eniconfig_that_no_node_selects_then_its_wrong_subnet_is_only_known() -> None:
    configs = Part(eni_configs=(eni_config("z", subnet="subnet-gone"),))
    risk = risks(snapshot(FULL, configs, env=CUSTOM), strategy=EXTENSION)["eniconfigs-refer-elsewhere"]
    assert risk.severity is Severity.LOW
    assert "subnet-gone" in risk.found


def test_given_groups_that_were_not_read_then_none_is_missed() -> None:
    configs = Part(eni_configs=(eni_config("a", security_groups=("sg-1",)),))
    facts = snapshot(FULL, configs, env=CUSTOM, vpc=ordinary_vpc(security_groups=None))
    assert "eniconfigs-refer-elsewhere" not in risks(facts, strategy=EXTENSION)


# Quotas and the unknown

PEER = Peering(id="pcx-1", status="active", vpc_id="vpc-2", network_address_units=60_000)


@pytest.mark.parametrize(
    ("of_vpc", "quotas", "named", "code"),
    [
        ({}, {"cidrs_per_vpc": 2}, "CIDRs of the VPC 2 of 2", "L-83CA0A9D"),
        ({"subnet_count": 180}, {}, "subnets 181 of 200", "L-407747CB"),
        ({"network_address_units": 60_000}, {}, "network address units 60,012 of 64,000", "L-BB24F6E5"),
        (
            {"network_address_units": 60_000, "peerings": (PEER,)},
            {},
            "network address units with those of the peers 120,012 of 128,000",
            "L-CD17FD4B",
        ),
        ({}, {"interfaces_per_zone": 3}, "ENIs of nodes in ap-northeast-2a 3 of 3", "L-DF5E4CA3"),
    ],
)
def test_given_a_quota_that_the_plan_comes_near_then_the_request_is_named(
    of_vpc: dict[str, Any], quotas: dict[str, int], named: str, code: str
) -> None:
    risk = risks(ordinary(**of_vpc).model_copy(update={"quotas": Quotas(**quotas)}))["near-quotas"]
    assert risk.severity is Severity.LOW
    assert named in risk.found
    assert f"--quota-code {code} " in risk.remedy


def test_given_an_existing_cidr_then_their_number_stays() -> None:
    facts = ordinary().model_copy(update={"quotas": Quotas(cidrs_per_vpc=2)})
    assert "near-quotas" not in risks(facts, source="existing-cidr")


def test_given_what_the_reader_was_refused_then_it_is_said() -> None:
    facts = ordinary().model_copy(update={"unread": tuple(f"quota {n}: AccessDenied" for n in range(9))})
    risk = risks(facts)["facts-unread"]
    assert risk.severity is Severity.LOW
    assert risk.found.endswith("and 6 more")
    assert "facts-unread" not in risks(ordinary())


def test_given_a_hand_written_minimum_then_it_is_assessed() -> None:
    by_id = risks(Snapshot(cluster=Cluster(name="prod")))
    assert max(risk.severity for risk in by_id.values()) <= Severity.MEDIUM


@pytest.mark.parametrize(
    ("manager", "severity", "named"),
    [
        ("HashiCorp", Severity.MEDIUM, "Terraform (HashiCorp)"),
        ("pulumi-kubernetes", Severity.MEDIUM, "Pulumi (pulumi-kubernetes)"),
        ("kubectl-set", Severity.LOW, "kubectl-set"),
        ("deploy-script", Severity.LOW, "deploy-script"),
    ],
)
def test_given_another_field_manager_beside_the_add_on_then_it_is_named(
    manager: str, severity: Severity, named: str
) -> None:
    cni = Cni(owner="addon", managers=("eks", manager))
    warning = risks(snapshot(FULL, cni=cni, vpc=ordinary_vpc()))["cni-written-by-others"]
    assert warning.severity is severity
    assert named in warning.found


def test_given_the_add_on_alone_or_a_plan_that_writes_no_settings_then_no_writer_is_a_risk() -> None:
    alone = Cni(owner="addon", managers=("eks", "kube-controller-manager", "eks-ip-remediator"))
    assert "cni-written-by-others" not in risks(snapshot(FULL, cni=alone, vpc=ordinary_vpc()))
    other = alone.model_copy(update={"managers": ("eks", "HashiCorp")})
    by_id = risks(snapshot(FULL, cni=other, vpc=ordinary_vpc()), strategy="subnet-discovery")
    assert "cni-written-by-others" not in by_id


def test_given_warm_targets_are_written_then_others_who_write_aws_node_are_told_as_well() -> None:
    cni = Cni(version="v1.20.4", owner="addon", managers=("eks", "HashiCorp"))
    facts = snapshot(FULL, cni=cni, vpc=ordinary_vpc())
    warning = risks(facts, strategy="reclaim-warm", source="none", block=None)["cni-written-by-others"]
    assert warning.severity is Severity.MEDIUM
    assert "take the warm targets back" in warning.breaks
    assert "WARM_IP_TARGET" in warning.remedy
