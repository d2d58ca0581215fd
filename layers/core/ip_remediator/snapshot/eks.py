"""DescribeCluster's answer as the facts of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ip_remediator.snapshot.model_cluster import Cluster


def cluster_facts(described: dict[str, Any]) -> Cluster:
    """The facts of a DescribeCluster answer that decisions need."""
    network = described.get("kubernetesNetworkConfig") or {}
    vpc = described.get("resourcesVpcConfig") or {}
    return Cluster(
        name=described["name"],
        arn=described.get("arn"),
        version=described.get("version"),
        vpc_id=vpc.get("vpcId"),
        ip_family="ipv6" if network.get("ipFamily") == "ipv6" else "ipv4",
        auto_mode=bool((described.get("computeConfig") or {}).get("enabled")),
        security_group=vpc.get("clusterSecurityGroupId"),
        subnets=tuple(vpc["subnetIds"]) if vpc.get("subnetIds") else None,
        service_cidrs=tuple(cidr for cidr in [network.get("serviceIpv4Cidr")] if cidr),
        remote_cidrs=tuple(_remote_cidrs(described.get("remoteNetworkConfig") or {})),
    )


def _remote_cidrs(remote: dict[str, Any]) -> Iterator[str]:
    """The ranges of hybrid nodes, then those of their pods."""
    for key in ("remoteNodeNetworks", "remotePodNetworks"):
        for network in remote.get(key) or []:
            yield from network.get("cidrs", [])
