"""Tools that revert changes to the objects they declare; the remediator does not write those objects."""

from __future__ import annotations

from collections.abc import Collection

from ip_remediator.risks.migration import CUSTOM_NETWORKING, RECLAIM_WARM, WITH_ENI_CONFIGS, Migration, shown
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import (
    CUSTOM_NETWORK_CFG,
    ENI_CONFIG_LABEL_DEF,
    MINIMUM_IP_TARGET,
    WARM_IP_TARGET,
    ZONE_LABEL,
    EniConfig,
)
from ip_remediator.snapshot.node_room.eni_subnets import eni_configs_of

# Field managers of such tools, as their managedFields entries begin.
_DECLARATIVE = (
    "argocd",
    "kustomize-controller",
    "helm",
    "flux",
    "terraform",
    "hashicorp",
    "opentofu",
    "pulumi",
    "crossplane",
)
# The vpc-cni add-on, where its configuration makes the ENIConfigs (eniConfig.create); on aws-node it is no stranger.
_ADD_ON = "eks"


# Expected writers of aws-node: the add-on, the control plane, a restart, and the plan itself.
_EXPECTED_WRITERS = ("eks", "kube-controller-manager", "kube-apiserver", "kubectl-rollout", "eks-ip-remediator")
_TOOLS = {"hashicorp": "Terraform", "terraform": "Terraform", "opentofu": "OpenTofu", "pulumi": "Pulumi"}


# Strategies that write variables of aws-node: which, and what is lost where others write them back.
_WRITTEN = {
    CUSTOM_NETWORKING: (
        f"{CUSTOM_NETWORK_CFG}=true and {ENI_CONFIG_LABEL_DEF}={ZONE_LABEL}",
        "turn custom networking off again: new ENIs and nodes then use the old subnets",
    ),
    RECLAIM_WARM: (
        f"{WARM_IP_TARGET} and {MINIMUM_IP_TARGET}",
        "take the warm targets back: nodes then hold whole spare ENIs again, and pods lack those addresses",
    ),
}


def foreign_owner(snapshot: Snapshot, names: Collection[str] = ()) -> str | None:
    """The tool that owns what a plan by custom networking would write, in words; None if the plan may write it.

    Where custom networking is on, only ENIConfigs are written, else the settings of aws-node as well. `names`: the
    ENIConfigs that the plan writes; without any, all that nodes select.
    """
    cni = None if snapshot.cni.custom_networking else owner_of_cni(snapshot)
    return cni or next((_kept(config) for config in _foreign_eni_configs(snapshot, names)), None)


def cni_settings(migration: Migration) -> Risk | None:
    """aws-node is managed by GitOps or Helm, so its settings are handed over."""
    owner = owner_of_cni(migration.snapshot) if migration.strategy == CUSTOM_NETWORKING else None
    if not owner:
        return None
    return Risk(
        id="cni-owned-by-others",
        severity=Severity.LOW,
        found=f"{owner}: its settings are handed over, not written",
        breaks="nothing; pods wait until that source has the plan's settings, and a sync undoes what is set beside it",
        remedy="after the subnets are made, put the settings that the plan hands over into that source",
    )


def other_writers(migration: Migration) -> Risk | None:
    """Field managers that wrote aws-node beside its owner, where the plan writes its settings too."""
    written = _WRITTEN.get(migration.strategy)
    if not written or owner_of_cni(migration.snapshot):
        return None
    writers = sorted(name for name in set(migration.snapshot.cni.managers) if not _expected(name))
    if not writers:
        return None
    variables, lost = written
    again = any(_declarative(name) for name in writers)
    return Risk(
        id="cni-written-by-others",
        severity=Severity.MEDIUM if again else Severity.LOW,
        found=f"{shown(_named(name) for name in writers)} wrote aws-node too, by its field managers",
        breaks=f"their next run may {lost}",
        remedy=f"put {variables} into that source as well: "
        "`kubectl -n kube-system get daemonset aws-node --show-managed-fields -o yaml` shows which fields it keeps",
    )


def eni_configs(migration: Migration) -> Risk | None:
    """ENIConfigs of the plan that a controller would point back, if we wrote them."""
    if migration.strategy not in WITH_ENI_CONFIGS:
        return None
    foreign = _foreign_eni_configs(migration.snapshot, migration.eni_configs)
    if not foreign:
        return None
    return Risk(
        id="eniconfigs-owned-by-others",
        severity=Severity.LOW,
        found=f"{shown(_kept(config) for config in foreign)}: the plan's ENIConfigs are handed over, not written",
        breaks="nothing; pods wait until that source has them, and a sync points back what is changed beside it",
        remedy="after the subnets are made, put the ENIConfigs that the plan hands over into that source",
    )


def owner_of_cni(snapshot: Snapshot) -> str | None:
    """Who keeps the settings of aws-node, in words; None when we may write them."""
    cni = snapshot.cni
    if cni.owner in ("helm", "gitops"):
        return f"aws-node is managed by {cni.owned_by or cni.owner}"
    writer = next((manager for manager in sorted(cni.managers) if _declarative(manager)), None)
    return f"aws-node is managed by {cni.owned_by or writer}" if writer and cni.owner != "addon" else None


def _foreign_eni_configs(snapshot: Snapshot, names: Collection[str]) -> list[EniConfig]:
    zones = {node.zone for node in snapshot.nodes if node.zone}
    concerned = set(names) or {name for zone in sorted(zones) for name in eni_configs_of(snapshot, zone)}
    return sorted(
        (config for config in snapshot.eni_configs if config.name in concerned and _keeps(config.managed_by or "")),
        key=lambda config: config.name,
    )


def _kept(config: EniConfig) -> str:
    return f"ENIConfig {config.name} is managed by {config.managed_by}"


def _keeps(manager: str) -> bool:
    return manager == _ADD_ON or _declarative(manager)


def _expected(manager: str) -> bool:
    return manager in _EXPECTED_WRITERS


def _named(manager: str) -> str:
    tool = next((tool for prefix, tool in _TOOLS.items() if manager.lower().startswith(prefix)), None)
    return f"{tool} ({manager})" if tool and tool.lower() != manager.lower() else manager


def _declarative(manager: str) -> bool:
    return manager.lower().startswith(_DECLARATIVE)
