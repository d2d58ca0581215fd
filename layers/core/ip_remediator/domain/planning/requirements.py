"""From a diagnosis down the ladder of cures to what a plan needs: the first rung that holds is taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from ip_remediator.domain import addressing, refusals
from ip_remediator.domain.alternatives import alternatives
from ip_remediator.domain.diagnosis import CURABLE, Diagnosis
from ip_remediator.domain.exclusions import taken_ranges
from ip_remediator.domain.planning import existing, leaks, sizing
from ip_remediator.domain.planning.advice import advice
from ip_remediator.domain.planning.documents import BlockRequirement, Option, Source
from ip_remediator.domain.planning.strategies import Choice, Wish, choose
from ip_remediator.domain.refusals import CannotPlan
from ip_remediator.domain.snapshot import Snapshot, Subnet

_SETTINGS = "range excluded by the settings"


@dataclass(frozen=True)
class Terms:
    """What the operator sets and asks for.

    `pools`: where new CIDRs are taken from, or instead `ipam_pool`, the id of a VPC IPAM pool. `excluded`: ranges kept
    for others (Tailscale, on-premises). `zones` and `block`: those to use, instead of those that the planner finds.
    `insists`: somebody asked for this strategy in this run, so deleting leaked ENIs is no answer.
    """

    pools: tuple[IPv4Network, ...] = (addressing.CGNAT,)
    excluded: tuple[IPv4Network, ...] = ()
    strategy: Wish = "custom-networking"
    ipam_pool: str | None = None
    zones: tuple[str, ...] = ()
    block: IPv4Network | None = None
    insists: bool = False


@dataclass(frozen=True)
class _Space:
    """Where new addresses come from."""

    source: Source
    pools: tuple[IPv4Network, ...] = ()
    prefix: int = 0
    subnet_prefix: int = 0
    excluded: dict[str, str] = field(default_factory=dict)


def requirement(snapshot: Snapshot, diagnosis: Diagnosis, terms: Terms | None = None) -> BlockRequirement:
    """What the cure needs.

    Raises:
        CannotPlan: the diagnosis is not curable by addresses, facts are missing, a quota is in the way, or the
            strategy is not possible here; it carries the alternatives that fit.
    """
    try:
        return _required(snapshot, diagnosis, terms or Terms())
    except CannotPlan as refusal:
        refusal.alternatives = alternatives(snapshot, diagnosis.verdict)
        raise


def _required(snapshot: Snapshot, diagnosis: Diagnosis, terms: Terms) -> BlockRequirement:
    refusals.without_facts(snapshot, diagnosis)
    choice = choose(snapshot, terms.strategy)
    left_behind = leaks.examine(snapshot, diagnosis)
    asked = _asked_for(terms)
    if left_behind.enough and not asked:
        return BlockRequirement(
            strategy="delete-leaked-enis",
            strategy_reason="the leaked ENIs hold enough addresses, and deleting them changes nothing else",
            source="none",
            zones=tuple(zone.zone for zone in diagnosis.zones if zone.verdict in CURABLE),
            leaked=left_behind.interfaces,
            options=_options(snapshot, _Rungs(left_behind.reason, leaks_taken=True)),
        )
    zones = terms.zones or _zones_to_serve(diagnosis, choice)
    if choice.custom_networking:
        refusals.shared_eni_configs(snapshot, list(zones))
    demand = {zone: sizing.demand(snapshot, zone) for zone in zones}
    offered = _offered(snapshot, choice, terms, demand)
    new_zones = [zone for zone in zones if zone not in offered.chosen]
    refusals.at_subnet_quota(snapshot, len(new_zones))
    refusals.at_address_quota(snapshot)
    refusals.at_interface_quota(snapshot)
    space = (
        _space(snapshot, terms, {zone: demand[zone] for zone in new_zones}) if new_zones else _Space("existing-subnets")
    )
    reason = f"{left_behind.reason}; {asked}" if left_behind.enough else left_behind.reason
    return BlockRequirement(
        strategy=choice.strategy,
        strategy_reason=choice.reason,
        source=space.source,
        pools=tuple(str(pool) for pool in space.pools),
        prefix=space.prefix,
        subnet_prefix=space.subnet_prefix,
        zones=tuple(zones),
        existing={zone: subnet.id for zone, subnet in offered.chosen.items()},
        ipam_pool=terms.ipam_pool if space.source == "ipam-pool" else None,
        excluded=space.excluded,
        options=_options(snapshot, _Rungs(reason, offered, space, choice, terms)),
    )


def _asked_for(terms: Terms) -> str:
    if terms.block:
        return f"this run asks for the block {terms.block}"
    return f"this run asks for the strategy {terms.strategy}" if terms.insists and terms.strategy != "auto" else ""


def _zones_to_serve(diagnosis: Diagnosis, choice: Choice) -> tuple[str, ...]:
    """Every zone with nodes at the first turn to custom networking (a zone without ENIConfig loses its nodes), and
    for node groups, which span them; else only the zones in need."""
    everywhere = choice.strategy in ("custom-networking", "node-group")
    return tuple(zone.zone for zone in diagnosis.zones if everywhere or zone.verdict in CURABLE)


def _offered(snapshot: Snapshot, choice: Choice, terms: Terms, demand: dict[str, int]) -> existing.Existing:
    if terms.block:
        return existing.Existing(passed_over=[_asked_for(terms)])
    if choice.strategy == "node-group":
        return existing.Existing(passed_over=["subnets meant for pods are not for whole nodes"])
    return existing.find(snapshot, demand, first_time=choice.strategy == "custom-networking")


def _space(snapshot: Snapshot, terms: Terms, demand: dict[str, int]) -> _Space:
    subnet_prefix = addressing.subnet_prefix_for(max(demand.values()))
    prefix = addressing.block_prefix_for(len(demand), subnet_prefix)
    if terms.block:
        return _space_of(snapshot, terms, terms.block, subnet_prefix - prefix)
    kept = {str(network): _SETTINGS for network in terms.excluded}
    own = _own_pools(snapshot, terms, prefix)
    if own:
        return _Space("existing-cidr", own, prefix, subnet_prefix, _subnets(snapshot.subnets) | kept)
    try:
        refusals.where_aws_adds_no_cidr(snapshot)
    except CannotPlan:
        smaller = _smaller_space(snapshot, terms, prefix, subnet_prefix, max(demand.values()))
        if smaller is None:
            raise
        return smaller
    excluded = taken_ranges(snapshot) | kept
    if terms.ipam_pool:
        return _Space("ipam-pool", (), prefix, subnet_prefix, excluded)
    return _Space("new-cidr", _allowed_pools(snapshot, terms.pools), prefix, subnet_prefix, excluded)


def _smaller_space(snapshot: Snapshot, terms: Terms, prefix: int, subnet_prefix: int, demand: int) -> _Space | None:
    """Where AWS adds no CIDR: the largest block that a CG-NAT CIDR of the VPC still has room for, if its subnets hold
    at least what the nodes can hold now."""
    kept = {str(network): _SETTINGS for network in terms.excluded}
    for less in range(1, addressing.SMALLEST_PREFIX - subnet_prefix + 1):
        smaller = subnet_prefix + less
        if addressing.usable_addresses(IPv4Network((0, smaller))) * sizing.GROWTH < demand:
            return None
        own = _own_pools(snapshot, terms, prefix + less)
        if own:
            return _Space("existing-cidr", own, prefix + less, smaller, _subnets(snapshot.subnets) | kept)
    return None


def _space_of(snapshot: Snapshot, terms: Terms, block: IPv4Network, larger_by: int) -> _Space:
    """The block that somebody asked for; its subnets are as much smaller as the planner's would be."""
    kept = {str(network): _SETTINGS for network in terms.excluded}
    subnet_prefix = min(addressing.SMALLEST_PREFIX, block.prefixlen + larger_by)
    if any(block.subnet_of(cidr) for cidr in _associated(snapshot)):
        return _Space("existing-cidr", (block,), block.prefixlen, subnet_prefix, _subnets(snapshot.subnets) | kept)
    refusals.where_aws_adds_no_cidr(snapshot)
    return _Space("new-cidr", (block,), block.prefixlen, subnet_prefix, taken_ranges(snapshot) | kept)


