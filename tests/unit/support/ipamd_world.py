"""A small VPC in memory in which the simulator's ipamd (local/cluster/ipamd) grows nodes, and its snapshot.

The simulator follows the VPC CNI's code and knows nothing of the diagnosis: what its pods end up with is a second
opinion on every verdict.
"""
# ruff: noqa: N803 - the parameters have EC2's names

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, EniConfig, NetworkInterface, Node, StuckPod
from ip_remediator.snapshot.model_vpc import Subnet, Vpc, VpcCidr
from local.cluster.ipamd.agent import InitError, Ipamd
from local.cluster.ipamd.ec2 import Ec2Failure, Instance, NodeEc2
from local.cluster.ipamd.growth import EniConfigMissing
from local.cluster.ipamd.settings import CniSettings, NodeLimits, cni_settings

ZONE = "eu-west-1a"
ROUNDS = 60
# Longer than ipamd waits after EC2 refused addresses.
SECONDS_BETWEEN_ROUNDS = 130.0
_LOG = logging.getLogger("ipamd-world")
_LOG.disabled = True


def _refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "")


@dataclass
class Range:
    """A subnet; `occupied` are the addresses that somebody has, the five that AWS reserves among them."""

    id: str
    network: IPv4Network
    tags: dict[str, str] = field(default_factory=dict)
    occupied: set[IPv4Address] = field(default_factory=set)

    def __post_init__(self) -> None:
        addresses = list(self.network)
        self.occupied |= {*addresses[:4], addresses[-1]}

    @property
    def free(self) -> list[IPv4Address]:
        return [address for address in self.network if address not in self.occupied]

    @property
    def whole_blocks(self) -> list[IPv4Network]:
        return [block for block in self.network.subnets(new_prefix=28) if self.occupied.isdisjoint(block)]

    def take(self, number: int) -> list[IPv4Address]:
        if len(self.free) < number:
            raise _refusal("InsufficientFreeAddressesInSubnet")
        taken = self.free[:number]
        self.occupied |= set(taken)
        return taken

    def take_blocks(self, number: int) -> list[IPv4Network]:
        if len(self.whole_blocks) < number:
            raise _refusal("InsufficientCidrBlocks")
        taken = self.whole_blocks[:number]
        for block in taken:
            self.occupied |= set(block)
        return taken


