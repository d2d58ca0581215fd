"""Node leases: the heartbeat of a kubelet (pkg/kubelet/nodelease of Kubernetes)."""

from __future__ import annotations

from local.cluster.kube import LEASES, ApiError, KubeApi
from local.cluster.objects import Obj, uid_of, utc_now

NAMESPACE = "kube-node-lease"
RENEW_SECONDS = 10.0
_DURATION_SECONDS = 40


def renew(api: KubeApi, node: Obj) -> None:
    """Renew a node's lease, or create it the first time. A missing namespace is not an error."""
    name = node["metadata"]["name"]
    spec = {"holderIdentity": name, "leaseDurationSeconds": _DURATION_SECONDS, "renewTime": _now()}
    try:
        api.patch(LEASES.path(NAMESPACE, name), {"spec": spec})
        return
    except ApiError as error:
        if error.status != 404:
            raise
    # As the kubelet does it: an owner, but no controller.
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(node)}
    metadata = {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]}
    try:
        api.create(
            LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        )
    except ApiError as error:
        if error.status not in (404, 409):
            raise


def remove(api: KubeApi, node_name: str) -> None:
    """Delete the lease of a node that is gone, as the garbage collector does."""
    try:
        api.delete(LEASES.path(NAMESPACE, node_name))
    except ApiError as error:
        if error.status != 404:
            raise


def _now() -> str:
    """RFC 3339 with microseconds: metav1.MicroTime."""
    return utc_now().isoformat(timespec="microseconds").replace("+00:00", "Z")