def _subnets(subnets: tuple[Subnet, ...]) -> dict[str, str]:
    return {subnet.cidr: f"subnet {subnet.id}" for subnet in subnets}


def _associated(snapshot: Snapshot) -> list[IPv4Network]:
    cidrs = snapshot.vpc.cidrs if snapshot.vpc else ()
    return [IPv4Network(cidr.cidr) for cidr in cidrs if cidr.state == "associated"]


def _own_pools(snapshot: Snapshot, terms: Terms, prefix: int) -> tuple[IPv4Network, ...]:
    """CG-NAT CIDRs of the VPC that still have room for the block, beside its subnets and ranges kept for others."""
    used = [*terms.excluded, *(IPv4Network(subnet.cidr) for subnet in snapshot.subnets)]
    return tuple(
        cidr
        for cidr in _associated(snapshot)
        if cidr.subnet_of(addressing.CGNAT) and next(addressing.free_blocks(cidr, used, prefix), None)
    )


def _allowed_pools(snapshot: Snapshot, pools: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """The pools that AWS's association table allows beside the VPC's CIDRs (198.19.0.0/16 often is not)."""
    present = [IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs] if snapshot.vpc else []
    barred = addressing.barred_ranges(present)
    allowed = tuple(pool for pool in pools if not any(pool.subnet_of(network) for network in barred))
    if not allowed:
        names = ", ".join(str(pool) for pool in pools) or "(none is configured)"
        raise CannotPlan(f"AWS allows none of the pools {names} in a VPC of {present[0] if present else '?'}")
    return allowed


@dataclass(frozen=True)
class _Rungs:
    """What was found on each rung, for people."""

    leaked: str
    offered: existing.Existing | None = None
    space: _Space | None = None
    choice: Choice | None = None
    terms: Terms = Terms()
    leaks_taken: bool = False


def _options(snapshot: Snapshot, rungs: _Rungs) -> tuple[Option, ...]:
    """Every rung, cheapest first, then the advice."""
    strategy = rungs.choice.strategy if rungs.choice else "delete-leaked-enis"
    taken = Option(option="delete-leaked-enis", taken=rungs.leaks_taken, reason=rungs.leaked)
    if rungs.offered is None or rungs.space is None:
        below = ("existing-subnet", "existing-cidr", "new-cidr", "ipam-pool")
        spared = tuple(
            Option(option=name, taken=False, reason="not needed: the leaked ENIs are enough") for name in below
        )
        return (taken, *spared, *advice(snapshot, strategy))
    chosen = bool(rungs.offered.chosen)
    return (
        taken,
        Option(option="existing-subnet", taken=chosen, reason=rungs.offered.reason(snapshot)),
        *_block_options(rungs.space, rungs.terms),
        *advice(snapshot, strategy),
    )


def _block_options(space: _Space, terms: Terms) -> tuple[Option, ...]:
    size = f"a /{space.prefix}"
    reasons = {"existing-cidr": "not needed", "new-cidr": "not needed", "ipam-pool": "not needed"}
    if space.source == "existing-cidr":
        reasons["existing-cidr"] = f"{space.pools[0]} of the VPC has room for {size}"
    elif space.source != "existing-subnets":
        reasons["existing-cidr"] = f"the VPC has no CIDR of {addressing.CGNAT} with room for {size}"
    if space.source == "new-cidr":
        reasons["new-cidr"] = (
            f"{size} of {space.pools[0]}, a /{space.subnet_prefix} for each zone, costs nothing and lasts"
        )
        reasons["ipam-pool"] = _asked_for(terms) if terms.ipam_pool else "no IPAM pool is configured (IpamPoolId)"
    if space.source == "ipam-pool":
        reasons["new-cidr"] = f"CIDRs come from the IPAM pool {terms.ipam_pool}, not from the configured pools"
        reasons["ipam-pool"] = f"{size} of {terms.ipam_pool}, so that IPAM keeps the books"
    return tuple(Option(option=name, taken=space.source == name, reason=reason) for name, reason in reasons.items())
