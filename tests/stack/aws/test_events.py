"""EventBridge, alarms, queues, topics and parameters: how signals travel."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import Inbox, code_of, eventually, subscribe, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws


PATTERNS = [
    ({"detail": {"message": [{"prefix": "failed to"}]}}, {"message": "failed to assign"}, {"message": "ok"}),
    ({"detail": {"cause": [{"anything-but": ["quota"]}]}}, {"cause": "subnet"}, {"cause": "quota"}),
    ({"detail": {"clusterName": [{"exists": True}]}}, {"clusterName": "demo"}, {"other": 1}),
    (
        {"detail": {"$or": [{"reason": ["FailedCreatePodSandBox"]}, {"reason": ["IPAMDNoIPs"]}]}},
        {"reason": "IPAMDNoIPs"},
        {"reason": "Scheduled"},
    ),
]


@pytest.mark.parametrize("custom", [False, True], ids=["default-bus", "custom-bus"])
@pytest.mark.parametrize(("pattern", "matching", "other"), PATTERNS)
def test_given_a_pattern_when_events_are_put_then_only_the_matching_one_reaches_the_queue(
    aws: LocalAws,
    inbox: Inbox,
    custom: bool,
    pattern: dict[str, Any],
    matching: dict[str, Any],
    other: dict[str, Any],
):
    bus, source = "default", unique("source")
    if custom:
        bus = unique("bus")
        aws.client("events").create_event_bus(Name=bus)
    subscribe(aws, inbox, {"source": [source], **pattern}, bus)
    entries = [
        {"Source": source, "DetailType": "Event", "Detail": json.dumps(one), "EventBusName": bus}
        for one in (other, matching)
    ]
    aws.client("events").put_events(Entries=entries)
    assert inbox.next()["detail"] == matching


def test_given_an_alarm_on_one_cluster_when_its_metric_rises_then_the_event_names_metric_and_cluster(
    aws: LocalAws, inbox: Inbox
):
    cloudwatch, name = aws.client("cloudwatch"), unique("pending")
    subscribe(aws, inbox, {"source": ["aws.cloudwatch"], "detail": {"alarmName": [name]}})
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="ContainerInsights",
        MetricName="pod_status_pending",
        Dimensions=[{"Name": "ClusterName", "Value": name}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )

    def put(cluster: str, value: float) -> None:
        dimensions = [{"Name": "ClusterName", "Value": cluster}]
        datum = {"MetricName": "pod_status_pending", "Dimensions": dimensions, "Value": value}
        cloudwatch.put_metric_data(Namespace="ContainerInsights", MetricData=[datum])

    put("another", 9)
    put(name, 0)
    assert inbox.next()["detail"]["state"]["value"] == "OK"
    put(name, 2)
    event = inbox.next()
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [f"arn:aws:cloudwatch:{aws.region}:000000000000:alarm:{name}"]
    detail = event["detail"]
    assert (detail["previousState"]["value"], detail["state"]["value"]) == ("OK", "ALARM")
    assert json.loads(detail["state"]["reasonData"])["threshold"] == 1
    metric = detail["configuration"]["metrics"][0]["metricStat"]["metric"]
    assert metric == {
        "namespace": "ContainerInsights",
        "name": "pod_status_pending",
        "dimensions": {"ClusterName": name},
    }


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "INSUFFICIENT_DATA")],
)
def test_given_no_data_when_an_alarm_is_evaluated_then_its_treatment_of_missing_data_decides(
    aws: LocalAws, treatment: str, expected: str
):
    cloudwatch, name = aws.client("cloudwatch"), unique("alarm")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace=name,
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData=treatment,
    )
    eventually(lambda: cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == expected)


def test_given_two_of_three_datapoints_when_only_one_breaches_then_no_alarm_and_with_two_alarm(aws: LocalAws):
    cloudwatch, name = aws.client("cloudwatch"), unique("alarm")
    now = datetime.now(UTC).timestamp()

    def put(seconds_ago: int, value: float) -> None:
        datum = {"MetricName": "m", "Value": value, "Timestamp": now - seconds_ago}
        cloudwatch.put_metric_data(Namespace=name, MetricData=[datum])

    for seconds_ago, value in ((130, 0), (70, 0), (5, 9)):
        put(seconds_ago, value)
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace=name,
        MetricName="m",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )

    def state() -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])

    assert state() == "OK"
    put(71, 9)
    eventually(lambda: state() == "ALARM")


def test_given_a_topic_with_a_queue_when_published_then_the_message_arrives(aws: LocalAws, inbox: Inbox):
    sns = aws.client("sns")
    topic = sns.create_topic(Name=unique("operators"))["TopicArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": inbox.arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    inbox.sqs.set_queue_attributes(QueueUrl=inbox.url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
    sns.publish(TopicArn=topic, Subject="Slack is down", Message="incident 7")
    received = inbox.next()
    assert (received["Subject"], received["Message"]) == ("Slack is down", "incident 7")


def test_given_a_secure_parameter_when_read_with_decryption_then_its_text(aws: LocalAws):
    ssm, name = aws.client("ssm"), f"/{unique('slack')}/token"
    ssm.put_parameter(Name=name, Value="xoxb-1", Type="SecureString")
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "xoxb-1"


def test_given_a_transaction_with_a_failed_condition_when_written_then_reasons_and_no_effect(aws: LocalAws):
    dynamodb, table = aws.client("dynamodb"), unique("ledger")
    dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=table, Item={"k": {"S": "taken"}})

    def put(key: str) -> dict[str, Any]:
        absent = "attribute_not_exists(k)"
        return {"Put": {"TableName": table, "Item": {"k": {"S": key}}, "ConditionExpression": absent}}

    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as raised:
        dynamodb.transact_write_items(TransactItems=[put("free"), put("taken")])
    reasons = [one["Code"] for one in raised.value.response["CancellationReasons"]]
    assert reasons == ["None", "ConditionalCheckFailed"]
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"k": {"S": "free"}})
    refused = code_of(
        dynamodb.update_item,
        TableName=table,
        Key={"k": {"S": "taken"}},
        UpdateExpression="SET v = :v",
        ConditionExpression="attribute_not_exists(k)",
        ExpressionAttributeValues={":v": {"N": "1"}},
    )
    assert refused == "ConditionalCheckFailedException"
