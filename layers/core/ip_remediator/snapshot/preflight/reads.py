"""The facts that only a plan's preflight needs: read in parallel with the others, and reported as unread if refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from functools import partial
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, TypeVar

from ip_remediator.snapshot.core_reads import CoreReader, Sources
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model import Quotas
from ip_remediator.snapshot.model_cluster import Cluster, Node
from ip_remediator.snapshot.model_vpc import Peering, Route, SecurityGroup, Vpc
from ip_remediator.snapshot.preflight.eks_compute import EksCompute
from ip_remediator.snapshot.preflight.node_launchers import auto_scaling_groups
from ip_remediator.snapshot.preflight.peers import with_units
from ip_remediator.snapshot.preflight.quotas import read_quotas
from ip_remediator.snapshot.preflight.routes import PrefixLists, TransitFacts, routes, transit
from ip_remediator.snapshot.preflight.security_groups import SecurityGroupReader
from ip_remediator.snapshot.preflight.workloads import WEBHOOK_KINDS, WORKLOAD_KINDS, KubeWorkloads

if TYPE_CHECKING:
    pass

ResultT = TypeVar("ResultT")


class Preflight:
    """Asks for everything at once.

    Five of its tasks wait for others (routes, peers, security groups, node groups, Fargate profiles), so a pool of more
    than a handful of threads always goes on.
    """

    def __init__(
        self, sources: Sources, cluster: Cluster, vpc_id: str, account_id: str | None, core: CoreReader, pool: Executor
    ) -> None:
        self._cluster, self._core, self._account_id = cluster, core, account_id
        self._ec2, self._pool, self.unread = sources.ec2, pool, core.unread
        self._lists = PrefixLists(sources.ec2, self.unread)
        facts, workloads = Ec2Reader(sources.ec2), KubeWorkloads(sources.kube)
        nowhere, defaults = TransitFacts(), Quotas()
        quotas = partial(read_quotas, sources.quotas, self.unread)
        self._routes = pool.submit(self._read_routes)
        self._transit = self._ask("transit gateways", partial(self._read_transit, vpc_id), nowhere)
        self._groups = self._ask("security groups", partial(self._read_groups, vpc_id), None)
        self._peers = pool.submit(self._read_peers, facts)
        self._nat = self._list("NAT gateways", partial(facts.nat_gateways, vpc_id))
        self._endpoints = self._list("VPC endpoints", partial(facts.endpoints, vpc_id))
        self._webhooks = [self._list(kind, partial(workloads.webhooks, kind)) for kind in WEBHOOK_KINDS]
        self._overlays = [
            self._list(f"{kind} of all namespaces", partial(workloads.overlays, kind)) for kind in WORKLOAD_KINDS
        ]
        self._karpenter = self._ask("Karpenter's API group", workloads.karpenter, None)
        self._node_classes = self._ask("Karpenter's EC2NodeClasses", workloads.node_classes, None)
        groups = partial(auto_scaling_groups, sources.autoscaling, cluster.name)
        self._scaling_groups = self._ask("Auto Scaling groups", groups, None)
        compute = EksCompute(sources.eks, cluster.name, self.unread)
        self._node_groups = self._list("node groups", partial(compute.node_groups, pool))
        self._fargate_profiles = self._list("Fargate profiles", partial(compute.fargate_profiles, pool))
        self._quotas = self._ask("quotas, so AWS's defaults are assumed", quotas, defaults)

    def cluster(self, nodes: Iterable[Node]) -> Cluster:
        """The cluster, with its workloads that matter; `nodes` are its own."""
        nodes_of_karpenter = any(node.provisioner == "karpenter" for node in nodes)
        return self._cluster.model_copy(
            update={
                "node_groups": self._node_groups.result(),
                "fargate_profiles": self._fargate_profiles.result(),
                "auto_scaling_groups": self._scaling_groups.result(),
                "karpenter": nodes_of_karpenter or self._karpenter.result(),
                "node_classes": self._node_classes.result(),
                "webhooks": tuple(webhook for future in self._webhooks for webhook in future.result()),
                "overlays": tuple(overlay for future in self._overlays for overlay in future.result()),
            }
        )

    def vpc(self) -> Vpc:
        """The VPC, with the networks that it reaches and its security groups; the caller adds subnets and network
        ACLs."""
        interfaces = self._core.interfaces.result()
        return self._core.vpc.result().model_copy(
            update={
                "peerings": self._peers.result(),
                "routes": self._routes.result(),
                "routes_read": True,
                "transit_gateways": self._transit.result().gateways,
                "nat_gateways": self._nat.result(),
                "endpoints": self._endpoints.result(),
                "security_groups": self._groups.result(),
                "clusters": tuple(sorted({self._cluster.name, *interfaces.clusters})),
                "network_address_units": interfaces.network_address_units,
            }
        )

    def quotas(self) -> Quotas:
        """The account's quotas; waits for their read."""
        return self._quotas.result()

    def _ask(self, subject: str, read: Callable[[], ResultT], otherwise: ResultT) -> Future[ResultT]:
        return self._pool.submit(self.unread.attempt, subject, read, otherwise)

    def _list(self, subject: str, read: Callable[[], tuple[ResultT, ...]]) -> Future[tuple[ResultT, ...]]:
        return self._ask(subject, read, ())

    def _read_routes(self) -> tuple[Route, ...]:
        return tuple(routes(self._core.tables.result(), self._lists))

    def _read_peers(self, ec2: Ec2Reader) -> tuple[Peering, ...]:
        return with_units(ec2, self._core.peerings.result(), self._account_id, self.unread, self._pool)

    def _read_transit(self, vpc_id: str) -> TransitFacts:
        return transit(self._ec2, vpc_id, self._account_id, self._lists)

    def _read_groups(self, vpc_id: str) -> tuple[SecurityGroup, ...]:
        own_cidrs = [IPv4Network(cidr.cidr) for cidr in self._core.vpc.result().cidrs]
        peers = {peer.vpc_id for peer in self._core.peerings.result() if peer.status == "active" and peer.vpc_id}
        neighbours = peers | self._transit.result().neighbours
        reader = SecurityGroupReader(self._ec2, own_cidrs, self._lists)
        return reader.read(vpc_id, neighbours, self._core.interfaces.result())
