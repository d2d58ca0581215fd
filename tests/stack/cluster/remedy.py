"""What operators do by hand against exhausted subnets, and how they undo it."""

from __future__ import annotations

import json
from typing import Any

from kubernetes import client

from local.cluster.scenario import Seeded
from tests.stack.cluster.stack import Stack
from tests.support.waiting import eventually

CIDR = "100.64.0.0/24"
ZONE_CIDRS = {"ap-northeast-2a": "100.64.0.0/25", "ap-northeast-2b": "100.64.0.128/25"}
CUSTOM_NETWORKING = {
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true",
    "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone",
}


def add_range(stack: Stack, seeded: Seeded) -> dict[str, str]:
    """CIDR and a subnet per zone; subnet by zone."""
    ec2, vpc_id = stack.aws("ec2"), seeded.network.vpc_id
    ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock=CIDR)

    def states() -> list[str]:
        associations = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["CidrBlockAssociationSet"]
        return [item["CidrBlockState"]["State"] for item in associations if item["CidrBlock"] == CIDR]

    eventually("the CIDR is associated", states, lambda current: current == ["associated"])
    return {
        zone: ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for zone, cidr in ZONE_CIDRS.items()
    }


def create_eni_config(stack: Stack, name: str, subnet: str) -> None:
    body = {
        "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
        "kind": "ENIConfig",
        "metadata": {"name": name},
        "spec": {"subnet": subnet},
    }
    with stack.kube() as api:
        custom = client.CustomObjectsApi(api)
        custom.create_cluster_custom_object("crd.k8s.amazonaws.com", "v1alpha1", "eniconfigs", body)


def configure_addon(stack: Stack, environment: dict[str, str]) -> None:
    """Through EKS, as for a managed add-on; then wait until the DaemonSet carries it and is rolled out."""
    values = json.dumps({"env": environment})
    stack.aws("eks").update_addon(clusterName="demo", addonName="vpc-cni", configurationValues=values)
    eventually("the add-on reached the DaemonSet", lambda: environment.items() <= environment_of(stack).items())
    wait_rolled_out(stack)


def set_environment(stack: Stack, environment: dict[str, str]) -> None:
    """On the DaemonSet itself, as for a self-managed CNI (`kubectl set env`)."""
    env = [{"name": name, "value": value} for name, value in environment.items()]
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "aws-node", "env": env}]}}}}
    with stack.kube() as api:
        client.AppsV1Api(api).patch_namespaced_daemon_set("aws-node", "kube-system", patch)
    wait_rolled_out(stack)


def daemonset(stack: Stack) -> Any:
    with stack.kube() as api:
        return client.AppsV1Api(api).read_namespaced_daemon_set("aws-node", "kube-system")


def environment_of(stack: Stack) -> dict[str, str]:
    [container] = [c for c in daemonset(stack).spec.template.spec.containers if c.name == "aws-node"]
    return {item.name: item.value for item in container.env if item.value is not None}


def wait_rolled_out(stack: Stack) -> None:
    """The conditions `kubectl rollout status` looks at."""

    def done() -> bool:
        result = daemonset(stack)
        status, wanted = result.status, result.status.desired_number_scheduled
        return bool(
            status.observed_generation == result.metadata.generation
            and status.updated_number_scheduled == wanted
            and status.number_available == wanted
        )

    eventually("aws-node is rolled out", done)


def enis_in(stack: Stack, subnets: dict[str, str]) -> list[dict[str, Any]]:
    filters = [{"Name": "subnet-id", "Values": list(subnets.values())}]
    return list(stack.aws("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"])


def scale_nginx(stack: Stack, replicas: int) -> None:
    with stack.kube() as api:
        client.AppsV1Api(api).patch_namespaced_deployment_scale("nginx", "default", {"spec": {"replicas": replicas}})
