"""Snapshots in few words: `snapshot(zone("a", free=0, stuck=2), zone("b", free=200))`.

A zone is one node subnet with one node of a t3.medium (3 ENIs of 6 addresses) on it, unless said otherwise. The VPC
is 10.0.0.0/16, in ap-northeast-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, EniConfig, NetworkInterface, Node, StuckPod
from ip_remediator.snapshot.model_vpc import Subnet, Vpc, VpcCidr

REGION = "ap-northeast-2"
VPC_ID = "vpc-1"
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true", "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"}
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}


@dataclass(frozen=True)
class Part:
    """Some facts; `snapshot` puts parts together."""

    nodes: tuple[Node, ...] = ()
    pods: tuple[StuckPod, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    eni_configs: tuple[EniConfig, ...] = ()


def az(letter: str) -> str:
    return f"{REGION}{letter}"


def zone(letter: str, *, stuck: int = 0, nodes: int = 1, free: int | None = 0, **of_node: Any) -> Part:
    """A node subnet with `nodes` nodes; the stuck pods wait on the first of them."""
    hosts = tuple(node(letter, index, **of_node) for index in range(nodes))
    return Part(hosts, pods(stuck, hosts[0].name if hosts else ""), (subnet(letter, free=free),))


def node(letter: str, index: int = 0, *, home: str | None = None, enis: tuple[int, ...] = (6,), **fields: Any) -> Node:
    """A node whose ENIs hold `enis` addresses each, the first ENI being the primary one."""
    home = home or f"subnet-{letter}"
    interfaces = tuple(
        NetworkInterface(id=f"eni-{letter}{index}-{number}", subnet_id=home, primary=number == 0, addresses=addresses)
        for number, addresses in enumerate(enis)
    )
    defaults: dict[str, Any] = {
        "name": f"node-{letter}{index}",
        "zone": az(letter),
        "instance_id": f"i-{letter}{index}",
        "instance_type": "t3.medium",
        "max_enis": 3,
        "addresses_per_eni": 6,
        "max_pods": 17,
        "eni_config": az(letter),
        "interfaces": interfaces,
    }
    return Node(**(defaults | fields))


def subnet(letter: str, *, free: int | None = 0, id: str | None = None, **fields: Any) -> Subnet:  # noqa: A002
    defaults: dict[str, Any] = {
        "id": id or f"subnet-{letter}",
        "zone": az(letter),
        "cidr": f"10.0.{ord(letter) - ord('a')}.0/24",
        "free": free,
        "route_table": f"rtb-{letter}",
        "network_acl": f"acl-{letter}",
    }
    return Subnet(**(defaults | fields))


def eni_config(letter: str, **fields: Any) -> EniConfig:
    return EniConfig(**({"name": az(letter), "subnet": f"subnet-{letter}"} | fields))


def pods(count: int, node_name: str) -> tuple[StuckPod, ...]:
    return tuple(
        StuckPod(namespace="default", name=f"nginx-{node_name}-{index}", uid=f"{node_name}-{index}", node=node_name)
        for index in range(count)
    )


def vpc(*further: str, **fields: Any) -> Vpc:
    """A VPC of 10.0.0.0/16 and `further` CIDRs."""
    cidrs = tuple(VpcCidr(cidr=cidr, association_id=f"assoc-{cidr}") for cidr in ("10.0.0.0/16", *further))
    return Vpc(**({"id": VPC_ID, "cidrs": cidrs, "owner_id": "1", "subnet_count": 2, "routes_read": True} | fields))


def snapshot(*parts: Part, env: dict[str, str] | None = None, **fields: Any) -> Snapshot:
    """The parts together; `env` is that of aws-node."""
    defaults: dict[str, Any] = {
        "account_id": "1",
        "cluster": Cluster(name="prod", vpc_id=VPC_ID, service_cidrs=("172.20.0.0/16",)),
        "cni": Cni(version="v1.23.1-eksbuild.1", env=env or {}, eni_config_crd=True),
        "nodes": tuple(item for part in parts for item in part.nodes),
        "stuck_pods": tuple(item for part in parts for item in part.pods),
        "subnets": tuple(item for part in parts for item in part.subnets),
        "eni_configs": tuple(item for part in parts for item in part.eni_configs),
        "vpc": vpc(),
    }
    return Snapshot(**(defaults | fields))
