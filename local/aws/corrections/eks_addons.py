"""EKS add-ons: configurations are validated, and updates take time, can be described and can fail."""

from __future__ import annotations

import copy
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ministack.services import eks

from local.aws.corrections import eks_addon_schema
from local.aws.corrections.guard import original, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.switches import Switches

# As cookpad/terraform-aws-eks #331 and terraform-aws-eks-blueprints issues quote it.
UNSUPPORTED_VALUES = "ConfigurationValue provided in request is not supported: Json schema validation failed with error"
ADDON_VERSIONS = ("v1.23.1-eksbuild.1", "v1.22.1-eksbuild.1")
OPTIONAL = frozenset({"configurationValues", "serviceAccountRoleArn", "podIdentityAssociations"})
IN_PROGRESS, SUCCESSFUL, FAILED = "InProgress", "Successful", "Failed"

Answer = tuple[int, dict[str, str], bytes]


def install(switches: Switches) -> None:
    """Validate configurations and keep a record of each update."""
    updates = AddonUpdates(switches)
    updates.install()
    answer_missing_routes(updates)


@dataclass
class Record:
    """An update: its document, when it ends, and the add-on as it was before."""

    cluster: str
    addon: str
    ends: float
    update: dict[str, Any]
    before: dict[str, Any]
    shows_old_values: bool
    fails: bool

    @property
    def running(self) -> bool:
        """Whether the update is still in progress."""
        return time.monotonic() < self.ends

    @property
    def status(self) -> str:
        """The update's status as EKS names it."""
        if self.running:
            return IN_PROGRESS
        return FAILED if self.fails else SUCCESSFUL


class AddonUpdates:
    """Updates of add-ons take time and can be described; MiniStack applies them at once and keeps no record."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._records: dict[str, Record] = {}
        self._addons = original(eks, "_addons")

    def install(self) -> None:
        """Replace MiniStack's CreateAddon, UpdateAddon and DescribeAddon."""
        replace(eks, "_create_addon", self._creating(original(eks, "_create_addon")))
        replace(eks, "_update_addon", self._updating(original(eks, "_update_addon")))
        replace(eks, "_describe_addon", self._describing(original(eks, "_describe_addon")))

    def describe(self, cluster: str, update_id: str, addon: str) -> Answer:
        """DescribeUpdate, which needs the add-on's name (API_DescribeUpdate.html). ResourceNotFoundException."""
        record = self._records.get(update_id)
        if record is None or (record.cluster, record.addon) != (cluster, addon):
            return error(404, "ResourceNotFoundException", f"No update found for ID: {update_id}")
        errors: list[dict[str, Any]] = []
        if record.status == FAILED:
            message = "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode"
            errors = [{"errorCode": "ConfigurationConflict", "errorMessage": message, "resourceIds": []}]
        return _json(200, {"update": {**record.update, "status": record.status, "errors": errors}})

    def list(self, cluster: str, addon: str) -> Answer:
        """ListUpdates of an add-on; without its name those of the cluster itself, which has none here."""
        kept = self._records.items()
        return _json(200, {"updateIds": [key for key, one in kept if (one.cluster, one.addon) == (cluster, addon)]})

    def configuration(self, addon: str, version: str) -> Answer:
        """DescribeAddonConfiguration."""
        schema = json.dumps(eks_addon_schema.schema_of(addon, self._switches.addon_schema_lacks))
        return _json(200, {"addonName": addon, "addonVersion": version, "configurationSchema": schema})

    def _creating(self, create: Callable[..., Answer]) -> Callable[..., Answer]:
        def create_addon(cluster: str, body: dict[str, Any]) -> Answer:
            addon = body.get("addonName", "")
            answer = self._refused(addon, body) or create(cluster, body)
            if answer[0] < 300:
                # An earlier add-on of this name may have been deleted; its updates no longer exist.
                self._records = {
                    key: one for key, one in self._records.items() if (one.cluster, one.addon) != (cluster, addon)
                }
            return answer

        return create_addon

    def _updating(self, update: Callable[..., Answer]) -> Callable[..., Answer]:
        def update_addon(cluster: str, addon: str, body: dict[str, Any]) -> Answer:
            present = self._addons.get(f"{cluster}/{addon}")
            refused = self._refused(addon, body) if present is not None else None
            if refused:
                return refused
            if self._latest(cluster, addon, running=True):
                # in the words of eksctl #8091
                words = f"Addon {addon} cannot be updated as it is currently in UPDATING state"
                return error(409, "ResourceInUseException", words)
            before = copy.deepcopy(present)
            answer = update(cluster, addon, body)
            if answer[0] >= 300:
                return answer
            if self._switches.addon_updates_fail:
                present.update(before)
            elif "serviceAccountRoleArn" not in body:
                # "If you don't specify an existing IAM role, then the add-on uses the permissions assigned to the
                # node IAM role" (API_UpdateAddon.html).
                present.pop("serviceAccountRoleArn", None)
            return _json(200, {"update": self._keep(cluster, addon, json.loads(answer[2])["update"], body, before)})

        return update_addon

    def _describing(self, describe: Callable[..., Answer]) -> Callable[..., Answer]:
        def describe_addon(cluster: str, addon: str) -> Answer:
            answer = describe(cluster, addon)
            if answer[0] >= 300:
                return answer
            shown = json.loads(answer[2])["addon"]
            record = self._latest(cluster, addon)
            if record is not None and record.running and record.shows_old_values:
                shown = {**record.before, "modifiedAt": shown["modifiedAt"]}
            # EKS omits fields that are not set instead of returning empty ones (API_DescribeAddon.html).
            shown = {name: value for name, value in shown.items() if value or name not in OPTIONAL}
            return _json(200, {"addon": {**shown, **self._state(record)}})

        return describe_addon

    def _state(self, record: Record | None) -> dict[str, Any]:
        if record is not None and record.running:
            return {"status": "UPDATING"}
        status = "UPDATE_FAILED" if record is not None and record.fails else self._switches.addon_status
        if status != "DEGRADED":
            return {"status": status}
        message = "The add-on is unhealthy because it doesn't have the desired number of replicas."
        return {"status": status, "health": {"issues": [{"code": "InsufficientNumberOfReplicas", "message": message}]}}

    def _refused(self, addon: str, body: dict[str, Any]) -> Answer | None:
        """InvalidParameterException when the configuration does not fit the schema."""
        values = body.get("configurationValues")
        if values is None or (values == "" and not self._switches.addon_refuses_empty_values):
            return None
        faults = eks_addon_schema.faults(addon, values, self._switches.addon_schema_lacks)
        if not faults:
            return None
        return error(400, "InvalidParameterException", f"{UNSUPPORTED_VALUES}: [{', '.join(faults)}]")

    def _keep(
        self, cluster: str, addon: str, update: dict[str, Any], body: dict[str, Any], before: dict[str, Any]
    ) -> dict[str, Any]:
        names = {
            "addonVersion": "AddonVersion",
            "configurationValues": "ConfigurationValues",
            "serviceAccountRoleArn": "ServiceAccountRoleArn",
            "resolveConflicts": "ResolveConflicts",
        }
        params = [{"type": kind, "value": body[name]} for name, kind in names.items() if name in body]
        kept = {**update, "status": IN_PROGRESS, "type": "AddonUpdate", "params": params, "errors": []}
        switches = self._switches
        ends = time.monotonic() + switches.addon_update_seconds
        self._records[update["id"]] = Record(
            cluster, addon, ends, kept, before, switches.addon_shows_old_values, switches.addon_updates_fail
        )
        return kept

    def _latest(self, cluster: str, addon: str, *, running: bool = False) -> Record | None:
        kept = [one for one in self._records.values() if (one.cluster, one.addon) == (cluster, addon)]
        return next((one for one in reversed(kept) if one.running or not running), None)


