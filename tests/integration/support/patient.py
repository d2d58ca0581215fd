"""A simulated cluster in the lab, and everything about it that a remediation could leave behind."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from types import SimpleNamespace
from typing import Any

from local.cluster.kube import DAEMONSETS, ENICONFIGS, PODS, ApiError, KubeApi
from local.cluster.scenario import Seeded, seed, wait_settled
from local.cluster.scenario_spec import NodeSpec, Scenario, Zone
from local.stack.processes import Server
from tests.integration.support.lab import Lab

CGNAT = IPv4Network("100.64.0.0/10")
ZONES = ("ap-northeast-2a", "ap-northeast-2b")
_NUMBERS = itertools.count(1)


def scenario_in(region: str) -> Scenario:
    """The reference scenario in another Region."""
    zones = (Zone(f"{region}a", "10.0.0.0/28"), Zone(f"{region}b", "10.0.1.0/28"))
    return replace(Scenario(), zones=zones, nodes=tuple(NodeSpec(zone.name) for zone in zones))


@dataclass
class Patient:
    """A cluster with its Kubernetes API and its simulator, which are processes of their own."""

    lab: Lab
    name: str
    seeded: Seeded
    api: KubeApi
    kubernetes: Server
    simulator: Server

    @property
    def vpc_id(self) -> str:
        return self.seeded.network.vpc_id

    def scale(self, replicas: int) -> None:
        self.lab.stack.kubectl("scale", "deployment", "nginx", f"--replicas={replicas}")

    def settle(self, running: int, stuck: int) -> None:
        wait_settled(self.api, running, stuck)

    # ------------------------------------------------------------------------------------------ Kubernetes
    def pods(self) -> list[dict[str, Any]]:
        return [
            pod for pod in self.api.get(PODS.path("default"))["items"] if pod["metadata"]["labels"]["app"] == "nginx"
        ]

    def addresses(self) -> dict[str, str]:
        """Address by name of the nginx pods that run."""
        return {
            pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in self.pods()
            if pod["status"]["phase"] == "Running"
        }

    def moved(self) -> dict[str, str]:
        """Those of `addresses` that are of the CG-NAT range."""
        return {pod: address for pod, address in self.addresses().items() if IPv4Address(address) in CGNAT}

    def eni_configs(self) -> dict[str, Any] | None:
        """Spec by name; None without the CRD."""
        try:
            return {item["metadata"]["name"]: item["spec"] for item in self.api.get(ENICONFIGS.path())["items"]}
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def aws_node(self) -> dict[str, Any]:
        return self.api.get(DAEMONSETS.path("kube-system", "aws-node"))

    def cni_environment(self) -> dict[str, str]:
        containers = self.aws_node()["spec"]["template"]["spec"]["containers"]
        [container] = [one for one in containers if one["name"] == "aws-node"]
        return {item["name"]: item["value"] for item in container["env"] if "value" in item}

    # ------------------------------------------------------------------------------------------ EC2
    def cidrs(self) -> list[str]:
        vpc = self._ec2.describe_vpcs(VpcIds=[self.vpc_id])["Vpcs"][0]
        associations = vpc["CidrBlockAssociationSet"]
        states = ("disassociated", "failed")
        return sorted(
            association["CidrBlock"]
            for association in associations
            if association["CidrBlockState"]["State"] not in states
        )

    def subnets(self) -> dict[str, dict[str, Any]]:
        """Subnet by id: its CIDR, zone, tags, route table ("main" unless it has one of its own) and network ACL."""
        tables = self._associated("describe_route_tables", "RouteTables", "RouteTableId")
        acls = self._associated("describe_network_acls", "NetworkAcls", "NetworkAclId")
        return {
            subnet["SubnetId"]: {
                "cidr": subnet["CidrBlock"],
                "zone": subnet["AvailabilityZone"],
                "tags": {tag["Key"]: tag["Value"] for tag in subnet.get("Tags", [])},
                "route_table": tables.get(subnet["SubnetId"], "main"),
                "network_acl": acls[subnet["SubnetId"]],
            }
            for subnet in self._ec2.describe_subnets(Filters=self._of_vpc)["Subnets"]
        }

    def new_subnets(self) -> dict[str, str]:
        """Id by zone of the subnets in the CG-NAT range."""
        result = self.subnets()
        return {subnet["zone"]: id_ for id_, subnet in result.items() if IPv4Network(subnet["cidr"]).subnet_of(CGNAT)}

    def interfaces_in(self, *subnets: str) -> list[dict[str, Any]]:
        filters = [{"Name": "subnet-id", "Values": list(subnets)}]
        result: list[dict[str, Any]] = self._ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        return result

    def addon_configuration(self) -> str | None:
        """Of the managed add-on; None when aws-node is self-managed."""
        if not self.seeded.scenario.managed_addon:
            return None
        addon = self.lab.aws("eks").describe_addon(clusterName=self.name, addonName="vpc-cni")["addon"]
        return str(addon.get("configurationValues", ""))

    def world(self) -> dict[str, Any]:
        """Everything that must be as before when nothing is left: EC2, Kubernetes, EKS, ledger, lock."""
        return {
            "cidrs": self.cidrs(),
            "subnets": self.subnets(),
            "eni_configs": self.eni_configs(),
            "cni": self.cni_environment(),
            "addon": self.addon_configuration(),
            "ledger": self.lab.ledger_items(),
            "lock": self.lab.lock_holder(self.vpc_id),
        }

    @property
    def _ec2(self) -> Any:
        return self.lab.aws("ec2")

    @property
    def _of_vpc(self) -> list[dict[str, Any]]:
        return [{"Name": "vpc-id", "Values": [self.vpc_id]}]

    def _associated(self, operation: str, result: str, key: str) -> dict[str, str]:
        outcome = getattr(self._ec2, operation)(Filters=self._of_vpc)[result]
        return {
            association["SubnetId"]: item[key]
            for item in outcome
            for association in item["Associations"]
            if "SubnetId" in association
        }


@contextmanager
def patient(
    lab: Lab, scenario: Scenario | None = None, *, event_bus: str = "none", speed: float = 10
) -> Iterator[Patient]:
    """A cluster of a name that no other test uses, onboarded; removed when the block is left.

    Args:
        event_bus: where its Kubernetes events go; "none" keeps them, so that nothing starts by itself.
    """
    wanted = scenario or Scenario()
    wanted = replace(wanted, cluster=f"{wanted.cluster}-{next(_NUMBERS)}")
    servers = lab.stack.servers
    running: list[Server] = []
    try:
        running.append(servers.start_kubernetes(wanted.cluster, lab.stack.assets))
        running.append(servers.start_simulator(wanted.cluster, speed, event_bus))
        api = KubeApi(servers.kubeconfig)
        session: Any = SimpleNamespace(client=lab.aws)
        seeded = seed(api, session, wanted)
        lab.stack.onboard(wanted.cluster)
        yield Patient(lab, wanted.cluster, seeded, api, *running)
    finally:
        for server in reversed(running):
            servers.end(server)
        remove_cluster(lab, wanted.cluster)


def remove_cluster(lab: Lab, name: str) -> None:
    """Deletes the EKS cluster; one that is gone is fine."""
    eks = lab.aws("eks")
    if name not in eks.list_clusters()["clusters"]:
        return
    for addon in eks.list_addons(clusterName=name)["addons"]:
        eks.delete_addon(clusterName=name, addonName=addon)
    eks.delete_cluster(name=name)
