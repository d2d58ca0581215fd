"""Other clusters in the same VPC, and ENIConfigs that name what this VPC does not have."""

from __future__ import annotations

from ip_remediator.risks.migration import (
    SUBNET_DISCOVERY,
    WITH_ENI_CONFIGS,
    Migration,
    shown,
)
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model_cluster import EniConfig
from ip_remediator.snapshot.node_room.eni_subnets import eni_configs_of, groups_elsewhere, groups_for_new_eni_configs

_SCOPED_SINCE = (1, 22, 1)


def other_clusters(migration: Migration) -> Risk | None:
    """Other EKS clusters with ENIs in the VPC, which could come to use the new range."""
    others = _others(migration)
    if not others or not migration.ranges or migration.strategy == SUBNET_DISCOVERY:
        return None
    return Risk(
        id="other-clusters-in-vpc",
        severity=Severity.LOW,
        found=f"the VPC also holds {_clusters(others)}",
        breaks=f"nothing now; if they come to use {migration.words} as well, a rollback has to wait for them",
        remedy="tell their owners; watch them too, so that incidents of one VPC follow each other",
    )


def discovery_reaches_others(migration: Migration) -> Risk | None:
    """The tag kubernetes.io/role/cni also applies to every cluster of the VPC whose CNI does not know the cluster's
    tag."""
    if migration.strategy != SUBNET_DISCOVERY or not migration.ranges:
        return None
    others, vpc = _others(migration), migration.snapshot.vpc
    scoped = (migration.snapshot.cni.release or (0,)) >= _SCOPED_SINCE
    if not others and (scoped or (vpc and vpc.clusters)):
        return None
    scope = "carries this cluster's scope" if scoped else "cannot be scoped to this cluster before CNI v1.22.1"
    return Risk(
        id="discovery-reaches-other-clusters",
        severity=Severity.MEDIUM if others and not scoped else Severity.LOW,
        found=f"{_clusters(others) if others else 'the other clusters of the VPC are unknown'}; the tag {scope}",
        breaks=f"other clusters with a CNI before v1.22.1 put pods into {migration.words} too: addresses are shared, "
        "and "
        "their pods meet the same security groups and routes",
        remedy="update the VPC CNI of every cluster of the VPC to v1.22.1 or later, or set "
        "ENABLE_SUBNET_DISCOVERY=false on theirs, or choose the strategy custom-networking",
    )


def eni_configs(migration: Migration) -> Risk | None:
    """ENIConfigs with a subnet or security groups that this VPC does not have: ipamd gets no ENI with them.

    The plan writes the subnet of those that it concerns; security groups it leaves as they are.
    """
    if migration.strategy not in WITH_ENI_CONFIGS or not migration.snapshot.eni_configs:
        return None
    selected = _selected_eni_configs(migration)
    lacking = _lacking_by_eni_config(migration, selected)
    if not lacking:
        return None
    in_use = sorted(set(lacking) & selected)
    vpc_id = migration.snapshot.vpc.id if migration.snapshot.vpc else "the VPC"
    first = in_use[0] if in_use else next(iter(lacking))
    named = [f"ENIConfig {name} names {shown(ids)}" for name, ids in lacking.items()]
    return Risk(
        id="eniconfigs-refer-elsewhere",
        severity=Severity.HIGH if in_use else Severity.LOW,
        found=f"{shown(named)}: not in {vpc_id}",
        breaks=f"new ENIs of nodes that select {shown(in_use)}: EC2 refuses security groups of another VPC"
        if in_use
        else "nothing now: no node selects them",
        remedy=f"`kubectl edit eniconfig {first}`: name groups and a subnet of {vpc_id}, or delete it",
    )


def eni_configs_without_groups(migration: Migration) -> Risk | None:
    """New ENIConfigs where the present ones name different security groups: which of them are right is not known."""
    present = migration.snapshot.eni_configs
    new = sorted(migration.eni_configs - {config.name for config in present})
    groups = groups_for_new_eni_configs(migration.snapshot)
    if migration.strategy not in WITH_ENI_CONFIGS or not new or len(groups) < 2:
        return None
    named = [", ".join(ids) or "none" for ids in sorted(groups)]
    return Risk(
        id="eniconfigs-without-groups",
        severity=Severity.MEDIUM,
        found=f"ENIConfig {shown(new)} is new, and the others name different security groups: {shown(named, 4)}",
        breaks="its pods get the security groups of their nodes: what allows pods by other groups cuts them off",
        remedy=f'`kubectl patch eniconfig {new[0]} --type merge -p \'{{"spec": {{"securityGroups": ["sg-..."]}}}}\'` '
        "with those that are right, once it is made; new ENIs follow it",
    )


def _selected_eni_configs(migration: Migration) -> set[str]:
    zones = {node.zone for node in migration.nodes if node.zone}
    return {name for zone in zones for name in eni_configs_of(migration.snapshot, zone)}


def _lacking_by_eni_config(migration: Migration, selected: set[str]) -> dict[str, list[str]]:
    """What each ENIConfig names that the VPC does not have, by its name; those that nodes select come first."""
    lacking = {}
    for config in sorted(migration.snapshot.eni_configs, key=lambda config: (config.name not in selected, config.name)):
        ids = list(groups_elsewhere(migration.snapshot, config))
        if config.name not in selected:
            ids += _lacking_subnet(migration, config)
        if ids:
            lacking[config.name] = ids
    return lacking


def _lacking_subnet(migration: Migration, config: EniConfig) -> list[str]:
    in_vpc = {subnet.id for subnet in migration.snapshot.subnets}
    return [config.subnet] if in_vpc and config.subnet and config.subnet not in in_vpc else []


def _others(migration: Migration) -> list[str]:
    vpc = migration.snapshot.vpc
    return sorted(set(vpc.clusters) - {migration.snapshot.cluster.name}) if vpc else []


def _clusters(others: list[str]) -> str:
    return f"the cluster{'s' if len(others) > 1 else ''} {shown(others)}"
