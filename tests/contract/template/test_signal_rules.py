"""The rules of template.yaml let the recorded events through that become signals, and hold back what they can."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.signals.events import Signal, Source, parse_eventbridge
from tests.stack.aws.conftest import Inbox, subscribe, unique
from tests.support.templates import resources

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "data" / "signals"
RULES = ("AlarmsRule", "KubernetesEventsRule", "RefusedCallsRule", "FailedLaunchesRule", "EksHealthRule")
# What no rule lets through; a notification of SNS comes by a subscription of the queue.
HELD_BACK = {
    "alarm_back_to_ok",
    "alarm_composite",
    "alarm_contributor_notification",
    "alarm_of_other_service",
    "event_unrelated",
}


@pytest.fixture(scope="module")
def patterns() -> list[dict[str, Any]]:
    return [resources()[name]["Properties"]["EventPattern"] for name in RULES]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("[ae]*.json")), ids=lambda path: path.stem)
def test_given_a_recorded_event_when_it_is_put_then_a_rule_lets_it_through_or_not(
    aws: LocalAws, patterns: list[dict[str, Any]], path: Path
) -> None:
    events = aws.client("events")
    matched = [
        events.test_event_pattern(EventPattern=json.dumps(pattern), Event=path.read_text())["Result"]
        for pattern in patterns
    ]
    assert sum(matched) == (path.stem not in HELD_BACK)


def test_given_a_composite_alarm_whose_description_names_a_cluster_when_it_goes_off_then_it_is_a_signal_of_it(
    aws: LocalAws, patterns: list[dict[str, Any]]
) -> None:
    cloudwatch, inbox = aws.client("cloudwatch"), Inbox(aws)
    child, composite, cluster = unique("waiting"), unique("unwell"), unique("shop")
    subscribe(aws, inbox, patterns[0])
    cloudwatch.put_metric_alarm(
        AlarmName=child,
        Namespace="Shop",
        MetricName=child,
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    described = f"The shop is unwell. eks-ip-remediator:cluster={cluster}"
    cloudwatch.put_composite_alarm(AlarmName=composite, AlarmRule=f"ALARM({child})", AlarmDescription=described)
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": child, "Value": 3}])
    event = inbox.next()
    assert event["detail"]["configuration"] == {"description": described, "alarmRule": f"ALARM({child})"}
    signal = parse_eventbridge(event, received_at=datetime.now(UTC))
    assert isinstance(signal, Signal)
    assert (signal.source, signal.cluster) == (Source.ALARM, cluster)


def test_given_a_composite_alarm_whose_name_names_a_cluster_when_it_goes_off_then_the_rule_lets_it_through(
    aws: LocalAws, patterns: list[dict[str, Any]]
) -> None:
    event = json.loads((SAMPLES / "alarm_composite.json").read_text())
    event["detail"]["alarmName"] = "unwell eks-ip-remediator:cluster=shop-prod"
    answer = aws.client("events").test_event_pattern(EventPattern=json.dumps(patterns[0]), Event=json.dumps(event))
    assert answer["Result"]


CALL = {"eventName": "CreateNetworkInterface", "errorCode": "Client.InsufficientFreeAddressesInSubnet"}
UPDATE = {
    "eventName": "UpdateClusterVersion",
    "errorMessage": "need at least 5 IPs in each subnet to be free for this operation",
}
FLEET = {"CreateFleetResponse": {"errorSet": {"item": [{"errorCode": "InsufficientFreeAddressesInSubnet"}]}}}
CLOUDTRAIL = "AWS API Call via CloudTrail"
LAUNCH = "There are not enough free addresses in subnet 'subnet-1' to satisfy the requested number of instances."
IN_ALARM = {"alarmName": "a", "state": {"value": "ALARM"}}


def alarmed(namespace: str, name: str) -> dict[str, Any]:
    metric = {"namespace": namespace, "name": name, "dimensions": {}}
    return {**IN_ALARM, "configuration": {"metrics": [{"id": "m", "metricStat": {"metric": metric}}]}}


INSIGHTS = {
    **IN_ALARM,
    "configuration": {"metrics": [{"id": "q", "expression": 'SELECT MAX(x) FROM "ContainerInsights"'}]},
}
CNI_METRICS = {
    **IN_ALARM,
    "configuration": {"metrics": [{"id": "q", "expression": 'SELECT MAX(assignIPAddresses) FROM "Kubernetes"'}]},
}
PROMQL = {
    **IN_ALARM,
    "configuration": {"evaluationCriteria": {"promQLCriteria": {"query": "awscni_assigned_ip_addresses > 900"}}},
}
CONTRIBUTOR = {**IN_ALARM, "alarmContributor": {"id": "c1", "attributes": {"ClusterName": "shop"}}}
CHANGED, CONTRIBUTED = "CloudWatch Alarm State Change", "CloudWatch Alarm Contributor State Change"


def about(kind: str, key: str = "involvedObject") -> dict[str, Any]:
    return {"reason": "InsufficientCapacityError", key: {"kind": kind}}


THROUGH = [
    ("aws.ec2", CLOUDTRAIL, CALL),
    ("aws.eks", CLOUDTRAIL, UPDATE),
    ("aws.ec2", CLOUDTRAIL, {"eventName": "CreateFleet", "responseElements": FLEET}),
    ("aws.autoscaling", "EC2 Instance Launch Unsuccessful", {"StatusMessage": LAUNCH}),
    ("aws.health", "AWS Health Event", {"service": "EKS"}),
    ("aws.cloudwatch", CHANGED, alarmed("Kubernetes", "assignIPAddresses")),
    ("aws.cloudwatch", CHANGED, alarmed("AWS/IPAM", "SubnetIPUsage")),
    ("aws.cloudwatch", CHANGED, alarmed("ContainerInsights/Prometheus", "awscni_eni_max")),
    ("aws.cloudwatch", CHANGED, INSIGHTS),
    ("aws.cloudwatch", CHANGED, CNI_METRICS),
    ("aws.cloudwatch", CHANGED, PROMQL),
    ("aws.cloudwatch", CONTRIBUTED, CONTRIBUTOR),
    ("shop", "x", about("NodeClaim")),
    ("shop", "x", about("Pod", "regarding")),
]
STOPPED = [
    ("aws.ec2", CLOUDTRAIL, {**CALL, "errorCode": "Client.RequestLimitExceeded"}),
    ("aws.ec2", CLOUDTRAIL, {"eventName": "RunInstances"}),
    ("aws.autoscaling", "EC2 Instance Launch Unsuccessful", {"StatusMessage": "no sufficient t3.medium capacity"}),
    ("aws.health", "AWS Health Event", {"service": "EC2"}),
    ("aws.cloudwatch", CHANGED, {**alarmed("Kubernetes", "x"), "state": {"value": "OK"}}),
    ("shop", "x", {"reason": "FailedScheduling", "involvedObject": {"kind": "Pod"}}),
]


@pytest.mark.parametrize(
    ("source", "kind", "detail", "passes"), [*((*one, True) for one in THROUGH), *((*one, False) for one in STOPPED)]
)
def test_given_what_aws_and_others_say_when_it_is_put_then_only_what_concerns_addresses_passes(
    aws: LocalAws, patterns: list[dict[str, Any]], source: str, kind: str, detail: dict[str, Any], passes: bool
) -> None:
    events = aws.client("events")
    event = {"id": "1", "account": "1", "time": "2026-03-02T08:00:00Z", "region": "x", "resources": [], "version": "0"}
    body = json.dumps({**event, "source": source, "detail-type": kind, "detail": detail})
    answers = [
        events.test_event_pattern(EventPattern=json.dumps(pattern), Event=body)["Result"] for pattern in patterns
    ]
    assert sum(answers) == passes
