"""What the ENIs of a VPC tell: their owners, their addresses, and what each security group protects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ip_remediator.common.clock import utc_now
from ip_remediator.snapshot.cni_tags import CLUSTER_TAG, CNI_DESCRIPTION, INSTANCE_TAG, NO_MANAGE_TAG, is_young
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, NetworkInterface
from ip_remediator.snapshot.model_vpc import GroupUser, Subnet, UserKind

_EKS = re.compile(r"Amazon EKS ([0-9A-Za-z][0-9A-Za-z_-]*)$")
_CLUSTER_TAG = "kubernetes.io/cluster/"
# Units of an interface that AWS runs itself; all others count one for each address, prefix and further ENI of an
# instance. A transit gateway counts once for its attachment. Source: "Network Address Usage", VPC User Guide.
_MANAGED_UNITS = 6
_MANAGED_TYPES = frozenset(
    {
        "efs",
        "gateway_load_balancer",
        "gateway_load_balancer_endpoint",
        "lambda",
        "natGateway",
        "nat_gateway",
        "network_load_balancer",
        "vpc_endpoint",
    }
)
_TRANSIT_GATEWAY = "transit_gateway"
# How AWS's services describe the ENIs that they make; {0} is the first group, {eni} the ENI's id.
_USERS = tuple(
    (re.compile(pattern), kind, name)
    for pattern, kind, name in (
        (r"ELB (.+)", UserKind.LOAD_BALANCER, "{0}"),
        (r"VPC Endpoint Interface:? (vpce-\w+)", UserKind.ENDPOINT, "{0}"),
        (r"RDSNetworkInterface", UserKind.RDS, "{eni}"),
        (r"RedshiftNetworkInterface", UserKind.REDSHIFT, "{eni}"),
        (r"DMSNetworkInterface", UserKind.DMS, "{eni}"),
        (r"ElastiCache[ +](.+)", UserKind.ELASTICACHE, "{0}"),
        (r"ES (.+)", UserKind.OPENSEARCH, "{0}"),
        (r"EFS mount target for (fs-\w+)", UserKind.EFS, "{0}"),
        (r"AWS Lambda VPC ENI-(.+?)(?:-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?$", UserKind.LAMBDA, "{0}"),
        (r"arn:aws[\w-]*:ecs:.+", UserKind.ECS_TASK, "{eni}"),
        (_EKS.pattern, UserKind.CONTROL_PLANE, "{0}"),
    )
)
_NAMED_PER_KIND = 5


@dataclass
class InterfaceFacts:
    """What the ENIs of a VPC say at `now`.

    Attributes:
        by_instance: the ENIs of each instance.
        leaked: those that the CNI leaked, without those that it has just created.
        blocks: by subnet, the numbers (address >> 4) of the /28 blocks that some ENI has an address of.
        clusters: the EKS clusters that have ENIs in the VPC.
        untagged: ENIs of instances that no tag gives to the CNI of their instance, or takes from it.
    """

    now: datetime = field(default_factory=utc_now)
    by_instance: dict[str, list[NetworkInterface]] = field(default_factory=dict)
    leaked: list[LeakedInterface] = field(default_factory=list)
    blocks: dict[str, set[int]] = field(default_factory=dict)
    clusters: set[str] = field(default_factory=set)
    untagged: set[str] = field(default_factory=set)
    _units: int = 0
    _attachments: set[str] = field(default_factory=set)
    _users: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    _shared: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def add(self, eni: dict[str, Any]) -> None:
        """Adds an item of DescribeNetworkInterfaces."""
        tags = {tag["Key"]: tag["Value"] for tag in eni.get("TagSet", [])}
        addresses, prefixes = _addresses_of(eni), _prefixes_of(eni)
        blocks = self.blocks.setdefault(eni["SubnetId"], set())
        blocks.update(int(IPv4Address(address)) // PREFIX_SIZE for address in addresses)
        blocks.update(int(IPv4Network(prefix).network_address) // PREFIX_SIZE for prefix in prefixes)
        if (eni.get("Attachment") or {}).get("InstanceId"):
            self._add_attached(eni, tags)
        elif _leaked(eni) and not is_young(tags, self.now):
            self.leaked.append(_leaked_interface(eni, tags))
        self._count(eni, len(addresses) + len(prefixes) + len(eni.get("Ipv6Addresses", [])))
        self.clusters.update(_clusters(eni, tags))
        kind, name = _user(eni)
        for group in _groups_of(eni):
            self._users.setdefault(group, {}).setdefault(kind, set()).add(name)

    def _add_attached(self, eni: dict[str, Any], tags: dict[str, str]) -> None:
        """Adds the ENI of an instance."""
        attachment, groups = eni["Attachment"], _groups_of(eni)
        instance, primary = attachment["InstanceId"], attachment.get("DeviceIndex") == 0
        node_eni = NetworkInterface(
            id=eni["NetworkInterfaceId"],
            subnet_id=eni["SubnetId"],
            primary=primary,
            addresses=len(_addresses_of(eni)),
            prefixes=len(_prefixes_of(eni)),
            security_groups=self._shared.setdefault(groups, groups),
            network_card=attachment.get("NetworkCardIndex"),
            interface_type=eni.get("InterfaceType"),
            unmanaged=not primary and tags.get(NO_MANAGE_TAG) == "true",
        )
        if NO_MANAGE_TAG not in tags and tags.get(INSTANCE_TAG) != instance:
            self.untagged.add(node_eni.id)
        self.by_instance.setdefault(instance, []).append(node_eni)

    @property
    def network_address_units(self) -> int:
        """The VPC's network address units, estimated by its ENIs."""
        return self._units + _MANAGED_UNITS * len(self._attachments)

    def users(self, group: str) -> tuple[GroupUser, ...]:
        """What the security group protects; a few of each kind, see `further_users`."""
        return tuple(
            GroupUser(kind=kind, name=name)
            for kind, names in sorted(self._users.get(group, {}).items())
            for name in sorted(names)[:_NAMED_PER_KIND]
        )

    def further_users(self, group: str) -> dict[str, int]:
        """By kind, how many users of the group `users` does not name."""
        further = {kind: len(names) - _NAMED_PER_KIND for kind, names in sorted(self._users.get(group, {}).items())}
        return {kind: number for kind, number in further.items() if number > 0}

    def free_prefixes(self, subnet: Subnet) -> int:
        """The subnet's wholly free /28 blocks. The first and the last one hold the addresses that AWS reserves."""
        network = IPv4Network(subnet.cidr)
        first, last = int(network.network_address) // PREFIX_SIZE, int(network.broadcast_address) // PREFIX_SIZE
        return last - first + 1 - len(self.blocks.get(subnet.id, set()) | {first, last})

    def _count(self, eni: dict[str, Any], address_count: int) -> None:
        kind, attachment = eni.get("InterfaceType"), eni.get("Attachment") or {}
        if kind == _TRANSIT_GATEWAY:
            self._attachments.add(eni.get("Description") or "")
        elif kind in _MANAGED_TYPES:
            self._units += _MANAGED_UNITS
        else:
            further = bool(attachment.get("InstanceId")) and attachment.get("DeviceIndex") != 0
            self._units += address_count + further


