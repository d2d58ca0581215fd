"""Reads everything that a `Snapshot` holds, from EKS, Kubernetes and EC2, the independent parts side by side.

What a verdict or a plan cannot do without fails loudly; what only the preflight looks at is told as unread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from ip_remediator.adapters.clock import Clock
from ip_remediator.adapters.ec2_facts import Ec2Facts, acl_documents, with_layout
from ip_remediator.adapters.eks import Eks, cluster_facts
from ip_remediator.adapters.errors import RequestRefused
from ip_remediator.adapters.interfaces import InterfaceFacts
from ip_remediator.adapters.kube_facts import KubeFacts
from ip_remediator.adapters.optional import Unread
from ip_remediator.adapters.preflight_facts import Awaited, Preflight, Sources
from ip_remediator.domain.snapshot import MAX_ENI, Cluster, Cni, EniConfig, Node, Reservation, Snapshot, Subnet

# As many as a boto3 client has connections (adapters.aws).
_THREADS = 12
_MOST_RESERVATIONS = 50


def capture(described: dict[str, Any], sources: Sources, clock: Clock, account_id: str | None) -> Snapshot:
    """The facts of the cluster that `described` (DescribeCluster's answer) is about.

    Raises:
        The errors of `adapters.errors` and `adapters.kube`.
    """
    cluster = cluster_facts(described)
    if cluster.vpc_id is None:
        raise RequestRefused(f"cluster {cluster.name} has no VPC of its own (a local or connected cluster)")
    pool = ThreadPoolExecutor(max_workers=_THREADS)
    try:
        return _read(cluster, cluster.vpc_id, sources, clock, account_id, pool)
    finally:  # after an error nobody wants the rest
        pool.shutdown(cancel_futures=True)


def _read(
    cluster: Cluster, vpc_id: str, sources: Sources, clock: Clock, account_id: str | None, pool: Executor
) -> Snapshot:
    """What the verdict waits for is asked first: the pool's threads take up tasks in this order."""
    ec2, kube = Ec2Facts(sources.ec2), KubeFacts(sources.kube)
    addon = pool.submit(Eks(sources.eks, cluster.name).addon)
    awaited = Awaited(
        interfaces=pool.submit(ec2.interfaces, vpc_id),
        vpc=pool.submit(ec2.vpc, vpc_id),
        tables=pool.submit(ec2.route_tables, vpc_id),
        peerings=pool.submit(ec2.peerings, vpc_id),
    )
    stuck = pool.submit(kube.stuck_pods)
    subnets, acls = pool.submit(ec2.balances, vpc_id), pool.submit(ec2.network_acls, vpc_id)
    found_configs = pool.submit(kube.eni_configs)
    preflight = Preflight(sources, cluster, vpc_id, account_id, awaited, pool)
    cni = kube.cni(managed_addon=addon.result() is not None)
    nodes = kube.nodes(cni)
    limits = ec2.instance_limits(node.instance_type for node in nodes if node.instance_type)
    interfaces, configs = awaited.interfaces.result(), tuple(found_configs.result())
    nodes = [_with_interfaces(node, cni, interfaces, limits) for node in nodes]
    reserved = _reservations(ec2, cni, nodes, configs, preflight.unread, pool)
    placed = with_layout(subnets.result(), awaited.tables.result(), acls.result())
    vpc = preflight.vpc().model_copy(update={"subnet_count": len(placed), "network_acls": acl_documents(acls.result())})
    return Snapshot(
        taken_at=clock(),
        account_id=account_id,
        cluster=preflight.cluster(),
        cni=cni,
        eni_configs=configs,
        nodes=tuple(nodes),
        stuck_pods=tuple(stuck.result()),
        subnets=tuple(_with_prefixes(subnet, interfaces, reserved) for subnet in placed),
        vpc=vpc,
        leaked_interfaces=tuple(interfaces.leaked),
        quotas=preflight.quotas(),
        unread=preflight.unread.lines,
    )


def _with_interfaces(node: Node, cni: Cni, interfaces: InterfaceFacts, limits: dict[str, tuple[int, int]]) -> Node:
    max_enis, addresses = limits.get(node.instance_type or "", (None, None))
    chosen = cni.env.get(MAX_ENI, "")
    if max_enis and chosen.isdigit() and int(chosen) > 0:
        max_enis = min(max_enis, int(chosen))
    return node.model_copy(
        update={
            "interfaces": tuple(interfaces.by_instance.get(node.instance_id or "", ())),
            "max_enis": max_enis,
            "addresses_per_eni": addresses,
        }
    )


def _reservations(
    ec2: Ec2Facts, cni: Cni, nodes: Iterable[Node], configs: Iterable[EniConfig], unread: Unread, pool: Executor
) -> Mapping[str, tuple[Reservation, ...]]:
    """The CIDR reservations of the subnets that pods use, by subnet: of interest only where prefixes are handed out."""
    if not cni.prefix_delegation:
        return {}
    used = {eni.subnet_id for node in nodes for eni in node.interfaces}
    used |= {config.subnet for config in configs if config.subnet}
    wanted = sorted(used)[:_MOST_RESERVATIONS]
    if len(used) > len(wanted):
        unread.note("CIDR reservations", f"only those of {_MOST_RESERVATIONS} subnets of {len(used)} are read")

    def read(subnet_id: str) -> tuple[Reservation, ...]:
        return unread.attempt(f"CIDR reservations of {subnet_id}", partial(ec2.reservations, subnet_id), ())

    return dict(zip(wanted, pool.map(read, wanted), strict=True))


def _with_prefixes(
    subnet: Subnet, interfaces: InterfaceFacts, reserved: Mapping[str, tuple[Reservation, ...]]
) -> Subnet:
    update = {"free_prefixes": interfaces.free_prefixes(subnet), "reservations": reserved.get(subnet.id, ())}
    return subnet.model_copy(update=update)
