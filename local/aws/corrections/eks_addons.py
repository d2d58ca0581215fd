"""EKS add-ons: an update is a record that takes time and can be described."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import yaml
from ministack.services import eks

from local.aws.corrections.guard import original, replace

# Environment of the VPC CNI's add-on schema as far as the project sets it; the real schema names every variable.
VPC_CNI_SCHEMA = {
    "$schema": "http://json-schema.org/draft-06/schema#",
    "type": "object",
    "properties": {"env": {"type": "object", "additionalProperties": {"type": "string"}}},
}
UNSUPPORTED_VALUES = "ConfigurationValue provided in request is not supported"
ADDON_VERSIONS = ("v1.23.1-eksbuild.1", "v1.22.1-eksbuild.1")

Answer = tuple[int, dict[str, str], bytes]


def install(seconds: float) -> None:
    """Restore updates of add-ons, each in progress for ``seconds``, and the routes that describe add-ons."""
    updates = AddonUpdates(seconds)
    updates.install()
    answer_missing_routes(updates)


class AddonUpdates:
    """An add-on's update is a record that takes time; MiniStack applies it at once and forgets it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._records: dict[str, dict[str, Any]] = {}

    def install(self) -> None:
        """Keep the updates, and show the add-on as UPDATING while one is in progress."""
        update, describe = original(eks, "_update_addon"), original(eks, "_describe_addon")

        def update_addon(cluster: str, addon: str, body: dict[str, Any]) -> Answer:
            values = body.get("configurationValues")
            if values and not _is_mapping(values):
                return error(
                    400, "InvalidParameterException", "ConfigurationValue provided in request is not supported"
                )
            if self._running(cluster, addon):
                return error(409, "ResourceInUseException", f"Addon {addon} has an update in progress")
            answer: Answer = update(cluster, addon, body)
            if answer[0] >= 300:
                return answer
            return _json(200, {"update": self._keep(cluster, addon, json.loads(answer[2])["update"], body)})

        def describe_addon(cluster: str, addon: str) -> Answer:
            answer: Answer = describe(cluster, addon)
            if answer[0] >= 300 or not self._running(cluster, addon):
                return answer
            document = json.loads(answer[2])
            document["addon"]["status"] = "UPDATING"
            return _json(200, document)

        replace(eks, "_update_addon", update_addon)
        replace(eks, "_describe_addon", describe_addon)

    def describe(self, cluster: str, update_id: str) -> Answer:
        """DescribeUpdate. ResourceNotFoundException for an unknown one."""
        record = self._records.get(update_id)
        if record is None or record["cluster"] != cluster:
            return error(404, "ResourceNotFoundException", f"No update found for ID: {update_id}")
        status = "InProgress" if time.monotonic() < record["ends"] else "Successful"
        return _json(200, {"update": {**record["update"], "status": status}})

    def list(self, cluster: str) -> Answer:
        """ListUpdates."""
        return _json(200, {"updateIds": [key for key, one in self._records.items() if one["cluster"] == cluster]})

    def _keep(self, cluster: str, addon: str, update: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        names = {"addonVersion": "AddonVersion", "configurationValues": "ConfigurationValues"}
        params = [{"type": kind, "value": body[name]} for name, kind in names.items() if name in body]
        kept = {**update, "status": "InProgress", "type": "AddonUpdate", "params": params, "errors": []}
        ends = time.monotonic() + self._seconds
        self._records[update["id"]] = {"cluster": cluster, "addon": addon, "ends": ends, "update": kept}
        return kept

    def _running(self, cluster: str, addon: str) -> bool:
        now = time.monotonic()
        return any(
            (one["cluster"], one["addon"]) == (cluster, addon) and now < one["ends"] for one in self._records.values()
        )


def answer_missing_routes(updates: AddonUpdates) -> None:
    """DescribeUpdate, ListUpdates, DescribeAddonVersions and DescribeAddonConfiguration, which MiniStack lacks."""
    handle = original(eks, "_handle_request_sync")
    one_update = re.compile(r"/clusters/([^/]+)/updates/([^/]+)")
    all_updates = re.compile(r"/clusters/([^/]+)/updates")

    def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
        if method == "GET":
            if match := one_update.fullmatch(path):
                return updates.describe(*match.groups())
            if match := all_updates.fullmatch(path):
                return updates.list(match[1])
            if path == "/addons/supported-versions":
                return _json(200, {"addons": [_versions(_value(query, "addonName") or "vpc-cni")]})
            if path == "/addons/configuration-schemas":
                return _configuration(_value(query, "addonName"), _value(query, "addonVersion"))
        return handle(method, path, headers, body, query)

    replace(eks, "_handle_request_sync", handle_request)


def _versions(addon: str) -> dict[str, Any]:
    versions = [{"addonVersion": one, "architecture": ["amd64", "arm64"]} for one in ADDON_VERSIONS]
    return {"addonName": addon, "type": "networking", "owner": "aws", "publisher": "eks", "addonVersions": versions}


def _configuration(addon: str, version: str) -> Answer:
    schema = json.dumps(VPC_CNI_SCHEMA if addon == "vpc-cni" else {"type": "object"})
    return _json(200, {"addonName": addon, "addonVersion": version, "configurationSchema": schema})


def _value(query: dict[str, Any], name: str) -> str:
    value = query.get(name, "")
    return str(value[0] if isinstance(value, list) else value)


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(yaml.safe_load(text), dict)
    except yaml.YAMLError:
        return False


def _json(status: int, document: dict[str, Any]) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document, default=str).encode()


def error(status: int, code: str, message: str) -> Answer:
    """An error as EKS answers it."""
    headers = {"Content-Type": "application/json", "x-amzn-errortype": code}
    return status, headers, json.dumps({"__type": code, "message": message}).encode()
