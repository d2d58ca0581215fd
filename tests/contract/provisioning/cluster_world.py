"""One cluster with its add-on and an incident whose subnets are made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.aws.eks import Eks
from ip_remediator.clients.aws.eks_addon import CniAddon, parse_configuration
from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.connect import OpenCluster
from ip_remediator.incidents.repository import Incidents
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cluster import ClusterConfiguration
from ip_remediator.snapshot.kubernetes import ENI_CONFIGS
from tests.contract.conftest import briefly
from tests.contract.support.clusters import WRITER, Kubernetes

ZONES = ("ap-northeast-2a", "ap-northeast-2b")
SUBNETS = dict(zip(ZONES, ("subnet-ours-a", "subnet-ours-b"), strict=True))


@dataclass
class World:
    """One cluster with its incident, whose subnets are made."""

    kubernetes: Kubernetes
    eks: Any
    incidents: Incidents
    log: ChangeLog
    cluster: str

    @property
    def step(self) -> ClusterConfiguration:
        """As a new invocation has it."""
        return self.step_by(self.kubernetes.api(WRITER))

    def step_by(self, kube: KubeApi) -> ClusterConfiguration:
        eks = Eks(self.eks, self.cluster)
        opened = OpenCluster({}, eks, CniAddon(self.eks, self.cluster, briefly), kube)
        return ClusterConfiguration(self.incidents.get(self.log.incident), self.incidents, self.log, opened)

    def eni_configs(self) -> dict[str, str]:
        listed = self.kubernetes.admin.find(ENI_CONFIGS) or {"items": []}
        return {item["metadata"]["name"]: item["spec"]["subnet"] for item in listed["items"]}

    def configuration(self) -> dict[str, Any]:
        addon = self.eks.describe_addon(clusterName=self.cluster, addonName="vpc-cni")["addon"]
        return parse_configuration(addon.get("configurationValues"))

    def reconfigure(self, values: dict[str, Any]) -> None:
        asked = {"clusterName": self.cluster, "addonName": "vpc-cni", "configurationValues": json.dumps(values)}
        CniAddon(self.eks, self.cluster, briefly).await_update(self.eks.update_addon(**asked)["update"]["id"])
