"""What the control plane must reach in the new range."""

from __future__ import annotations

from ip_remediator.common.text import counted
from ip_remediator.risks.migration import Migration, shown
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.risks.routing import leads_to_others


def delay(migration: Migration) -> Risk | None:
    """The control plane recognises a CIDR that was added to the VPC only after some time; one it had, it knows."""
    if not (migration.new_cidr and migration.ranges):
        return None
    cluster = migration.snapshot.cluster
    must = sorted(webhook.name for webhook in cluster.webhooks if webhook.failure_policy == "Fail")
    finding = f"the control plane of {cluster.name} may take up to an hour to recognise a new CIDR"
    breaks = "kubectl exec and logs, and webhooks, may fail for pods in the new range for up to an hour"
    if must:
        finding += f"; {counted(len(must), 'webhook')} with failurePolicy Fail: {shown(must)}"
        breaks += ": what these webhooks must admit is refused once all their pods run in the new range"
    return Risk(
        id="control-plane-delay",
        severity=Severity.MEDIUM if must else Severity.LOW,
        found=finding,
        breaks=breaks,
        remedy="do not restart the webhooks' pods for an hour, so that they keep addresses of the present range "
        "(or run them with hostNetwork)"
        if must
        else "wait, and use kubectl exec on pods of the present range meanwhile",
    )


def moves(migration: Migration) -> Risk | None:
    """EKS has its ENIs in the cluster's subnets: the private endpoint answers there, webhooks are called from there."""
    if not migration.ranges:
        return None
    others = leads_to_others(migration.snapshot)
    cluster = migration.snapshot.cluster.name
    return Risk(
        id="control-plane-moves",
        severity=Severity.MEDIUM if others else Severity.LOW,
        found=f"EKS will have network interfaces of {cluster} in {migration.words}"
        + ("; routes lead to other networks, or were not read" if others else ""),
        breaks="firewalls and security groups that allow only the present addresses of the control plane stop it"
        + ("; networks that do not route the range back cannot reach the private endpoint" if others else ""),
        remedy=f"allow {migration.words} where the present cluster subnets are allowed, and add routes back to it",
    )
