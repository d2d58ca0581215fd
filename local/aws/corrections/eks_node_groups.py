"""EKS: updates of managed node groups, which MiniStack lacks, and groups that are not well.

Sources: botocore's model of UpdateNodegroupConfig and UpdateNodegroupVersion (neither takes subnets; a launch template
must be that of the creation), of NodegroupStatus, NodegroupIssueCode and ErrorCode; karpenter-provider-aws #133 for the
refusal while a group is not ACTIVE; crossplane-contrib/provider-aws #1475: after a failed update the group is ACTIVE as
before; containers-roadmap #2326: a DEGRADED group can be changed. "Managed node update behavior" of the EKS User Guide:
an update of the version replaces each node; nobody is drained here (local/cluster/nodes/nodegroups.py).
"""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import eks
from moto.autoscaling.models import autoscaling_backends

from local.aws.corrections.eks_addons import Answer, error
from local.aws.corrections.guard import original, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.switches import Switches

_CHANGE = re.compile(r"/clusters/([^/]+)/node-groups/([^/]+)/update-(config|version)")
_UPDATES = re.compile(r"/clusters/([^/]+)/updates(?:/([^/]+))?")
_KINDS = {"config": "ConfigUpdate", "version": "VersionUpdate"}
_NOT_ACTIVE = "Nodegroup cannot be updated as it is currently not in Active State"
_SIZES = {"minSize": "min_size", "maxSize": "max_size", "desiredSize": "desired_capacity"}


@dataclass
class Update:
    """An update of the group `arn`: its name and cluster can be another group's later. `fails_by`: an ErrorCode."""

    arn: str
    cluster: str
    group: str
    kind: str
    body: dict[str, Any]
    ends: float
    fails_by: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: float = field(default_factory=time.time)
    settled: bool = False

    @property
    def status(self) -> str:
        """As DescribeUpdate names it."""
        if time.monotonic() < self.ends:
            return "InProgress"
        return "Failed" if self.fails_by else "Successful"

    def document(self) -> dict[str, Any]:
        """The update as DescribeUpdate returns it."""
        failed = [{"errorCode": self.fails_by, "errorMessage": "it did not work", "resourceIds": []}]
        return {
            "id": self.id,
            "status": self.status,
            "type": _KINDS[self.kind],
            "params": [],
            "createdAt": self.created,
            "errors": failed if self.status == "Failed" else [],
        }


