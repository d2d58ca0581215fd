"""Preflight: what may break when pods move to the new range, what was found, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from ip_remediator.risks import (
    cni,
    control_plane,
    limits,
    network_acls,
    node_room,
    ownership,
    places,
    routing,
    security_groups,
    sharing,
)
from ip_remediator.risks.migration import CLUSTER_SUBNETS, Migration
from ip_remediator.risks.model import Risk
from ip_remediator.snapshot.model import Snapshot

# In the order in which risks of the same severity are listed.
_CHECKS = (
    security_groups.old_ranges,
    security_groups.of_nodes,
    security_groups.of_other_vpcs,
    network_acls.of_new_subnets,
    network_acls.old_ranges,
    ownership.cni_settings,
    ownership.eni_configs,
    ownership.other_writers,
    sharing.eni_configs,
    sharing.eni_configs_without_groups,
    places.zones_without_eni_config,
    places.outposts,
    cni.prefix_mode,
    cni.discovery,
    routing.external_snat,
    routing.security_group_pods,
    routing.routes_missing,
    routing.snat_exclusions,
    routing.node_addresses,
    routing.unallocated_space,
    routing.range_in_use,
    routing.overlays,
    routing.public_range,
    routing.transit_gateway_unread,
    places.branch_enis,
    control_plane.delay,
    node_room.no_eni_for_pods,
    cni.fewer_pods,
    cni.node_ports,
    sharing.discovery_reaches_others,
    security_groups.unread,
    network_acls.unread,
    routing.return_routes,
    routing.blackholes,
    sharing.other_clusters,
    places.node_subnets,
    places.cluster_subnets,
    limits.near_quotas,
    limits.unread,
)

# What concerns a plan that moves no pod, but the control plane's own network interfaces.
_FOR_CLUSTER = (control_plane.moves, routing.unallocated_space, limits.near_quotas, limits.unread)


def assess(
    snapshot: Snapshot,
    *,
    strategy: str,
    source: str,
    block: IPv4Network | None,
    existing: Iterable[IPv4Network] = (),
    zones: Iterable[str] = (),
    eni_configs: Iterable[str] = (),
) -> tuple[Risk, ...]:
    """The risks of giving pods new addresses by a plan's `strategy` and `source`, the worst first.

    `block` is None when the plan takes nothing new; `existing` are the ranges of subnets that it uses as they are,
    and `zones` those that it serves. `eni_configs` are those that it writes.
    """
    ranges = (*((block,) if block else ()), *existing)
    migration = Migration(
        snapshot, strategy, source, tuple(dict.fromkeys(ranges)), tuple(zones), frozenset(eni_configs)
    )
    checks = _FOR_CLUSTER if strategy == CLUSTER_SUBNETS else _CHECKS
    risks = [risk for check in checks if (risk := check(migration))]
    return tuple(sorted(risks, key=lambda risk: -risk.severity))
