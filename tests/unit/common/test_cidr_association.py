"""Which CIDR a VPC may take besides those it has: the table of the Amazon VPC User Guide, cell by cell."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.common.cidr import association_refusal

OTHER_TEN = "10.77.0.0/16"
TEN_FIRST = "10.0.128.0/20"
ONE_SEVEN_TWO = "172.20.0.0/16"
DEFAULT_VPC = "172.31.64.0/20"
ONE_NINE_TWO = "192.168.200.0/24"
BENCHMARK = "198.19.32.0/20"
PUBLIC = "203.0.113.0/24"
CGNAT = "100.64.0.0/16"
LINK_LOCAL = "169.254.8.0/24"

COLUMNS = (OTHER_TEN, TEN_FIRST, ONE_SEVEN_TWO, DEFAULT_VPC, ONE_NINE_TWO, BENCHMARK, PUBLIC, CGNAT, LINK_LOCAL)
# One row for each kind of primary CIDR; "+" may be added, "-" may not, in the order of COLUMNS.
TABLE = {
    "10.50.0.0/16": "++---" + "-++-",
    "10.0.0.0/20": "+----" + "-++-",
    "10.1.0.0/16": "+----" + "-++-",
    "172.16.0.0/16": "--+--" + "-++-",
    "192.168.0.0/20": "----+" + "-++-",
    "198.19.0.0/20": "-----" + "+++-",
    "198.51.100.0/24": "-----" + "-++-",
    "100.96.0.0/16": "-----" + "-++-",
}
CELLS = [
    pytest.param(primary, new, cell == "+", id=f"{primary} {cell} {new}")
    for primary, row in TABLE.items()
    for new, cell in zip(COLUMNS, row, strict=True)
]


@pytest.mark.parametrize(("primary", "new", "allowed"), CELLS)
def test_the_primary_cidr_decides_which_ranges_may_be_added(primary: str, new: str, allowed: bool) -> None:
    refusal = association_refusal([IPv4Network(primary)], IPv4Network(new))

    assert (refusal is None) == allowed


@pytest.mark.parametrize(("primary", "new", "allowed"), CELLS)
def test_a_cidr_added_earlier_changes_nothing_about_the_ranges(primary: str, new: str, allowed: bool) -> None:
    # given a secondary CIDR in CG-NAT, which as a primary one would bar every private range
    existing = [IPv4Network(primary), IPv4Network("100.127.0.0/16")]

    assert (association_refusal(existing, IPv4Network(new)) is None) == allowed


def test_any_cidr_in_10_0_0_0_15_bars_the_first_ten_range() -> None:
    existing = [IPv4Network("10.50.0.0/16"), IPv4Network("10.1.0.0/16")]

    assert association_refusal(existing, IPv4Network(TEN_FIRST)) == (
        "10.0.128.0/20 lies in 10.0.0.0/16, which AWS does not allow in a VPC of 10.50.0.0/16"
    )


@pytest.mark.parametrize("new", ["100.64.0.0/15", "100.64.0.0/29"])
def test_a_block_must_be_a_16_to_a_28(new: str) -> None:
    refusal = association_refusal([IPv4Network("10.0.0.0/16")], IPv4Network(new))

    assert refusal == f"{new} is not between a /16 and a /28"


@pytest.mark.parametrize("new", ["100.64.0.0/16", "100.64.0.0/18", "100.64.32.0/20"])
def test_an_overlap_with_any_cidr_of_the_vpc_is_refused_and_names_it(new: str) -> None:
    existing = [IPv4Network("10.0.0.0/16"), IPv4Network("100.64.32.0/19")]

    assert association_refusal(existing, IPv4Network(new)) == (
        f"{new} overlaps 100.64.32.0/19, which the VPC already has"
    )


@given(index=st.integers(0, 2**18 - 1), primary=st.sampled_from(sorted(TABLE)))
def test_cg_nat_may_be_added_to_every_vpc_that_has_no_overlapping_cidr(index: int, primary: str) -> None:
    new = IPv4Network((int(IPv4Network("100.64.0.0/10").network_address) + (index << 4), 28))
    existing = IPv4Network(primary)

    assert (association_refusal([existing], new) is None) == (not existing.overlaps(new))
