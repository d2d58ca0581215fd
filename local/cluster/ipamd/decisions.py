"""What ipamd does next with a node's pool: pure functions, one for each function of ipamd.go that decides."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from local.cluster.ipamd.pool import Eni, Pool, PoolStats
from local.cluster.ipamd.settings import ADDRESSES_PER_PREFIX, CniSettings, NodeLimits

MIN_ENI_LIFETIME_SECONDS = 60.0


@dataclass(frozen=True)
class TargetState:
    """Units (addresses, or prefixes in prefix mode) that WARM_IP_TARGET and MINIMUM_IP_TARGET lack or do not need."""

    short: int
    over: int


def may_attach(settings: CniSettings, *, cordoned: bool) -> bool:
    """ipamd.go:955, isENIAttachmentAllowed, and ipamd.go:849, tryFreeENI: the same rule for attaching and freeing."""
    return settings.manage_enis_when_cordoned or not cordoned


def target_state(pool: Pool, stats: PoolStats, settings: CniSettings) -> TargetState | None:
    """ipamd.go:2177, datastoreTargetState; None when neither target is set."""
    if not settings.warm_ip_targets_defined:
        return None
    short = max(settings.warm_ip_target - stats.available, settings.minimum_ip_target - stats.total, 0)
    over = max(min(stats.available - settings.warm_ip_target, stats.total - settings.minimum_ip_target), 0)
    if not pool.prefixes:
        return TargetState(short, over)
    for_warm_target = _prefixes(stats.assigned + settings.warm_ip_target)
    for_minimum = _prefixes(settings.minimum_ip_target)
    spare = min(pool.free_prefixes(), stats.prefixes - for_warm_target, stats.prefixes - for_minimum)
    return TargetState(_prefixes(short), max(spare, 0))


def is_too_low(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> bool:
    """ipamd.go:2623, isDatastorePoolTooLow."""
    if stats.total >= limits.max_pods:
        return False
    target = target_state(pool, stats, settings)
    if target is not None:
        return target.short > 0
    unit = ADDRESSES_PER_PREFIX if pool.prefixes else limits.slots_per_eni
    warm = settings.warm_prefix_target if pool.prefixes else settings.warm_eni_target
    return stats.available < unit * warm or (warm == 0 and stats.available == 0)


def units_over(pool: Pool, stats: PoolStats, settings: CniSettings) -> int:
    """ipamd.go:2659, isDatastorePoolTooHigh, and ipamd.go:892, tryUnassignCidrsFromAll: what is given back.

    Without WARM_IP_TARGET and MINIMUM_IP_TARGET only prefix mode gives back: all free prefixes over WARM_PREFIX_TARGET,
    which counts as set even when it is 0 (ipamd.go:2679, warmPrefixTargetDefined).
    """
    target = target_state(pool, stats, settings)
    if target is not None:
        return target.over
    return max(pool.free_prefixes() - settings.warm_prefix_target, 0) if pool.prefixes else 0


def freeable(pool: Pool, over: int) -> list[tuple[str, list[IPv4Network]]]:
    """ipamd.go:892, tryUnassignCidrsFromAll: `over` units without pods, ENI by ENI."""
    enis: list[tuple[str, list[IPv4Network]]] = []
    for eni in pool.enis.values():
        cidrs = pool.freeable_cidrs(eni)[: max(over, 0)]
        if cidrs:
            enis.append((eni.id, cidrs))
            over -= len(cidrs)
    return enis


def on_existing_enis(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> list[tuple[str, int]]:
    """ipamd.go:1115, tryAssignIPs, and ipamd.go:1217, tryAssignPrefixes: (ENI, units to ask for), tried in turn."""
    wanted = _wanted(pool, stats, settings, limits)
    return [
        (eni.id, min(limits.slots_per_eni - len(eni.cidrs), wanted))
        for eni in _allocatable(pool, settings, limits)
        if wanted > 0
    ]


def on_new_eni(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> int:
    """ipamd.go:2551, GetENIResourcesToAllocate: the whole chunk, in one call; never in part."""
    return min(_wanted(pool, stats, settings, limits), limits.slots_per_eni)


def has_room_for_eni(pool: Pool, settings: CniSettings, limits: NodeLimits) -> bool:
    """ipamd.go:2592, hasRoomForEni: a slot is kept for the trunk ENI until that is attached."""
    waits_for_trunk = settings.pod_eni and limits.trunking_compatible and pool.trunk is None
    return len(pool.enis) < limits.max_enis - limits.unmanaged_enis - waits_for_trunk


def has_room_for_trunk(pool: Pool, limits: NodeLimits) -> bool:
    """ipamd.go:1467, tryEnableSecurityGroupsForPods."""
    return len(pool.enis) < limits.max_enis - limits.unmanaged_enis


def may_have_extra_enis(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> bool:
    """ipamd.go:1488, shouldRemoveExtraENIs: with WARM_ENI_TARGET alone an ENI goes only when TWO ENIs are spare."""
    if settings.warm_ip_targets_defined:
        return True
    per_eni = limits.slots_per_eni * (ADDRESSES_PER_PREFIX if pool.prefixes else 1)
    warm = settings.warm_prefix_target if pool.prefixes else settings.warm_eni_target
    if stats.available >= (warm + 1) * per_eni:
        return True
    return pool.prefixes and any(_is_unused(pool, eni) for eni in pool.enis.values())


def deletable_eni(pool: Pool, settings: CniSettings, now: float) -> Eni | None:
    """data_store.go:1042, getDeletableENI."""
    for eni in pool.enis.values():
        too_young = now - eni.added_at < MIN_ENI_LIFETIME_SECONDS
        kept = too_young or not _is_unused(pool, eni) or pool.has_cooling(eni, now)
        if not (kept or _is_needed(pool, eni, settings)):
            return eni
    return None


def _is_unused(pool: Pool, eni: Eni) -> bool:
    """data_store.go:1594, CheckFreeableENIexists."""
    return not (eni.primary or eni.trunk or eni.efa or pool.has_pods(eni))


def _is_needed(pool: Pool, eni: Eni, settings: CniSettings) -> bool:
    """data_store.go:974-1040: whether the other ENIs alone would miss a warm target."""
    others = [other for other in pool.enis.values() if other.id != eni.id and not other.excluded]
    cidrs = [cidr for other in others for cidr in pool.usable_cidrs(other)]
    total = sum(cidr.num_addresses for cidr in cidrs)
    spare = total - sum(pool.assigned_in(cidr) for cidr in cidrs)
    unit = ADDRESSES_PER_PREFIX if pool.prefixes else 1
    if settings.warm_ip_target and spare < -(-settings.warm_ip_target // unit) * unit:
        return True
    if settings.minimum_ip_target and total < -(-settings.minimum_ip_target // unit) * unit:
        return True
    # data_store.go:1024, isRequiredForWarmPrefixTarget, counts single addresses as well.
    free = sum(pool.assigned_in(cidr) == 0 for other in others for cidr in other.cidrs)
    return pool.prefixes and settings.warm_prefix_target > 0 and free < settings.warm_prefix_target


def _allocatable(pool: Pool, settings: CniSettings, limits: NodeLimits) -> list[Eni]:
    """data_store.go:1118, GetAllocatableENIs: with custom networking nothing more is put on the primary ENI."""
    return [
        eni
        for eni in pool.enis.values()
        if not (eni.primary and settings.custom_networking)
        and not (eni.trunk or eni.excluded)
        and len(eni.cidrs) < limits.slots_per_eni
    ]


def _wanted(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> int:
    """Units to ask EC2 for (ipamd.go:1115 and 2714, getPrefixesNeeded; ipamd.go:2234, datastorePrefixTargetState)."""
    target = target_state(pool, stats, settings)
    if not pool.prefixes:
        return limits.slots_per_eni if target is None else target.short
    short = settings.warm_prefix_target - pool.free_prefixes() if target is None else target.short
    return max(1, short)


def _prefixes(addresses: int) -> int:
    return -(-addresses // ADDRESSES_PER_PREFIX)
