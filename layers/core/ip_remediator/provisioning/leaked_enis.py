"""ENIs that the VPC CNI leaked: read once more, then deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.tags import as_dict
from ip_remediator.common.clock import Clock
from ip_remediator.common.errors import NotFound, PermissionDenied, RequestRefused
from ip_remediator.snapshot.cni_tags import CLUSTER_TAG, CNI_DESCRIPTION, INSTANCE_TAG, is_young

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# EC2 takes 200 values in a filter.
_AT_ONCE = 200


@dataclass(frozen=True)
class FoundInterface:
    """An ENI as it is now. `left_because` says why it is not ours to delete; None when it is."""

    id: str
    subnet_id: str
    description: str
    tags: dict[str, str]
    addresses: int
    left_because: str | None


class LeakedEnis:
    """`instances` are those of the cluster's nodes, for ENIs of a CNI that did not tag the cluster's name yet.

    Raises the errors of `common.errors`.
    """

    def __init__(self, ec2: EC2Client, cluster: str, instances: Collection[str], clock: Clock) -> None:
        self._ec2 = ec2
        self._cluster = cluster
        self._instances = instances
        self._clock = clock

    def look(self, ids: Sequence[str]) -> list[FoundInterface]:
        """Those of the ENIs that are still there."""
        return [eni for start in range(0, len(ids), _AT_ONCE) for eni in self._look(ids[start : start + _AT_ONCE])]

    def _look(self, ids: Sequence[str]) -> list[FoundInterface]:
        filters: Any = [{"Name": "network-interface-id", "Values": list(ids)}]
        with aws_call("DescribeNetworkInterfaces"):
            pages = self._ec2.get_paginator("describe_network_interfaces").paginate(Filters=filters)
            return [self._interface(eni) for page in pages for eni in page["NetworkInterfaces"]]

    def delete(self, interface_id: str) -> bool:
        """Whether it is gone: deleted now, or before. False when it came into use meanwhile; AWS refuses those.

        Raises:
            RequestRefused, PermissionDenied: it is still available, and AWS does not delete it.
        """
        try:
            with aws_call("DeleteNetworkInterface"):
                self._ec2.delete_network_interface(NetworkInterfaceId=interface_id)
        except NotFound:
            return True
        except (RequestRefused, PermissionDenied):
            # IAM sees no tags of a deleted ENI, and says that the deletion is not authorized.
            now = next(iter(self.look([interface_id])), None)
            if now and now.left_because is None:
                raise
            return now is None
        return True

    def _interface(self, eni: Any) -> FoundInterface:
        tags = as_dict(eni.get("TagSet"))
        description = eni.get("Description") or ""
        prefixes = eni.get("Ipv4Prefixes") or []
        return FoundInterface(
            id=eni["NetworkInterfaceId"],
            subnet_id=eni["SubnetId"],
            description=description,
            tags=tags,
            addresses=len(eni.get("PrivateIpAddresses", [])) + 16 * len(prefixes),
            left_because=self._not_ours(eni["Status"], description, tags),
        )

    def _not_ours(self, status: str, description: str, tags: dict[str, str]) -> str | None:
        if status != "available":
            return f"it is {status} again"
        if not description.startswith(CNI_DESCRIPTION):
            return "the VPC CNI did not make it"
        if tags.get(CLUSTER_TAG, self._cluster) != self._cluster:
            return f"it is of cluster {tags[CLUSTER_TAG]}"
        if CLUSTER_TAG not in tags and tags.get(INSTANCE_TAG) not in self._instances:
            return "no tag proves that it is this cluster's"
        if is_young(tags, self._clock()):
            return "it is only just made and may be about to be attached"
        return None
