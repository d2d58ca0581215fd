"""EKS's side of the managed add-on `vpc-cni`: applies its configuration to the aws-node DaemonSet, repeatedly."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from local.cluster import manifests
from local.cluster.kube import DAEMONSETS, KubeApi
from local.cluster.workqueue import Worker

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

ADDON = "vpc-cni"
FIELD_MANAGER = "eks"
_LOG = logging.getLogger(__name__)


class AddonManager:
    """Applies the add-on as soon as EKS has a new configuration for it, and every `reconcile_seconds` whatever
    happened meanwhile: that is what overwrites an environment variable set by hand (about every 15 minutes on EKS).

    Server-side apply with force: fields of others stay, fields the add-on manages are taken back, and a variable that
    left the configuration leaves the DaemonSet. A cluster without the managed add-on is left alone.
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
        self._api.apply(DAEMONSETS.path_of(daemonset), daemonset, FIELD_MANAGER)
        _LOG.info("add-on %s applied with env %s", ADDON, environment)
