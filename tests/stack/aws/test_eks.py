"""EKS: clusters, add-ons, and Kubernetes tokens that IAM roles sign."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import Maker, Network, code_of, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

# How a function makes a Kubernetes token: a GetCallerIdentity URL of the region's STS, signed for one cluster.
TOKEN_FUNCTION = """
import base64, boto3
from botocore.signers import RequestSigner

def handler(event, context):
    session = boto3.Session()
    region = session.region_name
    client = session.client("sts", endpoint_url=f"https://sts.{region}.amazonaws.com")
    signer = RequestSigner(client.meta.service_model.service_id, region, "sts", "v4",
                           session.get_credentials(), session.events)
    url = signer.generate_presigned_url({
        "method": "GET", "body": {}, "context": {},
        "url": f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "headers": {"x-k8s-aws-id": event["cluster"]},
    }, region_name=region, expires_in=60, operation_name="")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
"""


@pytest.fixture
def cluster(aws: LocalAws, make: Maker, network: Network) -> str:
    name, subnets = unique("demo"), {"subnetIds": [network.subnet("10.0.0.0/24")]}
    aws.client("eks").create_cluster(name=name, roleArn=make.role(), resourcesVpcConfig=subnets)
    return name


def test_given_more_clusters_than_a_page_holds_when_listed_then_every_page_is_told(
    aws: LocalAws, make: Maker, network: Network
) -> None:
    subnets = {"subnetIds": [network.subnet("10.0.1.0/24")]}
    names = {unique("paged") for _ in range(3)}
    for name in names:
        aws.client("eks").create_cluster(name=name, roleArn=make.role(), resourcesVpcConfig=subnets)
    pages = list(aws.client("eks").get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2}))
    assert len(pages) > 1
    assert all(len(page["clusters"]) <= 2 for page in pages)
    assert names <= {name for page in pages for name in page["clusters"]}


def review(aws: LocalAws, cluster: str, token: str) -> dict[str, Any]:
    """Status of a TokenReview, posted as a Kubernetes API server posts it."""
    document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    request = urllib.request.Request(
        aws.token_webhook(cluster),
        data=json.dumps(document).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return dict(json.load(answer)["status"])


def token_of(aws: LocalAws, function: str, cluster: str) -> str:
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps({"cluster": cluster}))
    return str(json.loads(answer["Payload"].read()))


def test_given_a_cluster_when_described_then_it_is_active_with_the_endpoint_and_ca_of_the_command_line(
    aws: LocalAws, cluster: str
):
    result = aws.client("eks").describe_cluster(name=cluster)["cluster"]
    assert (result["status"], result["endpoint"]) == ("ACTIVE", "https://localhost:6443")
    assert base64.b64decode(result["certificateAuthority"]["data"]).startswith(b"-----BEGIN CERTIFICATE-----")


def test_given_tags_that_come_and_go_when_a_cluster_is_described_then_they_are_the_present_ones(
    aws: LocalAws, cluster: str
):
    eks = aws.client("eks")
    arn = eks.describe_cluster(name=cluster)["cluster"]["arn"]
    eks.tag_resource(resourceArn=arn, tags={"mode": "observe", "team": "payments"})
    assert eks.describe_cluster(name=cluster)["cluster"]["tags"] == {"mode": "observe", "team": "payments"}
    eks.untag_resource(resourceArn=arn, tagKeys=["mode"])
    assert eks.describe_cluster(name=cluster)["cluster"]["tags"] == {"team": "payments"}


def test_given_subnets_when_a_cluster_is_created_then_it_lies_in_their_vpc_and_unknown_ones_are_refused(
    aws: LocalAws, make: Maker, network: Network
):
    eks, name, subnet = aws.client("eks"), unique("demo"), network.subnet("10.0.0.0/24")
    group = network.ec2.create_security_group(GroupName=f"eks-cluster-sg-{name}", Description="d", VpcId=network.vpc)
    role = make.role()
    config = eks.create_cluster(name=name, roleArn=role, resourcesVpcConfig={"subnetIds": [subnet]})["cluster"]
    assert config["resourcesVpcConfig"]["vpcId"] == network.vpc
    result = eks.describe_cluster(name=name)["cluster"]["resourcesVpcConfig"]
    assert result["clusterSecurityGroupId"] == group["GroupId"]
    unknown = {"subnetIds": ["subnet-00000000"]}
    refused = code_of(eks.create_cluster, name=unique("x"), roleArn=role, resourcesVpcConfig=unknown)
    assert refused == "InvalidParameterException"


def test_given_a_functions_role_with_an_access_entry_when_its_token_is_reviewed_then_it_has_the_groups(
    aws: LocalAws, make: Maker, cluster: str
):
    role = make.role()
    function = make.function(TOKEN_FUNCTION, role=role, Timeout=20)
    token = token_of(aws, function, cluster)
    assert review(aws, cluster, token).get("authenticated") is not True
    aws.client("eks").create_access_entry(
        clusterName=cluster, principalArn=role, kubernetesGroups=["ip-remediator:cluster"], username="remediator"
    )
    status = review(aws, cluster, token)
    assert status["authenticated"] is True
    assert status["user"]["username"] == "remediator"
    assert "ip-remediator:cluster" in status["user"]["groups"]
    assert review(aws, unique("other"), token).get("authenticated") is not True
    assert review(aws, cluster, token[:-4] + "AAAA").get("authenticated") is not True

    # and an administrator's policy makes its owner one
    aws.client("eks").associate_access_policy(
        clusterName=cluster,
        principalArn=role,
        policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        accessScope={"type": "cluster"},
    )
    assert "system:masters" in review(aws, cluster, token)["user"]["groups"]


def test_given_fargate_profiles_then_they_are_listed_described_and_deleted(aws: LocalAws, cluster: str, make: Maker):
    eks = aws.client("eks")
    named = {"clusterName": cluster, "fargateProfileName": "batch"}
    profile = {"podExecutionRoleArn": make.role(), "subnets": ["subnet-1"], "selectors": [{"namespace": "batch"}]}
    eks.create_fargate_profile(**named, **profile)
    assert code_of(eks.create_fargate_profile, **named, **profile) == "ResourceInUseException"
    assert eks.list_fargate_profiles(clusterName=cluster)["fargateProfileNames"] == ["batch"]
    result = eks.describe_fargate_profile(**named)["fargateProfile"]
    assert (result["status"], result["subnets"]) == ("ACTIVE", ["subnet-1"])
    assert eks.delete_fargate_profile(**named)["fargateProfile"]["status"] == "DELETING"
    assert eks.list_fargate_profiles(clusterName=cluster)["fargateProfileNames"] == []
    assert code_of(eks.describe_fargate_profile, **named) == "ResourceNotFoundException"
    assert code_of(eks.list_fargate_profiles, clusterName="nobodys") == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("action", "resource", "call"),
    [
        ("eks:ListNodegroups", "cluster/{0}", "list_nodegroups"),
        ("eks:DescribeNodegroup", "nodegroup/{0}/*", "describe_nodegroup"),
        ("eks:ListFargateProfiles", "cluster/{0}", "list_fargate_profiles"),
        ("eks:DescribeFargateProfile", "fargateprofile/{0}/*", "describe_fargate_profile"),
    ],
)
def test_given_a_policy_for_what_a_call_acts_on_then_it_is_allowed_and_for_another_cluster_denied(
    aws: LocalAws, make: Maker, cluster: str, action: str, resource: str, call: str
):
    role, subnet = make.role(), "subnet-1"
    root = aws.client("eks")
    root.create_nodegroup(clusterName=cluster, nodegroupName="ng", subnets=[subnet], nodeRole=role)
    root.create_fargate_profile(
        clusterName=cluster, fargateProfileName="fp", podExecutionRoleArn=role, subnets=[subnet]
    )
    arn = f"arn:aws:eks:*:*:{resource.format(cluster)}"
    eks = aws.client("eks", **make.session({"Effect": "Allow", "Action": action, "Resource": arn}))
    member = {"describe_nodegroup": {"nodegroupName": "ng"}, "describe_fargate_profile": {"fargateProfileName": "fp"}}
    assert code_of(getattr(eks, call), clusterName=cluster, **member.get(call, {})) == ""
    elsewhere = aws.client(
        "eks", **make.session({"Effect": "Allow", "Action": action, "Resource": arn.replace(cluster, "other")})
    )
    assert code_of(getattr(elsewhere, call), clusterName=cluster, **member.get(call, {})) == "AccessDeniedException"
