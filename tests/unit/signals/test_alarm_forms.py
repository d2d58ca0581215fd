# ruff: noqa: E501 - one case in a row
"""Alarms of CloudWatch and Alertmanager in every form name their cluster, or are dropped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ip_remediator.signals.causes import Cause, Strength
from ip_remediator.signals.events import parse_message
from ip_remediator.signals.model import Dropped, DropReason, ParsedRecord, Signal, Source, UnplacedSignal

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def read(document: object) -> list[ParsedRecord]:
    return list(parse_message(document, received_at=NOW))


def metric(namespace: str, name: str, **dimensions: str) -> dict[str, Any]:
    stat = {"metric": {"namespace": namespace, "name": name, "dimensions": dimensions}, "period": 60, "stat": "Maximum"}
    return {"id": "m1", "metricStat": stat, "returnData": True}


def alarm(*metrics: dict[str, Any], kind: str = "CloudWatch Alarm State Change", **more: Any) -> dict[str, Any]:
    state = {"value": "ALARM", "reason": "Threshold Crossed", "timestamp": "2026-03-02T08:14:31.919+0000"}
    configuration = {"description": "", "metrics": list(metrics), **more.pop("configuration", {})}
    detail = {"alarmName": "addresses", "state": state, "configuration": configuration, **more}
    return {"id": "e1", "source": "aws.cloudwatch", "detail-type": kind, "detail": detail}


def query(text: str) -> dict[str, Any]:
    return {"id": "q1", "expression": text, "returnData": True, "period": 60}


CONTRIBUTOR = "CloudWatch Alarm Contributor State Change"
PROMQL = {
    "evaluationCriteria": {"promQLCriteria": {"query": 'sum(awscni_assigned_ip_addresses{cluster="shop-prod"}) > 900'}}
}
PENDING = 'SELECT MAX(pod_status_pending) FROM SCHEMA("ContainerInsights", ClusterName)'
ALARMS = {
    "Container Insights": alarm(metric("ContainerInsights", "pod_status_pending", ClusterName="shop-prod")),
    "cni-metrics-helper": alarm(metric("Kubernetes", "assignIPAddresses", CLUSTER_ID="shop-prod")),
    "cni-metrics-helper, metric math": alarm(metric("Kubernetes", "assignIPAddresses", CLUSTER_ID="shop-prod"), metric("Kubernetes", "maxIPAddresses", CLUSTER_ID="shop-prod"), query("100 * m1 / m2")),
    "Container Insights for Prometheus": alarm(metric("ContainerInsights/Prometheus", "awscni_assigned_ip_addresses", ClusterName="shop-prod")),
    "Metrics Insights with WHERE": alarm(query(f"{PENDING} WHERE ClusterName = 'shop-prod'")),
    "Metrics Insights, quoted key": alarm(query("SELECT MAX(pod_status_pending) FROM \"ContainerInsights\" WHERE \"ClusterName\"='shop-prod'")),
    "contributor of Metrics Insights": alarm(query(f"{PENDING} GROUP BY ClusterName"), kind=CONTRIBUTOR, alarmContributor={"id": "1", "attributes": {"ClusterName": "shop-prod"}}),
    "PromQL": alarm(configuration=PROMQL),
    "contributor of PromQL": alarm(kind=CONTRIBUTOR, configuration={"evaluationCriteria": {"promQLCriteria": {"query": "kube_pod_status_phase{phase=\"Pending\"} > 0"}}}, alarmContributor={"id": "1", "attributes": {"@resource.k8s.cluster.name": "shop-prod"}}),
    "PromQL with UTF-8 labels": alarm(configuration={"promQL": {"query": '{"awscni_total_ip_addresses", "@resource.k8s.cluster.name"="shop-prod"} > 10'}}),
    "composite that names it": alarm(configuration={"description": "eks-ip-remediator:cluster=shop-prod", "alarmRule": "ALARM(x)"}),
    "Lambda's alarm action": {"source": "aws.cloudwatch", "alarmArn": "arn", "alarmData": alarm(metric("ContainerInsights", "pod_status_pending", ClusterName="shop-prod"))["detail"]},
}  # fmt: skip


def notification(**trigger: Any) -> dict[str, Any]:
    return {"AlarmName": "pending", "AlarmDescription": None, "NewStateValue": "ALARM", "NewStateReason": "Threshold Crossed",
            "StateChangeTime": "2026-03-02T08:14:31.919+0000", "OldStateValue": "OK", "Trigger": trigger}  # fmt: skip


CLUSTER = [{"name": "ClusterName", "value": "shop-prod"}]
STAT = {
    "Metric": {
        "Namespace": "Kubernetes",
        "MetricName": "maxIPAddresses",
        "Dimensions": [{"name": "CLUSTER_ID", "value": "shop-prod"}],
    }
}
ALARMS |= {
    "SNS, one metric": notification(MetricName="pod_status_pending", Namespace="ContainerInsights", Dimensions=CLUSTER),
    "SNS, metric math": notification(Metrics=[{"Id": "m1", "MetricStat": STAT}, {"Id": "e1", "Expression": "m1 * 2"}]),
    "SNS, Metrics Insights": notification(Metrics=[{"Id": "q1", "Expression": f"{PENDING} WHERE ClusterName = 'shop-prod'"}]),
    "SNS, composite": {**notification(), "AlarmRule": "ALARM(x)", "AlarmDescription": "eks-ip-remediator:cluster=shop-prod"},
    "SNS, a contributor": {**notification(Metrics=[{"Id": "q1", "Expression": f"{PENDING} GROUP BY ClusterName"}]), "AlarmContributorId": "6d44", "AlarmContributorAttributes": {"ClusterName": "shop-prod"}},
}  # fmt: skip


def through_sns(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": "arn:aws:sns:x:1:t",
        "Message": json.dumps(document),
    }


def through_lambda(document: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": through_sns(document)}]}


@pytest.mark.parametrize("wrap", [dict, through_sns, through_lambda])
@pytest.mark.parametrize("form", ALARMS)
def test_an_alarm_of_any_form_is_a_weak_signal_of_its_cluster(form: str, wrap: Any) -> None:
    (signal,) = read(wrap(ALARMS[form]))
    assert isinstance(signal, Signal), signal
    assert (signal.source, signal.cluster, signal.cause) == (Source.ALARM, "shop-prod", Cause.NO_ADDRESS)
    assert signal.strength is Strength.WEAK
    assert signal.last_seen == datetime(2026, 3, 2, 8, 14, 31, 919000, tzinfo=UTC)


DROPPED = {
    "another namespace": (alarm(metric("AWS/EC2", "CPUUtilization", InstanceId="i-1")), DropReason.FOREIGN_NAMESPACE),
    "another metric of a mixed namespace": (alarm(metric("Kubernetes", "requests", CLUSTER_ID="x")), DropReason.FOREIGN_NAMESPACE),
    "the CPU of pods": (alarm(metric("ContainerInsights", "pod_cpu_utilization", ClusterName="x")), DropReason.FOREIGN_NAMESPACE),
    "the CPU of pods in a query": (alarm(query("SELECT MAX(pod_cpu_utilization) FROM \"ContainerInsights\" WHERE ClusterName = 'x'")), DropReason.FOREIGN_NAMESPACE),
    "a network's bytes": (alarm(metric("ContainerInsights", "node_network_total_bytes", ClusterName="x")), DropReason.FOREIGN_NAMESPACE),
    "nginx through Prometheus": (alarm(metric("ContainerInsights/Prometheus", "nginx_ingress_controller_requests", ClusterName="x")), DropReason.FOREIGN_NAMESPACE),
    "IPAM's pools": (alarm(metric("AWS/IPAM", "PercentAssigned", PoolId="ipam-pool-1")), DropReason.FOREIGN_NAMESPACE),
    "PromQL about something else": (alarm(configuration={"evaluationCriteria": {"promQLCriteria": {"query": 'up{cluster="shop-prod"} == 0'}}}), DropReason.FOREIGN_NAMESPACE),
    "two clusters in one query": (alarm(query("SELECT MAX(pod_status_pending) FROM \"ContainerInsights\" WHERE ClusterName = 'a' OR ClusterName = 'b'")), DropReason.NO_CLUSTER),
    "every cluster": (alarm(query(PENDING)), DropReason.NO_CLUSTER),
    "back to OK through SNS": ({**ALARMS["SNS, one metric"], "NewStateValue": "OK"}, DropReason.NOT_IN_ALARM),
    "a contributor back to OK": (alarm(kind=CONTRIBUTOR) | {"detail": {"alarmName": "x", "state": {"value": "OK"}}}, DropReason.NOT_IN_ALARM),
    "a changed configuration": (alarm(kind="CloudWatch Alarm Configuration Change"), DropReason.UNKNOWN_SHAPE),
    "SNS asks for a confirmation": ({"Type": "SubscriptionConfirmation", "TopicArn": "arn", "Message": "You have chosen"}, DropReason.CONTROL_MESSAGE),
    "SNS with other text": ({"Type": "Notification", "TopicArn": "arn", "Message": "hello"}, DropReason.NOT_AN_EVENT),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPPED)
def test_an_alarm_about_something_else_is_dropped_with_its_reason(name: str) -> None:
    document, reason = DROPPED[name]
    assert read(document) == [Dropped(reason=reason)]


def test_an_alarm_of_vpc_ipam_names_its_subnet_for_whoever_knows_its_clusters() -> None:
    (signal,) = read(alarm(metric("AWS/IPAM", "SubnetIPUsage", SubnetId="subnet-0a1b2c3d4e5f60718", VpcId="vpc-1")))
    assert isinstance(signal, UnplacedSignal)
    assert signal.place.subnets == ("subnet-0a1b2c3d4e5f60718",)
    assert (signal.cause, signal.strength) == (Cause.NO_ADDRESS, Strength.WEAK)
    placed = signal.in_cluster("shop-prod")
    assert isinstance(placed, Signal)
    assert (placed.cluster, placed.id) == ("shop-prod", "e1")


# ------------------------------------------------------------------------------------------------ Alertmanager
def webhook(*alerts: dict[str, Any], **common: str) -> dict[str, Any]:
    return {
        "version": "4",
        "status": "firing",
        "receiver": "sns",
        "groupLabels": {},
        "commonLabels": common,
        "alerts": list(alerts),
    }


def alert(status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": "s"},
        "startsAt": "2026-03-02T08:10:00Z",
        "fingerprint": "f1",
    }


AMP = """[FIRING:1] AwsCniPoolNearlyEmpty