def _addresses_of(eni: dict[str, Any]) -> list[str]:
    return [address["PrivateIpAddress"] for address in eni.get("PrivateIpAddresses", [])]


def _prefixes_of(eni: dict[str, Any]) -> list[str]:
    return [prefix["Ipv4Prefix"] for prefix in eni.get("Ipv4Prefixes", [])]


def _groups_of(eni: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(group["GroupId"] for group in eni.get("Groups", [])))


def _leaked_interface(eni: dict[str, Any], tags: dict[str, str]) -> LeakedInterface:
    return LeakedInterface(
        id=eni["NetworkInterfaceId"],
        subnet_id=eni["SubnetId"],
        addresses=len(_addresses_of(eni)) + PREFIX_SIZE * len(_prefixes_of(eni)),
        cluster=tags.get(CLUSTER_TAG),
        instance_id=tags.get(INSTANCE_TAG),
    )


def _leaked(eni: dict[str, Any]) -> bool:
    """Whether the CNI leaked the ENI, because its node was terminated at the wrong moment (amazon-vpc-cni-k8s#608)."""
    return eni["Status"] == "available" and (eni.get("Description") or "").startswith(CNI_DESCRIPTION)


def _clusters(eni: dict[str, Any], tags: dict[str, str]) -> Iterator[str]:
    """The clusters that an ENI belongs to: the control plane's by its description, nodes' and pods' by their tags."""
    control_plane = _EKS.match(eni.get("Description") or "")
    if control_plane:
        yield control_plane[1]
    if CLUSTER_TAG in tags:
        yield tags[CLUSTER_TAG]
    yield from (key.removeprefix(_CLUSTER_TAG) for key in tags if key.startswith(_CLUSTER_TAG))


def _user(eni: dict[str, Any]) -> tuple[UserKind, str]:
    """(kind, name) of what an ENI belongs to."""
    description = eni.get("Description") or ""
    for pattern, kind, name in _USERS:
        if match := pattern.match(description):
            return kind, name.format(*match.groups(), eni=eni["NetworkInterfaceId"])
    instance = (eni.get("Attachment") or {}).get("InstanceId")
    return (UserKind.INSTANCE, instance) if instance else (UserKind.ENI, eni["NetworkInterfaceId"])
