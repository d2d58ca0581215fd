"""What a run by hand may ask for, alone and against the cluster's facts."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.incidents.record import RunRequest
from ip_remediator.incidents.requests import InvalidInput, ManualRun, parsed
from ip_remediator.planning.build_plan import plan
from ip_remediator.planning.model import BlockRequirement, Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import requirement
from ip_remediator.remediation.requests import required, stack_options, with_sizes
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model import Quotas, Snapshot
from tests.unit.support.facts import CUSTOM, az, eni_config, snapshot, subnet, vpc, zone

FULL = (zone("a", free=0, stuck=1), zone("b", free=0, stuck=1))
FIRST = snapshot(*FULL)
ZONES_OF_CLUSTER = (az("a"), az("b"))


def custom(**fields: Any) -> Snapshot:
    """Custom networking is on, and both zones are out of addresses."""
    defaults: dict[str, Any] = {
        "env": CUSTOM,
        "eni_configs": (eni_config("a", subnet="pods-a"), eni_config("b", subnet="pods-b")),
        "subnets": (
            *(one for part in FULL for one in part.subnets),
            subnet("a", id="pods-a", cidr="100.64.0.0/24"),
            subnet("b", id="pods-b", cidr="100.64.1.0/24"),
        ),
        "vpc": vpc("100.64.0.0/16"),
    }
    return snapshot(*FULL, **(defaults | fields))


def needed(facts: Snapshot, **request: Any) -> BlockRequirement:
    return required(
        facts, diagnose(facts), RunRequest(**request), PlanningOptions(excluded=(IPv4Network("100.80.0.0/16"),))
    )


def planned(facts: Snapshot, block: str, **request: Any) -> Plan:
    return plan(facts, diagnose(facts), needed(facts, block=block, **request), IPv4Network(block))


def refused(facts: Snapshot, **request: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        needed(facts, **request)
    return str(caught.value)


def test_given_no_wishes_then_the_requirement_stays():
    assert required(FIRST, diagnose(FIRST), RunRequest(), PlanningOptions()) == requirement(FIRST, diagnose(FIRST))


# --- Zones


def test_given_custom_networking_off_then_no_zone_with_nodes_can_be_left_out():
    message = refused(FIRST, zones=(az("a"),))
    assert message.startswith("field 'zones': ")
    assert f"the nodes in {az('b')} would become NotReady" in message
    assert needed(FIRST, zones=ZONES_OF_CLUSTER).zones == ZONES_OF_CLUSTER


def test_given_custom_networking_on_then_one_zone_can_be_served_alone():
    assert needed(custom(), zones=(az("b"),)).zones == (az("b"),)


def test_given_a_zone_without_nodes_then_it_is_refused_by_name():
    assert refused(custom(), zones=(az("b"), az("c"))) == (
        f"field 'zones': the cluster has no nodes in {az('c')}; it has some in {az('a')}, {az('b')}"
    )


# --- Block


def test_given_a_block_outside_the_vpc_then_it_is_a_new_cidr_and_the_subnets_fill_it_evenly():
    wanted = needed(FIRST, block="100.99.0.0/20")
    assert (wanted.source, wanted.pools, wanted.prefix) == ("new-cidr", ("100.99.0.0/20",), 20)
    assert [subnet.cidr for subnet in planned(FIRST, "100.99.0.0/20").subnets] == ["100.99.0.0/22", "100.99.4.0/22"]


def test_given_a_block_inside_a_cidr_of_the_vpc_then_no_cidr_is_added():
    made = planned(custom(), "100.64.16.0/22")
    assert made.source == "existing-cidr"
    assert "associate_cidr" not in [change.action for change in made.changes]


def test_given_a_free_cgnat_cidr_of_the_vpc_when_another_block_is_wanted_then_that_one_is_added():
    assert planned(custom(), "100.99.0.0/22").source == "new-cidr"


@pytest.mark.parametrize(
    ("facts", "block", "words"),
    [
        (FIRST, "100.80.4.0/22", "range excluded by the settings"),
        (FIRST, "192.168.0.0/22", "range that AWS bars"),
        (FIRST, "10.0.0.0/22", "subnet subnet-a"),
        (custom(), "100.64.0.0/22", "subnet pods-a"),
        (FIRST, "100.99.0.0/28", "cannot be split into 2 subnets"),
    ],
)
def test_given_a_block_that_cannot_be_had_then_the_message_names_the_field_and_who_has_it(
    facts: Snapshot, block: str, words: str
):
    message = refused(facts, block=block)
    assert message.startswith("field 'block': ")
    assert words in message


def test_given_a_vpc_at_its_quota_then_a_new_block_is_refused_like_any_other():
    full = custom(vpc=vpc(*(f"100.{64 + number}.0.0/16" for number in range(4))), quotas=Quotas(applied=True))
    with pytest.raises(CannotPlan, match="quota"):
        needed(full, block="100.99.0.0/22")


@given(st.integers(16, 27), st.integers(0, 2**18 - 1))
def test_whatever_block_is_taken_its_subnets_lie_in_it_and_do_not_overlap(prefix: int, position: int):
    size = 1 << (32 - prefix)
    start = int(IPv4Network("100.64.0.0/10").network_address) + position % (2**22 // size) * size
    block = IPv4Network((start, prefix))
    try:
        made = planned(FIRST, str(block))
    except InvalidInput:
        assert block.overlaps(IPv4Network("100.80.0.0/16"))
        return
    first, second = (IPv4Network(subnet.cidr) for subnet in made.subnets)
    assert first.subnet_of(block)
    assert second.subnet_of(block)
    assert not first.overlaps(second)


# --- Strategy


def test_given_a_strategy_then_it_goes_before_the_stacks_and_leaked_enis_are_no_answer():
    leaked = (LeakedInterface(id="eni-1", subnet_id="subnet-a", addresses=9, cluster="prod"),)
    alone = snapshot(zone("a", free=0, stuck=1), leaked_interfaces=leaked)
    assert needed(alone).strategy == "delete-leaked-enis"
    assert needed(alone, strategy="custom-networking").strategy == "custom-networking"
    assert needed(alone, strategy="subnet-discovery").strategy == "subnet-discovery"


def test_given_discovery_then_one_zone_can_be_served_alone_though_custom_networking_is_off():
    assert needed(FIRST, strategy="subnet-discovery", zones=(az("b"),)).zones == (az("b"),)


def test_given_a_stacks_strategy_that_the_cluster_cannot_have_then_no_field_of_the_input_is_blamed():
    with pytest.raises(CannotPlan, match="strategy subnet-discovery is not possible"):
        required(custom(), diagnose(custom()), RunRequest(), PlanningOptions(strategy="subnet-discovery"))


def test_given_the_stacks_parameters_then_the_terms_are_read_from_them():
    options = stack_options("auto", "100.64.0.0/10, 198.19.0.0/16", "none", "ipam-pool-1")
    assert options == PlanningOptions(
        pools=(IPv4Network("100.64.0.0/10"), IPv4Network("198.19.0.0/16")), strategy="auto", ipam_pool="ipam-pool-1"
    )
    assert stack_options("node-group", "100.64.0.0/10", "10.0.0.0/8", "none").ipam_pool is None


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (("sorcery", "100.64.0.0/10", "none", "none"), "setting STRATEGY: 'sorcery' is none; use custom-networking"),
        (("auto", "100.64.0.1/10", "none", "none"), "setting POOLS: 100.64.0.1/10 has host bits set"),
        (("auto", "100.64.0.0/10", "everything", "none"), "setting EXCLUDED_CIDRS: "),
    ],
)
def test_given_a_wrong_parameter_then_the_setting_is_named(parameters: tuple[str, ...], words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        stack_options(*parameters)


@pytest.mark.parametrize(
    ("block", "subnet", "sizes"),
    [("auto", "auto", (None, None, False)), ("needed", "auto", (None, None, True)), ("20", "23", (20, 23, False))],
)
def test_given_the_parameters_of_sizes_then_they_are_the_planners(block: str, subnet: str, sizes: tuple[Any, ...]):
    options = with_sizes(PlanningOptions(), block, subnet)
    assert (options.block_prefix, options.subnet_prefix, options.as_needed) == sizes


@pytest.mark.parametrize(("block", "subnet"), [("15", "auto"), ("auto", "29"), ("auto", "needed"), ("many", "auto")])
def test_given_sizes_that_aws_does_not_have_then_the_setting_is_named(block: str, subnet: str):
    with pytest.raises(ValueError, match=r"setting (BLOCK|SUBNET)_PREFIX: .* from 16 to 28"):
        with_sizes(PlanningOptions(), block, subnet)


# --- The input alone


def test_given_everything_then_the_record_keeps_what_was_asked_for():
    run = parsed(
        ManualRun,
        {
            "cluster": "prod",
            "mode": "auto",
            "block": "100.99.0.0/20",
            "zones": ["eu-west-1a"],
            "strategy": "auto",
            "dry_run": True,
        },
    )
    assert run.request == RunRequest(
        mode="auto", block="100.99.0.0/20", zones=("eu-west-1a",), strategy="auto", dry_run=True
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "field 'input'"),
        ("prod", "field 'input'"),
        ({"cluster": 5}, "field 'cluster'"),
        ({"cluster": "a", "zones": "eu-west-1a"}, "field 'zones'"),
        ({"cluster": "a", "block": "100.64.0.0/29"}, 'must be a /16 to /28: AWS takes no other, not "100.64.0.0/29"'),
        ({"cluster": "a", "block": "everything"}, "must be an IPv4 CIDR such as 100.64.16.0/20"),
        ({"cluster": "a", "dry_run": 1}, "field 'dry_run'"),
        ({"cluster": "a", "strategy": "sorcery"}, "field 'strategy': must be 'custom-networking', "),
    ],
)
def test_given_anything_wrong_then_the_message_names_the_field(document: Any, words: str):
    with pytest.raises(InvalidInput) as caught:
        parsed(ManualRun, document)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400
