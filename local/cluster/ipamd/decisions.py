"""What ipamd does next with a node's pool, as a pure function (pkg/ipamd/ipamd.go, updateIPPoolIfRequired)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from local.cluster.ipamd.pool import Eni, Pool, PoolStats
from local.cluster.ipamd.settings import ADDRESSES_PER_PREFIX, CniSettings, NodeLimits

MIN_ENI_LIFETIME_SECONDS = 60.0
DECREASE_INTERVAL_SECONDS = 30.0


@dataclass(frozen=True)
class Grow:
    """Try `on_enis` (ENI, how many addresses or prefixes) in turn until one succeeds; if there was nothing to try
    or all subnets refused, attach a new ENI with `on_new_eni` of them (0: the node has no ENI slot left)."""

    on_enis: tuple[tuple[str, int], ...]
    on_new_eni: int
    reason: str


@dataclass(frozen=True)
class Shrink:
    """Give addresses or prefixes back to the subnet."""

    cidrs: tuple[tuple[str, tuple[IPv4Network, ...]], ...]
    reason: str


@dataclass(frozen=True)
class FreeEni:
    eni_id: str
    reason: str


Action = Grow | Shrink | FreeEni


@dataclass(frozen=True)
class Memory:
    """What the decision needs to remember: when the pool was last decreased."""

    last_decrease: float = float("-inf")


def decide(pool: Pool, settings: CniSettings, limits: NodeLimits, memory: Memory, now: float) -> list[Action]:
    """The actions of one round of the pool monitor, in order; empty when the pool is as it should be."""
    actions: list[Action] = []
    stats = pool.stats(now)
    if is_too_low(pool, stats, settings, limits):
        actions.append(_grow(pool, stats, settings, limits))
    elif now - memory.last_decrease > DECREASE_INTERVAL_SECONDS:
        shrink = _shrink(pool, stats, settings)
        if shrink.cidrs:
            actions.append(shrink)
    if _may_have_extra_enis(pool, stats, settings, limits):
        freed = _deletable_eni(pool, settings, now)
        if freed is not None:
            actions.append(FreeEni(freed.id, f"{stats.available} addresses are available, more than is kept warm"))
    return actions


def is_too_low(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> bool:
    """Whether the pool is below its warm target (isDatastorePoolTooLow)."""
    if stats.total >= limits.max_pods:
        return False
    if settings.warm_ip_targets_defined:
        return _shortage(stats, settings) > 0
    per_unit = ADDRESSES_PER_PREFIX if pool.prefixes else limits.slots_per_eni
    target = settings.warm_prefix_target if pool.prefixes else settings.warm_eni_target
    return stats.available < per_unit * target or (target == 0 and stats.available == 0)


def _shortage(stats: PoolStats, settings: CniSettings) -> int:
    """Addresses missing for WARM_IP_TARGET and MINIMUM_IP_TARGET."""
    return max(settings.warm_ip_target - stats.available, settings.minimum_ip_target - stats.total, 0)


def _grow(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> Grow:
    wanted = _wanted_units(pool, stats, settings, limits)
    on_enis = tuple(
        (eni.id, min(limits.slots_per_eni - len(eni.cidrs), wanted))
        for eni in pool.enis.values()
        # With custom networking nothing more is put on the primary ENI (GetAllocatableENIs, skipPrimary).
        if not (eni.primary and settings.custom_networking)
        and not eni.excluded
        and len(eni.cidrs) < limits.slots_per_eni
    )
    has_slot = len(pool.enis) < limits.max_enis
    reason = f"available ({stats.available}) of {stats.total} is below the warm target"
    return Grow(on_enis, min(wanted, limits.slots_per_eni) if has_slot else 0, reason)


def _wanted_units(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> int:
    shortage = _shortage(stats, settings)
    if not pool.prefixes:
        return shortage if settings.warm_ip_targets_defined else limits.slots_per_eni
    if settings.warm_ip_targets_defined:
        return max(1, _prefixes(shortage))
    return max(1, settings.warm_prefix_target - _free_prefixes(pool))


def _shrink(pool: Pool, stats: PoolStats, settings: CniSettings) -> Shrink:
    """Free what lies over the target. With neither WARM_IP_TARGET nor prefix mode nothing is ever given back."""
    over = _surplus(pool, stats, settings)
    freed: list[tuple[str, tuple[IPv4Network, ...]]] = []
    for eni in pool.enis.values():
        cidrs = tuple(pool.free_cidrs(eni)[:over])
        if cidrs:
            freed.append((eni.id, cidrs))
            over -= len(cidrs)
    return Shrink(tuple(freed), f"{stats.available} addresses are available, more than the warm target")


def _surplus(pool: Pool, stats: PoolStats, settings: CniSettings) -> int:
    """Units (addresses or prefixes) over the target (datastoreTargetState, computeExtraPrefixesOverWarmTarget)."""
    if not settings.warm_ip_targets_defined:
        extra = _free_prefixes(pool) - settings.warm_prefix_target
        return max(extra, 0) if pool.prefixes and settings.warm_prefix_target > 0 else 0
    if not pool.prefixes:
        over = min(stats.available - settings.warm_ip_target, stats.total - settings.minimum_ip_target)
        return max(over, 0)
    total = stats.total // ADDRESSES_PER_PREFIX
    needed = max(_prefixes(stats.assigned + settings.warm_ip_target), _prefixes(settings.minimum_ip_target))
    return max(min(_free_prefixes(pool), total - needed), 0)


def _may_have_extra_enis(pool: Pool, stats: PoolStats, settings: CniSettings, limits: NodeLimits) -> bool:
    """shouldRemoveExtraENIs: with WARM_ENI_TARGET alone an ENI goes only when TWO ENIs' worth of addresses is spare."""
    if settings.warm_ip_targets_defined:
        return True
    if pool.prefixes:
        per_eni = limits.slots_per_eni * ADDRESSES_PER_PREFIX
        spare = stats.available >= (settings.warm_prefix_target + 1) * per_eni
        return spare or any(not eni.primary and not pool.has_pods(eni) for eni in pool.enis.values())
    return stats.available >= (settings.warm_eni_target + 1) * limits.slots_per_eni


