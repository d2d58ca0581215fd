"""The map of a VPC's address space: its CIDRs, the subnets in them, and what a plan adds. Text for terminals, SVG for
reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from ipaddress import IPv4Network

from ip_remediator.common.text import counted
from ip_remediator.planning.model import Plan, PlannedSubnet
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Subnet

# AWS keeps the first four addresses of a subnet and the last (VPC User Guide, "Subnet sizing").
_RESERVED = 5
_GAUGE = 10
_WIDTH, _BAR, _LINE, _MARGIN, _LABELS = 760, 26, 18, 12, 24


@dataclass(frozen=True)
class MappedSubnet:
    """A subnet of the VPC, or one that the plan makes (`new`). `free`: addresses that EC2 counts; None: not read."""

    network: IPv4Network
    zone: str
    name: str
    free: int | None
    new: bool = False

    @property
    def usable(self) -> int:
        """The addresses of the subnet without the five that AWS reserves."""
        return max(self.network.num_addresses - _RESERVED, 0)


@dataclass(frozen=True)
class MappedCidr:
    """A CIDR of the VPC with the subnets in it, by address. `new`: the plan adds it."""

    network: IPv4Network
    subnets: tuple[MappedSubnet, ...]
    new: bool = False

    @property
    def unallocated(self) -> int:
        """Addresses that no subnet has."""
        return self.network.num_addresses - sum(subnet.network.num_addresses for subnet in self.subnets)


def address_map(snapshot: Snapshot, plan: Plan | None = None) -> tuple[MappedCidr, ...]:
    """The VPC's CIDRs in the order of their addresses: as they are, or as they are after `plan`."""
    subnets = [*map(_present, snapshot.subnets), *_planned(plan)]
    present = [IPv4Network(association.cidr) for association in snapshot.vpc.cidrs] if snapshot.vpc else []
    added = [network for network in _added(plan) if network not in present]
    return tuple(
        MappedCidr(network, tuple(_inside(network, subnets)), new=network in added)
        for network in sorted({*present, *added})
    )


def _present(subnet: Subnet) -> MappedSubnet:
    return MappedSubnet(IPv4Network(subnet.cidr), subnet.zone, subnet.id, subnet.free)


def _planned(plan: Plan | None) -> Iterator[MappedSubnet]:
    for subnet in plan.subnets if plan else ():
        if subnet.id is None:
            yield _new(subnet)


def _new(subnet: PlannedSubnet) -> MappedSubnet:
    network = IPv4Network(subnet.cidr)
    return MappedSubnet(network, subnet.zone, "(new)", max(network.num_addresses - _RESERVED, 0), new=True)


def _added(plan: Plan | None) -> list[IPv4Network]:
    if plan is None or plan.block is None or not any(change.action == "associate_cidr" for change in plan.changes):
        return []
    return [IPv4Network(plan.block)]


def _inside(cidr: IPv4Network, subnets: Iterable[MappedSubnet]) -> list[MappedSubnet]:
    inside = [subnet for subnet in subnets if subnet.network.subnet_of(cidr)]
    return sorted(inside, key=lambda subnet: subnet.network)


def map_lines(cidrs: Sequence[MappedCidr]) -> list[str]:
    """The map as lines; what is new starts with "+".

    10.0.0.0/24          256 addresses, 224 in no subnet
      10.0.0.0/28        eu-west-1a  [##########]  0 of 11 free       subnet-a
    """
    lines = []
    for cidr in cidrs:
        size = counted(cidr.network.num_addresses, "address", "addresses")
        lines.append(f"{_sign(cidr.new)} {cidr.network!s:<20} {size}, {cidr.unallocated:,} in no subnet")
        lines += [_line(subnet) for subnet in cidr.subnets]
    return lines


def _line(subnet: MappedSubnet) -> str:
    free = _free(subnet)
    return f"{_sign(subnet.new)}   {subnet.network!s:<18} {subnet.zone:<16} {_gauge(subnet)}  {free:<18} {subnet.name}"


def _label(subnet: MappedSubnet) -> str:
    return f"{subnet.network}  {subnet.zone}  {_free(subnet)}  {subnet.name}"


def _free(subnet: MappedSubnet) -> str:
    return "free: unknown" if subnet.free is None else f"{subnet.free:,} of {subnet.usable:,} free"


def _sign(new: bool) -> str:
    return "+" if new else " "


def _gauge(subnet: MappedSubnet) -> str:
    """How full it is; an empty frame where that is not known."""
    if subnet.free is None or not subnet.usable:
        return f"[{'?' * _GAUGE}]"
    used = round(_GAUGE * (1 - min(subnet.free, subnet.usable) / subnet.usable))
    return f"[{'#' * used}{'.' * (_GAUGE - used)}]"


def map_svg(cidrs: Sequence[MappedCidr], title: str) -> str:
    """The map as one SVG document: a bar for each CIDR, its subnets drawn to scale, how full each one is as its fill.

    It names everything in text as well, for readers who do not see it, and takes its colours from the page: light or
    dark. What comes from AWS is escaped.
    """
    body, y = [], _MARGIN + _LABELS
    for cidr in cidrs:
        part, y = _svg_cidr(cidr, y)
        body += part
    height = y + _MARGIN
    described = "; ".join(line.strip() for line in map_lines(cidrs))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'aria-label="{escape(f"{title}: {described}")}" font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{escape(title)}</title>",
            "<style>.f{fill:none;stroke:currentColor}.u{fill:#c2410c}.o{fill:#15803d}.n{stroke:#15803d;stroke-width:2}"
            "text{fill:currentColor}</style>",
            f'<text x="{_MARGIN}" y="{_MARGIN + 8}" font-weight="600">{escape(title)}</text>',
            *body,
            "</svg>",
        ]
    )


def _svg_cidr(cidr: MappedCidr, y: int) -> tuple[list[str], int]:
    """The elements of one CIDR that starts at height `y`, and the height at which the next one starts."""
    width = _WIDTH - 2 * _MARGIN
    mark = " (new)" if cidr.new else ""
    new = " n" if cidr.new else ""
    parts = [
        f'<text x="{_MARGIN}" y="{y + 12}">{cidr.network}{mark}</text>',
        f'<rect class="f{new}" x="{_MARGIN}" y="{y + _LINE}" width="{width}" height="{_BAR}"/>',
    ]
    for subnet in cidr.subnets:
        parts += _svg_subnet(subnet, cidr.network, y + _LINE, width)
    y += _LINE + _BAR + _LINE
    for subnet in cidr.subnets:
        parts.append(f'<text x="{2 * _MARGIN}" y="{y}">{escape(_label(subnet))}</text>')
        y += _LINE
    return parts, y + _MARGIN


def _svg_subnet(subnet: MappedSubnet, cidr: IPv4Network, y: int, width: int) -> list[str]:
    scale = width / cidr.num_addresses
    x = _MARGIN + (int(subnet.network.network_address) - int(cidr.network_address)) * scale
    wide = max(subnet.network.num_addresses * scale, 1.5)
    used = 0.0 if subnet.free is None or not subnet.usable else 1 - min(subnet.free, subnet.usable) / subnet.usable
    colour = "o" if subnet.new else "u"
    fill = 0.25 if subnet.new else max(used, 0.08)
    return [
        f'<rect class="{colour}" x="{x:.1f}" y="{y + _BAR * (1 - fill):.1f}" width="{wide:.1f}" '
        f'height="{_BAR * fill:.1f}"/>',
        f'<rect class="f" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{_BAR}"/>',
    ]
