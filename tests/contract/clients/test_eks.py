"""What EKS says of a cluster and its add-on, and tokens for its API, over HTTP."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.credentials import Credentials

from ip_remediator.clients.aws.eks import Eks, token
from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.common.errors import ClusterNotFound, PermissionDenied, RequestRefused, ServiceUnavailable, Throttled
from ip_remediator.snapshot.eks import cluster_facts
from tests.contract.conftest import EksApi, unique
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws

THEIRS = {"env": {"WARM_ENI_TARGET": "2"}, "resources": {"limits": {"cpu": "100m"}}}


@pytest.fixture
def eks_client(eks_api: EksApi) -> Any:
    return eks_api.client


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2)


@pytest.fixture
def name(faults: LocalAws, eks_api: EksApi, vpc: Vpc) -> str:  # faults: none of another test's is left
    """A cluster with the managed add-on vpc-cni."""
    made = unique("prod")
    eks_api.create_cluster(made, vpc)
    eks_api.client.create_addon(clusterName=made, addonName="vpc-cni", configurationValues=json.dumps(THEIRS))
    return made


@pytest.fixture
def eks(eks_client: Any, name: str) -> Eks:
    return Eks(eks_client, name)


# --- The cluster


def test_given_a_cluster_then_its_facts_are_told(eks: Eks, name: str, vpc: Vpc) -> None:
    result = cluster_facts(eks.describe())
    assert (result.name, result.version, result.vpc_id) == (name, "1.33", vpc.id)
    assert (result.ip_family, result.auto_mode) == ("ipv4", False)
    assert len(result.service_cidrs) == 1


def test_given_no_such_cluster_then_the_error_says_what_to_check(eks_client: Any) -> None:
    with pytest.raises(ClusterNotFound, match=r"EKS knows no cluster 'nobody' in ap-northeast-2$"):
        Eks(eks_client, "nobody").describe()


def test_given_ipv6_auto_mode_and_remote_networks_then_they_are_told() -> None:
    result = cluster_facts(
        {
            "name": "prod",
            "kubernetesNetworkConfig": {"ipFamily": "ipv6", "serviceIpv6Cidr": "fd00::/108"},
            "computeConfig": {"enabled": True},
            "remoteNetworkConfig": {
                "remoteNodeNetworks": [{"cidrs": ["10.80.0.0/16"]}],
                "remotePodNetworks": [{"cidrs": ["10.81.0.0/16", "10.82.0.0/16"]}],
            },
        }
    )
    assert (result.ip_family, result.auto_mode, result.service_cidrs, result.vpc_id) == ("ipv6", True, (), None)
    assert result.remote_cidrs == ("10.80.0.0/16", "10.81.0.0/16", "10.82.0.0/16")


# --- The add-on


def test_given_a_cluster_without_the_addon_then_there_is_none(eks: Eks, eks_client: Any, name: str) -> None:
    assert (eks.addon() or {})["addonName"] == "vpc-cni"
    eks_client.delete_addon(clusterName=name, addonName="vpc-cni")
    assert eks.addon() is None


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 403, PermissionDenied),
        ("TooManyRequestsException", 429, Throttled),
        ("ServerException", 500, ServiceUnavailable),
        ("InvalidParameterException", 400, RequestRefused),
    ],
)
def test_given_an_error_of_eks_then_its_class_tells_what_to_do(
    eks: Eks, faults: LocalAws, code: str, status: int, kind: type[Exception]
) -> None:
    faults.inject("eks", "DescribeCluster", error=code, status=status)
    with pytest.raises(kind, match=f"DescribeCluster: {code}"):
        eks.describe()


# --- Tokens


def test_given_a_token_then_it_is_a_signed_url_for_this_cluster_alone(aws: LocalAws, name: str) -> None:
    made = token(name, "eu-west-1", Credentials("AKIA", "secret", "session"))
    assert made.startswith("k8s-aws-v1.")
    text = made.removeprefix("k8s-aws-v1.")
    url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    query = parse_qs(url.query)
    assert url.netloc == "sts.eu-west-1.amazonaws.com"
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert query["X-Amz-Security-Token"] == ["session"]


def test_given_a_region_in_china_then_the_token_names_its_own_sts() -> None:
    made = token("prod", "cn-north-1", Credentials("AKIA", "secret")).removeprefix("k8s-aws-v1.")
    assert b"https://sts.cn-north-1.amazonaws.com.cn/" in base64.urlsafe_b64decode(made + "==")


def test_given_an_access_entry_then_the_clusters_authenticator_takes_the_token(
    aws: LocalAws, eks_client: Any, name: str
) -> None:
    role, credentials = assumed(aws)
    eks_client.create_access_entry(
        clusterName=name, principalArn=role, kubernetesGroups=["eks-ip-remediator:readers"], type="STANDARD"
    )
    good = review(aws, name, token(name, aws.region, credentials))
    assert good["authenticated"]
    assert "eks-ip-remediator:readers" in good["user"]["groups"]
    assert not review(aws, name, token("another-cluster", aws.region, credentials)).get("authenticated")


def assumed(aws: LocalAws) -> tuple[str, Credentials]:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.client("iam").create_role(RoleName=unique("role"), AssumeRolePolicyDocument=document)["Role"]["Arn"]
    result = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return role, Credentials(result["AccessKeyId"], result["SecretAccessKey"], result["SessionToken"])


def review(aws: LocalAws, cluster: str, bearer: str) -> dict[str, Any]:
    document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": bearer}}
    request = urllib.request.Request(
        aws.token_webhook(cluster), json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return dict(json.load(answer)["status"])


# --- Opening a cluster


def test_given_an_active_cluster_then_it_is_opened_with_its_own_endpoint(eks_client: Any, name: str) -> None:
    result = open_cluster(name, eks_client, Credentials("AKIA", "secret"))
    assert result.described["name"] == name
    assert result.eks.addon()


def test_given_a_cluster_that_is_gone_then_opening_it_says_so(eks_client: Any) -> None:
    with pytest.raises(ClusterNotFound):
        open_cluster("nobody", eks_client, Credentials("AKIA", "secret"))
