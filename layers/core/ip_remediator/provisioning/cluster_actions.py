"""What the function `cluster` does of a plan in EKS and Kubernetes, and its undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ip_remediator.clients.kubernetes.connect import OpenCluster
from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.common.clock import Clock
from ip_remediator.common.errors import ClusterNotFound
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.repository import Incidents
from ip_remediator.provisioning.auto_scaling import AutoScaling
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cluster import ClusterConfiguration
from ip_remediator.provisioning.cluster_subnets import ClusterSubnets
from ip_remediator.provisioning.made_subnets import require_subnets
from ip_remediator.provisioning.recipients import SubnetRecipients


@dataclass(frozen=True)
class ClusterWork:
    """One incident's work in its cluster, which `connect` reaches. `client` gives boto3's client of a service."""

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    connect: Callable[[], OpenCluster]
    client: Callable[[str], Any]
    clock: Clock

    @cached_property
    def cluster(self) -> OpenCluster:
        """The cluster, connected at the first use. Raises the errors of `clients.kubernetes.connect`."""
        return self.connect()

    @cached_property
    def is_gone(self) -> bool:
        """EKS knows the cluster no more."""
        try:
            return not self.cluster
        except ClusterNotFound:
            return True

    @cached_property
    def tags(self) -> dict[str, str]:
        """The cluster's; one that is gone has none."""
        return {} if self.is_gone else dict(self.cluster.described.get("tags") or {})

    @cached_property
    def nothing_to_restore(self) -> bool:
        """Nothing in the cluster is recorded as changed: then an undo does not depend on a cluster that may be away.

        A cluster that was deleted took its part of the changes with it: they are struck out.
        """
        changed = [change for change in self.log.made() if not change.kind.in_vpc]
        if not changed or not self.is_gone:
            return not changed
        of_cluster = [change for change in changed if change.kind.ends_with_cluster]
        for change in of_cluster:
            self.log.undone(change)
        return len(of_cluster) == len(changed)

    @property
    def configuration(self) -> ClusterConfiguration:
        """The changes of ENIConfigs and settings for this incident."""
        return ClusterConfiguration(self.incident, self.incidents, self.log, self.cluster)

    def require_subnets(self) -> None:
        """Raises an error if a subnet of the incident no longer exists."""
        require_subnets(self.client("ec2"), self.incident, self.log)

    @property
    def recipients(self) -> SubnetRecipients:
        """The recipients of the plan's subnets: Auto Scaling groups, Karpenter, the cluster."""
        groups = AutoScaling(self.client("autoscaling"))
        cluster = ClusterSubnets(self.client("eks"), self.incident.cluster)
        return SubnetRecipients(self.incident, self.incidents, self.log, groups, cluster)


class SubnetsGiven(Result):
    """`recipients`: how many got the subnets."""

    recipients: int


class EniConfigsApplied(Result):
    """`eniconfigs`: how many were written."""

    eniconfigs: int


class CniConfigured(Result):
    """`through`: "addon" or "daemonset"; None where nothing was to be changed."""

    changed: bool
    through: str | None = None


class RolledOut(Result):
    """Whether every pod of aws-node has the settings and is ready; false where the cluster is gone."""

    rolled_out: bool


class Switched(Result):
    """Whether the CNI has the settings of the plan."""

    switched: bool


class ClusterUndone(Result):
    """Everything that the incident changed in the cluster was undone."""

    undone: bool = True


PROVISIONING_CLUSTER: ActionTable[ClusterWork] = ActionTable()


@PROVISIONING_CLUSTER.action(OfIncident, SubnetsGiven, Effect.WRITES)
def give_subnets(work: ClusterWork, asked: OfIncident) -> SubnetsGiven:  # noqa: ARG001 - every action's signature
    """Gives the new subnets to Auto Scaling groups, Karpenter or the cluster."""
    work.require_subnets()
    return SubnetsGiven(recipients=work.recipients.give())


@PROVISIONING_CLUSTER.action(OfIncident, EniConfigsApplied, Effect.WRITES)
def apply_eni_configs(work: ClusterWork, asked: OfIncident) -> EniConfigsApplied:  # noqa: ARG001
    """Writes an ENIConfig per zone, and the CRD if it is missing."""
    work.require_subnets()
    return EniConfigsApplied(eniconfigs=len(work.configuration.apply_eni_configs()["eniconfigs"]))


@PROVISIONING_CLUSTER.action(OfIncident, CniConfigured, Effect.WRITES)
def configure_cni(work: ClusterWork, asked: OfIncident) -> CniConfigured:  # noqa: ARG001
    """Writes the settings of aws-node that turn custom networking on."""
    work.require_subnets()
    return CniConfigured(**work.configuration.configure_cni())


@PROVISIONING_CLUSTER.action(OfIncident, RolledOut, Effect.READS)
def await_rollout(work: ClusterWork, asked: OfIncident) -> RolledOut:  # noqa: ARG001
    """Raises NotYet until every pod of aws-node runs with the new settings."""
    if not work.incident.open and work.is_gone:
        return RolledOut(rolled_out=False)
    return RolledOut(**work.configuration.await_rollout())


@PROVISIONING_CLUSTER.action(OfIncident, Switched, Effect.READS)
def cni_switched(work: ClusterWork, asked: OfIncident) -> Switched:  # noqa: ARG001
    """Whether nodes may have taken up the new settings: from then on nothing is undone by itself."""
    return Switched(**work.configuration.cni_switched())


@PROVISIONING_CLUSTER.action(OfIncident, ClusterUndone, Effect.RESTORES)
def undo(work: ClusterWork, asked: OfIncident) -> ClusterUndone:  # noqa: ARG001
    """Undoes what the incident changed in the cluster, the last change first."""
    if not work.nothing_to_restore:
        work.recipients.take_back()
        if not work.is_gone:
            work.configuration.undo()
    return ClusterUndone()
