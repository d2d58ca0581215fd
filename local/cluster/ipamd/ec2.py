"""The EC2 calls of ipamd for one instance (awsutils.go): ENIs, addresses, prefixes, subnet discovery."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.cluster.ipamd.limits import instance_limits
from local.cluster.ipamd.management import EFA, MANAGED_CARD, NODE_TAG, TRUNK, AttachedEni
from local.cluster.ipamd.pool import Eni
from local.cluster.objects import timestamp, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_ec2 import EC2Client

    Log = logging.Logger

DISCOVERY_TAG = "kubernetes.io/role/cni"
CLUSTER_SUBNET_TAG_PREFIX = "cni.networking.k8s.aws/cluster/"
_INSUFFICIENT = ("InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks")
# awsutils.go:64, maxENIs: device numbers are looked for below it.
_DEVICE_NUMBERS = range(100)


class Ec2Failure(Exception):
    """An EC2 call that failed. `code` is EC2's error code, or "" when there was no answer."""

    def __init__(self, api: str, error: Exception) -> None:
        super().__init__(str(error))
        self.api = api
        self.code = str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""

    @property
    def insufficient(self) -> bool:
        """ipamd.go:366, containsInsufficientCIDRsOrSubnetIPs: the subnet ran out of addresses or whole prefixes."""
        return self.code in _INSUFFICIENT

    @property
    def over_the_eni_limit(self) -> bool:
        """ipamd.go:381: the ENI has more addresses than the datastore knows of."""
        return self.code == "PrivateIpAddressLimitExceeded"


class NoValidSubnet(Exception):
    """Subnet discovery leaves no subnet for a new ENI."""


@dataclass(frozen=True)
class Instance:
    """An instance and the limits of its type. `security_groups` are those of its primary ENI."""

    id: str
    vpc_id: str
    subnet_id: str
    zone: str
    security_groups: tuple[str, ...]
    max_enis: int
    addresses_per_eni: int
    trunking_compatible: bool = True
    prefixes_supported: bool = True


@dataclass(frozen=True)
class EniRequest:
    """`count` addresses or prefixes on a new ENI. `subnet_id` is that of the ENIConfig; "" leaves the choice to the
    CNI: by discovery when it is on, else the subnet of the primary ENI."""

    count: int
    prefixes: bool
    subnet_id: str
    security_groups: tuple[str, ...]
    discovery: bool
    cluster_tag: str


def describe_instance(ec2: EC2Client, instance_id: str) -> Instance:
    """The instance, with the limits that the CNI knows of its type; of other types EC2 is asked.

    Raises Ec2Failure; LookupError when the instance does not exist.
    """
    reservations = _call("DescribeInstances", lambda: ec2.describe_instances(InstanceIds=[instance_id]))["Reservations"]
    instance = reservations[0]["Instances"][0]
    max_enis, addresses, trunking, prefixes = _limits(ec2, instance["InstanceType"])
    return Instance(
        id=instance_id,
        vpc_id=instance["VpcId"],
        subnet_id=instance["SubnetId"],
        zone=instance["Placement"]["AvailabilityZone"],
        security_groups=tuple(sorted(group["GroupId"] for group in instance["SecurityGroups"])),
        max_enis=max_enis,
        addresses_per_eni=addresses,
        trunking_compatible=trunking,
        prefixes_supported=prefixes,
    )


def _limits(ec2: EC2Client, kind: Any) -> tuple[int, int, bool, bool]:
    """awsutils.go:1927, FetchInstanceTypeLimits: (ENIs, addresses per ENI, trunk ENI possible, prefixes possible)."""
    limits = instance_limits(kind)
    if limits is not None:
        return limits.eni_limit, limits.ips_per_eni, limits.trunking_compatible, limits.prefix_delegation_supported
    types = _call("DescribeInstanceTypes", lambda: ec2.describe_instance_types(InstanceTypes=[kind]))
    described = types["InstanceTypes"][0]
    network, prefixes = (
        described["NetworkInfo"],
        described.get("Hypervisor") == "nitro" or bool(described.get("BareMetal")),
    )
    return network["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"], True, prefixes


