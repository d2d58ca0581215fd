"""What `kubectl rollout history` and `rollout undo` read: the revisions of Deployments and DaemonSets.

A Deployment's revisions are its ReplicaSets, numbered by an annotation (pkg/controller/deployment/util of Kubernetes).
A DaemonSet's are ControllerRevisions that hold the template as a patch (pkg/controller/daemon/update.go).
"""

from __future__ import annotations

import copy

from local.cluster.objects import Obj, labels_of, owner_reference

REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
HISTORY_ANNOTATION = "deployment.kubernetes.io/revision-history"
REVISION_LABEL = "controller-revision-hash"
DEFAULT_HISTORY_LIMIT = 10
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_COPIED = (REVISION_ANNOTATION, HISTORY_ANNOTATION, _LAST_APPLIED)


def annotations_of(obj: Obj) -> dict[str, str]:
    """The annotations of an object; empty if it has none."""
    return obj["metadata"].get("annotations") or {}


def number_of(replicaset: Obj) -> int:
    """The revision of a ReplicaSet; 0 if it has none yet."""
    return int(annotations_of(replicaset).get(REVISION_ANNOTATION) or 0)


def replicaset_annotations(deployment: Obj, current: Obj | None, old: list[Obj]) -> dict[str, str]:
    """The annotations of the ReplicaSet with the Deployment's current template.

    `current` is that ReplicaSet, None before it exists. It gets the Deployment's annotations (among them
    `kubernetes.io/change-cause`) and a revision above those of `old`: going back to a template makes its ReplicaSet the
    newest again.
    """
    own = annotations_of(current) if current else {}
    copied = {name: text for name, text in annotations_of(deployment).items() if name not in _NOT_COPIED}
    newest = max((number_of(replicaset) for replicaset in old), default=0) + 1
    if current is None or number_of(current) == 0:
        return {**own, **copied, REVISION_ANNOTATION: str(newest)}
    if number_of(current) >= newest:
        return {**own, **copied}
    before = own.get(HISTORY_ANNOTATION)
    history = f"{before},{number_of(current)}" if before else str(number_of(current))
    return {**own, **copied, REVISION_ANNOTATION: str(newest), HISTORY_ANNOTATION: history}


def surplus_replicasets(deployment: Obj, old: list[Obj]) -> list[Obj]:
    """Old ReplicaSets without pods beyond `revisionHistoryLimit`, the oldest revisions first."""
    idle = [
        replicaset
        for replicaset in old
        if not replicaset["spec"].get("replicas", 1) and not (replicaset.get("status") or {}).get("replicas")
    ]
    excess = len(old) - _limit(deployment)
    return sorted(idle, key=number_of)[: max(excess, 0)]


def controller_revision(daemonset: Obj, template_hash: str, revisions: list[Obj]) -> Obj:
    """The ControllerRevision to create for the DaemonSet's current template."""
    template = daemonset["spec"]["template"]
    labels = ((template.get("metadata") or {}).get("labels") or {}) | {REVISION_LABEL: template_hash}
    metadata = daemonset["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{metadata['name']}-{template_hash}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations_of(daemonset),
            "ownerReferences": [owner_reference(daemonset, "apps/v1", "DaemonSet")],
        },
        "data": {"spec": {"template": {**copy.deepcopy(template), "$patch": "replace"}}},
        "revision": next_revision(revisions),
    }


def next_revision(revisions: list[Obj]) -> int:
    """The number after the latest of the ControllerRevisions."""
    return max((int(revision["revision"]) for revision in revisions), default=0) + 1


def surplus_revisions(daemonset: Obj, revisions: list[Obj], used: set[str]) -> list[Obj]:
    """ControllerRevisions beyond `revisionHistoryLimit` whose hash no pod has (`used`), the oldest first."""
    unused = [revision for revision in revisions if labels_of(revision).get(REVISION_LABEL) not in used]
    excess = len(unused) - _limit(daemonset)
    return sorted(unused, key=lambda revision: int(revision["revision"]))[: max(excess, 0)]


def _limit(workload: Obj) -> int:
    limit = workload["spec"].get("revisionHistoryLimit")
    return DEFAULT_HISTORY_LIMIT if limit is None else int(limit)
