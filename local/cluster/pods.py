"""Creating, deleting and counting the pods of a controller."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from local.cluster.kube import PODS, ApiError
from local.cluster.objects import Obj, is_deleting, is_finished, key_of, owner_reference, random_suffix, uid_of
from local.cluster.state import ClusterState


def create_pod(
    state: ClusterState, owner: Obj, owner_kind: str, extra_labels: dict[str, str], node: str | None = None
) -> None:
    """Create a pod from the owner's template, bound to `node` when one is given."""
    template = copy.deepcopy(owner["spec"]["template"])
    metadata = template.get("metadata") or {}
    spec = template["spec"]
    if node is not None:
        spec["nodeName"] = node
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{owner['metadata']['name']}-{random_suffix()}",
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), **extra_labels},
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner_reference(owner, "apps/v1", owner_kind)],
        },
        "spec": spec,
    }
    state.pods.observe(state.api.create(PODS, pod))


def delete_pod(state: ClusterState, pod: Obj) -> None:
    """Delete exactly this pod, by uid. A pod that is gone already is not an error."""
    try:
        state.api.delete(PODS.path_of(pod), uid=uid_of(pod))
    except ApiError as error:
        if error.status not in (404, 409):
            raise
        state.pods.forget(key_of(pod))


def active(pods: Iterable[Obj]) -> list[Obj]:
    """The pods that are neither being deleted nor finished."""
    return [pod for pod in pods if not is_deleting(pod) and not is_finished(pod)]
