"""Reads everything that a `Snapshot` holds, from EKS, Kubernetes and EC2, the independent parts side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ip_remediator.adapters.clock import Clock
from ip_remediator.adapters.ec2_facts import Ec2Facts, InterfaceFacts
from ip_remediator.adapters.eks import Eks, cluster_facts
from ip_remediator.adapters.errors import RequestRefused
from ip_remediator.adapters.kube_facts import KubeFacts
from ip_remediator.domain.snapshot import MAX_ENI, Cni, Node, Snapshot, Subnet


def capture(
    described: dict[str, Any], eks: Eks, kube: KubeFacts, ec2: Ec2Facts, clock: Clock, account_id: str | None
) -> Snapshot:
    """The facts of the cluster that `described` (DescribeCluster's answer) is about.

    Raises:
        The errors of `adapters.errors` and `adapters.kube`.
    """
    cluster = cluster_facts(described)
    if cluster.vpc_id is None:
        raise RequestRefused(f"cluster {cluster.name} has no VPC of its own (a local or connected cluster)")
    vpc_id = cluster.vpc_id
    with ThreadPoolExecutor(max_workers=8) as pool:
        addon = pool.submit(eks.addon)
        subnets = pool.submit(ec2.subnets, vpc_id)
        interfaces = pool.submit(ec2.interfaces, vpc_id)
        stuck = pool.submit(kube.stuck_pods)
        eni_configs = pool.submit(kube.eni_configs)
        cni = kube.cni(managed_addon=addon.result() is not None)
        vpc = pool.submit(ec2.vpc, vpc_id, len(subnets.result()))
        nodes = kube.nodes(cni)
        limits = ec2.instance_limits(node.instance_type for node in nodes if node.instance_type)
        return Snapshot(
            taken_at=clock(),
            account_id=account_id,
            cluster=cluster,
            cni=cni,
            eni_configs=tuple(eni_configs.result()),
            nodes=tuple(_with_interfaces(node, cni, interfaces.result(), limits) for node in nodes),
            stuck_pods=tuple(stuck.result()),
            subnets=tuple(_with_prefixes(subnet, interfaces.result()) for subnet in subnets.result()),
            vpc=vpc.result(),
            leaked_interfaces=tuple(interfaces.result().leaked),
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


def _with_prefixes(subnet: Subnet, interfaces: InterfaceFacts) -> Subnet:
    return subnet.model_copy(update={"free_prefixes": interfaces.free_prefixes(subnet)})
