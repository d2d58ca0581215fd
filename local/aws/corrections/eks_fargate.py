"""EKS: Fargate profiles, which MiniStack lacks. One is ACTIVE at once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ministack.core.responses import get_account_id, get_region
from ministack.services import eks

from local.aws.corrections.eks_addons import error
from local.aws.corrections.guard import original, replace
from local.aws.partitions import partition_of
from local.aws.wire import Answer

_PROFILES = re.compile(r"/clusters/([^/]+)/fargate-profiles")
_PROFILE = re.compile(r"/clusters/([^/]+)/fargate-profiles/([^/]+)")
_Key = tuple[str, str, str, str]


def install() -> None:
    """Answer CreateFargateProfile, DescribeFargateProfile, ListFargateProfiles and DeleteFargateProfile."""
    handle = original(eks, "_handle_request_sync")
    profiles = FargateProfiles()

    def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
        if match := _PROFILES.fullmatch(path):
            return profiles.answer_all(method, match[1], json.loads(body or b"{}"))
        if match := _PROFILE.fullmatch(path):
            return profiles.answer_one(method, *match.groups())
        return handle(method, path, headers, body, query)

    replace(eks, "_handle_request_sync", handle_request)


class FargateProfiles:
    """The profiles of every account, region and cluster."""

    def __init__(self) -> None:
        self._clusters = original(eks, "_clusters")
        self._profiles: dict[_Key, dict[str, Any]] = {}

    def answer_all(self, method: str, cluster: str, body: dict[str, Any]) -> Answer:
        """Create one, or list them."""
        if cluster not in self._clusters:
            return error(404, "ResourceNotFoundException", f"No cluster found for name: {cluster}.")
        if method == "POST":
            return self._create(cluster, body)
        names = [key[3] for key in self._profiles if key[:3] == _key(cluster, "")[:3]]
        return _json({"fargateProfileNames": names})

    def answer_one(self, method: str, cluster: str, name: str) -> Answer:
        """Describe one, or delete it."""
        key = _key(cluster, name)
        if key not in self._profiles:
            return error(404, "ResourceNotFoundException", f"No Fargate Profile found with name: {name}.")
        if method == "DELETE":
            return _json({"fargateProfile": {**self._profiles.pop(key), "status": "DELETING"}})
        return _json({"fargateProfile": self._profiles[key]})

    def _create(self, cluster: str, body: dict[str, Any]) -> Answer:
        name = body["fargateProfileName"]
        if _key(cluster, name) in self._profiles:
            return error(409, "ResourceInUseException", f"Fargate Profile already exists with name {name}")
        region = get_region()
        start = f"arn:{partition_of(region)}:eks:{region}:{get_account_id()}"
        profile = {
            "fargateProfileName": name,
            "fargateProfileArn": f"{start}:fargateprofile/{cluster}/{name}/{uuid4()}",
            "clusterName": cluster,
            "createdAt": datetime.now(UTC).timestamp(),
            "podExecutionRoleArn": body["podExecutionRoleArn"],
            "subnets": body.get("subnets", []),
            "selectors": body.get("selectors", []),
            "status": "ACTIVE",
            "tags": body.get("tags", {}),
            "health": {"issues": []},
        }
        self._profiles[_key(cluster, name)] = profile
        return _json({"fargateProfile": profile})


def _key(cluster: str, name: str) -> _Key:
    return get_account_id(), get_region(), cluster, name


def _json(document: dict[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()
