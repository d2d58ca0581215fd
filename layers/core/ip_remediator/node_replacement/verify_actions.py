"""What the function `verify` does: proof after a remediation, and after nodes were replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.kubernetes.connect import OpenCluster
from ip_remediator.clients.kubernetes.pods import KubePods
from ip_remediator.clients.kubernetes.workload_pods import KubeDrain
from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.node_replacement.verify import VerifierAfterReplacement
from ip_remediator.provisioning.cni_settings import require_in_force
from ip_remediator.provisioning.kubernetes import KubeChanges
from ip_remediator.remediation.verify import Verifier
from ip_remediator.remediation.verify_recipients import RecipientVerifier
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.node_groups import NodeGroups


@dataclass(frozen=True)
class VerifyWork:
    """What the verifying actions work with; the cluster is connected when it is needed."""

    incident: Incident
    incidents: Incidents
    connect: Callable[[], OpenCluster]
    ec2: Ec2Reader
    client: Callable[[str], Any]


class Verify(OfIncident):
    """`final`: judge what is there, wait no more. `replaced`: after nodes were replaced."""

    final: bool
    replaced: bool = False


class Verified(Result):
    """`healed`, `still_stuck`: how many pods (or nodes that joined); the record names them."""

    outcome: Outcome
    healed: int
    still_stuck: int


VERIFY: ActionTable[VerifyWork] = ActionTable()


@VERIFY.action(Verify, Verified, Effect.READS)
def verify(work: VerifyWork, asked: Verify) -> Verified:
    """Asks the verifier that fits the plan: new subnets of nodes, replaced nodes, or pods in place."""
    cluster, snapshot = work.connect(), snapshot_of(work.incidents, work.incident.id)
    kube, pods = cluster.kube, KubePods(cluster.kube)
    if work.incident.plan and work.incident.plan.recipients:
        scaling, describe = work.client("autoscaling"), cluster.eks.describe
        given = RecipientVerifier(work.incident, work.incidents, snapshot, kube, work.ec2, scaling, describe)
        return Verified(**given.verify(final=asked.final))
    stuck_now = KubernetesReader(kube).stuck_pods
    groups = NodeGroups(work.client("eks"), work.incident.cluster)
    facts = (work.incident, work.incidents, snapshot, pods, work.ec2, stuck_now, groups.unwell)
    if asked.replaced:
        return Verified(**VerifierAfterReplacement(*facts, KubeDrain(kube)).verify(final=asked.final))
    verified = Verified(**Verifier(*facts).verify(final=asked.final))
    # Pods that run say nothing of the next ENI, which needs the settings and ENIConfigs that others may have changed.
    plan = work.incident.require_plan()
    require_in_force(cluster.addon, KubeChanges(kube), plan.settings, work.incident.pointed_eni_configs)
    return verified
