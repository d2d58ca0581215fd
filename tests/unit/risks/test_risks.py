"""What may break when pods move, as the plan tells it before anything is done."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from ip_remediator.risks.assess import assess
from ip_remediator.risks.model import Risk, Severity, highest
from ip_remediator.snapshot.model_cluster import Cni
from tests.unit.support.facts import CUSTOM, Part, eni_config, snapshot, vpc, zone
from tests.unit.support.moving import ordinary, risks

FULL = zone("a", free=0, stuck=1)
EXTERNAL_SNAT = {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}


def risks_of(*parts: Part, first_time: bool = True, **fields: Any) -> dict[str, Risk]:
    return {
        risk.id: risk
        for risk in assess(
            snapshot(*(parts or (FULL,)), **fields),
            strategy="custom-networking" if first_time else "custom-networking-extension",
            source="new-cidr",
            block=IPv4Network("100.64.0.0/22"),
        )
    }


def test_given_an_ordinary_cluster_then_only_low_risks_are_named() -> None:
    by_id = risks(ordinary())
    assert list(by_id) == ["control-plane-delay", "max-pods-on-new-nodes", "node-subnets-full"]
    assert highest(tuple(by_id.values())) is Severity.LOW


def test_given_custom_networking_on_already_then_new_nodes_hold_no_fewer_pods() -> None:
    assert "max-pods-on-new-nodes" not in risks_of(first_time=False)


@pytest.mark.parametrize("owner", ["helm", "gitops"])
def test_given_a_cni_kept_by_others_then_it_is_told_that_its_settings_are_handed_over(owner: Any) -> None:
    risk = risks_of(cni=Cni(owner=owner, owned_by="Helm release aws-vpc-cni"))["cni-owned-by-others"]
    assert risk.severity is Severity.LOW
    assert risk.found == "aws-node is managed by Helm release aws-vpc-cni: its settings are handed over, not written"
    assert "hands over" in risk.remedy


@pytest.mark.parametrize("owner", ["addon", "self-managed"])
def test_given_a_cni_that_we_may_set_then_its_owner_is_no_risk(owner: Any) -> None:
    assert "cni-owned-by-others" not in risks_of(cni=Cni(owner=owner))


@pytest.mark.parametrize(
    "manager", ["argocd-controller", "kustomize-controller", "helm", "Terraform", "HashiCorp", "eks"]
)
def test_given_an_eniconfig_of_the_plan_that_a_tool_keeps_then_it_is_told_that_it_is_handed_over(manager: str) -> None:
    kept = Part(eni_configs=(eni_config("a", managed_by=manager),))
    risk = risks_of(FULL, kept, env=CUSTOM, first_time=False)["eniconfigs-owned-by-others"]
    assert risk.severity is Severity.LOW
    assert f"is managed by {manager}: the plan's ENIConfigs are handed over" in risk.found


@pytest.mark.parametrize("manager", ["kubectl-client-side-apply", "eks-ip-remediator", None])
def test_given_an_eniconfig_that_nothing_puts_back_then_it_is_no_risk(manager: str | None) -> None:
    kept = Part(eni_configs=(eni_config("a", managed_by=manager),))
    assert "eniconfigs-owned-by-others" not in risks_of(FULL, kept, env=CUSTOM, first_time=False)


def test_given_an_eniconfig_that_no_node_selects_then_its_owner_is_no_risk() -> None:
    elsewhere = Part(eni_configs=(eni_config("b", managed_by="Terraform"),))
    assert "eniconfigs-owned-by-others" not in risks_of(FULL, elsewhere, env=CUSTOM, first_time=False)


def test_given_prefix_mode_then_the_first_turn_is_a_low_risk_and_an_extension_is_none() -> None:
    assert risks_of(env=PREFIXES)["prefix-mode-existing-nodes"].severity is Severity.LOW
    assert "prefix-mode-existing-nodes" not in risks_of(env=PREFIXES, first_time=False)


def test_given_external_snat_then_unroutable_pod_addresses_are_a_high_risk() -> None:
    assert risks_of(env=EXTERNAL_SNAT, vpc=vpc(routes_read=False))["external-snat"].severity is Severity.HIGH
    assert "external-snat" not in risks_of(env={"AWS_VPC_K8S_CNI_EXTERNALSNAT": "false"})


def test_given_no_risk_then_there_is_no_highest() -> None:
    assert highest(()) is None


def test_severities_are_ordered_and_travel_as_words() -> None:
    assert Severity.LOW < Severity.MEDIUM < Severity.HIGH
    risk = risks_of()["control-plane-delay"]
    assert risk.model_dump(mode="json")["severity"] == "low"
    assert Risk.model_validate_json(risk.model_dump_json()) == risk


def test_given_an_unknown_severity_then_the_error_names_the_words() -> None:
    with pytest.raises(ValueError, match="'extreme' is not a severity: use low, medium or high"):
        Severity.parse("extreme")
    assert Severity.parse("High") is Severity.HIGH
