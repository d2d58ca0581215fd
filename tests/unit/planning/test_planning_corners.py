"""Kinds of decisions that public reports and the CNI's source bring up, each beside a case that is not of the kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.risks.model import Severity
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.taken_ranges import taken_ranges
from tests.unit.support.corpus import FOLDER
from tests.unit.support.facts import snapshot, zone
from tests.unit.support.plans import first_plan


def document(name: str) -> dict[str, Any]:
    [path] = list(FOLDER.glob(f"*/{name}.json"))
    return dict(json.loads(Path(path).read_text()))


def facts(name: str, **changed: Any) -> Snapshot:
    return Snapshot.model_validate({**document(name), **changed})


def planned(name: str, **changed: Any) -> Plan:
    return first_plan(facts(name, **changed))


def ids(made: Plan) -> set[str]:
    return {risk.id for risk in made.risks}


def test_given_a_route_to_a_gateway_that_drops_the_range_then_nobody_has_it_and_a_live_route_is_kept_clear_of() -> None:
    name = "a-route-to-a-gateway-that-drops-the-range"
    assert "cgnat-on-paths" not in ids(planned(name))
    vpc = document(name)["vpc"]
    vpc["transit_gateways"][0] |= {"routes": ["100.64.0.0/10"], "blackholes": []}
    assert "100.64.0.0/10" in taken_ranges(facts(name, vpc=vpc))
    assert "100.64.0.0/10" not in taken_ranges(facts(name))


def test_given_prefixes_on_the_primary_eni_then_the_first_turn_to_custom_networking_raises_no_alarm() -> None:
    [risk] = [risk for risk in planned("nitro-fragmented-beside-xen").risks if risk.id == "prefix-mode-existing-nodes"]
    assert risk.severity is Severity.LOW


def test_given_xen_beside_nitro_then_the_new_subnet_is_not_reserved_for_prefixes() -> None:
    [made] = planned("nitro-fragmented-beside-xen").subnets
    assert not made.reserve_prefixes
    [made] = planned("fragmented-and-every-eni-attached").subnets
    assert made.reserve_prefixes


def test_given_one_node_without_the_label_of_the_others_then_the_label_is_the_cure_and_nothing_is_added() -> None:
    with pytest.raises(CannotPlan, match=r"kubectl label node a2 k8s\.amazonaws\.com/eniConfig=pods-a"):
        planned("one-node-without-the-others-label")


def test_given_neighbours_that_select_several_eniconfigs_then_none_is_chosen_for_the_node() -> None:
    """Which of them is right only people know: each may be for pods of its own."""
    whole = document("one-node-without-the-others-label")
    third = {**whole["nodes"][0], "name": "a3", "instance_id": "i-a3", "eni_config": "regulated"}
    configs = [*whole["eni_configs"], {"name": "regulated", "subnet": "pa", "security_groups": ["sg-1"]}]
    made = planned("one-node-without-the-others-label", nodes=[*whole["nodes"], third], eni_configs=configs)
    assert [subnet.eni_configs for subnet in made.subnets] == [("default",)]


def test_given_max_eni_below_the_type_then_the_variable_is_the_advice_and_no_larger_type() -> None:
    advice = "\n".join(diagnose(facts("max-eni-below-the-type-with-custom-networking")).alternatives)
    assert "unset MAX_ENI=2" in advice
    assert "more ENIs than" not in advice
    cni = {**document("max-eni-below-the-type-with-custom-networking")["cni"]}
    cni["env"] = {name: value for name, value in cni["env"].items() if name != "MAX_ENI"}
    assert "MAX_ENI" not in "\n".join(
        diagnose(facts("max-eni-below-the-type-with-custom-networking", cni=cni)).alternatives
    )


@pytest.mark.parametrize(("state", "refused"), [("failed", False), ("disassociated", False), ("associating", True)])
def test_given_cidrs_that_failed_or_are_gone_then_they_count_for_no_quota(state: str, refused: bool) -> None:
    vpc = document("a-cidr-that-failed")["vpc"]
    vpc["cidrs"] = [{"cidr": "10.0.0.0/16"}, *({"cidr": f"10.{n}.0.0/16", "state": state} for n in range(1, 5))]
    if refused:
        with pytest.raises(CannotPlan, match="5 IPv4 CIDRs"):
            planned("a-cidr-that-failed", vpc=vpc)
    else:
        assert planned("a-cidr-that-failed", vpc=vpc).source == "new-cidr"


def test_given_pods_on_fargate_beside_a_full_node_subnet_then_the_profile_is_told_beside_the_plan() -> None:
    made = planned("fargate-and-a-node-in-one-full-subnet")
    assert made.heals_now == 2
    assert any("create-fargate-profile" in text for text in made.alternatives)
    calm = [pod for pod in document("fargate-and-a-node-in-one-full-subnet")["stuck_pods"] if pod["node"] == "l"]
    made = planned("fargate-and-a-node-in-one-full-subnet", stuck_pods=calm)
    assert not any("fargate" in text for text in made.alternatives)


def test_given_an_eni_that_ipamd_leaves_to_others_then_the_limit_names_it() -> None:
    assert "eni-a2" in diagnose(facts("a-no-manage-eni-takes-the-last-slot")).summary


def test_given_two_node_classes_of_a_zone_then_the_full_one_alone_gets_a_subnet_that_is_like_its_own() -> None:
    made = planned("two-node-classes-of-a-zone-one-full")
    assert [recipient.name for recipient in made.recipients] == ["edge"]
    [subnet] = made.subnets
    assert (subnet.route_table, subnet.public_addresses, subnet.tags) == ("rtb-pub", True, {"tier": "public"})


@pytest.mark.parametrize(
    ("env", "now", "rest"),
    [
        ({"MINIMUM_IP_TARGET": "8"}, 3, ", 6 on node-a0 not before WARM_IP_TARGET is set"),
        ({"MINIMUM_IP_TARGET": "8", "WARM_IP_TARGET": "1"}, 9, ""),
    ],
)
def test_given_a_minimum_target_alone_then_no_more_pods_are_promised_than_it_lets_ipamd_ask_for(
    env: dict[str, str], now: int, rest: str
) -> None:
    made = first_plan(snapshot(zone("a", stuck=9, enis=(6,)), env=env))
    assert (made.heals_now, made.expectation) == (now, f"heals {now} of 9 pods now{rest}")
