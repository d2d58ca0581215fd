"""The facts that a sweep reads of a cluster and its VPC, far fewer than a snapshot has."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

from ip_remediator.common.errors import RequestRefused
from ip_remediator.signals.model import Signal
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.eks import cluster_facts
from ip_remediator.snapshot.enis import InterfaceFacts
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.model_vpc import Subnet

# More events of waiting pods add nothing to the signal.
MAX_EVENTS = 100


@dataclass(frozen=True)
class VpcFacts:
    """The subnets and ENIs of a VPC, read once for all of its clusters."""

    subnets: tuple[Subnet, ...]
    interfaces: InterfaceFacts


class Vpcs:
    """The VPCs of one sweep: each is read once, by the first thread that needs it, for all of its clusters."""

    def __init__(self, ec2: Ec2Reader) -> None:
        self._ec2 = ec2
        self._lock = Lock()
        self._read: dict[str, Future[VpcFacts]] = {}

    def facts(self, vpc_id: str) -> VpcFacts:
        """Raises the errors of `common.errors`, the same for every cluster of the VPC."""
        with self._lock:
            first = vpc_id not in self._read
            future = self._read.setdefault(vpc_id, Future())
        if first:
            try:
                future.set_result(self._ask(vpc_id))
            except Exception as error:  # passed to everyone who waits for it, and raised below
                future.set_exception(error)
        return future.result()

    def _ask(self, vpc_id: str) -> VpcFacts:
        interfaces = self._ec2.interfaces(vpc_id)
        subnets = self._ec2.balances(vpc_id)
        counted = (subnet.model_copy(update={"free_prefixes": interfaces.free_prefixes(subnet)}) for subnet in subnets)
        return VpcFacts(tuple(counted), interfaces)


@dataclass(frozen=True)
class ClusterObservation:
    """One cluster at the moment `began`.

    `snapshot` holds one node for each way in which nodes of the cluster get addresses. `in_use`: the subnets in
    which its nodes have ENIs. `failures`: events of pods that still wait, newer than the look before.
    `own_subnets`: those in which EKS has its ENIs. `health`: what EKS says is wrong.
    """

    began: datetime
    snapshot: Snapshot
    in_use: frozenset[str]
    failures: tuple[dict[str, Any], ...]
    own_subnets: tuple[str, ...] = ()
    health: tuple[Signal, ...] = ()


def look(
    described: dict[str, Any], kube: KubernetesReader, vpcs: Vpcs, began: datetime, since: datetime
) -> ClusterObservation:
    """Reads the cluster that `described` (DescribeCluster's answer) is about; its events only after `since`.

    Raises:
        The errors of `common.errors` and `clients.kubernetes.api`.
    """
    cluster = cluster_facts(described)
    if cluster.vpc_id is None:
        raise RequestRefused(f"cluster {cluster.name} has no VPC of its own (a local or connected cluster)")
    vpc = vpcs.facts(cluster.vpc_id)
    cni = kube.cni(managed_addon=False)  # who owns the DaemonSet does not matter here
    nodes = [_with_interfaces(node, vpc.interfaces) for node in kube.nodes(cni) if node.runs_vpc_cni]
    snapshot = Snapshot(
        taken_at=began,
        cluster=cluster,
        cni=cni,
        eni_configs=tuple(kube.eni_configs()) if cni.custom_networking else (),
        nodes=tuple(_one_of_each(nodes)),
        subnets=vpc.subnets,
        leaked_interfaces=tuple(vpc.interfaces.leaked),
    )
    in_use = frozenset(eni.subnet_id for node in nodes for eni in node.interfaces)
    failures = tuple(kube.sandbox_failures(since, MAX_EVENTS))
    own_subnets = tuple((described.get("resourcesVpcConfig") or {}).get("subnetIds", ()))
    return ClusterObservation(began, snapshot, in_use, failures, own_subnets)


def _with_interfaces(node: Node, interfaces: InterfaceFacts) -> Node:
    return node.model_copy(update={"interfaces": tuple(interfaces.by_instance.get(node.instance_id or "", ()))})


def _one_of_each(nodes: Iterable[Node]) -> Iterable[Node]:
    """Nodes whose next ENIs come from the same subnets: one stands for all."""
    return {(node.zone, node.primary_subnet, node.selected_eni_config): node for node in nodes}.values()
