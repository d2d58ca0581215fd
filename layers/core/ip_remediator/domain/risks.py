"""Preflight: what may break when pods move to the new range, with what was found and what to do about it."""

from __future__ import annotations

from enum import IntEnum

from pydantic import field_serializer, field_validator

from ip_remediator.domain.capacity import eni_configs_of
from ip_remediator.domain.document import Document
from ip_remediator.domain.snapshot import Snapshot

# Field managers of tools that keep what they declare, as their managedFields entries begin.
_DECLARATIVE = ("argocd", "kustomize-controller", "helm", "terraform", "hashicorp", "pulumi", "crossplane")


class Severity(IntEnum):
    """Ordered, so that `auto` mode can be told how much risk it may take."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3

    @classmethod
    def parse(cls, text: str) -> Severity:
        """Raises ValueError with the allowed words."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"{text!r} is not a severity: use low, medium or high") from None


class Risk(Document):
    """One thing that may break: `found` names what was seen, `breaks` what would stop working, `remedy` what to do."""

    id: str
    severity: Severity
    found: str
    breaks: str
    remedy: str

    @field_serializer("severity")
    def _word(self, severity: Severity) -> str:
        return severity.name.lower()

    @field_validator("severity", mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return Severity.parse(value) if isinstance(value, str) else value


def assess(snapshot: Snapshot, *, first_time: bool) -> tuple[Risk, ...]:
    """The risks of delivering new addresses; `first_time`: custom networking is turned on by this plan."""
    checks = (
        _foreign_owner(snapshot),
        _foreign_eni_configs(snapshot),
        _prefix_mode(snapshot, first_time=first_time),
        _external_snat(snapshot),
        _fewer_pods_on_new_nodes(first_time=first_time),
        _control_plane_delay(snapshot),
    )
    return tuple(risk for risk in checks if risk)


def _foreign_owner(snapshot: Snapshot) -> Risk | None:
    if snapshot.cni.owner not in ("helm", "gitops"):
        return None
    return Risk(
        id="cni-owned-by-others",
        severity=Severity.HIGH,
        found=f"aws-node is managed by {snapshot.cni.owned_by or snapshot.cni.owner}",
        breaks="its next sync may turn custom networking off again",
        remedy="put the plan's settings into that source before or right after approving",
    )


def _foreign_eni_configs(snapshot: Snapshot) -> Risk | None:
    """ENIConfigs that the plan points elsewhere, and that a controller would point back."""
    zones = {node.zone for node in snapshot.nodes if node.zone}
    concerned = {name for zone in zones for name in eni_configs_of(snapshot, zone)}
    foreign = [
        f"ENIConfig {config.name} is managed by {config.managed_by}"
        for config in snapshot.eni_configs
        if config.name in concerned and (config.managed_by or "").lower().startswith(_DECLARATIVE)
    ]
    if not foreign:
        return None
    return Risk(
        id="eniconfigs-owned-by-others",
        severity=Severity.HIGH,
        found="; ".join(foreign),
        breaks="its next sync may point the nodes back to the full subnets",
        remedy="put the plan's ENIConfigs into that source before or right after approving",
    )


def _prefix_mode(snapshot: Snapshot, *, first_time: bool) -> Risk | None:
    if not (first_time and snapshot.cni.prefix_delegation):
        return None
    return Risk(
        id="prefix-mode-existing-nodes",
        severity=Severity.HIGH,
        found="ENABLE_PREFIX_DELEGATION=true with custom networking off",
        breaks="ipamd may drop the primary ENI's prefixes of existing nodes, and the pods on them with it",
        remedy="replace the nodes one by one after the change, or approve in a quiet hour",
    )


def _external_snat(snapshot: Snapshot) -> Risk | None:
    if snapshot.cni.env.get("AWS_VPC_K8S_CNI_EXTERNALSNAT", "false").lower() != "true":
        return None
    return Risk(
        id="external-snat",
        severity=Severity.HIGH,
        found="AWS_VPC_K8S_CNI_EXTERNALSNAT=true",
        breaks="pods leave the VPC with their own 100.64.x address, which on-premises networks may not route back",
        remedy="make the new range routable behind the NAT or firewall, or set EXTERNALSNAT to false",
    )


def _fewer_pods_on_new_nodes(*, first_time: bool) -> Risk | None:
    if not first_time:
        return None
    return Risk(
        id="max-pods-on-new-nodes",
        severity=Severity.LOW,
        found="custom networking keeps the primary ENI of new nodes free of pods",
        breaks="a new node holds (ENIs-1) x (IPs-1) + 2 pods: a max-pods set higher leaves pods without addresses",
        remedy="lower max-pods in launch templates; with Karpenter set RESERVED_ENIS=1",
    )


def _control_plane_delay(snapshot: Snapshot) -> Risk | None:
    return Risk(
        id="control-plane-delay",
        severity=Severity.LOW,
        found=f"the control plane of {snapshot.cluster.name} may take up to an hour to recognise a new CIDR",
        breaks="kubectl exec and logs, and webhooks served by pods in the new range, until then",
        remedy="wait; or keep webhook pods on addresses of the present range",
    )


def highest(risks: tuple[Risk, ...]) -> Severity | None:
    return max((risk.severity for risk in risks), default=None)
