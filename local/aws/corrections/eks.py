"""EKS: every cluster uses the same Kubernetes API server."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import eks
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends

from local.aws.corrections import eks_addons, eks_cluster_updates, eks_fargate, eks_node_groups, eks_tokens
from local.aws.corrections.guard import original, replace
from local.aws.settings import ENDPOINT_PORT_TAG, WEBHOOK_SECRET

if TYPE_CHECKING:
    from local.aws.settings import Settings
    from local.aws.switches import Switches


def install(settings: Settings, switches: Switches) -> None:
    """Correct what EKS returns for clusters and add-ons."""
    vpc_of_the_subnets()
    announce_api_server(settings)
    administrators()
    describe_present_tags()
    clusters_in_pages()
    eks_addons.install(switches)
    eks_cluster_updates.ClusterUpdates(switches).install()
    eks_node_groups.NodeGroupUpdates(switches).install()
    eks_fargate.install()
    eks_tokens.install(settings)


def vpc_of_the_subnets() -> None:
    """Report the VPC of the cluster's subnets and a security group in it; MiniStack invents both ids.

    If a security group with the name that EKS gives the cluster's group exists, it is used.
    """
    create = original(eks, "_create_cluster")

    def create_cluster(body: dict[str, Any], creator_arn: str | None = None) -> Any:
        vpc_config = body.get("resourcesVpcConfig", {})
        backend = ec2_backends[get_account_id()][get_region()]
        try:
            subnets = [backend.get_subnet(subnet_id) for subnet_id in vpc_config.get("subnetIds", [])]
        except EC2ClientError as error:
            return eks_addons.error(400, "InvalidParameterException", str(error.message))
        if subnets:
            body = {**body, "resourcesVpcConfig": {**vpc_config, "vpcId": subnets[0].vpc_id}}
        answer = create(body, creator_arn)
        groups = backend.describe_security_groups(filters={"vpc-id": [subnet.vpc_id for subnet in subnets[:1]]})
        own = [group.id for group in groups if group.name.startswith(f"eks-cluster-sg-{body.get('name')}")]
        if answer[0] < 300 and own:
            clusters[body["name"]]["resourcesVpcConfig"]["clusterSecurityGroupId"] = own[0]
        return answer

    clusters = original(eks, "_clusters")
    replace(eks, "_create_cluster", create_cluster)


def announce_api_server(settings: Settings) -> None:
    """Give each cluster an endpoint and a CA and make it ACTIVE; without Docker, MiniStack does neither.

    The endpoint's port is the stack's, unless the cluster is created with the tag `ENDPOINT_PORT_TAG`.
    """
    create = original(eks, "_create_cluster")
    clusters = original(eks, "_clusters")
    authority = base64.b64encode(settings.ca_file.read_bytes()).decode()

    def create_cluster(body: dict[str, Any], creator_arn: str | None = None) -> Any:
        answer = create(body, creator_arn)
        if answer[0] < 300:
            port = (body.get("tags") or {}).get(ENDPOINT_PORT_TAG, settings.eks_endpoint_port)
            clusters[body["name"]].update(
                endpoint=f"https://localhost:{port}",
                certificateAuthority={"data": authority},
                status="ACTIVE",
                _auth_token=WEBHOOK_SECRET,
            )
        return answer

    replace(eks, "_create_cluster", create_cluster)


def describe_present_tags() -> None:
    """DescribeCluster returns the current tags; MiniStack returns those that CreateCluster was given."""
    describe = original(eks, "_describe_cluster")
    clusters, tags = original(eks, "_clusters"), original(eks, "_tags")

    def describe_cluster(name: str) -> Any:
        if cluster := clusters.get(name):
            cluster["tags"] = dict(tags.get(cluster["arn"], {}))
        return describe(name)

    replace(eks, "_describe_cluster", describe_cluster)


def clusters_in_pages() -> None:
    """ListClusters returns pages; MiniStack returns the first hundred clusters and stops."""
    clusters = original(eks, "_clusters")
    original(eks, "_list_clusters")

    def list_clusters(query: dict[str, Any]) -> Any:
        start = int(base64.b64decode(query.get("nextToken") or base64.b64encode(b"0")))
        end = start + int(query.get("maxResults", 100))
        names = list(clusters.keys())
        following = {"nextToken": base64.b64encode(str(end).encode()).decode()} if end < len(names) else {}
        return (
            200,
            {"Content-Type": "application/json"},
            json.dumps({"clusters": names[start:end], **following}).encode(),
        )

    replace(eks, "_list_clusters", list_clusters)


def administrators() -> None:
    """Principals with AmazonEKSClusterAdminPolicy, such as the cluster's creator, are cluster admins.

    MiniStack puts them into a group that only its own k3s binds. Source: "Review access policy permissions" in the EKS
    User Guide.
    """
    group_of = original(eks, "_access_policy_group")

    def with_administrators(cluster: str, principal: str, policy: str) -> str:
        if policy.endswith("/AmazonEKSClusterAdminPolicy"):
            return "system:masters"
        return str(group_of(cluster, principal, policy))

    replace(eks, "_access_policy_group", with_administrators)
