"""Who replaces the nodes of a scenario: an Auto Scaling group in each zone, or a NodeClaim for each node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from local.cluster import manifests, scenario_aws
from local.cluster.kube import CRDS, NODES, ApiError, KubeApi, Resource
from local.cluster.nodes.karpenter import (
    DISCOVERY_TAG,
    NODECLAIMS,
    NODECLASSES,
    POOL_LABEL,
    claim_reference,
    node_claim,
    node_class,
    provider_id,
)
from local.cluster.nodes.nodegroups import (
    CLUSTER_TAG,
    GROUP_LABEL,
    GROUP_TAG,
    SELF_MANAGED_LABEL,
    TEMPLATE_LABEL,
)
from local.cluster.scenario_spec import NodeSpec, Scenario, SeededNetwork, SeededNode

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_ec2 import EC2Client

POOL = "default"
CONSENT_TAG = "eks-ip-remediator:cluster"
_SERVED_SECONDS = 10.0


def group_name(cluster: str, zone: str) -> str:
    """The name of the node group of a zone."""
    return f"{cluster}-{zone[-1]}"


def launch_groups(
    autoscaling: Any, ec2: EC2Client, scenario: Scenario, network: SeededNetwork, image: str
) -> dict[str, list[str]]:
    """A launch template and an Auto Scaling group for each zone, tagged as those of managed node groups are, or of
    self-managed ones that their owners let us change; the instances by zone."""
    launched = {}
    for zone in dict.fromkeys(spec.zone for spec in scenario.nodes):
        specs = [spec for spec in scenario.nodes if spec.zone == zone]
        name = f"eks-{group_name(scenario.cluster, zone)}"
        groups = [network.security_group]
        data: Any = {"ImageId": image, "InstanceType": specs[0].instance_type, "SecurityGroupIds": groups}
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        of_eks = {CLUSTER_TAG: scenario.cluster, GROUP_TAG: group_name(scenario.cluster, zone)}
        tags: Any = {
            **(of_eks if scenario.provisioner == "managed" else {CONSENT_TAG: scenario.cluster}),
            f"kubernetes.io/cluster/{scenario.cluster}": "owned",
        }
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=len(specs),
            MaxSize=len(specs) + 1,
            DesiredCapacity=len(specs),
            VPCZoneIdentifier=network.subnets[zone],
            LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
            Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
        )
        [group] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        launched[zone] = [instance["InstanceId"] for instance in group["Instances"]]
    return launched


def seed_node_groups(session: boto3.session.Session, scenario: Scenario, network: SeededNetwork) -> None:
    """The managed node groups of EKS that the nodes' labels name: one for each zone, or one for all nodes.

    Karpenter's nodes and self-managed ones are in none.
    """
    if scenario.provisioner in ("karpenter", "self-managed"):
        return
    role = scenario_aws.ensure_node_role(session.client("iam"), scenario.cluster)
    eks = session.client("eks")
    members: dict[str, list[NodeSpec]] = {}
    for spec in scenario.nodes:
        members.setdefault(node_group(scenario, spec.zone), []).append(spec)
    for name, specs in members.items():
        zones = dict.fromkeys(spec.zone for spec in specs)
        scaling = {"minSize": len(specs), "maxSize": len(specs) + 1, "desiredSize": len(specs)}
        eks.create_nodegroup(
            clusterName=scenario.cluster,
            nodegroupName=name,
            nodeRole=role,
            subnets=[network.subnets[zone] for zone in zones],
            instanceTypes=list(dict.fromkeys(spec.instance_type for spec in specs)),
            scalingConfig=scaling,  # type: ignore[arg-type]
            amiType="AL2023_x86_64_STANDARD",
        )


def node_group(scenario: Scenario, zone: str) -> str:
    """The group that a node's label `eks.amazonaws.com/nodegroup` names."""
    return group_name(scenario.cluster, zone) if scenario.provisioner == "managed" else f"{scenario.cluster}-nodes"


def hand_over(
    api: KubeApi, ec2: EC2Client, scenario: Scenario, network: SeededNetwork, nodes: list[SeededNode]
) -> None:
    """Label the nodes as those of a node group or Karpenter, once all of them exist."""
    if scenario.provisioner == "karpenter":
        _discoverable(ec2, scenario, network)
        for definition, resource in (("nodeclaim-crd", NODECLAIMS), ("ec2nodeclass-crd", NODECLASSES)):
            api.create(CRDS, manifests.load(definition))
            _await_served(api, resource)
        api.create(NODECLASSES, node_class(scenario.cluster))
        for number, node in enumerate(nodes):
            _claim(api, f"{POOL}-{number}", node)
    for node in nodes if scenario.provisioner else ():
        labels: dict[str, str | None] = {POOL_LABEL: POOL, GROUP_LABEL: None}
        group = group_name(scenario.cluster, node.zone)
        if scenario.provisioner == "managed":
            labels = {GROUP_LABEL: group, TEMPLATE_LABEL: f"lt-{group}"}
        elif scenario.provisioner == "self-managed":
            labels = {GROUP_LABEL: None, SELF_MANAGED_LABEL: f"eks-{group}"}
        api.patch(NODES.path(name=node.name), {"metadata": {"labels": labels}})


def _await_served(api: KubeApi, resource: Resource) -> None:
    """Wait until a new definition is served."""
    deadline = time.monotonic() + _SERVED_SECONDS
    while True:
        try:
            api.get(resource.path())
        except ApiError as error:
            if error.status != 404 or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _discoverable(ec2: EC2Client, scenario: Scenario, network: SeededNetwork) -> None:
    tags: Any = [{"Key": DISCOVERY_TAG, "Value": scenario.cluster}]
    ec2.create_tags(Resources=[*network.subnets.values(), network.security_group], Tags=tags)


def _claim(api: KubeApi, name: str, node: SeededNode) -> None:
    claim = api.create(NODECLAIMS, node_claim(name, POOL, node.zone, node.instance_type))
    status = {"nodeName": node.name, "providerID": provider_id(node.zone, node.instance_id)}
    api.patch(NODECLAIMS.path_of(claim, "status"), {"status": status})
    owner = {"metadata": {"ownerReferences": [claim_reference(claim)]}}
    api.patch(NODES.path(name=node.name), owner)


def matched(launched: dict[str, list[str]], specs: tuple[NodeSpec, ...]) -> list[tuple[NodeSpec, str]]:
    """Pair each node of the scenario with an instance of its zone."""
    remaining = {zone: list(instances) for zone, instances in launched.items()}
    return [(spec, remaining[spec.zone].pop(0)) for spec in specs]
