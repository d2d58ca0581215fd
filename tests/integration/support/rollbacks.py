"""What rollback tests compare: everything that EC2, Kubernetes and EKS say of a cluster."""

from __future__ import annotations

import json
from typing import Any

from local.cluster.kube import CRDS, DAEMONSETS, ENICONFIGS, NODES, ApiError
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import Patient
from tests.support.waiting import eventually

STRATEGIC = "application/strategic-merge-patch+json"
CRD = "eniconfigs.crd.k8s.amazonaws.com"
# ipamd's minutes must pass before the state machine's patience ends, whose waits the tests shorten far more.
SPEED = 60
CUSTOM_NETWORKING = {
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true",
    "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone",
}
# What the API server and its controllers count and note themselves whenever an object is written.
_BOOKKEEPING = ("generation", "managedFields", "resourceVersion", "uid", "creationTimestamp")
_DAEMONSET_COUNTER = "deprecated.daemonset.template.generation"


def roll_back(lab: Lab, incident: str | None = None, **more: Any) -> Ended:
    return lab.end_of(start_rollback(lab, incident, **more), seconds=240)


def start_rollback(lab: Lab, incident: str | None = None, **more: Any) -> str:
    """An execution of the rollback by hand; its ARN."""
    document = more if incident is None else {"incident": incident, **more}
    machine = lab.outputs["RollbackStateMachineArn"]
    started = lab.aws("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(document))
    return str(started["executionArn"])


def dump(cluster: Patient) -> dict[str, Any]:
    """The whole of it, without what the cluster itself counts (`_BOOKKEEPING`) and without running pods: which pod has
    which address is up to scheduler and ipamd."""
    return {
        **_vpc(cluster),
        "crd": _object(cluster, CRDS.path(None, CRD)),
        "eni_configs": _eni_configs(cluster),
        "aws_node": _object(cluster, DAEMONSETS.path("kube-system", "aws-node")),
        "nodes": {node["metadata"]["name"]: {"spec": node["spec"]} for node in cluster.api.get(NODES.path())["items"]},
        "addon": _addon(cluster),
        "groups": _groups(cluster),
        "cluster_subnets": sorted(_cluster(cluster)["subnetIds"]),
        "ledger": cluster.lab.ledger_items(),
        "lock": cluster.lab.lock_holder(cluster.vpc_id),
    }


def _vpc(cluster: Patient) -> dict[str, Any]:
    ec2 = cluster.lab.aws("ec2")
    filters = [{"Name": "vpc-id", "Values": [cluster.vpc_id]}]
    vpc = ec2.describe_vpcs(VpcIds=[cluster.vpc_id])["Vpcs"][0]
    gone = ("disassociated", "disassociating", "failed")
    return {
        "vpc": {
            **vpc,
            "CidrBlockAssociationSet": [
                block for block in vpc["CidrBlockAssociationSet"] if block["CidrBlockState"]["State"] not in gone
            ],
        },
        "subnets": _by("SubnetId", ec2.describe_subnets(Filters=filters)["Subnets"]),
        "route_tables": _by("RouteTableId", ec2.describe_route_tables(Filters=filters)["RouteTables"]),
        "network_acls": _by("NetworkAclId", ec2.describe_network_acls(Filters=filters)["NetworkAcls"]),
        "interfaces": _by("NetworkInterfaceId", ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]),
        "security_groups": _by("GroupId", ec2.describe_security_groups(Filters=filters)["SecurityGroups"]),
    }


def _by(key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {item[key]: item for item in items}


def _groups(cluster: Patient) -> dict[str, Any]:
    """The Auto Scaling groups: where they launch nodes, and how many."""
    filters: Any = [{"Name": "tag-key", "Values": [f"kubernetes.io/cluster/{cluster.name}"]}]
    groups = cluster.lab.aws("autoscaling").describe_auto_scaling_groups(Filters=filters)["AutoScalingGroups"]
    return {
        group["AutoScalingGroupName"]: (group["VPCZoneIdentifier"], group["DesiredCapacity"], group["Tags"])
        for group in groups
    }


def _cluster(cluster: Patient) -> dict[str, Any]:
    described: dict[str, Any] = cluster.lab.aws("eks").describe_cluster(name=cluster.name)["cluster"]
    return dict(described["resourcesVpcConfig"])


def _addon(cluster: Patient) -> dict[str, Any] | None:
    if not cluster.seeded.scenario.managed_addon:
        return None
    addon = cluster.lab.aws("eks").describe_addon(clusterName=cluster.name, addonName="vpc-cni")["addon"]
    return {name: value for name, value in addon.items() if name != "modifiedAt"}


def _eni_configs(cluster: Patient) -> dict[str, Any] | None:
    listed = _find(cluster, ENICONFIGS.path())
    return listed and {item["metadata"]["name"]: _plain(item) for item in listed["items"]}


def _object(cluster: Patient, path: str) -> dict[str, Any] | None:
    result = _find(cluster, path)
    return result and _plain(result)


def _find(cluster: Patient, path: str) -> dict[str, Any] | None:
    try:
        return cluster.api.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in item["metadata"].items() if name not in _BOOKKEEPING}
    annotations = {
        name: value for name, value in (metadata.pop("annotations", None) or {}).items() if name != _DAEMONSET_COUNTER
    }
    return {"metadata": metadata, "annotations": annotations, "spec": item["spec"]}


def switch_custom_networking_on(cluster: Patient) -> None:
    """As operators have it who used custom networking before: an ENIConfig per zone, with marks of theirs, here on
    the node subnets, which are full."""
    for zone, subnet in cluster.seeded.network.subnets.items():
        manifest = {
            "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
            "kind": "ENIConfig",
            "metadata": {"name": zone, "labels": {"team": "platform"}, "annotations": {"example.com/ticket": "42"}},
            "spec": {"subnet": subnet, "securityGroups": [cluster.seeded.network.security_group]},
        }
        cluster.api.create(ENICONFIGS, manifest)
    if cluster.seeded.scenario.managed_addon:
        values = json.dumps({"env": CUSTOM_NETWORKING})
        eks = cluster.lab.aws("eks")
        eks.update_addon(clusterName=cluster.name, addonName="vpc-cni", configurationValues=values)
        # aws-node may be rolled out before: a dump would say UPDATING.
        addon = {"clusterName": cluster.name, "addonName": "vpc-cni"}
        eks.get_waiter("addon_active").wait(**addon, WaiterConfig={"Delay": 1})
    else:
        env = [{"name": name, "value": value} for name, value in CUSTOM_NETWORKING.items()]
        containers = [{"name": "aws-node", "env": env}]
        patch = {"spec": {"template": {"spec": {"containers": containers}}}}
        cluster.api.patch(DAEMONSETS.path("kube-system", "aws-node"), patch, STRATEGIC)
    eventually("custom networking is on", lambda: CUSTOM_NETWORKING.items() <= cluster.cni_environment().items())
    await_rollout(cluster)


def await_rollout(cluster: Patient) -> None:
    eventually("aws-node is rolled out", lambda: _rolled_out(cluster.aws_node()))


def _rolled_out(daemonset: dict[str, Any]) -> bool:
    status, wanted = daemonset["status"], daemonset["status"].get("desiredNumberScheduled")
    return bool(
        status.get("observedGeneration") == daemonset["metadata"]["generation"]
        and status.get("updatedNumberScheduled") == wanted
        and status.get("numberAvailable") == wanted
    )