class NodeEc2:
    """EC2 as one node's ipamd sees it. All methods raise Ec2Failure. `log` is the node's ipamd.log."""

    def __init__(self, ec2: EC2Client, instance: Instance, cluster: str, log: logging.Logger) -> None:
        self.instance = instance
        self._ec2 = ec2
        self._cluster = cluster
        self._log = log

    def attached(self, *, imds_only: bool = False) -> list[AttachedEni]:
        """All ENIs of the instance in the order of their device number (awsutils.go:1647, DescribeAllENIs).

        The CNI reads which they are from IMDS and asks EC2 for types and tags only; here EC2 tells both, and
        `imds_only` leaves out what IMDS does not know.
        """
        filters: Any = [{"Name": "attachment.instance-id", "Values": [self.instance.id]}]
        answer = _call("DescribeNetworkInterfaces", lambda: self._ec2.describe_network_interfaces(Filters=filters))
        enis = [_attached(raw, imds_only=imds_only) for raw in answer["NetworkInterfaces"]]
        return sorted(enis, key=lambda one: (one.card, one.eni.device_index))

    def assign(self, eni_id: str, count: int, *, prefixes: bool) -> list[IPv4Network]:
        """Put more addresses or prefixes on an ENI."""
        self._log.info("Trying to allocate %d IP addresses on ENI %s", count, eni_id)
        amount: Any = {"Ipv4PrefixCount": count} if prefixes else {"SecondaryPrivateIpAddressCount": count}
        try:
            answer = _call(
                "AssignPrivateIpAddresses",
                lambda: self._ec2.assign_private_ip_addresses(NetworkInterfaceId=eni_id, **amount),
            )
        except Ec2Failure as failure:
            self._log.error("Failed to allocate a private IP/Prefix addresses on ENI %s: %s", eni_id, failure)
            raise
        if prefixes:
            return [IPv4Network(item["Ipv4Prefix"]) for item in answer.get("AssignedIpv4Prefixes", [])]
        assigned = answer.get("AssignedPrivateIpAddresses", [])
        self._log.info("Allocated %d private IP addresses", len(assigned))
        return [IPv4Network(item["PrivateIpAddress"]) for item in assigned]

    def unassign(self, eni_id: str, cidrs: Sequence[IPv4Network]) -> None:
        """Gives addresses (/32) and prefixes (/28) of an ENI back to its subnet. Raises Ec2Failure."""
        addresses = [str(cidr.network_address) for cidr in cidrs if cidr.prefixlen == 32]
        prefixes = [str(cidr) for cidr in cidrs if cidr.prefixlen < 32]
        items: Any = ({"PrivateIpAddresses": addresses} if addresses else {}) | (
            {"Ipv4Prefixes": prefixes} if prefixes else {}
        )
        self._log.info("Trying to unassign the following IPs %s from ENI %s", addresses + prefixes, eni_id)
        _call(
            "UnassignPrivateIpAddresses",
            lambda: self._ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni_id, **items),
        )

    def create_and_attach(self, request: EniRequest) -> Eni:
        """awsutils.go:978, AllocENI: a new ENI in the first subnet that takes it, with all that is asked for.

        Raises NoValidSubnet when the tags exclude every subnet.
        """
        eni_id = self._create(request)
        try:
            attachment_id = self._attach(eni_id)
        except Ec2Failure as failure:
            self._log.error("Failed to attach ENI %s: %s", eni_id, failure)
            self._delete(eni_id)
            raise
        attachment: Any = {"AttachmentId": attachment_id, "DeleteOnTermination": True}
        try:
            _call(
                "ModifyNetworkInterfaceAttribute",
                lambda: self._ec2.modify_network_interface_attribute(NetworkInterfaceId=eni_id, Attachment=attachment),
            )
        except Ec2Failure:
            self._detach_and_delete(eni_id, attachment_id)
            raise
        self._log.info("Successfully created and attached a new ENI %s to instance on network card 0", eni_id)
        return next(one.eni for one in self.attached() if one.eni.id == eni_id)

    def _attach(self, eni_id: str) -> str:
        """awsutils.go:1023, attachENI, at the first free device number of network card 0."""
        used = {one.eni.device_index for one in self.attached() if one.card == MANAGED_CARD}
        device = next(number for number in _DEVICE_NUMBERS if number not in used)
        attached = _call(
            "AttachNetworkInterface",
            lambda: self._ec2.attach_network_interface(
                DeviceIndex=device, InstanceId=self.instance.id, NetworkInterfaceId=eni_id
            ),
        )
        return str(attached["AttachmentId"])

    def free(self, eni: Eni) -> None:
        """awsutils.go:1428, FreeENI: detach and delete."""
        self._log.info("Trying to free ENI: %s", eni.id)
        self._detach_and_delete(eni.id, eni.attachment_id)
        self._log.info("Successfully freed ENI: %s", eni.id)

    def _detach_and_delete(self, eni_id: str, attachment_id: str) -> None:
        _call("DetachNetworkInterface", lambda: self._ec2.detach_network_interface(AttachmentId=attachment_id))
        self._log.info("Successfully detached ENI: %s", eni_id)
        self._delete(eni_id)

    def tag(self, one: AttachedEni) -> None:
        """awsutils.go:1381, TagENI: mark an ENI, such as the primary one, as this node's, if it is not marked yet."""
        missing = {key: value for key, value in self._owner_tags().items() if one.tags.get(key) != value}
        tags: Any = [{"Key": key, "Value": value} for key, value in missing.items()]
        if tags:
            _call("CreateTags", lambda: self._ec2.create_tags(Resources=[one.eni.id], Tags=tags))

    def excluded_subnets(self, subnet_ids: set[str], cluster_tag: str) -> set[str]:
        """awsutils.go:2578, IsSubnetExcluded: those tagged `kubernetes.io/role/cni=0`, or for other clusters only.

        A subnet of another VPC or zone counts as not excluded.
        """
        tagged = {subnet["SubnetId"]: _tags(subnet.get("Tags")) for subnet in self._zone_subnets()}
        return {subnet for subnet in subnet_ids if _is_excluded(tagged.get(subnet, {}), cluster_tag)}

    def _create(self, request: EniRequest) -> str:
        """awsutils.go:1125, createENI. Every error leads to the next subnet; the last one is raised."""
        self._log.info("Trying to allocate %d IP addresses on new ENI", request.count)
        if request.subnet_id:
            return self._create_in(request.subnet_id, request)
        failure: Ec2Failure | None = None
        for subnet_id in self._candidates(request):
            try:
                return self._create_in(subnet_id, request)
            except Ec2Failure as error:
                failure = error
        if failure is None:
            raise NoValidSubnet(
                "no valid subnets available for ENI creation - "
                f"all subnets are either not tagged or tagged with {DISCOVERY_TAG}=0"
            )
        raise failure

    def _candidates(self, request: EniRequest) -> list[str]:
        own = self.instance.subnet_id
        if not request.discovery:
            return [] if self._is_own_subnet_excluded(request) else [own]
        subnets = self._zone_subnets()
        # awsutils.go:1223, GetVpcSubnets: the most free addresses first, equal ones in EC2's order.
        subnets.sort(key=lambda subnet: -int(subnet["AvailableIpAddressCount"]))
        return [
            subnet["SubnetId"]
            for subnet in subnets
            if subnet_is_valid(_tags(subnet.get("Tags")), request.cluster_tag, primary=subnet["SubnetId"] == own)
        ]

    def _is_own_subnet_excluded(self, request: EniRequest) -> bool:
        own = self.instance.subnet_id
        try:
            return own in self.excluded_subnets({own}, request.cluster_tag)
        except Ec2Failure as failure:
            self._log.warning("Failed to check if primary subnet is excluded: %s. Proceeding", failure)
            return False

    def _create_in(self, subnet_id: str, request: EniRequest) -> str:
        groups = list(request.security_groups or self.instance.security_groups)
        self._log.info("Creating ENI with security groups: %s in subnet: %s", groups, subnet_id)
        amount: Any = (
            {"Ipv4PrefixCount": request.count}
            if request.prefixes
            else {"SecondaryPrivateIpAddressCount": request.count}
        )
        created_at = {"node.k8s.amazonaws.com/createdAt": timestamp(utc_now())}
        tags: Any = [{"Key": key, "Value": value} for key, value in (self._owner_tags() | created_at).items()]
        try:
            answer = _call(
                "CreateNetworkInterface",
                lambda: self._ec2.create_network_interface(
                    SubnetId=subnet_id,
                    Groups=groups,
                    Description=f"aws-K8S-{self.instance.id}",
                    TagSpecifications=[{"ResourceType": "network-interface", "Tags": tags}],
                    **amount,
                ),
            )
        except Ec2Failure as failure:
            self._log.error("Failed to CreateNetworkInterface %s for subnet %s", failure, subnet_id)
            raise
        eni_id = str(answer["NetworkInterface"]["NetworkInterfaceId"])
        self._log.info("Created a new ENI: %s", eni_id)
        return eni_id

    def _delete(self, eni_id: str) -> None:
        """awsutils.go, deleteENI: one that is gone already is fine."""
        try:
            _call("DeleteNetworkInterface", lambda: self._ec2.delete_network_interface(NetworkInterfaceId=eni_id))
        except Ec2Failure as failure:
            if failure.code != "InvalidNetworkInterfaceID.NotFound":
                raise
        self._log.info("Successfully deleted ENI: %s", eni_id)

    def _owner_tags(self) -> dict[str, str]:
        return {
            NODE_TAG: self.instance.id,
            "cluster.k8s.amazonaws.com/name": self._cluster,
            "eks:eni:owner": "amazon-vpc-cni",
        }

    def _zone_subnets(self) -> list[Any]:
        filters: Any = [
            {"Name": "vpc-id", "Values": [self.instance.vpc_id]},
            {"Name": "availability-zone", "Values": [self.instance.zone]},
        ]
        return list(_call("DescribeSubnets", lambda: self._ec2.describe_subnets(Filters=filters))["Subnets"])