Alerts Firing:
Labels:
 - alertname = AwsCniPoolNearlyEmpty
 - cluster = shop-prod
 - node = ip-10-1-2-3.eu-west-1.compute.internal
Annotations:
 - summary = few addresses left
Source: https://example.com
"""
GRAFANA = """**Firing**

Value: A=3
Labels:
 - alertname = Pods wait for IP addresses
 - cluster = shop-prod
Annotations:
Source: https://example.com

**Resolved**

Value: A=0
Labels:
 - alertname = Pods wait for IP addresses
 - cluster = shop-test
Annotations:
"""
FIRING = {
    "Grafana, text": {"Type": "Notification", "TopicArn": "arn", "MessageId": "m", "Message": GRAFANA},
    "webhook": webhook(alert(alertname="AwsCniPoolNearlyEmpty", cluster="shop-prod")),
    "webhook, the cluster among the common labels": webhook(alert(alertname="KubePodNotReady", namespace="a", pod="b"), cluster="shop-prod"),
    "webhook, the cluster by its id": webhook(alert(alertname="AwsCniPoolNearlyEmpty", cluster_id="shop-prod")),
    "Amazon Managed Prometheus, text": {"Type": "Notification", "TopicArn": "arn", "MessageId": "m", "Message": AMP},
    "SNS, JSON": through_sns(webhook(alert(alertname="PodsPending", cluster_name="shop-prod"))),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRING)
def test_a_firing_alert_about_addresses_or_waiting_pods_is_a_weak_signal(name: str) -> None:
    (signal,) = read(FIRING[name])
    assert isinstance(signal, Signal)
    assert (signal.cluster, signal.cause, signal.strength) == ("shop-prod", Cause.NO_ADDRESS, Strength.WEAK)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (webhook(alert("resolved", alertname="AwsCni", cluster="x")), DropReason.NOT_IN_ALARM),
        (webhook(alert(alertname="CPUThrottlingHigh", cluster="x")), DropReason.FOREIGN_NAMESPACE),
        (webhook(alert(alertname="AwsCniPoolNearlyEmpty")), DropReason.NO_CLUSTER),
    ],
)
def test_alerts_that_say_nothing_of_a_cluster_s_addresses_are_dropped(document: Any, reason: DropReason) -> None:
    assert read(document) == [Dropped(reason=reason)]


ABOUT_ADDRESSES = [
    "EksAvailableIPs", "WorkloadClusterAWSCNIIpExhausted", "VPC-CNI-Limited-IP-Addresses", "AwsCniAssignedIPsHigh",
    "VpcCniIpPoolExhausted", "SubnetIPExhaustion", "SubnetAlmostFull", "LowFreeIPs", "PodIPsExhausted",
    "eks_subnet_available_ips_low", "EKS pods run out of IPs", "ENIAllocationFailures", "PodsPendingTooLong",
    "FailedCreatePodSandBox",
]  # fmt: skip
ABOUT_OTHER_THINGS = [
    ("KubeContainerCPUHigh", "CPU of container aws-node in pod aws-node-x7k2p is above 90 %"),
    ("NodeMemoryHigh", "node 10.0.1.2 in subnet-a has no free memory"),
    ("SSHBruteForce", "IP address 203.0.113.9 tried 100 passwords"),
    ("VPNTunnelDown", "the tunnel to subnet 10.1.0.0/16 is down"),
]


@pytest.mark.parametrize("name", ABOUT_ADDRESSES)
def test_an_alerts_name_says_that_addresses_are_few(name: str) -> None:
    (signal,) = read(webhook(alert(alertname=name, cluster="shop-prod")))
    assert isinstance(signal, Signal)


@pytest.mark.parametrize(("name", "words"), ABOUT_OTHER_THINGS)
def test_an_alert_that_only_names_an_address_or_a_pod_of_the_cni_is_about_something_else(name: str, words: str) -> None:
    document = webhook({**alert(alertname=name, cluster="shop-prod"), "annotations": {"description": words}})
    assert read(document) == [Dropped(reason=DropReason.FOREIGN_NAMESPACE)]
