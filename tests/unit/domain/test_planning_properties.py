"""Whatever the cluster and the VPC look like: the planned subnets are well-formed and overlap nothing."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

from hypothesis import assume, given
from hypothesis import strategies as st

from ip_remediator.domain import addressing
from ip_remediator.domain.diagnosis import Diagnosis, diagnose
from ip_remediator.domain.planning import BlockRequirement, CannotPlan, Plan, Terms, digest, plan, requirement
from ip_remediator.domain.snapshot import Route, Snapshot, Vpc
from tests.unit.domain.facts import CUSTOM, Part, eni_config, snapshot, subnet, vpc, zone

LETTERS = "abcdef"


@st.composite
def cgnat_ranges(draw: st.DrawFn) -> IPv4Network:
    prefix = draw(st.integers(11, 28))
    offset = draw(st.integers(0, (1 << (prefix - 10)) - 1))
    return IPv4Network((int(addressing.CGNAT.network_address) + (offset << (32 - prefix)), prefix))


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
    needed = requirement(facts, diagnosis, Terms(excluded=tuple(kept)))
    taken = [IPv4Network(cidr) for cidr in needed.excluded]
    blocks = [
        block
        for pool in needed.pools
        for block, _ in zip(addressing.free_blocks(IPv4Network(pool), taken, needed.prefix), range(6), strict=False)
    ]
    assume(blocks)
    block = blocks[choice % len(blocks)]
    found = plan(facts, diagnosis, needed, block)
    subnets = [IPv4Network(planned.cidr) for planned in found.subnets]

    assert found.block == str(block)
    assert [planned.zone for planned in found.subnets] == [zone.zone for zone in diagnosis.zones]
    assert all(one.subnet_of(block) and one.prefixlen <= addressing.SMALLEST_PREFIX for one in subnets)
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))
    others = [*kept, *(IPv4Network(present.cidr) for present in facts.subnets)]
    others += [IPv4Network(route.destination) for route in vpc_of(facts).routes] if found.source == "new-cidr" else []
    assert not any(one.overlaps(other) for one in subnets for other in others)
    in_vpc = any(block.subnet_of(IPv4Network(cidr.cidr)) for cidr in vpc_of(facts).cidrs)
    assert in_vpc is (found.source == "existing-cidr")
    assert found.hash == digest(plan(facts, diagnosis, needed, block))


@given(facts=clusters(), block=cgnat_ranges().filter(lambda one: one.prefixlen >= 14))
def test_a_block_is_either_refused_or_planned_within_awss_rules(facts: Snapshot, block: IPv4Network) -> None:
    diagnosis = diagnose(facts)
    needed = requirement(facts, diagnosis)
    found = plan_or_refusal(facts, diagnosis, needed, block)
    if isinstance(found, str):
        assert str(block) in found
        return
    assert not any(block.overlaps(IPv4Network(cidr)) for cidr in needed.excluded)
    if found.source == "new-cidr":
        present = [IPv4Network(cidr.cidr) for cidr in vpc_of(facts).cidrs]
        assert addressing.association_refusal(present, block) is None


def plan_or_refusal(facts: Snapshot, diagnosis: Diagnosis, needed: BlockRequirement, block: IPv4Network) -> Plan | str:
    try:
        return plan(facts, diagnosis, needed, block)
    except CannotPlan as refusal:
        return str(refusal)
