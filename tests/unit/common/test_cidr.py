"""CIDR arithmetic held against brute force."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations, islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ip_remediator.common.cidr import (
    CGNAT,
    CannotSplit,
    block_prefix_for,
    free_blocks,
    split_over_zones,
    subnet_prefix_for,
    usable_addresses,
)

# A pool small enough to try every candidate, in the middle of the range so that obstacles lie on both sides.
POOL = IPv4Network("100.64.16.0/22")
AROUND = IPv4Network("100.64.0.0/18")


def networks(inside: IPv4Network, longest: int = 32) -> st.SearchStrategy[IPv4Network]:
    def at(prefix: int) -> st.SearchStrategy[IPv4Network]:
        last = 2 ** (prefix - inside.prefixlen) - 1
        base = int(inside.network_address)
        return st.integers(0, last).map(lambda index: IPv4Network((base + (index << 32 - prefix), prefix)))

    return st.integers(inside.prefixlen, longest).flatmap(at)


obstacles = st.lists(networks(AROUND), max_size=12)
prefixes = st.integers(20, 30)


# -- free blocks -----------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.too_slow])  # the other core may be busy
@given(taken=obstacles, prefix=prefixes)
def test_the_free_blocks_are_exactly_the_aligned_candidates_that_overlap_nothing(
    taken: list[IPv4Network], prefix: int
) -> None:
    candidates = POOL.subnets(new_prefix=prefix) if prefix >= POOL.prefixlen else iter(())
    expected = [block for block in candidates if not any(block.overlaps(network) for network in taken)]

    assert list(free_blocks(POOL, taken, prefix)) == expected


@given(taken=obstacles, prefix=prefixes)
def test_free_blocks_are_aligned_inside_the_pool_and_never_overlap(taken: list[IPv4Network], prefix: int) -> None:
    result = list(free_blocks(POOL, taken, prefix))

    assert all(block.prefixlen == prefix and block.subnet_of(POOL) for block in result)
    assert all(not block.overlaps(network) for block in result for network in taken)
    assert all(not one.overlaps(other) for one, other in combinations(result, 2))


@given(taken=obstacles, prefixes=st.lists(prefixes, max_size=12))
def test_taking_the_first_free_block_again_and_again_never_overlaps(
    taken: list[IPv4Network], prefixes: list[int]
) -> None:
    reserved: list[IPv4Network] = []
    for prefix in prefixes:
        reserved += islice(free_blocks(POOL, [*taken, *reserved], prefix), 1)

    assert all(not one.overlaps(other) for one, other in combinations(reserved, 2))


def test_a_range_that_covers_the_pool_leaves_nothing() -> None:
    assert list(free_blocks(POOL, [IPv4Network("0.0.0.0/0")], 28)) == []


def test_a_pool_smaller_than_the_block_has_none() -> None:
    assert list(free_blocks(IPv4Network("100.64.0.0/24"), [], 23)) == []


def test_the_one_gap_of_a_nearly_full_pool_is_found_without_trying_every_candidate() -> None:
    # given all of 100.64.0.0/10 but its last /28, as a quarter of a million /28s never could be tried in a moment
    gap = list(CGNAT.address_exclude(IPv4Network("100.127.255.240/28")))

    assert list(free_blocks(CGNAT, gap, 28)) == [IPv4Network("100.127.255.240/28")]


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cidr", "usable"), [("10.0.0.0/28", 11), ("10.0.0.0/24", 251), ("10.0.0.0/16", 65531)])
def test_aws_keeps_five_addresses_of_a_subnet(cidr: str, usable: int) -> None:
    assert usable_addresses(IPv4Network(cidr)) == usable


@given(addresses=st.integers(-5, 20_000))
def test_a_planned_subnet_holds_the_addresses_and_is_no_larger_than_needed(addresses: int) -> None:
    prefix = subnet_prefix_for(addresses)
    half = IPv4Network((0, prefix + 1))

    assert 18 <= prefix <= 24
    assert prefix == 18 or usable_addresses(IPv4Network((0, prefix))) >= addresses
    assert prefix == 24 or usable_addresses(half) < addresses


@given(zones=st.integers(1, 12), subnet_prefix=st.integers(18, 24), spare=st.integers(0, 3))
def test_a_block_has_room_for_every_zone_and_the_spare_ones_unless_aws_allows_no_larger(
    zones: int, subnet_prefix: int, spare: int
) -> None:
    prefix = block_prefix_for(zones, subnet_prefix, spare_zones=spare)

    assert prefix >= 16
    assert prefix == 16 or 2 ** (subnet_prefix - prefix) >= zones + spare
    assert 2 ** (subnet_prefix - prefix) < 2 * (zones + spare)


# -- splitting -------------------------------------------------------------------------------------


@given(block=networks(CGNAT, longest=28), count=st.integers(1, 20), subnet_prefix=st.integers(16, 28))
def test_a_block_is_split_into_one_subnet_for_each_zone(block: IPv4Network, count: int, subnet_prefix: int) -> None:
    zones = [f"zone-{number}" for number in range(count)]
    if count << 32 - 28 > block.num_addresses:
        with pytest.raises(CannotSplit, match=f"cannot be split into {count} subnets of at least a /28"):
            split_over_zones(block, zones, subnet_prefix)
        return

    subnets = split_over_zones(block, zones, subnet_prefix)

    assert list(subnets) == zones
    assert all(subnet.subnet_of(block) for subnet in subnets.values())
    assert all(not one.overlaps(other) for one, other in combinations(subnets.values(), 2))
    (prefix,) = {subnet.prefixlen for subnet in subnets.values()}
    # a subnet is smaller than asked for only when the next size up would not hold all zones
    assert prefix == subnet_prefix or (prefix > subnet_prefix and count << 33 - prefix > block.num_addresses)