def subnet_is_valid(tags: dict[str, str], cluster: str, *, primary: bool) -> bool:
    """awsutils.go:1260, isSubnetValidForENICreation: the own subnet unless tagged 0; others only when tagged for us."""
    value = tags.get(DISCOVERY_TAG, "")
    if value == "0":
        return False
    return primary if not value else _is_for_cluster(tags, cluster)


def _is_excluded(tags: dict[str, str], cluster: str) -> bool:
    value = tags.get(DISCOVERY_TAG, "")
    return value == "0" or (value != "" and not _is_for_cluster(tags, cluster))


def _is_for_cluster(tags: dict[str, str], cluster: str) -> bool:
    scoped = [key for key in tags if key.startswith(CLUSTER_SUBNET_TAG_PREFIX)]
    return not cluster or not scoped or f"{CLUSTER_SUBNET_TAG_PREFIX}{cluster}" in scoped


def _attached(raw: Any, *, imds_only: bool) -> AttachedEni:
    kind = "" if imds_only else raw.get("InterfaceType", "")
    tags = {} if imds_only else _tags(raw.get("TagSet"))
    return AttachedEni(_eni(raw, kind), kind, raw["Attachment"].get("NetworkCardIndex", MANAGED_CARD), tags)


def _eni(raw: Any, kind: str) -> Eni:
    attachment = raw["Attachment"]
    addresses = [IPv4Network(item["PrivateIpAddress"]) for item in raw["PrivateIpAddresses"] if not item["Primary"]]
    prefixes = [IPv4Network(item["Ipv4Prefix"]) for item in raw.get("Ipv4Prefixes") or []]
    return Eni(
        id=raw["NetworkInterfaceId"],
        primary=attachment["DeviceIndex"] == 0 and attachment.get("NetworkCardIndex", MANAGED_CARD) == MANAGED_CARD,
        device_index=attachment["DeviceIndex"],
        subnet_id=raw["SubnetId"],
        attachment_id=attachment["AttachmentId"],
        cidrs=addresses + prefixes,
        trunk=kind == TRUNK,
        efa=kind == EFA,
    )


def _tags(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def _call(api: str, request: Callable[[], Any]) -> Any:
    try:
        return request()
    except (ClientError, BotoCoreError) as error:
        raise Ec2Failure(f"ec2:{api}", error) from error
