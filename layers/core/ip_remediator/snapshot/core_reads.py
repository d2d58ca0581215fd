"""The sources of facts, and the reads that a verdict or a plan cannot do without."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.eks_addon import read_addon
from ip_remediator.snapshot.enis import InterfaceFacts
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.model_cluster import EniConfig, ManagedAddon, StuckPod
from ip_remediator.snapshot.model_vpc import Peering, Subnet, Vpc
from ip_remediator.snapshot.read_failures import ReadFailures

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_eks import EKSClient


@dataclass(frozen=True)
class Sources:
    """boto3's clients (`quotas`: of service-quotas), and the cluster's API."""

    eks: EKSClient
    ec2: EC2Client
    quotas: Any
    autoscaling: Any
    kube: KubeApi


@dataclass(frozen=True)
class CoreReader:
    """Reads under way; their results raise the errors of `common.errors` and `clients.kubernetes.api`.

    The nodes are not among them: how they are read depends on the settings of the CNI.
    """

    interfaces: Future[InterfaceFacts]
    stuck_pods: Future[list[StuckPod]]
    vpc: Future[Vpc]
    subnets: Future[list[Subnet]]
    tables: Future[list[dict[str, Any]]]
    acls: Future[list[dict[str, Any]]]
    peerings: Future[list[Peering]]
    eni_configs: Future[list[EniConfig]]
    addon: Future[ManagedAddon | None]
    unread: ReadFailures

    @classmethod
    def ask(cls, sources: Sources, cluster: str, vpc_id: str, pool: Executor) -> Self:
        """Starts the reads, the slowest first."""
        ec2, kube, unread = Ec2Reader(sources.ec2), KubernetesReader(sources.kube), ReadFailures()
        return cls(
            interfaces=pool.submit(ec2.interfaces, vpc_id),
            stuck_pods=pool.submit(kube.stuck_pods),
            vpc=pool.submit(ec2.vpc, vpc_id),
            subnets=pool.submit(ec2.balances, vpc_id),
            tables=pool.submit(ec2.route_tables, vpc_id),
            acls=pool.submit(ec2.network_acls, vpc_id),
            peerings=pool.submit(ec2.peerings, vpc_id),
            eni_configs=pool.submit(kube.eni_configs),
            addon=pool.submit(read_addon, sources.eks, cluster, unread),
            unread=unread,
        )
