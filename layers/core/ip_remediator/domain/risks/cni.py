"""How aws-node is set up: prefixes, address translation, and how many pods a new node holds."""

from __future__ import annotations

from ip_remediator.domain.risks.model import Risk, Severity
from ip_remediator.domain.risks.move import Move


def prefix_mode(move: Move) -> Risk | None:
    if not (move.first_time and move.snapshot.cni.prefix_delegation):
        return None
    return Risk(
        id="prefix-mode-existing-nodes",
        severity=Severity.HIGH,
        found="ENABLE_PREFIX_DELEGATION=true with custom networking off",
        breaks="ipamd may drop the primary ENI's prefixes of existing nodes, and the pods on them with it",
        remedy="replace the nodes one by one after the change, or approve in a quiet hour",
    )


def external_snat(move: Move) -> Risk | None:
    if not move.external_snat:
        return None
    return Risk(
        id="external-snat",
        severity=Severity.HIGH,
        found="AWS_VPC_K8S_CNI_EXTERNALSNAT=true",
        breaks="pods leave the VPC with their own 100.64.x address, which on-premises networks may not route back",
        remedy="make the new range routable behind the NAT or firewall, or set EXTERNALSNAT to false",
    )


def fewer_pods(move: Move) -> Risk | None:
    if not move.first_time:
        return None
    return Risk(
        id="max-pods-on-new-nodes",
        severity=Severity.LOW,
        found="custom networking keeps the primary ENI of new nodes free of pods",
        breaks="a new node holds (ENIs-1) x (IPs-1) + 2 pods: a max-pods set higher leaves pods without addresses",
        remedy="lower max-pods in launch templates; with Karpenter set RESERVED_ENIS=1",
    )