class SmallVpc:
    """The calls of ipamd on EC2, as boto3 takes and answers them, for a VPC of one zone; all or nothing, as in EC2."""

    def __init__(self, ranges: list[Range]) -> None:
        self.ranges = {range_.id: range_ for range_ in ranges}
        self.enis: dict[str, dict[str, Any]] = {}
        self._numbers = count(1)

    def launch(self, instance: str, subnet: str) -> None:
        """The primary ENI that an instance comes with."""
        eni = self.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
        self.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=0)

    def create_network_interface(
        self, *, SubnetId: str, SecondaryPrivateIpAddressCount: int = 0, Ipv4PrefixCount: int = 0, **_: Any
    ) -> Any:
        subnet = self.ranges[SubnetId]
        before = set(subnet.occupied)
        try:
            blocks = subnet.take_blocks(Ipv4PrefixCount)
            addresses = subnet.take(1 + SecondaryPrivateIpAddressCount)
        except ClientError:
            subnet.occupied = before
            raise
        eni = f"eni-{next(self._numbers)}"
        self.enis[eni] = {
            "NetworkInterfaceId": eni,
            "SubnetId": SubnetId,
            "PrivateIpAddresses": [
                {"PrivateIpAddress": str(address), "Primary": number == 0} for number, address in enumerate(addresses)
            ],
            "Ipv4Prefixes": [{"Ipv4Prefix": str(block)} for block in blocks],
        }
        return {"NetworkInterface": self.enis[eni]}

    def attach_network_interface(self, *, NetworkInterfaceId: str, InstanceId: str, DeviceIndex: int) -> Any:
        attachment = {"AttachmentId": f"attach-{NetworkInterfaceId}", "DeviceIndex": DeviceIndex}
        self.enis[NetworkInterfaceId] |= {"Attachment": attachment, "InstanceId": InstanceId}
        return attachment

    def assign_private_ip_addresses(
        self, *, NetworkInterfaceId: str, SecondaryPrivateIpAddressCount: int = 0, Ipv4PrefixCount: int = 0
    ) -> Any:
        eni = self.enis[NetworkInterfaceId]
        subnet = self.ranges[eni["SubnetId"]]
        blocks = [{"Ipv4Prefix": str(block)} for block in subnet.take_blocks(Ipv4PrefixCount)]
        taken = subnet.take(SecondaryPrivateIpAddressCount)
        addresses = [{"PrivateIpAddress": str(address), "Primary": False} for address in taken]
        eni["Ipv4Prefixes"] += blocks
        eni["PrivateIpAddresses"] += addresses
        return {"AssignedIpv4Prefixes": blocks, "AssignedPrivateIpAddresses": addresses}

    def unassign_private_ip_addresses(self, *, NetworkInterfaceId: str, **asked: list[str]) -> Any:
        eni = self.enis[NetworkInterfaceId]
        texts = {text for given in asked.values() for text in given}
        eni["PrivateIpAddresses"] = [i for i in eni["PrivateIpAddresses"] if i["PrivateIpAddress"] not in texts]
        eni["Ipv4Prefixes"] = [item for item in eni["Ipv4Prefixes"] if item["Ipv4Prefix"] not in texts]
        self.ranges[eni["SubnetId"]].occupied -= {address for text in texts for address in IPv4Network(text)}

    def detach_network_interface(self, *, AttachmentId: str) -> Any:
        del self.enis[AttachmentId.removeprefix("attach-")]["InstanceId"]

    def delete_network_interface(self, *, NetworkInterfaceId: str) -> Any:
        eni = self.enis.pop(NetworkInterfaceId)
        cidrs = [item["PrivateIpAddress"] for item in eni["PrivateIpAddresses"]]
        cidrs += [item["Ipv4Prefix"] for item in eni["Ipv4Prefixes"]]
        self.ranges[eni["SubnetId"]].occupied -= {address for text in cidrs for address in IPv4Network(text)}

    def describe_network_interfaces(self, *, Filters: Any) -> Any:
        if len(Filters) > 1:  # those tagged as unmanaged
            return {"NetworkInterfaces": []}
        return {
            "NetworkInterfaces": [eni for eni in self.enis.values() if eni.get("InstanceId") in Filters[0]["Values"]]
        }

    def describe_subnets(self, *, Filters: Any) -> Any:
        return {
            "Subnets": [
                {
                    "SubnetId": one.id,
                    "AvailableIpAddressCount": len(one.free),
                    "Tags": [{"Key": key, "Value": value} for key, value in one.tags.items()],
                }
                for one in self.ranges.values()
            ]
        }

    def create_tags(self, **_: Any) -> Any:
        return {}

    def modify_network_interface_attribute(self, **_: Any) -> Any:
        return {}


@dataclass
class Host:
    """A node, the pods that are to run on it, and its ipamd, None while that cannot start."""

    name: str
    home: str
    limits: NodeLimits
    pods: int
    ipamd: Ipamd | None = None
    checkpoint: dict[str, IPv4Address] = field(default_factory=dict)

    @property
    def served(self) -> int:
        return len(self.ipamd.pool.assigned if self.ipamd else self.checkpoint)


