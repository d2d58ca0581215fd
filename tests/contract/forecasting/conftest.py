"""Clusters that are swept: on real EKS, EC2, DynamoDB, SQS and Kubernetes APIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.forecasting.eks_health import EksHealth
from ip_remediator.forecasting.onboarded_clusters import OnboardedClusters
from ip_remediator.forecasting.subnet_history import SubnetHistories
from ip_remediator.forecasting.sweep import Sweeper
from ip_remediator.intake.places import SubnetClusters
from ip_remediator.intake.queue import SignalQueue
from ip_remediator.signals.events import Signal, parse_eventbridge
from ip_remediator.snapshot.ec2 import Ec2Reader
from tests.contract.conftest import Clock, EksApi, unique
from tests.contract.support.clusters import READER, Kubernetes
from tests.contract.support.vpcs import REGION, Vpc

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws


ROLE = "arn:aws:iam::000000000000:role/sweep"
NODES, PODS, EVENTS = "/api/v1/nodes", "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/events"
NO_ADDRESS = 'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'


@pytest.fixture
def onboarded(eks_api: EksApi) -> Iterator[Callable[..., str]]:
    """Makes clusters that have an access entry for the sweep; removes them, or they would be swept by other tests."""
    made = []

    def make(vpc: Vpc, *, entry: bool = True, tags: dict[str, str] | None = None, **options: Any) -> str:
        name = unique("swept")
        network = {"subnetIds": list(vpc.subnets.values())}
        eks_api.client.create_cluster(
            name=name,
            roleArn=eks_api.role,
            resourcesVpcConfig=network,
            version="1.33",
            accessConfig={"authenticationMode": "API"},
            tags=tags or {},
            **options,
        )
        made.append(name)
        if entry:
            eks_api.client.create_access_entry(clusterName=name, principalArn=ROLE, kubernetesGroups=["readers"])
        return name

    yield make
    for name in made:
        eks_api.client.delete_cluster(name=name)


@pytest.fixture
def vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2, zones="a", prefix=27)


@dataclass
class Site:
    """A sweep of clusters that all have the same Kubernetes API; `broken`: other endpoints, by cluster."""

    kubernetes: Kubernetes
    sweeper: Sweeper
    queue: str
    sqs: Any
    broken: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def open_api(self, described: dict[str, Any], seconds: float) -> KubeApi:
        name = described["name"]
        host, token = self.broken.get(name, self.kubernetes.url), self.tokens.get(name, READER)
        return KubeApi(host, self.kubernetes.ca_data, token, min(seconds, 3))

    def sweep(self, seconds: float = 60) -> dict[str, Any]:
        return self.sweeper.sweep(seconds)

    def signals(self) -> list[Signal]:
        """What has arrived in the queue, read as ingest reads it."""
        result = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                signal = parse_eventbridge(json.loads(message["Body"]), received_at=self.sweeper.clock())
                assert isinstance(signal, Signal), signal
                result.append(signal)
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return result


def forget_events(kubernetes: Kubernetes) -> None:
    """Those of other tests: every swept cluster has the same Kubernetes API."""
    for event in list(kubernetes.admin.items("/api/v1/events")):
        metadata = event["metadata"]
        kubernetes.admin.delete(f"/api/v1/namespaces/{metadata['namespace']}/events/{metadata['name']}")


@pytest.fixture
def site(aws: LocalAws, eks_api: EksApi, ec2: Any, kubernetes: Kubernetes, table: Table, clock: Clock) -> Site:
    kubernetes.install_aws_node()
    forget_events(kubernetes)
    url = aws.client("sqs").create_queue(QueueName=unique("signals"))["QueueUrl"]
    sweeper = Sweeper(
        clusters=OnboardedClusters(eks_api.client, ROLE, clock),
        ec2=lambda: Ec2Reader(ec2),
        open_api=lambda described, seconds: made.open_api(described, seconds),  # noqa: PLW0108 - `made` comes later
        histories=SubnetHistories(table),
        health=EksHealth(eks_api.client, table, clock),
        subnet_clusters=SubnetClusters(table),
        queue=SignalQueue(aws.client("sqs"), url),
        clock=clock,
        within=timedelta(hours=24),
        subnet_metrics=True,
    )
    made = Site(kubernetes, sweeper, url, aws.client("sqs"))
    return made


@pytest.fixture
def node(kubernetes: Kubernetes) -> Iterator[Callable[..., str]]:
    made = []

    def make(instance: str, letter: str = "a") -> str:
        name = unique("ip")
        labels = {"topology.kubernetes.io/zone": f"{REGION}{letter}"}
        spec = {"providerID": f"aws:///{REGION}{letter}/{instance}"}
        kubernetes.admin.create(NODES, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        made.append(name)
        return name

    yield make
    for name in made:
        kubernetes.admin.delete(f"{NODES}/{name}")


def blobs(printed: str, metric: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line and metric in line]