def _deletable_eni(pool: Pool, settings: CniSettings, now: float) -> Eni | None:
    for eni in pool.enis.values():
        if eni.primary or now - eni.added_at < MIN_ENI_LIFETIME_SECONDS:
            continue
        if pool.has_cooling(eni, now) or pool.has_pods(eni):
            continue
        if not _is_needed(pool, eni, settings):
            return eni
    return None


def _is_needed(pool: Pool, eni: Eni, settings: CniSettings) -> bool:
    """Whether the other ENIs alone would miss a warm target (isRequiredFor...)."""
    cidrs = [
        cidr
        for other in pool.enis.values()
        if other.id != eni.id and not other.excluded
        for cidr in pool.usable_cidrs(other)
    ]
    total = sum(cidr.num_addresses for cidr in cidrs)
    spare = total - sum(pool.assigned_in(cidr) for cidr in cidrs)
    unit = ADDRESSES_PER_PREFIX if pool.prefixes else 1
    if settings.warm_ip_target and spare < -(-settings.warm_ip_target // unit) * unit:
        return True
    if settings.minimum_ip_target and total < -(-settings.minimum_ip_target // unit) * unit:
        return True
    free = sum(pool.assigned_in(cidr) == 0 for cidr in cidrs)
    return pool.prefixes and settings.warm_prefix_target > 0 and free < settings.warm_prefix_target


def _free_prefixes(pool: Pool) -> int:
    return sum(len(pool.free_cidrs(eni)) for eni in pool.enis.values()) if pool.prefixes else 0


def _prefixes(addresses: int) -> int:
    return -(-addresses // ADDRESSES_PER_PREFIX)
