"""Which clusters a place belongs to, for signals that name no cluster.

    SUBNET#<id>   CLUSTERS   `clusters`: those that the sweep saw in the subnet, each with when it was last seen there

A subnet may be shared. The sweep writes an item only when a cluster is new there or was last noted a day ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import Item, Records
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound, RequestRefused
from ip_remediator.signals.model import Dropped, DropReason, Place, Signal, UnplacedSignal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_ec2 import EC2Client

# A cluster that was not seen in a subnet for this long has left it.
KEPT = timedelta(days=14)
NOTED_AGAIN = timedelta(days=1)
# The VPC CNI writes its cluster's name on every ENI that it makes (pkg/awsutils, since v1.8).
_CLUSTER_TAG = "cluster.k8s.amazonaws.com/name"


class SubnetClusters:
    """All methods raise the errors of `common.errors`."""

    def __init__(self, table: Table) -> None:
        self._records = Records(table)

    def read(self, subnet: str) -> dict[str, datetime]:
        """The clusters seen in the subnet, with when each was last noted."""
        item = self._records.get(**_key(subnet)) or {}
        return {str(name): datetime.fromisoformat(str(noted)) for name, noted in item.get("clusters", {}).items()}

    def note(self, cluster: str, subnets: Iterable[str], now: datetime) -> None:
        """Remembers that the cluster is in the subnets."""
        for subnet in subnets:
            noted = self.read(subnet)
            if cluster in noted and now - noted[cluster] < NOTED_AGAIN:
                continue
            current = {name: moment for name, moment in noted.items() if now - moment < KEPT} | {cluster: now}
            clusters = {name: moment.isoformat() for name, moment in sorted(current.items())}
            self._records.put({**_key(subnet), "clusters": clusters, "ttl": int((now + KEPT).timestamp())})


class ClusterFinder:
    """The signals of an unplaced one, for each cluster of its place. Raises the errors of `common.errors`.

    Args:
        ec2: makes the client, which only signals that name nothing but an ENI need.
    """

    def __init__(self, subnets: SubnetClusters, ec2: Callable[[], EC2Client]) -> None:
        self._subnets = subnets
        self._ec2 = ec2

    def place(self, signal: UnplacedSignal) -> list[Signal | Dropped]:
        """The signals of each cluster in the place; one drop, `no_cluster`, if there is none."""
        clusters = self._clusters(signal.place)
        return [signal.in_cluster(name) for name in clusters] or [Dropped(reason=DropReason.NO_CLUSTER)]

    def _clusters(self, place: Place) -> list[str]:
        subnets = list(place.subnets)
        if not subnets and place.interface:
            named, subnet = self._interface(place.interface)
            if named:
                return [named]
            subnets = [subnet] if subnet else []
        return sorted({name for subnet in subnets for name in self._subnets.read(subnet)})

    def _interface(self, interface: str) -> tuple[str | None, str | None]:
        """The cluster that the CNI wrote on an ENI, and the ENI's subnet."""
        try:
            with aws_call("DescribeNetworkInterfaces"):
                answer = self._ec2().describe_network_interfaces(NetworkInterfaceIds=[interface])
        except (NotFound, RequestRefused):  # deleted since, or no id of an ENI
            return None, None
        for eni in answer["NetworkInterfaces"]:
            tags = {tag["Key"]: tag["Value"] for tag in eni.get("TagSet", [])}
            return tags.get(_CLUSTER_TAG), eni.get("SubnetId")
        return None, None


def _key(subnet: str) -> Item:
    return {"pk": f"SUBNET#{subnet}", "sk": "CLUSTERS"}
