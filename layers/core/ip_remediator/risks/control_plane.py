"""What the control plane must reach in the new range."""

from __future__ import annotations

from ip_remediator.common.text import counted
from ip_remediator.risks.migration import Migration, shown
from ip_remediator.risks.model import Risk, Severity


def delay(migration: Migration) -> Risk | None:
    """The control plane recognises a CIDR that was added to the VPC only after some time; one it had, it knows."""
    if not (migration.new_cidr and migration.ranges):
        return None
    cluster = migration.snapshot.cluster
    must = sorted(webhook.name for webhook in cluster.webhooks if webhook.failure_policy == "Fail")
    finding = f"the control plane of {cluster.name} may take up to an hour to recognise a new CIDR"
    breaks = "kubectl exec and logs for pods in the new range, and webhooks that they serve, for up to an hour"
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