class World:
    """One zone. `env` is that of aws-node, `eni_config` the subnet of the zone's ENIConfig, if there is one."""

    def __init__(
        self, ranges: list[Range], hosts: list[Host], env: Mapping[str, str], eni_config: str | None = None
    ) -> None:
        self.ec2 = SmallVpc(ranges)
        self.hosts = hosts
        self.env = dict(env)
        self.eni_config = eni_config
        self._now = 0.0
        for host in hosts:
            self.ec2.launch(host.name, host.home)

    def settle(self) -> None:
        """Goes on until nothing changes any more."""
        states: list[object] = []
        for _ in range(ROUNDS):
            self._now += SECONDS_BETWEEN_ROUNDS
            for host in self.hosts:
                self._round(host)
            states.append(
                [host.served for host in self.hosts] + [len(value.free) for value in self.ec2.ranges.values()]
            )
            if len(states) > 4 and all(state == states[-1] for state in states[-4:]):
                return

    @property
    def addresses_occupied(self) -> int:
        """Addresses that somebody has."""
        return sum(len(value.occupied) for value in self.ec2.ranges.values())

    def restart(self) -> None:
        """What a new pod template does to aws-node."""
        for host in self.hosts:
            if host.ipamd:
                host.checkpoint = host.ipamd.checkpoint()
            host.ipamd = None

    def stuck(self) -> dict[str, int]:
        return {host.name: host.pods - host.served for host in self.hosts if host.served < host.pods}

    def _round(self, host: Host) -> None:
        if host.ipamd is None:
            host.ipamd = self._started(host)
        if host.ipamd is None:
            return
        host.ipamd.monitor()
        for number in range(host.pods):
            host.ipamd.assign(f"{host.name}-{number}")

    def _started(self, host: Host) -> Ipamd | None:
        instance = Instance(
            host.name, "vpc-1", host.home, ZONE, (), host.limits.max_enis, host.limits.slots_per_eni + 1
        )
        client: Any = self.ec2
        ipamd = Ipamd(
            NodeEc2(client, instance, "shop", _LOG),
            cni_settings(self.env),
            host.limits,
            clock=lambda: self._now,
            read_eni_config=self._read_eni_config,
            denied=lambda _: None,
            log=_LOG,
        )
        try:
            ipamd.start(host.checkpoint)
        except (InitError, Ec2Failure):
            return None
        return ipamd

    def _read_eni_config(self, _: CniSettings) -> tuple[str, tuple[str, ...]]:
        if self.eni_config is None:
            raise EniConfigMissing(ZONE)
        return self.eni_config, ()

    def snapshot(self) -> Snapshot:
        """What the reader would find."""
        stuck = self.stuck()
        return Snapshot(
            cluster=Cluster(name="shop", vpc_id="vpc-1"),
            cni=Cni(version="v1.23.1", env=self.env),
            eni_configs=(EniConfig(name=ZONE, subnet=self.eni_config),) if self.eni_config else (),
            nodes=tuple(self._node(host) for host in self.hosts),
            stuck_pods=tuple(
                StuckPod(namespace="default", name=f"{name}-{number}", node=name)
                for name, missing in stuck.items()
                for number in range(missing)
            ),
            subnets=tuple(
                Subnet(
                    id=value.id,
                    zone=ZONE,
                    cidr=str(value.network),
                    free=len(value.free),
                    free_prefixes=len(value.whole_blocks),
                    tags=value.tags,
                )
                for value in self.ec2.ranges.values()
            ),
            vpc=Vpc(id="vpc-1", cidrs=(VpcCidr(cidr="10.0.0.0/16"),)),
        )

    def _node(self, host: Host) -> Node:
        attached = [eni for eni in self.ec2.enis.values() if eni.get("InstanceId") == host.name]
        return Node(
            name=host.name,
            zone=ZONE,
            max_enis=host.limits.max_enis,
            addresses_per_eni=host.limits.slots_per_eni + 1,
            max_pods=host.limits.max_pods,
            pods=host.served,
            supports_prefixes=host.limits.prefixes_supported,
            eni_config=ZONE,
            interfaces=tuple(
                NetworkInterface(
                    id=eni["NetworkInterfaceId"],
                    subnet_id=eni["SubnetId"],
                    primary=eni["Attachment"]["DeviceIndex"] == 0,
                    addresses=len(eni["PrivateIpAddresses"]),
                    prefixes=len(eni["Ipv4Prefixes"]),
                )
                for eni in attached
            ),
        )
