"""The API calls of the cure that nobody can leave out, one after the other, with everything known in advance.

The floor for heal time and calls: no diagnosis, no plan, no record, no look at what is there already, no undo.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from kubernetes import client, watch

from ip_remediator.planning.changes import cni_settings
from local.cluster.scenario_spec import SeededNetwork

_APPLY = "application/apply-patch+yaml"


def cure(
    ec2: Any, eks: Any, kube: Any, cluster: str, network: SeededNetwork, block: str, cidrs: Mapping[str, str]
) -> None:
    """`kube`: an ApiClient; `cidrs`: the new subnet's CIDR by zone.

    Returns when aws-node is rolled out with the new settings.
    """
    ec2.associate_vpc_cidr_block(VpcId=network.vpc_id, CidrBlock=block)
    while _state(ec2, network.vpc_id, block) != "associated":
        time.sleep(0.1)
    made = {zone: _subnet(ec2, network, zone, cidr) for zone, cidr in cidrs.items()}
    _use_network_acls(ec2, {subnet: network.network_acls[zone] for zone, subnet in made.items()})
    for zone, subnet in made.items():
        _apply_eni_config(kube, zone, subnet, network.security_group)
    configuration = eks.describe_addon(clusterName=cluster, addonName="vpc-cni")["addon"].get("configurationValues")
    values = json.loads(configuration or "{}")
    merged = {**values, "env": {**values.get("env", {}), **cni_settings()}}
    eks.update_addon(clusterName=cluster, addonName="vpc-cni", configurationValues=json.dumps(merged))
    _await_rollout(client.AppsV1Api(kube))


def _state(ec2: Any, vpc_id: str, block: str) -> str:
    cidrs = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["CidrBlockAssociationSet"]
    return next(str(cidr["CidrBlockState"]["State"]) for cidr in cidrs if cidr["CidrBlock"] == block)


def _subnet(ec2: Any, network: SeededNetwork, zone: str, cidr: str) -> str:
    made = ec2.create_subnet(VpcId=network.vpc_id, AvailabilityZone=zone, CidrBlock=cidr)
    subnet = str(made["Subnet"]["SubnetId"])
    ec2.associate_route_table(SubnetId=subnet, RouteTableId=network.route_tables[zone])
    return subnet


def _use_network_acls(ec2: Any, wanted: Mapping[str, str]) -> None:
    filters = [{"Name": "association.subnet-id", "Values": list(wanted)}]
    for acl in ec2.describe_network_acls(Filters=filters)["NetworkAcls"]:
        for association in acl["Associations"]:
            if association["SubnetId"] in wanted:
                ec2.replace_network_acl_association(
                    AssociationId=association["NetworkAclAssociationId"],
                    NetworkAclId=wanted[association["SubnetId"]],
                )


def _apply_eni_config(kube: Any, zone: str, subnet: str, security_group: str) -> None:
    manifest = {
        "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
        "kind": "ENIConfig",
        "metadata": {"name": zone},
        "spec": {"subnet": subnet, "securityGroups": [security_group]},
    }
    client.CustomObjectsApi(kube).patch_cluster_custom_object(
        *("crd.k8s.amazonaws.com", "v1alpha1", "eniconfigs", zone, manifest),
        field_manager="operator",
        _content_type=_APPLY,
    )


def _await_rollout(apps: Any) -> None:
    """One list and one watch. The add-on writes the DaemonSet a moment after its own update."""
    following: Any = watch.Watch()  # type: ignore[no-untyped-call]
    for event in following.stream(apps.list_namespaced_daemon_set, "kube-system", timeout_seconds=180):
        if _rolled_out(event["raw_object"]):
            following.stop()


def _rolled_out(daemonset: dict[str, Any]) -> bool:
    containers = daemonset["spec"]["template"]["spec"]["containers"]
    env = {item["name"]: item.get("value") for container in containers for item in container.get("env", [])}
    status, wanted = daemonset["status"], daemonset["status"].get("desiredNumberScheduled", 0)
    return (
        cni_settings().items() <= env.items()
        and status.get("observedGeneration", 0) >= daemonset["metadata"]["generation"]
        and min(status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)) >= wanted
    )
