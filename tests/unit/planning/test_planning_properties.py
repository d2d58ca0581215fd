"""Whatever the cluster and the VPC look like: the planned subnets are well-formed and overlap nothing."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ip_remediator.common import cidr as cidrs
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning.build_plan import block_refusal, plan
from ip_remediator.planning.model import BlockRequirement, Plan, RequestedStrategy, digest
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import requirement
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster
from ip_remediator.snapshot.model_vpc import Peering, Route, TransitGateway, Vpc
from ip_remediator_cli.commands.plan import make_plan
from tests.support.properties import examples
from tests.unit.support.facts import CUSTOM, Part, eni_config, snapshot, subnet, vpc, zone

LETTERS = "abcdef"


@st.composite
def cgnat_ranges(draw: st.DrawFn) -> IPv4Network:
    prefix = draw(st.integers(11, 28))
    offset = draw(st.integers(0, (1 << (prefix - 10)) - 1))
    return IPv4Network((int(cidrs.CGNAT.network_address) + (offset << (32 - prefix)), prefix))


@st.composite
def clusters(draw: st.DrawFn) -> Snapshot:
    """Full subnets in one to six zones, of 1 to 40 nodes each; perhaps CG-NAT CIDRs, subnets and routes."""
    letters = LETTERS[: draw(st.integers(1, 6))]
    zones = [zone(letter, free=0, stuck=1, nodes=draw(st.sampled_from([1, 2, 40]))) for letter in letters]
    custom = draw(st.booleans())
    configs = Part(eni_configs=tuple(eni_config(letter) for letter in letters) if custom else ())
    ours = draw(st.lists(cgnat_ranges().filter(lambda one: one.prefixlen >= 16), max_size=2, unique=True))
    assume(not any(one.overlaps(other) for one, other in combinations(ours, 2)))
    used = [next(one.subnets(new_prefix=max(one.prefixlen, 26))) for one in ours if draw(st.booleans())]
    old = Part(subnets=tuple(subnet("a", id=f"subnet-{one}", cidr=str(one), free=0) for one in used))
    routes = tuple(
        Route(destination=str(one), target="tgw-1", route_table="rtb-a")
        for one in draw(st.lists(cgnat_ranges(), max_size=3))
    )
    network = vpc(*map(str, ours), routes=routes)
    return snapshot(*zones, configs, old, vpc=network, env=CUSTOM if custom else {})


def vpc_of(facts: Snapshot) -> Vpc:
    assert facts.vpc
    return facts.vpc


@given(facts=clusters(), kept=st.lists(cgnat_ranges(), max_size=3), choice=st.integers(0, 5))
def test_subnets_lie_in_the_block_one_per_zone_and_overlap_neither_each_other_nor_what_is_taken(
    facts: Snapshot, kept: list[IPv4Network], choice: int
) -> None:
    diagnosis = diagnose(facts)
    needed = requirement(facts, diagnosis, PlanningOptions(excluded=tuple(kept)))
    taken = [IPv4Network(cidr) for cidr in needed.excluded]
    blocks = [
        block
        for pool in needed.pools
        for block, _ in zip(cidrs.free_blocks(IPv4Network(pool), taken, needed.prefix), range(6), strict=False)
    ]
    assume(blocks)
    block = blocks[choice % len(blocks)]
    result = plan(facts, diagnosis, needed, block)
    subnets = [IPv4Network(planned.cidr) for planned in result.subnets]

    assert result.block == str(block)
    assert [planned.zone for planned in result.subnets] == [zone.zone for zone in diagnosis.zones]
    assert all(one.subnet_of(block) and one.prefixlen <= cidrs.SMALLEST_PREFIX for one in subnets)
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))
    others = [*kept, *(IPv4Network(present.cidr) for present in facts.subnets)]
    others += [IPv4Network(route.destination) for route in vpc_of(facts).routes] if result.source == "new-cidr" else []
    assert not any(one.overlaps(other) for one in subnets for other in others)
    in_vpc = any(block.subnet_of(IPv4Network(cidr.cidr)) for cidr in vpc_of(facts).cidrs)
    assert in_vpc is (result.source == "existing-cidr")
    assert result.hash == digest(plan(facts, diagnosis, needed, block))


@given(facts=clusters(), block=cgnat_ranges().filter(lambda one: one.prefixlen >= 14))
def test_a_block_is_either_refused_or_planned_within_awss_rules(facts: Snapshot, block: IPv4Network) -> None:
    diagnosis = diagnose(facts)
    needed = requirement(facts, diagnosis)
    result = plan_or_refusal(facts, diagnosis, needed, block)
    if isinstance(result, str):
        assert str(block) in result
        return
    assert not any(block.overlaps(IPv4Network(cidr)) for cidr in needed.excluded)
    if result.source == "new-cidr":
        present = [IPv4Network(cidr.cidr) for cidr in vpc_of(facts).cidrs]
        assert cidrs.association_refusal(present, block) is None


def plan_or_refusal(facts: Snapshot, diagnosis: Diagnosis, needed: BlockRequirement, block: IPv4Network) -> Plan | str:
    try:
        return plan(facts, diagnosis, needed, block)
    except CannotPlan as refusal:
        return str(refusal)


# --- Blocks against brute force


@st.composite
def pools_and_ranges(draw: st.DrawFn) -> tuple[tuple[IPv4Network, ...], list[IPv4Network]]:
    """One to three small pools that do not overlap, and ranges in and around them that are kept for others."""
    around = list(IPv4Network("100.64.0.0/19").subnets(new_prefix=21))
    pools = draw(st.lists(st.sampled_from(around), min_size=1, max_size=3, unique=True))
    prefix = st.integers(20, 28)
    kept = [
        IPv4Network(
            (
                int(IPv4Network("100.64.0.0").network_address)
                + (draw(st.integers(0, 2**13 - 1)) >> (32 - size) << (32 - size)),
                size,
            )
        )
        for size in draw(st.lists(prefix, max_size=25))
    ]
    return tuple(pools), kept


@given(ranges=pools_and_ranges(), zones=st.integers(1, 3))
def test_a_plan_is_made_if_and_only_if_some_candidate_of_the_pools_overlaps_nothing_and_it_is_the_first(
    ranges: tuple[tuple[IPv4Network, ...], list[IPv4Network]], zones: int
) -> None:
    pools, kept = ranges
    facts = snapshot(*(zone(letter, free=0, stuck=1) for letter in LETTERS[:zones]))
    diagnosis = diagnose(facts)
    options = PlanningOptions(pools=pools, excluded=tuple(kept))
    prefix = requirement(facts, diagnosis, options).prefix
    candidates = [
        block
        for pool in pools
        if prefix >= pool.prefixlen
        for block in pool.subnets(new_prefix=prefix)
        if not any(block.overlaps(other) for other in kept)
    ]
    if not candidates:
        with pytest.raises(CannotPlan, match="is free in"):
            make_plan(facts, diagnosis, options)
        return
    assert make_plan(facts, diagnosis, options).block == str(candidates[0])


def _around(route: IPv4Network) -> list[IPv4Network]:
    """Ranges that equal, contain and lie inside `route`, as blocks may."""
    return [route, route.supernet(new_prefix=max(16, route.prefixlen - 2)), next(route.subnets(new_prefix=28))]


@given(
    destination=cgnat_ranges().filter(lambda one: 17 <= one.prefixlen <= 26),
    where=st.sampled_from(
        ["route", "prefix-list", "transit-gateway", "peer", "pending-peer", "service", "remote", "user"]
    ),
)
def test_no_block_equals_contains_or_lies_inside_a_range_that_somebody_has(
    destination: IPv4Network, where: str
) -> None:
    text = str(destination)
    route = Route(destination=text, target="tgw-1", route_table="rtb-a")
    taking: dict[str, dict[str, Any]] = {
        "route": {"vpc": vpc(routes=(route,))},
        "prefix-list": {"vpc": vpc(routes=(route.model_copy(update={"prefix_list": "pl-1"}),))},
        "transit-gateway": {
            "vpc": vpc(transit_gateways=(TransitGateway(id="tgw-1", attachment="att", routes=(text,)),))
        },
        "peer": {"vpc": vpc(peerings=(Peering(id="pcx-1", status="active", cidrs=(text,)),))},
        "pending-peer": {"vpc": vpc(peerings=(Peering(id="pcx-1", status="pending-acceptance", cidrs=(text,)),))},
        "service": {"cluster": Cluster(name="prod", service_cidrs=(text,))},
        "remote": {"cluster": Cluster(name="prod", remote_cidrs=(text,))},
        "user": {},
    }
    options = PlanningOptions(excluded=(destination,) if where == "user" else ())
    facts = snapshot(zone("a", free=0, stuck=1), **taking[where])
    needed = requirement(facts, diagnose(facts), options)
    for block in _around(destination):
        refusal = block_refusal(facts, needed, block)
        assert refusal is not None
        assert "overlaps the" in refusal
    assert not IPv4Network(make_plan(facts, diagnose(facts), options).block or "").overlaps(destination)


# --- Order


@examples(0.5)
@given(facts=clusters(), strategy=st.sampled_from(["custom-networking", "subnet-discovery", "auto"]), data=st.data())
def test_the_order_in_which_apis_list_things_changes_nothing(
    facts: Snapshot, strategy: RequestedStrategy, data: st.DataObject
) -> None:
    leaked = tuple(
        LeakedInterface(id=f"eni-{number}", subnet_id="subnet-a", addresses=6, cluster="prod") for number in range(3)
    )
    facts = facts.model_copy(update={"leaked_interfaces": leaked})
    lists = ("nodes", "stuck_pods", "subnets", "eni_configs", "leaked_interfaces")
    shuffled = facts.model_copy(
        update={
            name: tuple(data.draw(st.permutations(getattr(facts, name)[:12]))) + getattr(facts, name)[12:]
            for name in lists
        }
    )
    assert outcome(shuffled, strategy) == outcome(facts, strategy)


def outcome(facts: Snapshot, strategy: RequestedStrategy) -> Plan | str:
    try:
        return make_plan(facts, diagnose(facts), PlanningOptions(strategy=strategy))
    except CannotPlan as refusal:
        return str(refusal)
