"""Sizes that last, thrift where addresses are shared, and space that clusters of a VPC share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.common.cidr import CGNAT
from ip_remediator.planning import sizing
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.model import Quotas
from ip_remediator.snapshot.model_cluster import Cni, Node
from ip_remediator.snapshot.model_vpc import Peering, Route, TransitGateway, VpcCidr
from tests.unit.support.facts import Part, az, snapshot, subnet, vpc, zone
from tests.unit.support.plans import first_plan

FULL = (zone("a", free=0, stuck=1), zone("b", free=0, stuck=1))
READ = Quotas(applied=True)


def reason(made, option: str) -> str:  # type: ignore[no-untyped-def]
    return next(one.reason for one in made.options if one.option == option)


def test_given_addresses_that_cost_nothing_then_the_block_is_a_16_with_a_19_for_each_zone() -> None:
    made = first_plan(snapshot(*FULL))
    assert made.block == "100.64.0.0/16"
    assert [subnet.cidr for subnet in made.subnets] == ["100.64.0.0/19", "100.64.32.0/19"]
    assert "can be made larger later" in reason(made, "new-cidr")
    # and how long it lasts is told with the arithmetic
    assert made.sizing == (
        f"100.64.0.0/19 in {az('a')} has room for 8,187 addresses; the zone's nodes hold 7 now and can hold 18: it "
        "lasts until there are 455 times as many nodes (how fast addresses are used up is not known)"
    )


@pytest.mark.parametrize(
    ("fields", "env", "addresses"),
    [
        ({"default_card_enis": 3, "addresses_per_eni": 6}, {}, 18),
        ({"instance_type": "t3.medium"}, {}, 18),
        ({"instance_type": "m5.4xlarge"}, {"MAX_ENI": "2"}, 60),
        ({"instance_type": "t3.medium", "max_pods": 110}, {}, 110),
    ],
)
def test_given_a_node_then_the_enis_that_ipamd_attaches_to_it_tell_how_much_it_can_hold(
    fields: dict[str, Any], env: dict[str, str], addresses: int
) -> None:
    # given a document without max_enis, as readers write it now
    assert sizing.addresses_of(Cni(env=env), Node(name="n", **fields)) == addresses


def test_given_a_forecast_then_the_plan_tells_the_days() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    part = zone("a", free=20)
    falling = tuple(subnet.model_copy(update={"full_at": now + timedelta(days=2)}) for subnet in part.subnets)
    made = first_plan(snapshot(Part(part.nodes, part.pods, falling), taken_at=now))
    assert "use up 10.0 more a day: it lasts 2 years" in made.sizing


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (
            {"transit_gateways": (TransitGateway(id="tgw-1", attachment="a", routes=("100.80.0.0/16",)),)},
            "behind tgw-1",
        ),
        ({"peerings": (Peering(id="pcx-1", status="active", cidrs=("100.80.0.0/16",)),)}, "of peer pcx-1"),
        ({"routes": (Route(destination="100.80.0.0/16", target="tgw-1", route_table="rtb-a"),)}, "to tgw-1"),
    ],
)
def test_given_ranges_that_are_routed_between_vpcs_then_the_block_is_no_larger_than_needed(of, why) -> None:  # type: ignore[no-untyped-def]
    made = first_plan(snapshot(*FULL, vpc=vpc(**of)))
    assert made.block == "100.64.0.0/22"
    assert "no larger than needed" in reason(made, "new-cidr")
    assert why in reason(made, "new-cidr")


def test_given_a_blackhole_or_a_way_out_then_nobody_shares_the_range() -> None:
    gateway = TransitGateway(id="tgw-1", attachment="a", routes=("10.8.0.0/16",), blackholes=(str(CGNAT),))
    routes = (Route(destination="0.0.0.0/0", target="nat-1", route_table="rtb-a"),)
    made = first_plan(snapshot(*FULL, vpc=vpc(routes=routes, transit_gateways=(gateway,))))
    assert made.block == "100.64.0.0/16"


def test_given_a_pool_of_routable_addresses_then_thrift_is_the_rule() -> None:
    made = first_plan(snapshot(*FULL), PlanningOptions(pools=(IPv4Network("10.128.0.0/9"),)))
    assert made.block == "10.128.0.0/22"


def test_given_sizes_that_somebody_chose_then_they_are_taken() -> None:
    made = first_plan(snapshot(*FULL), PlanningOptions(block_prefix=20, subnet_prefix=23))
    assert (made.block, made.subnets[0].cidr) == ("100.64.0.0/20", "100.64.0.0/23")
    assert "the size that was chosen" in reason(made, "new-cidr")


# --- A CIDR that clusters share


def test_given_one_shortage_after_another_then_they_share_the_cidr_and_each_leaves_something() -> None:
    # given a VPC in which an incident added a /16, and five clusters that run short one by one
    taken: list[str] = []
    for _ in range(5):
        theirs = tuple(subnet("a", id=f"subnet-{n}", cidr=cidr) for n, cidr in enumerate(taken))
        made = first_plan(snapshot(*FULL, Part(subnets=theirs), vpc=vpc("100.64.0.0/16")))
        # then none needs a CIDR of its own
        assert made.source == "existing-cidr"
        taken += [one.cidr for one in made.subnets]
    networks = [IPv4Network(cidr) for cidr in taken]
    assert not any(one.overlaps(other) for n, one in enumerate(networks) for other in networks[:n])
    assert networks[0].prefixlen == 19


def test_given_space_in_two_cidrs_and_none_to_add_then_each_zone_gets_a_piece_of_its_own() -> None:
    # given two CG-NAT CIDRs with a free /24 each, in a VPC that can have no further CIDR
    crowded = vpc("100.64.0.0/23", "100.70.0.0/23", "10.1.0.0/16", "10.2.0.0/16")
    used = Part(subnets=(subnet("a", id="s1", cidr="100.64.0.0/24"), subnet("b", id="s2", cidr="100.70.1.0/24")))
    made = first_plan(snapshot(*FULL, used, vpc=crowded, quotas=READ))
    assert (made.source, made.block) == ("existing-cidr", None)
    assert made.blocks == ("100.64.1.0/24", "100.70.0.0/24")
    assert [(one.zone, one.cidr) for one in made.subnets] == [
        (az("a"), "100.64.1.0/24"),
        (az("b"), "100.70.0.0/24"),
    ]
    assert [change.action for change in made.changes][:2] == ["create_subnet", "create_subnet"]


def test_given_a_needy_zone_and_a_small_one_then_each_gets_the_largest_piece_that_it_asks_for() -> None:
    crowded = vpc("100.64.0.0/22", "100.70.0.0/26", "10.1.0.0/16", "10.2.0.0/16")
    needy = (zone("a", free=0, stuck=1, nodes=12), zone("b", free=0, stuck=1))
    made = first_plan(snapshot(*needy, vpc=crowded, quotas=READ))
    assert {subnet.zone: subnet.cidr for subnet in made.subnets} == {az("a"): "100.64.0.0/22", az("b"): "100.70.0.0/26"}


def test_given_no_piece_for_some_zone_then_the_quota_is_the_reason() -> None:
    crowded = vpc("100.64.0.0/28", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    with pytest.raises(CannotPlan, match="quota is 5"):
        first_plan(snapshot(*FULL, vpc=crowded, quotas=READ))


@given(st.lists(st.sampled_from(range(16, 29)), min_size=1, max_size=4), st.integers(1, 40), st.integers(1, 40))
def test_whatever_is_free_in_the_vpc_pieces_never_overlap_and_lie_in_its_cidrs(
    prefixes: list[int], first: int, second: int
) -> None:
    cidrs = tuple(VpcCidr(cidr=f"100.{64 + n}.0.0/{prefix}") for n, prefix in enumerate(prefixes))
    facts = snapshot(
        zone("a", free=0, stuck=1, nodes=first),
        zone("b", free=0, stuck=1, nodes=second),
        vpc=vpc(cidrs=(VpcCidr(cidr="10.0.0.0/16"), *cidrs)),
        quotas=Quotas(applied=True, cidrs_per_vpc=1),
    )
    try:
        made = first_plan(facts)
    except CannotPlan:
        return
    one, other = (IPv4Network(subnet.cidr) for subnet in made.subnets)
    assert not one.overlaps(other)
    for piece in (one, other):
        assert any(piece.subnet_of(IPv4Network(cidr.cidr)) for cidr in cidrs)