class NodeGroupUpdates:
    """The updates of every node group; looked at whenever EKS is asked, for nothing ends them otherwise."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._groups = original(eks, "_nodegroups")
        self._updates: list[Update] = []

    def install(self) -> None:
        """Puts this in front of MiniStack's EKS handlers."""
        handle = original(eks, "_handle_request_sync")
        create, describe = original(eks, "_create_nodegroup"), original(eks, "_describe_nodegroup")

        def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
            self._settle()
            group = query.get("nodegroupName", "")
            group = group[0] if isinstance(group, list) else group
            if method == "POST" and (match := _CHANGE.fullmatch(path)):
                return self._start(match[1], match[2], match[3], json.loads(body or b"{}"))
            if method == "GET" and group and (match := _UPDATES.fullmatch(path)):
                return self._describe_updates(match[1], group, match[2])
            return handle(method, path, headers, body, query)

        replace(eks, "_handle_request_sync", handle_request)
        replace(eks, "_create_nodegroup", self._creating(create))
        replace(eks, "_describe_nodegroup", self._describing(describe))

    def _creating(self, create: Callable[..., Answer]) -> Callable[..., Answer]:
        def create_nodegroup(cluster: str, body: dict[str, Any]) -> Answer:
            """With its launch template, which MiniStack drops."""
            answer = create(cluster, body)
            if answer[0] < 300 and (template := body.get("launchTemplate")):
                group = self._groups[f"{cluster}/{body['nodegroupName']}"]
                group["launchTemplate"] = {"version": "1", **template}
                return _answer({"nodegroup": group})
            return answer

        return create_nodegroup

    def _describing(self, describe: Callable[..., Answer]) -> Callable[..., Answer]:
        def describe_nodegroup(cluster: str, name: str) -> Answer:
            answer = describe(cluster, name)
            if answer[0] >= 300:
                return answer
            shown = json.loads(answer[2])["nodegroup"]
            if code := self._issue_of(name):
                issue = {"code": code, "message": "found by EKS", "resourceIds": []}
                shown |= {"status": "DEGRADED", "health": {"issues": [issue]}}
            if self._running(shown["nodegroupArn"]):
                shown["status"] = "UPDATING"
            return _answer({"nodegroup": shown})

        return describe_nodegroup

    def _issue_of(self, name: str) -> str:
        named = dict(entry.split("=") for entry in self._switches.degraded_node_groups.split(",") if entry)
        return named.get(name, "")

    def _start(self, cluster: str, name: str, kind: str, body: dict[str, Any]) -> Answer:
        group = self._groups.get(f"{cluster}/{name}")
        if group is None:
            return error(404, "ResourceNotFoundException", f"No node group found for name: {name}.")
        arn, token = group["nodegroupArn"], body.get("clientRequestToken", "")
        if again := [one for one in self._updates if one.arn == arn and one.body.get("clientRequestToken") == token]:
            return _answer({"update": again[0].document()})
        if self._running(arn):
            return error(409, "ResourceInUseException", _NOT_ACTIVE)
        if refusal := _refusal(group, body):
            return error(400, "InvalidParameterException", refusal)
        ends = time.monotonic() + self._switches.node_group_update_seconds
        fails_by = self._switches.node_group_updates_fail_by
        update = Update(arn, cluster, name, kind, body, ends, fails_by)
        self._updates.append(update)
        if kind == "version" and not fails_by:
            _renew(cluster, name)
        return _answer({"update": update.document()})

    def _describe_updates(self, cluster: str, group: str, update: str | None) -> Answer:
        """DescribeUpdate and ListUpdates of the group that has this name now: another one's are not told any more."""
        present = self._groups.get(f"{cluster}/{group}")
        if present is None:
            return error(404, "ResourceNotFoundException", f"No node group found for name: {group}.")
        kept = [one for one in self._updates if one.arn == present["nodegroupArn"]]
        if update is None:
            return _answer({"updateIds": [one.id for one in kept]})
        described = next((one.document() for one in kept if one.id == update), None)
        if described is None:
            return error(404, "ResourceNotFoundException", f"No update found for ID: {update}")
        return _answer({"update": described})

    def _running(self, arn: str) -> bool:
        return any(one.arn == arn and one.status == "InProgress" for one in self._updates)

    def _settle(self) -> None:
        for update in self._updates:
            group = self._groups.get(f"{update.cluster}/{update.group}")
            if update.settled or update.status == "InProgress" or group is None:
                continue
            update.settled = True
            if update.status == "Successful" and group["nodegroupArn"] == update.arn:
                _apply(group, update)


def _refusal(group: dict[str, Any], body: dict[str, Any]) -> str:
    wanted, present = body.get("launchTemplate"), group.get("launchTemplate")
    if not wanted:
        return ""
    if not present:
        return "You cannot specify a launch template: the node group was not created with one"
    named = {key: wanted[key] for key in ("id", "name") if key in wanted}
    if any(present.get(key, value) != value for key, value in named.items()):
        return "The launch template must be the one that the node group was created with"
    return ""


def _apply(group: dict[str, Any], update: Update) -> None:
    body = update.body
    if sizes := body.get("scalingConfig"):
        group["scalingConfig"] = {**group["scalingConfig"], **sizes}
        for scaling in _auto_scaling_groups(update.cluster, update.group):
            for name, value in sizes.items():
                if name == "desiredSize":
                    scaling.set_desired_capacity(value)
                else:
                    setattr(scaling, _SIZES[name], value)
    labels = body.get("labels") or {}
    kept = {key: value for key, value in group["labels"].items() if key not in labels.get("removeLabels", ())}
    group["labels"] = {**kept, **labels.get("addOrUpdateLabels", {})}
    if template := body.get("launchTemplate"):
        group["launchTemplate"] = {**group["launchTemplate"], **template}
    group |= {name: body[name] for name in ("version", "releaseVersion", "updateConfig") if name in body}


def _renew(cluster: str, name: str) -> None:
    backend = autoscaling_backends[get_account_id()][get_region()]
    for scaling in _auto_scaling_groups(cluster, name):
        for member in list(scaling.instance_states):
            backend.terminate_instance(member.instance.id, False)


def _auto_scaling_groups(cluster: str, name: str) -> list[Any]:
    """The group behind the node group, by the tags that EKS gives it."""
    wanted = {"eks:cluster-name": cluster, "eks:nodegroup-name": name}
    backend = autoscaling_backends[get_account_id()][get_region()]
    return [
        group
        for group in backend.autoscaling_groups.values()
        if wanted.items() <= {tag["Key"]: tag["Value"] for tag in group.tags}.items()
    ]


def _answer(document: dict[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(document, default=str).encode()
