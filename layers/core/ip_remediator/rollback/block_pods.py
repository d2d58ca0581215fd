"""The pods that use an incident's block, read from Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from ip_remediator.rollback.rules import BlockPod, on_block

if TYPE_CHECKING:
    from ip_remediator.clients.kubernetes.api import KubeApi


def pods_on_block(api: KubeApi, networks: Sequence[IPv4Network], *, staying: bool = False) -> list[BlockPod]:
    """The pods with an address in one of `networks`. Finished pods are left out, because they have released theirs.

    `staying`: without those of DaemonSets, which leave with the nodes that live in these networks.
    """
    pods = []
    for pod in api.items("/api/v1/pods", fieldSelector="status.phase!=Succeeded,status.phase!=Failed"):
        if staying and _of_daemon_set(pod):
            continue
        address = pod.get("status", {}).get("podIP")
        if address and ":" not in address and not pod["spec"].get("hostNetwork") and on_block(address, networks):
            pods.append(_block_pod(pod, address))
    return pods


def pods_without_address(api: KubeApi, since: datetime) -> list[str]:
    """namespace/name of the pods that were made after `since`, are on a node, and have no IP address yet."""
    pending = api.items("/api/v1/pods", fieldSelector="status.phase=Pending")
    return sorted(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pending if _hangs(pod, since))


def _hangs(pod: dict[str, Any], since: datetime) -> bool:
    on_node = bool(pod["spec"].get("nodeName")) and not pod["spec"].get("hostNetwork")
    made_since = datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) > since
    return on_node and made_since and not (pod.get("status") or {}).get("podIP")


def _block_pod(pod: dict[str, Any], address: str) -> BlockPod:
    metadata = pod["metadata"]
    return BlockPod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=pod["spec"].get("nodeName", ""),
        address=address,
        leaving="deletionTimestamp" in metadata,
    )


def _of_daemon_set(pod: dict[str, Any]) -> bool:
    return any(owner.get("kind") == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or [])
