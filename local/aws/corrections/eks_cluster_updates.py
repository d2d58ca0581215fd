"""EKS: UpdateClusterConfig for the cluster's subnets, which MiniStack lacks, with what EKS asks of them.

Sources: "View Amazon EKS networking requirements for VPC and subnets" of the EKS User Guide (subnets of the same VPC
and the same set of zones as at the creation, at least two of them, with enough addresses);
API_UpdateClusterConfig.html (one update at a time, InProgress until it is Successful or Failed); API_ErrorDetail.html
and API_ClusterIssue.html (InsufficientFreeAddresses). EKS has its own ENIs in the cluster's subnets, and moves them
when these change.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import eks
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends

from local.aws.corrections.eks_addons import Answer, error
from local.aws.corrections.guard import original, replace

if TYPE_CHECKING:
    from local.aws.switches import Switches

_NEEDED = 5
_MOST = 16
_PATH = re.compile(r"/clusters/([^/]+)/update-config")
_UPDATE = re.compile(r"/clusters/([^/]+)/updates/([^/]+)")


@dataclass
class Update:
    """What is wanted of a cluster, and when it is through; `failure`: why EKS will not do it."""

    cluster: str
    subnets: list[str]
    token: str
    ends: float
    failure: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"

    def document(self) -> dict[str, Any]:
        """The update as DescribeUpdate returns it."""
        errors = [{"errorCode": "InsufficientFreeAddresses", "errorMessage": self.failure}] if self.failure else []
        return {
            "id": self.id,
            "status": self.status,
            "type": "VpcConfigUpdate",
            "params": [{"type": "SubnetIds", "value": json.dumps(self.subnets)}],
            "createdAt": time.time(),
            "errors": errors if self.status == "Failed" else [],
        }


class ClusterUpdates:
    """The updates of every cluster; looked at whenever EKS is asked, for nothing ends them otherwise."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._clusters = original(eks, "_clusters")
        self._updates: dict[str, Update] = {}

    def install(self) -> None:
        """Puts this in front of MiniStack's EKS handlers."""
        handle, describe = original(eks, "_handle_request_sync"), original(eks, "_describe_cluster")

        def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
            self._settle()
            if method == "POST" and (match := _PATH.fullmatch(path)):
                return self._start(match[1], json.loads(body or b"{}"))
            if method == "GET" and (match := _UPDATE.fullmatch(path)) and match[2] in self._updates:
                return _answer({"update": self._updates[match[2]].document()})
            return handle(method, path, headers, body, query)

        replace(eks, "_handle_request_sync", handle_request)
        replace(eks, "_describe_cluster", self._describing(describe))

    def _describing(self, describe: Callable[[str], Answer]) -> Callable[[str], Answer]:
        """With its status while an update is in progress, and what EKS finds wrong with its subnets."""

        def describe_cluster(name: str) -> Answer:
            answer = describe(name)
            if answer[0] >= 300:
                return answer
            shown = json.loads(answer[2])["cluster"]
            shown["status"] = "UPDATING" if self._running(name) else shown["status"]
            if self._switches.cluster_health_tells_addresses:
                low = self._low(shown["resourcesVpcConfig"]["subnetIds"])
                issue = {"code": "InsufficientFreeAddresses", "message": _lacking(low), "resourceIds": low}
                shown["health"] = {"issues": [issue] if low else []}
            return _answer({"cluster": shown})

        return describe_cluster

    def _start(self, name: str, body: dict[str, Any]) -> Answer:
        cluster, config = self._clusters.get(name), dict(body.get("resourcesVpcConfig") or {})
        if cluster is None:
            return error(404, "ResourceNotFoundException", f"No cluster found for name: {name}.")
        if config.keys() != {"subnetIds"}:
            return error(400, "InvalidParameterException", "only resourcesVpcConfig.subnetIds can be changed here")
        wanted: list[str] = list(config["subnetIds"])
        token = str(body.get("clientRequestToken", ""))
        if again := [one for one in self._updates.values() if token and (one.cluster, one.token) == (name, token)]:
            return _answer({"update": again[0].document()})
        if self._running(name):
            return error(409, "ResourceInUseException", f"Cluster {name} is currently being updated")
        if refusal := self._refusal(cluster, wanted):
            return error(400, "InvalidParameterException", refusal)
        present = cluster["resourcesVpcConfig"]["subnetIds"]
        if set(wanted) == set(present):
            return error(400, "InvalidParameterException", "Cluster is already at the desired configuration")
        low = self._low([id_ for id_ in wanted if id_ not in present])
        ends = time.monotonic() + self._switches.cluster_update_seconds
        update = Update(name, list(wanted), token, ends, failure=_lacking(low) if low else "")
        self._updates[update.id] = update
        return _answer({"update": update.document()})

    def _refusal(self, cluster: dict[str, Any], wanted: list[str]) -> str:
        if not 2 <= len(wanted) <= _MOST:
            return f"between 2 and {_MOST} subnets are needed"
        config = cluster["resourcesVpcConfig"]
        created_with = cluster.setdefault("_zones", self._zones(config["subnetIds"]))
        try:
            subnets = [_backend().get_subnet(id_) for id_ in wanted]
        except EC2ClientError as refusal:
            return str(refusal.message)
        if {subnet.vpc_id for subnet in subnets} != {config["vpcId"]}:
            return "Provided subnets belong to a different VPC"
        if self._zones(wanted) != created_with:
            return f"Provided subnets must be in the same Availability Zones as originally: {', '.join(created_with)}"
        return ""

    @staticmethod
    def _zones(ids: list[str]) -> list[str]:
        return sorted({_backend().get_subnet(id_).availability_zone for id_ in ids})

    @staticmethod
    def _low(ids: list[str]) -> list[str]:
        subnets = [_backend().get_subnet(id_) for id_ in ids]
        return [subnet.id for subnet in subnets if subnet.available_ip_address_count < _NEEDED]

    def _running(self, name: str) -> bool:
        return any(one.cluster == name and one.status == "InProgress" for one in self._updates.values())

    def _settle(self) -> None:
        for update in self._updates.values():
            cluster = self._clusters.get(update.cluster)
            if update.status == "InProgress" and update.ends <= time.monotonic() and cluster:
                update.status = "Failed" if update.failure else "Successful"
                if not update.failure:
                    config = cluster["resourcesVpcConfig"]
                    _move_interfaces(update.cluster, config["subnetIds"], update.subnets)
                    config["subnetIds"] = update.subnets


def _move_interfaces(cluster: str, before: list[str], after: list[str]) -> None:
    """EKS's own ENIs leave the subnets that the cluster has no more, each for a new one of its zone."""
    backend, description = _backend(), f"Amazon EKS {cluster}"
    fresh = {backend.get_subnet(id_).availability_zone: id_ for id_ in after if id_ not in before}
    for eni in [eni for eni in backend.get_all_network_interfaces() if eni.description == description]:
        if eni.subnet.id in before and eni.subnet.id not in after:
            backend.delete_network_interface(eni.id)
            home = fresh.get(eni.subnet.availability_zone) or after[0]
            backend.create_network_interface(backend.get_subnet(home), None, description=description)


def _lacking(low: list[str]) -> str:
    return (
        "One or more of the subnets associated with your cluster do not have enough available IP addresses for Amazon "
        f"EKS to perform cluster management operations: {', '.join(low)}"
    )


def _backend() -> Any:
    return ec2_backends[get_account_id()][get_region()]


def _answer(document: dict[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(document, default=str).encode()
