"""Reads how the managed node groups of a cluster are now: what others do to them decides whether nodes come.

EKS changes no subnets of a group (UpdateNodegroupConfig in botocore's model has none): other subnets are another group.
This product updates no group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound, PermissionDenied, RequestRefused, Transient
from ip_remediator.snapshot.model_cluster import NodeGroup
from ip_remediator.snapshot.model_node_group import NodeGroupState

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

# Each is described by a call of its own, and EKS throttles early.
_MOST_DESCRIBED = 30
_MOST_UPDATES = 10
_FAILED = ("Failed", "Cancelled")
_UNREAD = (NotFound, PermissionDenied, RequestRefused, Transient)


class NodeGroups:
    """The managed node groups of one cluster. They are read for people: what cannot be read is left out."""

    def __init__(self, eks: EKSClient, cluster: str) -> None:
        self._eks = eks
        self._cluster = cluster

    def state(self, name: str) -> NodeGroupState | None:
        """None: there is no such group, or it cannot be read."""
        described = self._describe(name)
        return None if described is None else _state(name, described)

    def unwell(self, since: datetime, before: Iterable[NodeGroup]) -> tuple[NodeGroupState, ...]:
        """Those that are not ACTIVE, have health issues, or had an update since then that failed; and those of `before`
        that are gone, or have other subnets."""
        try:
            with aws_call("ListNodegroups"):
                pages = self._eks.get_paginator("list_nodegroups").paginate(clusterName=self._cluster)
                names = sorted(name for page in pages for name in page["nodegroups"])
        except _UNREAD:
            return ()
        subnets = {group.name: set(group.subnets) for group in before}
        states = [self._now(name, since, subnets.get(name)) for name in names[:_MOST_DESCRIBED]]
        deleted = [NodeGroupState(name=name, status=None) for name in sorted(subnets.keys() - set(names))]
        return tuple(state for state in (*states, *deleted) if state and not state.is_well)

    def _now(self, name: str, since: datetime, before: set[str] | None) -> NodeGroupState | None:
        described = self._describe(name)
        if described is None:
            return None
        subnets = described.get("subnets") or []
        moved = before is not None and set(subnets) != before
        more = {"failed_updates": self._failures(name, since), "moved_to": tuple(subnets) if moved else ()}
        return _state(name, described).model_copy(update=more)

    def _describe(self, name: str) -> dict[str, Any] | None:
        try:
            with aws_call("DescribeNodegroup"):
                return dict(self._eks.describe_nodegroup(clusterName=self._cluster, nodegroupName=name)["nodegroup"])
        except _UNREAD:
            return None

    def _failures(self, name: str, since: datetime) -> tuple[str, ...]:
        """The codes of updates that failed since then. The group is ACTIVE as before: only its updates tell it."""
        try:
            updates = list(self._updates(name))
        except _UNREAD:
            return ()
        begun = [update for update in updates if update["createdAt"] >= since.replace(microsecond=0)]
        failed = [update for update in begun if update["status"] in _FAILED]
        return tuple(dict.fromkeys(code for update in failed for code in _codes(update)))

    def _updates(self, name: str) -> Iterator[dict[str, Any]]:
        with aws_call("ListUpdates"):
            pages = self._eks.get_paginator("list_updates").paginate(name=self._cluster, nodegroupName=name)
            ids = [update for page in pages for update in page["updateIds"]]
        for update in ids[:_MOST_UPDATES]:
            with aws_call("DescribeUpdate"):
                asked = {"name": self._cluster, "nodegroupName": name, "updateId": update}
                yield dict(self._eks.describe_update(**asked)["update"])


def _state(name: str, described: dict[str, Any]) -> NodeGroupState:
    issues = (described.get("health") or {}).get("issues") or []
    codes = dict.fromkeys(str(issue.get("code")) for issue in issues)
    return NodeGroupState(name=name, status=described.get("status", ""), issues=tuple(codes))


def _codes(update: dict[str, Any]) -> list[str]:
    return [str(error.get("errorCode")) for error in update.get("errors") or ()] or [str(update["status"])]
