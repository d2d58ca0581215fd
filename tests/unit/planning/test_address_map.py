"""The map of the address space: every CIDR and subnet, what a plan adds, and nothing that a name could break."""

from __future__ import annotations

from ipaddress import IPv4Network
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.planning.address_map import MappedCidr, MappedSubnet, address_map, map_lines, map_svg
from tests.unit.support.facts import snapshot, zone
from tests.unit.support.plans import first_plan

SHORT = snapshot(zone("a", stuck=1), zone("b", free=100))
TEN = IPv4Network("10.0.0.0/16")
NAMES = st.text(min_size=1, max_size=20)


@st.composite
def maps(draw: st.DrawFn) -> tuple[MappedCidr, ...]:
    blocks = draw(st.lists(st.integers(0, 255), unique=True, max_size=6))
    subnets = tuple(
        MappedSubnet(IPv4Network(f"10.0.{block}.0/24"), draw(NAMES), draw(NAMES), draw(st.none() | st.integers(0, 300)))
        for block in sorted(blocks)
    )
    return (MappedCidr(TEN, subnets, new=draw(st.booleans())),)


def test_given_a_shortage_when_mapped_before_and_after_then_only_the_plan_makes_the_difference() -> None:
    before, after = address_map(SHORT), address_map(SHORT, first_plan(SHORT))
    added = [cidr for cidr in after if cidr.new]
    assert len(added) == len(after) - len(before) == 1
    assert added[0].network.subnet_of(IPv4Network("100.64.0.0/10"))
    assert {subnet.zone for subnet in added[0].subnets} == {subnet.zone for subnet in SHORT.subnets}
    assert all(subnet.new for subnet in added[0].subnets)
    assert [cidr for cidr in after if not cidr.new] == list(before)


def test_given_a_full_and_a_half_full_subnet_then_the_lines_show_how_full_they_are() -> None:
    full = MappedSubnet(IPv4Network("10.0.0.0/28"), "eu-west-1a", "subnet-a", 0)
    half = MappedSubnet(IPv4Network("10.0.0.16/28"), "eu-west-1b", "subnet-b", 5)
    unread = MappedSubnet(IPv4Network("10.0.0.32/28"), "eu-west-1c", "subnet-c", None)
    head, *lines = map_lines([MappedCidr(IPv4Network("10.0.0.0/24"), (full, half, unread))])
    assert "256 addresses, 208 in no subnet" in head
    assert "[##########]  0 of 11 free" in lines[0]
    assert "[#####.....]  5 of 11 free" in lines[1]
    assert "[??????????]  free: unknown" in lines[2]


@given(maps())
def test_whatever_subnets_are_called_the_svg_is_well_formed_and_names_every_range(
    cidrs: tuple[MappedCidr, ...],
) -> None:
    named = [
        MappedCidr(
            cidr.network,
            tuple(
                MappedSubnet(one.network, _printable(one.zone), _printable(one.name), one.free) for one in cidr.subnets
            ),
        )
        for cidr in cidrs
    ]
    drawn = ET.fromstring(map_svg(named, "before"))
    text = " ".join(drawn.itertext())
    for cidr in named:
        assert str(cidr.network) in text
        assert all(str(subnet.network) in text for subnet in cidr.subnets)
    rectangles = [
        float(one.attrib["x"]) + float(one.attrib["width"]) for one in drawn.iter() if one.tag.endswith("rect")
    ]
    assert all(right <= 760 for right in rectangles)


def _printable(text: str) -> str:
    """EC2 gives printable names; XML can hold no control characters at all."""
    return "".join(letter for letter in text if letter.isprintable()) or "x"


@given(maps())
def test_no_line_is_new_unless_the_plan_makes_it(cidrs: tuple[MappedCidr, ...]) -> None:
    lines = map_lines(cidrs)
    assert len(lines) == sum(1 + len(cidr.subnets) for cidr in cidrs)
    assert lines[0].startswith("+") == cidrs[0].new
