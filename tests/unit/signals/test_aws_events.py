# ruff: noqa: E501 - one case in a row
"""Refused API calls, Auto Scaling, AWS Health and the health of EKS: what they prove, and of which cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ip_remediator.signals.causes import Cause, Strength
from ip_remediator.signals.events import parse_eventbridge, parse_message
from ip_remediator.signals.model import (
    Affected,
    Dropped,
    DropReason,
    ParsedRecord,
    Place,
    Signal,
    Source,
    UnplacedSignal,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SUBNET, ENI = "subnet-0783288fba3453a60", "eni-01f879673fc5fd14d"
FULL = (
    "Client.InsufficientFreeAddressesInSubnet",
    "The specified subnet does not have enough free addresses to satisfy the request.",
)
CNI = "amazon-vpc-cni-k8s/v1.19.2 aws-sdk-go-v2/1.32.6"


def call(
    name: str,
    request: dict[str, Any],
    error: tuple[str, str] | None = FULL,
    agent: str = "aws-cli/2",
    source: str = "ec2",
    **more: Any,
) -> ParsedRecord:
    errors = {"errorCode": error[0], "errorMessage": error[1]} if error else {}
    detail = {
        "eventVersion": "1.09", "eventTime": "2026-03-02T08:14:31Z", "eventSource": f"{source}.amazonaws.com", "eventName": name,
        "userAgent": agent, "requestParameters": request, "responseElements": None, "eventID": "7a6a", **errors, **more,
    }  # fmt: skip
    event = {"id": "e1", "source": f"aws.{source}", "detail-type": "AWS API Call via CloudTrail", "detail": detail}
    return parse_eventbridge(event, received_at=NOW)


def tags(**named: str) -> dict[str, Any]:
    pairs = [{"key": key.replace("__", "/"), "value": value} for key, value in named.items()]
    return {"tagSpecificationSet": {"items": [{"resourceType": "instance", "tags": pairs}]}}


EKS = (
    "InvalidRequestException",
    f"Provided subnets {SUBNET} Free IPs: 0 , need at least 5 IPs in each subnet to be free for this operation",
)
FLEET = {
    "responseElements": {
        "CreateFleetResponse": {
            "errorSet": {"item": [{"errorCode": "InsufficientFreeAddressesInSubnet", "errorMessage": "x"}]}
        }
    }
}
PLACED = [
    (call("CreateNetworkInterface", {"subnetId": SUBNET, **tags(**{"cluster.k8s.amazonaws.com__name": "shop-prod"})}, agent=CNI), Affected.PODS),
    (call("RunInstances", {"subnetId": SUBNET, **tags(**{"kubernetes.io__cluster__shop-prod": "owned"})}), Affected.NODES),
    (call("RunInstances", {"subnetId": SUBNET, **tags(**{"eks:cluster-name": "shop-prod"})}, agent="autoscaling.amazonaws.com"), Affected.NODES),
    (call("CreateFleet", {"TagSpecification": [{"Tag": [{"Key": "eks:eks-cluster-name", "Value": "shop-prod"}]}]}, None, **FLEET), Affected.NODES),
    (call("UpdateClusterVersion", {"name": "shop-prod", "version": "1.33"}, EKS, source="eks"), Affected.CLUSTER),
    (call("CreateNodegroup", {"name": "shop-prod", "nodegroupName": "workers", "subnets": [SUBNET]}, EKS, source="eks"), Affected.NODES),
    (call("CreateNetworkInterface", {"subnetId": SUBNET, "description": "Amazon EKS shop-prod"}, agent="eks.amazonaws.com"), Affected.CLUSTER),
]  # fmt: skip


@pytest.mark.parametrize(("signal", "affected"), PLACED)
def test_a_call_refused_for_addresses_is_a_strong_signal_of_the_cluster_that_it_names(
    signal: ParsedRecord, affected: Affected
) -> None:
    assert isinstance(signal, Signal), signal
    assert (signal.cluster, signal.cause, signal.strength) == ("shop-prod", Cause.SUBNET_FULL, Strength.STRONG)
    assert (signal.affected, signal.node, signal.id) == (affected, None, "7a6a")


def test_what_is_affected_stands_beside_the_cause() -> None:
    nodes, cluster = PLACED[1][0], PLACED[4][0]
    assert isinstance(nodes, Signal)
    assert isinstance(cluster, Signal)
    assert nodes.causes == (Cause.SUBNET_FULL, Cause.NODE_LAUNCH)
    assert cluster.causes == (Cause.SUBNET_FULL, Cause.CLUSTER_SUBNETS)


def test_a_call_of_the_cni_that_names_no_cluster_says_where_it_happened() -> None:
    signal = call("AssignPrivateIpAddresses", {"networkInterfaceId": ENI}, agent=CNI)
    assert isinstance(signal, UnplacedSignal)
    assert signal.place == Place(certain=True, interface=ENI)


def test_a_call_of_anyone_else_counts_only_in_a_known_clusters_subnet() -> None:
    signal = call(
        "CreateNetworkInterface",
        {"subnetId": SUBNET, "description": "AWS Lambda VPC ENI"},
        agent="lambda.amazonaws.com",
    )
    assert isinstance(signal, UnplacedSignal)
    assert signal.place == Place(certain=False, subnets=(SUBNET,))


def test_limits_and_throttling_count_in_calls_of_the_cni_alone() -> None:
    throttled = ("Client.RequestLimitExceeded", "Request limit exceeded.")
    assert call("CreateNetworkInterface", {"subnetId": SUBNET}, throttled) == Dropped(reason=DropReason.UNRELATED_CALL)
    ours = call("CreateNetworkInterface", {"subnetId": SUBNET}, throttled, agent=CNI)
    assert isinstance(ours, UnplacedSignal)
    assert ours.cause is Cause.CNI_THROTTLED


def test_a_refused_call_that_ipamd_passes_over_is_dropped() -> None:
    behind = ("Client.PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")
    outcome = call("AssignPrivateIpAddresses", {"networkInterfaceId": ENI}, behind, agent=CNI)
    assert outcome == Dropped(reason=DropReason.UNRELATED_CALL)


def test_a_record_of_cloudtrail_in_a_log_group_is_read_as_one() -> None:
    detail = {
        "eventSource": "ec2.amazonaws.com", "eventName": "CreateNetworkInterface", "eventTime": "2026-03-02T08:14:31Z", "eventID": "7a6a",
        "errorCode": FULL[0], "errorMessage": FULL[1], "userAgent": CNI,
        "requestParameters": {"subnetId": SUBNET, **tags(**{"cluster.k8s.amazonaws.com__name": "shop-prod"})},
    }  # fmt: skip
    batch = {"messageType": "DATA_MESSAGE", "logGroup": "aws-cloudtrail-logs", "logStream": "x"}
    (signal,) = read({**batch, "logEvents": [{"id": "1", "message": json.dumps(detail)}]})
    assert isinstance(signal, Signal)
    assert (signal.source, signal.cluster, signal.cause, signal.id) == (
        Source.AWS_EVENT, "shop-prod", Cause.SUBNET_FULL, "7a6a",
    )  # fmt: skip


UNRELATED = [
    call("RunInstances", {}, ("Client.InsufficientInstanceCapacity", "We currently do not have sufficient m5.large capacity")),
    call("CreateNetworkInterface", {"subnetId": SUBNET}, None),
    call("DescribeSubnets", {"subnetId": SUBNET}),
    call("UpdateClusterVersion", {"name": "x"}, ("InvalidParameterException", "unsupported Kubernetes version"), source="eks"),
]  # fmt: skip


@pytest.mark.parametrize("outcome", UNRELATED)
def test_other_calls_are_dropped(outcome: ParsedRecord) -> None:
    assert outcome == Dropped(reason=DropReason.UNRELATED_CALL)


# ------------------------------------------------------------------------------------------------ Auto Scaling
LAUNCH = f"There are not enough free addresses in subnet '{SUBNET}' to satisfy the requested number of instances. Launching EC2 instance failed."


def launch(group: str, words: str = LAUNCH) -> ParsedRecord:
    detail = {"StatusCode": "Failed", "StatusMessage": words, "AutoScalingGroupName": group, "ActivityId": "a1", "EndTime": "2026-03-02T08:14:31Z",
              "Details": {"Availability Zone": "eu-west-1b", "Subnet ID": SUBNET}}  # fmt: skip
    event = {
        "id": "e1",
        "source": "aws.autoscaling",
        "detail-type": "EC2 Instance Launch Unsuccessful",
        "detail": detail,
    }
    return parse_eventbridge(event, received_at=NOW)


def test_a_launch_that_failed_for_addresses_is_a_strong_signal_about_nodes() -> None:
    signal = launch("eks-workers-6ac7f1d2-1f4c-9a0e-5d1e-0f7a7777c0b9")
    assert isinstance(signal, UnplacedSignal)
    assert (signal.cause, signal.strength, signal.affected) == (Cause.SUBNET_FULL, Strength.STRONG, Affected.NODES)
    assert (signal.place.subnets, signal.zone) == ((SUBNET,), "eu-west-1b")


def test_eksctl_writes_the_cluster_into_the_name_of_its_groups() -> None:
    signal = launch("eksctl-shop-prod-nodegroup-workers-NodeGroup-1A2B3C")
    assert isinstance(signal, Signal)
    assert signal.cluster == "shop-prod"


def test_a_launch_that_failed_for_something_else_is_dropped() -> None:
    words = "We currently do not have sufficient t3.medium capacity in the Availability Zone you requested"
    assert launch("eks-x", words) == Dropped(reason=DropReason.UNRELATED_CALL)


# ------------------------------------------------------------------------------------------------ health
def read(document: object) -> list[ParsedRecord]:
    return list(parse_message(document, received_at=NOW))


def test_the_health_of_a_cluster_and_of_a_node_group_are_read_as_the_api_gives_them() -> None:
    issue = {"code": "InsufficientFreeAddresses", "message": "not enough free addresses", "resourceIds": [SUBNET]}
    other = {"code": "Ec2SecurityGroupNotFound", "message": "x", "resourceIds": ["sg-1"]}
    cluster, unrelated = read({"cluster": {"name": "shop-prod", "health": {"issues": [issue, other]}}})
    (nodes,) = read({"nodegroup": {"clusterName": "shop-prod", "nodegroupName": "w", "health": {"issues": [issue]}}})
    assert isinstance(cluster, Signal)
    assert isinstance(nodes, Signal)
    assert unrelated == Dropped(reason=DropReason.UNRELATED_REASON)
    assert (cluster.cluster, cluster.cause, cluster.affected) == ("shop-prod", Cause.SUBNET_FULL, Affected.CLUSTER)
    assert (nodes.cluster, nodes.cause, nodes.affected) == ("shop-prod", Cause.SUBNET_FULL, Affected.NODES)


def health(service: str, code: str, words: str, *entities: str) -> list[ParsedRecord]:
    detail = {"service": service, "eventTypeCode": code, "eventTypeCategory": "issue", "startTime": "2026-03-02T08:00:00Z",
              "eventDescription": [{"language": "en_US", "latestDescription": words}],
              "affectedEntities": [{"entityValue": entity} for entity in entities]}  # fmt: skip
    return read({"id": "e1", "source": "aws.health", "detail-type": "AWS Health Event", "detail": detail})


ARN = "arn:aws:eks:eu-west-1:111122223333:cluster/"
WORDS = "EKS cluster health issues: InsufficientFreeAddresses in one or more subnets"


def test_aws_health_gives_a_signal_for_each_cluster_that_it_names() -> None:
    signals = health("EKS", "AWS_EKS_CLUSTER_HEALTH_ISSUES", WORDS, f"{ARN}shop-prod", f"{ARN}shop-test")
    assert [(signal.cluster, signal.cause) for signal in signals if isinstance(signal, Signal)] == [
        ("shop-prod", Cause.SUBNET_FULL),
        ("shop-test", Cause.SUBNET_FULL),
    ]


def test_ekss_words_for_a_subnet_that_is_too_full_count_without_their_code() -> None:
    words = "One or more of the subnets associated with your cluster does not have enough available IP addresses for Amazon EKS to perform cluster management operations."
    (signal,) = health("EKS", "AWS_EKS_OPERATIONAL_NOTIFICATION", words, f"{ARN}shop-prod")
    assert isinstance(signal, Signal)
    assert (signal.cluster, signal.cause, signal.affected) == ("shop-prod", Cause.SUBNET_FULL, Affected.CLUSTER)


@pytest.mark.parametrize(
    ("service", "words"), [("EC2", WORDS), ("EKS", "Kubernetes 1.29 reaches the end of its support")]
)
def test_other_events_of_aws_health_are_dropped(service: str, words: str) -> None:
    assert health(service, "X", words, f"{ARN}shop-prod") == [Dropped(reason=DropReason.UNRELATED_REASON)]
