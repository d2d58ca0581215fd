"""The adapters' counterparts as they are met: the local AWS and Kubernetes APIs, each started once, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from local.aws.client import LocalAws
from tests.contract.support.clusters import Kubernetes, kubernetes_running
from tests.contract.support.vpcs import Vpc
from tests.stack.kubernetes import support
from tests.support.local_aws import local_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ResultT = TypeVar("ResultT")


@dataclass
class Clock:
    """Time stands still until a test moves it."""

    now: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


def briefly(_: float) -> None:
    """Stands in for the adapters' sleep: the local servers need no half seconds."""
    time.sleep(0.02)


def unique(stem: str) -> str:
    return f"{stem}-{uuid4().hex[:8]}"


def at_once(count: int, act: Callable[[int], ResultT]) -> list[ResultT | Exception]:
    """What `count` threads got that called `act` in the same instant: results and exceptions."""
    start = Barrier(count)

    def attempt(number: int) -> ResultT | Exception:
        start.wait()
        try:
            return act(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(attempt, range(count)))


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("local-aws"), "--associating-seconds", "0.1") as started:
        yield started


@pytest.fixture(scope="session")
def ec2(aws: LocalAws) -> Any:
    """One client for all tests: botocore takes its time to read EC2's model."""
    return aws.client("ec2")


@dataclass(frozen=True)
class EksApi:
    """EKS, and the IAM role that its clusters of tests have."""

    client: Any
    role: str

    def create_cluster(self, name: str, vpc: Vpc) -> None:
        network = {"subnetIds": list(vpc.subnets.values())}
        self.client.create_cluster(name=name, roleArn=self.role, resourcesVpcConfig=network, version="1.33")


@pytest.fixture(scope="session")
def eks_api(aws: LocalAws) -> EksApi:
    trust = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.client("iam").create_role(RoleName=unique("eks"), AssumeRolePolicyDocument=document)["Role"]["Arn"]
    return EksApi(aws.client("eks"), role)


@pytest.fixture
def faults(aws: LocalAws) -> Iterator[LocalAws]:
    """The local AWS, without faults or recorded calls of other tests."""
    for path in ("/_local/faults", "/_local/calls"):
        aws.control("DELETE", path)
    yield aws
    aws.control("DELETE", "/_local/faults")


def resource(endpoint: str, aws: LocalAws) -> Any:
    """DynamoDB at `endpoint`, every call sent once."""
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=40)
    return boto3.resource("dynamodb", region_name=aws.region, endpoint_url=endpoint, config=config, **aws.credentials)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def table_name(aws: LocalAws) -> str:
    """A table as the template has it. Tests use clusters and incidents of their own in it."""
    keys = (("pk", "HASH"), ("sk", "RANGE"))
    made = resource(aws.endpoint, aws).create_table(
        TableName=unique("incidents"),
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
    )
    return str(made.name)


@pytest.fixture
def table(aws: LocalAws, table_name: str) -> Table:
    result: Table = resource(aws.endpoint, aws).Table(table_name)
    return result


KUBERNETES = [
    pytest.param("embedded", id="embedded"),
    pytest.param(
        "real",
        id="real",
        marks=pytest.mark.skipif(not support.ASSETS, reason="KUBEBUILDER_ASSETS is not set: no real kube-apiserver"),
    ),
]


@pytest.fixture(scope="session", params=KUBERNETES)
def kubernetes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """An API server with the RBAC of `onboarding/`."""
    with kubernetes_running(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
def namespace(kubernetes: Kubernetes) -> str:
    name = unique("ns")
    kubernetes.admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster() -> str:
    return unique("prod")
