"""EKS's side of the managed add-on `vpc-cni`: applies its configuration to the aws-node DaemonSet, repeatedly."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from local.cluster import manifests
from local.cluster.kube import DAEMONSETS, ApiError, KubeApi
from local.cluster.workqueue import Worker

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

    from local.cluster.objects import Obj

ADDON = "vpc-cni"
FIELD_MANAGER = "eks"
CONFLICT = 409
# A variable in the words of a conflict: …containers[name="aws-node"].env[name="WARM_IP_TARGET"].value
_IN_CONFLICT = re.compile(r'\.env\[name="([^"]+)"\]')
_LOG = logging.getLogger(__name__)


class AddonManager:
    """Applies the add-on as soon as EKS has a new configuration for it, and every `reconcile_seconds` whatever
    happened meanwhile: that is what overwrites an environment variable set by hand (about every 15 minutes on EKS).

    Server-side apply with force: fields of others stay, fields the add-on manages are taken back, and a variable that
    left the configuration leaves the DaemonSet. A cluster without the managed add-on is left alone.

    After an update with PRESERVE ("Amazon EKS preserves the value", API_UpdateAddon.html) variables that others wrote
    by then keep their values.
    """

    def __init__(
        self, api: KubeApi, eks: EKSClient, cluster: str, *, poll_seconds: float, reconcile_seconds: float
    ) -> None:
        self._api = api
        self._eks = eks
        self._cluster = cluster
        self._poll_seconds = poll_seconds
        self._reconcile_seconds = reconcile_seconds
        self._applied: tuple[str, str] | None = None
        self._applied_at = float("-inf")
        self.worker = Worker("addon-manager", self._reconcile)
        self.worker.queue.add(ADDON)

    def _reconcile(self, _key: str) -> float:
        wanted = self._describe()
        drifted = time.monotonic() - self._applied_at >= self._reconcile_seconds
        if wanted is not None and (wanted != self._applied or drifted):
            self._apply(wanted[1])
            self._applied, self._applied_at = wanted, time.monotonic()
        return self._poll_seconds

    def _describe(self) -> tuple[str, str] | None:
        """(version, configuration values); None without the add-on or when EKS does not answer."""
        try:
            addon = self._eks.describe_addon(clusterName=self._cluster, addonName=ADDON)["addon"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                _LOG.warning("cannot describe add-on %s: %s", ADDON, error)
            return None
        except BotoCoreError as error:
            _LOG.warning("cannot describe add-on %s: %s", ADDON, error)
            return None
        return addon.get("addonVersion", ""), addon.get("configurationValues") or "{}"

    def _apply(self, configuration: str) -> None:
        environment = (yaml.safe_load(configuration) or {}).get("env") or {}
        daemonset = manifests.aws_node({"CLUSTER_NAME": self._cluster} | environment)
        container = daemonset["spec"]["template"]["spec"]["containers"][0]
        preserved = self._preserved(daemonset)
        container["env"] = [{**item, **preserved.get(item["name"], {})} for item in container["env"]]
        self._api.apply(DAEMONSETS.path_of(daemonset), daemonset, FIELD_MANAGER)
        _LOG.info("add-on %s applied with env %s, preserved %s", ADDON, environment, list(preserved))

    def _preserved(self, daemonset: Obj) -> dict[str, Obj]:
        """The variables that others hold, with their values, if the last update preserves such."""
        path = DAEMONSETS.path_of(daemonset)
        if self._conflicts_resolved_by() != "PRESERVE":
            return {}
        try:
            self._api.apply(path, daemonset, FIELD_MANAGER, force=False)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            in_conflict = set(_IN_CONFLICT.findall(str(error)))
            live = self._api.get(path)["spec"]["template"]["spec"]["containers"][0]["env"]
            return {item["name"]: item for item in live if item["name"] in in_conflict}
        return {}

    def _conflicts_resolved_by(self) -> str | None:
        """`resolveConflicts` of the last update of the add-on."""
        ids = self._eks.list_updates(name=self._cluster, addonName=ADDON)["updateIds"]
        if not ids:
            return None
        update = self._eks.describe_update(name=self._cluster, addonName=ADDON, updateId=ids[-1])["update"]
        params = update.get("params", [])
        return next((str(one.get("value")) for one in params if one.get("type") == "ResolveConflicts"), None)
