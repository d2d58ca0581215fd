"""Reads everything that a `Snapshot` has, from EKS, Kubernetes and EC2, with independent reads in parallel.

A failed read raises an error if a verdict or a plan needs the fact. A fact that only the preflight needs is reported
as unread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from ip_remediator.common.clock import Clock
from ip_remediator.common.errors import RequestRefused
from ip_remediator.snapshot.core_reads import CoreReader, Sources
from ip_remediator.snapshot.ec2 import Ec2Reader, InstanceType, acl_documents, with_layout
from ip_remediator.snapshot.eks import cluster_facts
from ip_remediator.snapshot.enis import InterfaceFacts
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import MANAGE_UNTAGGED_ENI, Cluster, Cni, NetworkInterface, Node
from ip_remediator.snapshot.model_vpc import Subnet, SubnetReservation
from ip_remediator.snapshot.preflight.reads import Preflight
from ip_remediator.snapshot.read_failures import ReadFailures

# As many as a boto3 client has connections (clients.aws.session).
_THREADS = 12
_MOST_RESERVATIONS = 50
_NODES_WITH_PODS = 500


def capture(described: dict[str, Any], sources: Sources, clock: Clock, account_id: str | None) -> Snapshot:
    """The facts of the cluster that `described` (DescribeCluster's answer) is about.

    Raises:
        The errors of `common.errors` and `clients.kubernetes.api`.
    """
    cluster = cluster_facts(described)
    if cluster.vpc_id is None:
        raise RequestRefused(f"cluster {cluster.name} has no VPC of its own (a local or connected cluster)")
    pool = ThreadPoolExecutor(max_workers=_THREADS)
    try:
        return _read(cluster, cluster.vpc_id, sources, clock, account_id, pool)
    finally:  # after an error the other results are not needed
        pool.shutdown(cancel_futures=True)


def _read(
    cluster: Cluster, vpc_id: str, sources: Sources, clock: Clock, account_id: str | None, pool: Executor
) -> Snapshot:
    """Starts the reads. Those that the verdict needs come first, because the pool's threads take tasks in
    this order."""
    core = CoreReader.ask(sources, cluster.name, vpc_id, pool)
    preflight = Preflight(sources, cluster, vpc_id, account_id, core, pool)
    cni, nodes = _nodes(sources, core)
    nodes = _with_pods(sources, core, nodes)
    subnets = _subnets(sources, core, nodes, core.unread, pool)
    acls = acl_documents(core.acls.result())
    return Snapshot(
        taken_at=clock(),
        account_id=account_id,
        cluster=preflight.cluster(nodes),
        cni=cni,
        eni_configs=tuple(core.eni_configs.result()),
        nodes=nodes,
        stuck_pods=tuple(core.stuck_pods.result()),
        subnets=subnets,
        vpc=preflight.vpc().model_copy(update={"subnet_count": len(subnets), "network_acls": acls}),
        leaked_interfaces=tuple(core.interfaces.result().leaked),
        quotas=preflight.quotas(),
        unread=core.unread.lines,
    )


def _nodes(sources: Sources, core: CoreReader) -> tuple[Cni, tuple[Node, ...]]:
    """The CNI and its nodes. Who owns the CNI is read from EKS; the read of the nodes does not wait for that."""
    kube = KubernetesReader(sources.kube)
    cni = kube.cni(managed_addon=False)
    nodes = kube.nodes(cni)
    types = Ec2Reader(sources.ec2).instance_types(node.instance_type for node in nodes if node.instance_type)
    interfaces = core.interfaces.result()
    addon = core.addon.result()
    if addon is not None and cni.installed:
        cni = cni.model_copy(update={"owner": "addon", "addon": addon})
    return cni, tuple(_with_interfaces(node, cni, interfaces, types) for node in nodes)


def _with_pods(sources: Sources, core: CoreReader, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes with the number of their pods. It is read only for a shortage, because it lists every pod of the
    cluster."""
    if not core.stuck_pods.result() or len(nodes) > _NODES_WITH_PODS:
        return nodes
    reader = KubernetesReader(sources.kube)
    counts = core.unread.attempt("the pods of each node", reader.pods_by_node, None)
    if counts is None:
        return nodes
    return tuple(node.model_copy(update={"pods": counts[node.name]}) for node in nodes)


def _subnets(
    sources: Sources, core: CoreReader, nodes: Iterable[Node], unread: ReadFailures, pool: Executor
) -> tuple[Subnet, ...]:
    interfaces = core.interfaces.result()
    used = {eni.subnet_id for node in nodes for eni in node.interfaces}
    used |= {config.subnet for config in core.eni_configs.result() if config.subnet}
    placed = with_layout(core.subnets.result(), core.tables.result(), core.acls.result())
    # A subnet without a free address, reserved or not, serves no pod.
    roomy = used & {subnet.id for subnet in placed if subnet.free}
    reserved = _reservations(Ec2Reader(sources.ec2), roomy, unread, pool)
    return tuple(
        subnet.model_copy(
            update={"free_prefixes": interfaces.free_prefixes(subnet), "reservations": reserved.get(subnet.id, ())}
        )
        for subnet in placed
    )


def _with_interfaces(node: Node, cni: Cni, interfaces: InterfaceFacts, types: dict[str, InstanceType]) -> Node:
    enis = tuple(interfaces.by_instance.get(node.instance_id or "", ()))
    if not cni.flag(MANAGE_UNTAGGED_ENI):  # ipamd.go, setUnmanagedENIs
        enis = tuple(_unmanaged(eni) if eni.id in interfaces.untagged and not eni.primary else eni for eni in enis)
    facts = types.get(node.instance_type or "")
    return node.model_copy(update={"interfaces": enis, **(facts._asdict() if facts else {})})


def _unmanaged(eni: NetworkInterface) -> NetworkInterface:
    return eni.model_copy(update={"unmanaged": True})


def _reservations(
    ec2: Ec2Reader, used: Collection[str], unread: ReadFailures, pool: Executor
) -> Mapping[str, tuple[SubnetReservation, ...]]:
    """The CIDR reservations of the subnets that pods use, by subnet."""
    wanted = sorted(used)[:_MOST_RESERVATIONS]
    if len(used) > len(wanted):
        unread.note("CIDR reservations", f"only those of {_MOST_RESERVATIONS} subnets of {len(used)} are read")

    def read(subnet_id: str) -> tuple[SubnetReservation, ...]:
        return unread.attempt(f"CIDR reservations of {subnet_id}", partial(ec2.reservations, subnet_id), ())

    return dict(zip(wanted, pool.map(read, wanted), strict=True))
