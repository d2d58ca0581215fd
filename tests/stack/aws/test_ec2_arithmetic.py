"""The pure rules under EC2: addresses, prefixes and the association table, against brute force."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.aws.ec2 import addresses, cidr_rules

SUBNETS = st.builds(
    lambda length, index: list(IPv4Network("100.64.0.0/22").subnets(new_prefix=length))[index % 2 ** (length - 22)],
    st.integers(24, 28),
    st.integers(0, 63),
)


@given(SUBNETS, st.data())
def test_given_taken_addresses_when_others_are_picked_then_free_count_and_picks_agree(
    subnet: IPv4Network, data: st.DataObject
):
    values = st.integers(int(subnet.network_address), int(subnet.broadcast_address))
    taken = data.draw(st.sets(values, max_size=40))
    free = [one for one in subnet if int(one) not in taken and int(one) not in addresses.reserved(subnet)]
    assert addresses.available(subnet, taken) == len(free)
    assert addresses.pick_addresses(subnet, taken, len(free)) == free
    with pytest.raises(addresses.NoSpaceError):
        addresses.pick_addresses(subnet, taken, len(free) + 1)


@given(SUBNETS, st.data())
def test_given_taken_addresses_when_prefixes_are_picked_then_each_is_wholly_free_and_none_is_missed(
    subnet: IPv4Network, data: st.DataObject
):
    values = st.integers(int(subnet.network_address), int(subnet.broadcast_address))
    taken = data.draw(st.sets(values, max_size=12))
    closed = taken | addresses.reserved(subnet)
    whole = [block for block in subnet.subnets(new_prefix=28) if not any(int(one) in closed for one in block)]
    assert addresses.pick_prefixes(subnet, taken, [], len(whole)) == whole
    with pytest.raises(addresses.NoSpaceError):
        addresses.pick_prefixes(subnet, taken, [], len(whole) + 1)


def test_given_a_prefix_reservation_when_a_prefix_is_picked_then_it_comes_from_there_first():
    subnet, reserved = IPv4Network("100.64.0.0/25"), IPv4Network("100.64.0.64/27")
    picked = addresses.pick_prefixes(subnet, set(), [reserved], 3)
    assert [str(one) for one in picked] == ["100.64.0.64/28", "100.64.0.80/28", "100.64.0.16/28"]


@given(
    st.integers(0, 2**32 - 1), st.integers(16, 28), st.sampled_from(["10.4.0.0/16", "172.16.0.0/16", "192.168.0.0/20"])
)
def test_given_a_private_vpc_when_any_network_is_judged_then_other_private_ranges_never_pass(
    address: int, length: int, primary: str
):
    vpc, new = IPv4Network(primary), IPv4Network((address >> (32 - length) << (32 - length), length))
    home, target = cidr_rules.private_range(vpc), cidr_rules.private_range(new)
    if target is not None and target != home:
        assert cidr_rules.restricted([vpc], new)
    if new.subnet_of(IPv4Network("100.64.0.0/10")):
        assert not cidr_rules.restricted([vpc], new)
