"""The subnets of an incident and the ENIs in them, read from EC2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.tags import as_dict
from ip_remediator.common import tag_names
from ip_remediator.rollback.rules import BlockInterface, BlockSubnet
from ip_remediator.snapshot.cni_tags import CLUSTER_TAG, CNI_DESCRIPTION
from ip_remediator.snapshot.model_cluster import CLUSTER_DISCOVERY_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class Ec2Block:
    """Reads only. Raises the errors of `common.errors`."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2

    def subnets(self, vpc_id: str) -> list[BlockSubnet]:
        """Every subnet of the VPC."""
        filters: Any = [{"Name": "vpc-id", "Values": [vpc_id]}]
        with aws_call("DescribeSubnets"):
            pages = self._ec2.get_paginator("describe_subnets").paginate(Filters=filters)
            subnets = [subnet for page in pages for subnet in page["Subnets"]]
        return [_subnet(subnet) for subnet in subnets]

    def interfaces(self, subnet_ids: Iterable[str]) -> list[BlockInterface]:
        """Every ENI in these subnets, whatever it is attached to."""
        ids = sorted(subnet_ids)
        if not ids:
            return []
        filters: Any = [{"Name": "subnet-id", "Values": ids}]
        with aws_call("DescribeNetworkInterfaces"):
            pages = self._ec2.get_paginator("describe_network_interfaces").paginate(Filters=filters)
            return [_interface(eni) for page in pages for eni in page["NetworkInterfaces"]]


def _subnet(subnet: Any) -> BlockSubnet:
    tags = as_dict(subnet.get("Tags"))
    return BlockSubnet(
        id=subnet["SubnetId"],
        zone=subnet["AvailabilityZone"],
        cidr=subnet["CidrBlock"],
        free=subnet["AvailableIpAddressCount"],
        incident=tags.get(tag_names.INCIDENT),
        discovered_by=tuple(
            key.removeprefix(CLUSTER_DISCOVERY_TAG) for key in sorted(tags) if key.startswith(CLUSTER_DISCOVERY_TAG)
        ),
    )


def _interface(eni: Any) -> BlockInterface:
    cluster = as_dict(eni.get("TagSet")).get(CLUSTER_TAG)
    description = eni.get("Description") or ""
    attachment = eni.get("Attachment") or {}
    return BlockInterface(
        id=eni["NetworkInterfaceId"],
        subnet=eni["SubnetId"],
        description=description,
        cluster=cluster,
        of_cni=bool(cluster) or description.startswith(CNI_DESCRIPTION),
        attached=eni["Status"] != "available",
        instance=attachment.get("InstanceId"),
        primary=attachment.get("DeviceIndex") == 0,
    )
