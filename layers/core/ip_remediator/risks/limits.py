"""Quotas that the plan nearly reaches, and facts that could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ip_remediator.risks.migration import Migration, shown
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model_vpc import Vpc
from ip_remediator.snapshot.node_room.limits import addresses_per_eni, free_slots
from ip_remediator.snapshot.preflight.quota_use import routes_by_table

_NEAR = 0.9


def near_quotas(migration: Migration) -> Risk | None:
    """Quotas of VPC and EC2 of which the plan leaves little."""
    if not migration.ranges:
        return None
    near = [
        (f"{name} {after:,} of {limit:,}", code, service, limit)
        for name, after, limit, code, service in _counted(migration)
        if limit and after >= _NEAR * limit
    ]
    if not near:
        return None
    requests = dict.fromkeys(
        f"`aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} "
        f"--desired-value {2 * limit}`"
        for _, code, service, limit in near
    )
    return Risk(
        id="near-quotas",
        severity=Severity.LOW,
        found=f"after the plan: {shown((words for words, *_ in near), 5)}{_assumed(migration)}",
        breaks="nothing now; the next block, subnet or node may be refused",
        remedy="; ".join(requests),
    )


def _assumed(migration: Migration) -> str:
    return "" if migration.snapshot.quotas.applied else " (AWS's defaults: the quotas were not read)"


def _counted(migration: Migration) -> list[tuple[str, int, int, str, str]]:
    """What is used after the plan, by quota: name, number, limit, code, service."""
    vpc = migration.snapshot.vpc
    return [*_enis_by_zone(migration), *(_of_vpc(migration, vpc) if vpc else ())]


def _enis_by_zone(migration: Migration) -> Iterator[tuple[str, int, int, str, str]]:
    enis = Counter[str]()
    for node in migration.nodes:
        enis[node.zone or "(zone unknown)"] += len(node.interfaces) + (free_slots(migration.snapshot.cni, node) or 0)
    for zone, number in sorted(enis.items()):
        yield f"ENIs of nodes in {zone}", number, migration.snapshot.quotas.interfaces_per_zone, "L-DF5E4CA3", "vpc"


def _of_vpc(migration: Migration, vpc: Vpc) -> Iterator[tuple[str, int, int, str, str]]:
    quotas = migration.snapshot.quotas
    yield "CIDRs of the VPC", len(vpc.standing_cidrs) + migration.new_cidr, quotas.cidrs_per_vpc, "L-83CA0A9D", "vpc"
    for table, routes in sorted(routes_by_table(vpc).items()):
        yield f"routes of {table}", routes + migration.new_cidr, quotas.routes_per_table, "L-93826ACB", "vpc"
    if vpc.subnet_count is not None:
        after = vpc.subnet_count + _new_subnets(migration)
        yield "subnets", after, quotas.subnets_per_vpc, "L-407747CB", "vpc"
    if vpc.network_address_units is not None:
        after = vpc.network_address_units + _addresses_in_free_slots(migration)
        yield "network address units", after, quotas.network_address_units, "L-BB24F6E5", "vpc"
    if vpc.units_with_peers is not None:
        after, limit = vpc.units_with_peers + _addresses_in_free_slots(migration), quotas.peered_network_address_units
        yield "network address units with those of the peers", after, limit, "L-CD17FD4B", "vpc"


def _new_subnets(migration: Migration) -> int:
    return 0 if migration.source == "existing-subnets" else len({node.zone for node in migration.nodes if node.zone})


def _addresses_in_free_slots(migration: Migration) -> int:
    return sum(
        (free_slots(migration.snapshot.cni, node) or 0) * (addresses_per_eni(node) or 0) for node in migration.nodes
    )


def unread(migration: Migration) -> Risk | None:
    """Facts that could not be read; see the snapshot's `unread`."""
    if not (migration.snapshot.unread and migration.ranges):
        return None
    return Risk(
        id="facts-unread",
        severity=Severity.LOW,
        found=shown(sorted(migration.snapshot.unread)),
        breaks="unknown: a risk may hide in what was not read",
        remedy="give the reader what docs/permissions.md lists for diagnose, and plan again",
    )
