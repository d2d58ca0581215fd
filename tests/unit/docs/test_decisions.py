"""docs/decisions.md says what the planner does: its options, strategies and sources, its numbers, its examples."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from ip_remediator.common import cidr as cidrs
from ip_remediator.common.tag_names import STRATEGY
from ip_remediator.diagnosis.alternatives import POD_SUBNET_TAG
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning import sizing
from ip_remediator.planning.model import REQUESTED_STRATEGIES, Source, Strategy
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import requirement
from ip_remediator.snapshot.model import Quotas
from ip_remediator.snapshot.model_cluster import CLUSTER_DISCOVERY_TAG, DISCOVERY_TAG
from ip_remediator.snapshot.model_vpc import Peering, Route
from tests.unit.docs.documents import ROOT, rows, sections
from tests.unit.support.facts import PREFIXES, snapshot, vpc, zone
from tests.unit.support.plans import first_plan

FULL = (zone("a", free=0, stuck=1), zone("b", free=0, stuck=1))
M5_4XLARGE: dict[str, Any] = {"instance_type": "m5.4xlarge", "max_enis": 8, "addresses_per_eni": 30}


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    return {title: " ".join(text.split()) for title, text in _sections().items()}


def _sections() -> dict[str, str]:
    return sections((ROOT / "docs" / "decisions.md").read_text())


def named(text: str, column: str) -> list[str]:
    """What the tables of `text` have in `column`, without the backticks."""
    return [row[column].strip("`") for row in rows(text) if column in row]


def test_the_options_are_those_of_every_plan_in_their_order() -> None:
    assert named(_sections()["Options"], "option") == [option.option for option in first_plan(snapshot(*FULL)).options]


def test_the_strategies_and_what_can_be_asked_for_are_the_codes() -> None:
    text = _sections()["Strategies"]
    assert named(text, "asked for") == list(REQUESTED_STRATEGIES)
    assert named(text, "strategy") == list(get_args(Strategy))


def test_what_is_refused_is_refused_and_the_rest_is_not() -> None:
    cannot: dict[str, Any] = {"env": {"ENABLE_SUBNET_DISCOVERY": "false"}}
    for row in rows(_sections()["Strategies"]):
        if "is refused when" not in row or row["asked for"] == "`node-group`":
            continue
        options = PlanningOptions(strategy=row["asked for"].strip("`"))  # type: ignore[arg-type]
        if row["is refused when"] == "never":
            assert first_plan(snapshot(*FULL, **cannot), options).strategy == "custom-networking"
        else:
            with pytest.raises(CannotPlan):
                first_plan(snapshot(*FULL, **cannot), options)


def test_the_sources_of_a_block_are_the_codes() -> None:
    assert named(_sections()["Where a block comes from"], "source") == list(get_args(Source))


@pytest.mark.parametrize(
    "row", list(rows(_sections()["Sizing"])), ids=lambda row: f"{row['zones']}x{row['nodes per zone']}"
)
def test_the_examples_of_sizing_are_computed(row: dict[str, str]) -> None:
    # given as many zones, nodes and addresses on each as the example says
    capacity = int(row["a node holds"])
    limits: dict[str, Any] = {
        18: {},
        30: {"max_enis": 3, "addresses_per_eni": 10},
        240: M5_4XLARGE,
        110: {"max_enis": 3, "addresses_per_eni": 10, "max_pods": 110},
    }[capacity]
    letters = "abcdef"[: int(row["zones"])]
    parts = [zone(letter, free=0, stuck=1, nodes=int(row["nodes per zone"]), **limits) for letter in letters]
    facts = snapshot(*parts, env=PREFIXES if capacity == 110 else {})

    # then demand, subnet and block are what the planner asks for
    needed = requirement(facts, diagnose(facts), PlanningOptions(as_needed=True))
    demand = sizing.demand(facts, facts.nodes[0].zone or "")
    assert [str(demand), f"/{needed.subnet_prefix}", f"/{needed.prefix}"] == [
        row["demand per zone"],
        row["subnet"],
        row["block"],
    ]


def test_the_example_that_does_not_fit_gives_way_as_told(page: dict[str, str]) -> None:
    parts = [zone(letter, free=0, stuck=1, nodes=100, **M5_4XLARGE) for letter in "abcdef"]
    cidrs = {subnet.cidr.rpartition("/")[2] for subnet in first_plan(snapshot(*parts)).subnets}
    assert cidrs == {"19"}
    assert "eight subnets of /19, not six of /18" in page["Sizing"]


def test_the_numbers_of_sizing_are_the_codes(page: dict[str, str]) -> None:
    text = page["Sizing"]
    assert f"**Growth**: {sizing.GROWTH} times" in text
    assert f"{sizing.LASTS_DAYS} such days" in text
    assert f"{sizing.FALLBACK_PODS_PER_NODE} where the limits are unknown" in text
    assert cidrs.subnet_prefix_for(1) == 24
    assert cidrs.subnet_prefix_for(10**6) == 18
    assert f"between /{cidrs.LARGEST_PREFIX} and /{cidrs.SMALLEST_PREFIX}" in text


def test_the_tags_are_the_codes(page: dict[str, str]) -> None:
    assert f"`{POD_SUBNET_TAG}=<cluster>`" in page["Options"]
    assert f"`{DISCOVERY_TAG}=1`" in page["Subnet discovery"]
    assert f"`{CLUSTER_DISCOVERY_TAG}<name>`" in page["Subnet discovery"]
    assert f"`{STRATEGY}`" in page["Strategies"]


def test_the_quotas_are_the_codes_with_awss_defaults() -> None:
    documented = {row["code"].strip("`"): int(row["default"]) for row in rows(_sections()["Quotas"])}
    limits = Quotas()
    assert documented == {
        "L-83CA0A9D": limits.cidrs_per_vpc,
        "L-407747CB": limits.subnets_per_vpc,
        "L-93826ACB": limits.routes_per_table,
        "L-BB24F6E5": limits.network_address_units,
        "L-CD17FD4B": limits.peered_network_address_units,
        "L-DF5E4CA3": limits.interfaces_per_zone,
    }
    assert {code for code in documented if _refusal_of(code)} == set(documented)


def _refusal_of(code: str) -> bool:
    """Whether a snapshot at that quota alone is refused with its code."""
    at_limit: dict[str, Any] = {
        "L-83CA0A9D": {"cidrs_per_vpc": 1},
        "L-407747CB": {"subnets_per_vpc": 1},
        "L-93826ACB": {"routes_per_table": 1},
        "L-BB24F6E5": {"network_address_units": 1},
        "L-CD17FD4B": {"peered_network_address_units": 1},
        "L-DF5E4CA3": {"interfaces_per_zone": 1},
    }[code]
    peer = Peering(id="pcx-1", status="active", vpc_id="vpc-2")
    route = Route(destination="192.168.0.0/24", target="tgw-1", route_table="rtb-a")
    facts = snapshot(
        *FULL,
        vpc=vpc(routes=(route,), network_address_units=1, peerings=(peer,)),
        quotas=Quotas(applied=True, **at_limit),
    )
    with pytest.raises(CannotPlan) as caught:
        first_plan(facts)
    return f"--quota-code {code} " in str(caught.value)


def test_the_example_of_an_expectation_is_the_codes(page: dict[str, str]) -> None:
    facts = snapshot(zone("a", free=0, stuck=14, addresses_per_eni=10), zone("b", free=0, stuck=3, enis=(6, 1, 1)))
    assert f"`{first_plan(facts).expectation}`" in page["What a plan promises"]
