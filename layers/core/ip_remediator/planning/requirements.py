"""From a diagnosis to what a plan needs: the first option that serves every pod in need is taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.alternatives import beyond_quota
from ip_remediator.diagnosis.model import CURABLE, Diagnosis
from ip_remediator.planning import leaks, preconditions, served, sizing, warm_reclaim, warm_targets
from ip_remediator.planning.advice import advice
from ip_remediator.planning.leaks import Leaks
from ip_remediator.planning.model import BlockRequirement, Option
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.space import address_source, existing, outposts, siblings, unallocated_space
from ip_remediator.planning.space.address_source import AddressSource
from ip_remediator.planning.space.existing import Existing
from ip_remediator.planning.strategies import Choice, choose
from ip_remediator.planning.subnets import for_cluster, for_nodes
from ip_remediator.planning.warm_reclaim import WarmReclaim
from ip_remediator.risks.ownership import foreign_owner
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.node_places import zones_of_new_nodes
from ip_remediator.snapshot.node_room.eni_subnets import eni_configs_of

_LEAKS_SUFFICE = "not needed: the leaked ENIs are enough"
_WARM_SERVES = "not asked for: nodes give back what they keep warm"


def requirement(snapshot: Snapshot, diagnosis: Diagnosis, options: PlanningOptions | None = None) -> BlockRequirement:
    """What the cure needs.

    Raises:
        CannotPlan: the diagnosis is not curable by addresses, facts are missing, a quota is in the way, or the
            strategy is not possible here; it carries the alternatives that fit.
    """
    options = options or PlanningOptions()
    try:
        preconditions.without_facts(snapshot, diagnosis)
        if diagnosis.verdict is Verdict.NODE_LAUNCH:
            return for_nodes.requirement(snapshot, options)
        if diagnosis.verdict is Verdict.CLUSTER_SUBNETS:
            return for_cluster.requirement(snapshot, options)
        choice = choose(snapshot, options.strategy)
        left_behind, warm = leaks.examine(snapshot, diagnosis), warm_reclaim.examine(snapshot, diagnosis)
        if left_behind.enough and not options.asked:
            return _of_leaks(snapshot, diagnosis, left_behind, warm)
        if choice.strategy == "reclaim-warm" or (options.auto and options.may_reclaim_warm and warm.enough):
            return _of_warm_targets(snapshot, diagnosis, warm, left_behind)
        return _of_space(snapshot, diagnosis, options, choice, _Cheaper(left_behind, warm))
    except CannotPlan as refusal:
        refusal.alternatives = tuple(instead(snapshot, diagnosis, refusal.quota or ""))
        raise


def instead(snapshot: Snapshot, diagnosis: Diagnosis, quota: str = "") -> Iterator[str]:
    """What else would help where no plan is possible, also for want of a block; `quota`: the code of the one that is
    used up."""
    yield from served.label_cures(snapshot, diagnosis)
    beyond = beyond_quota(snapshot, quota)
    if beyond is not None:
        yield from beyond
        return
    yield from outposts.cures(snapshot, diagnosis)
    yield from siblings.offers(snapshot, diagnosis)
    if quota != preconditions.SUBNETS_PER_VPC:
        yield from unallocated_space.offers(snapshot, diagnosis)
    yield from diagnosis.alternatives


@dataclass(frozen=True)
class _Cheaper:
    """What the options that need no space come to."""

    left_behind: Leaks
    warm: WarmReclaim


def _of_leaks(snapshot: Snapshot, diagnosis: Diagnosis, left_behind: Leaks, warm: WarmReclaim) -> BlockRequirement:
    spared = ("existing-subnet", siblings.SIBLING, "existing-cidr", "new-cidr", "ipam-pool")
    return BlockRequirement(
        strategy="delete-leaked-enis",
        strategy_reason="the leaked ENIs hold enough addresses, and deleting them changes nothing else",
        source="none",
        zones=tuple(zone.zone for zone in diagnosis.zones if zone.verdict in CURABLE),
        leaked=left_behind.interfaces,
        options=(
            Option(option="delete-leaked-enis", taken=True, reason=left_behind.reason),
            warm_targets.option(snapshot, diagnosis, warm),
            *(Option(option=name, taken=False, reason=_LEAKS_SUFFICE) for name in spared),
            *advice(snapshot, "delete-leaked-enis"),
        ),
    )


def _of_warm_targets(
    snapshot: Snapshot, diagnosis: Diagnosis, warm: WarmReclaim, left_behind: Leaks
) -> BlockRequirement:
    if warm.refusal:
        raise CannotPlan(f"strategy reclaim-warm is not possible: {warm.refusal}", field="strategy")
    spared = ("existing-subnet", siblings.SIBLING, "existing-cidr", "new-cidr", "ipam-pool")
    return BlockRequirement(
        strategy="reclaim-warm",
        strategy_reason=f"nodes give back what they keep warm; {warm_reclaim.costs()}",
        source="none",
        zones=tuple(zone.zone for zone in diagnosis.zones if zone.verdict in CURABLE),
        warm_targets=dict(warm.settings),
        frees=dict(warm.frees),
        heals_now=warm.heals,
        options=(
            Option(option="delete-leaked-enis", taken=False, reason=left_behind.reason),
            warm_targets.taken(warm),
            *(Option(option=name, taken=False, reason=_WARM_SERVES) for name in spared),
            *advice(snapshot, "reclaim-warm"),
        ),
    )


def _of_space(
    snapshot: Snapshot, diagnosis: Diagnosis, options: PlanningOptions, choice: Choice, cheaper: _Cheaper
) -> BlockRequirement:
    zones = options.zones or _zones_to_serve(snapshot, diagnosis, choice)
    preconditions.more_than_labels(zones, served.label_cures(snapshot, diagnosis))
    pointed = _pointed(snapshot, diagnosis, choice, zones)
    _require_eni_configs_of_our_own(snapshot, choice, zones, pointed)
    preconditions.nodes_in_the_region(snapshot, diagnosis, zones)
    focused = served.only_served(snapshot, pointed) if snapshot.cni.custom_networking else snapshot
    offered = _offered(snapshot, choice, options, {zone: sizing.present_need(focused, zone) for zone in zones})
    lacking = {zone: sizing.demand(focused, zone) for zone in zones if zone not in offered.chosen}
    preconditions.require_below_subnet_quota(snapshot, len(lacking))
    preconditions.require_below_address_quota(snapshot, zones)
    preconditions.require_below_interface_quota(snapshot, zones)
    source = address_source.find(snapshot, options, lacking) if lacking else AddressSource("existing-subnets", "")
    return BlockRequirement(
        strategy=choice.strategy,
        strategy_reason=choice.reason,
        source=source.source,
        pools=tuple(str(pool) for pool in source.pools),
        prefix=source.prefix,
        subnet_prefix=source.subnet_prefix,
        smaller=tuple((size.block, size.subnet) for size in source.smaller),
        pieces={zone: str(piece) for zone, piece in source.pieces.items()},
        zones=tuple(zones),
        existing={zone: subnet.id for zone, subnet in offered.chosen.items()},
        eni_configs=pointed,
        ipam_pool=options.ipam_pool if source.source == "ipam-pool" else None,
        excluded=source.excluded,
        options=(
            Option(option="delete-leaked-enis", taken=False, reason=_why_not(cheaper.left_behind, options)),
            warm_targets.option(snapshot, diagnosis, cheaper.warm),
            Option(option="existing-subnet", taken=bool(offered.chosen), reason=offered.reason(snapshot)),
            siblings.option(snapshot, diagnosis),
            *address_source.options(source, options),
            *advice(snapshot, choice.strategy),
        ),
    )


def _require_eni_configs_of_our_own(
    snapshot: Snapshot, choice: Choice, zones: tuple[str, ...], pointed: dict[str, tuple[str, ...]]
) -> None:
    """Raises CannotPlan if an ENIConfig would have to serve two zones, or if an earlier incident prepared subnets
    already and people have not used them yet."""
    if choice.custom_networking:
        preconditions.shared_eni_configs(snapshot, pointed)
    if choice.strategy == "node-group" or (choice.custom_networking and foreign_owner(snapshot, _names(pointed))):
        preconditions.prepared_already(snapshot, zones)


def _pointed(
    snapshot: Snapshot, diagnosis: Diagnosis, choice: Choice, zones: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """By zone, the ENIConfigs that are pointed at its subnet: all of it at the first turn to custom networking."""
    if not choice.custom_networking:
        return {}
    if choice.strategy == "custom-networking":
        return {zone: eni_configs_of(snapshot, zone) for zone in zones}
    return served.pointed_eni_configs(snapshot, diagnosis, zones)


def _names(pointed: dict[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(name for names in pointed.values() for name in names)


def _why_not(left_behind: Leaks, options: PlanningOptions) -> str:
    return f"{left_behind.reason}; {options.asked}" if left_behind.enough else left_behind.reason


def _zones_to_serve(snapshot: Snapshot, diagnosis: Diagnosis, choice: Choice) -> tuple[str, ...]:
    """The zones in need. When custom networking is turned on, every zone in which a node is or can appear, because
    nodes without an ENIConfig stay NotReady. For node groups, which span zones, every zone with nodes."""
    everywhere = choice.strategy in ("custom-networking", "node-group")
    short = {group.zone for group in served.short_groups(snapshot, diagnosis)}
    zones = {zone.zone for zone in diagnosis.zones if everywhere or zone.zone in short}
    if choice.strategy == "custom-networking":
        zones |= zones_of_new_nodes(snapshot).keys()
    return tuple(sorted(zones))


def _offered(snapshot: Snapshot, choice: Choice, options: PlanningOptions, needed: dict[str, int]) -> Existing:
    if options.block:
        return Existing(passed_over=[options.asked])
    if choice.strategy == "node-group":
        return Existing(passed_over=["subnets meant for pods are not for whole nodes"])
    return existing.find(snapshot, needed, first_time=choice.strategy == "custom-networking")