def answer_missing_routes(updates: AddonUpdates) -> None:
    """DescribeUpdate, ListUpdates, DescribeAddonVersions and DescribeAddonConfiguration, which MiniStack lacks."""
    handle = original(eks, "_handle_request_sync")
    one_update = re.compile(r"/clusters/([^/]+)/updates/([^/]+)")
    all_updates = re.compile(r"/clusters/([^/]+)/updates")

    def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
        if method == "GET":
            addon = _value(query, "addonName")
            if match := one_update.fullmatch(path):
                return updates.describe(match[1], match[2], addon)
            if match := all_updates.fullmatch(path):
                return updates.list(match[1], addon)
            if path == "/addons/supported-versions":
                return _json(200, {"addons": [_versions(addon or eks_addon_schema.VPC_CNI)]})
            if path == "/addons/configuration-schemas":
                return updates.configuration(addon, _value(query, "addonVersion"))
        return handle(method, path, headers, body, query)

    replace(eks, "_handle_request_sync", handle_request)


def _versions(addon: str) -> dict[str, Any]:
    versions = [{"addonVersion": one, "architecture": ["amd64", "arm64"]} for one in ADDON_VERSIONS]
    return {"addonName": addon, "type": "networking", "owner": "aws", "publisher": "eks", "addonVersions": versions}


def _value(query: dict[str, Any], name: str) -> str:
    value = query.get(name, "")
    return str(value[0] if isinstance(value, list) else value)


def _json(status: int, document: dict[str, Any]) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document, default=str).encode()


def error(status: int, code: str, message: str) -> Answer:
    """An error as EKS answers it."""
    headers = {"Content-Type": "application/json", "x-amzn-errortype": code}
    return status, headers, json.dumps({"__type": code, "message": message}).encode()
