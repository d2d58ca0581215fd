"""Signals from every source that needs no cluster, through the deployed rules, queue and functions.

The clusters do not exist: what is looked at is whether their incident opens, and what it knows.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import time
from typing import Any

from benchmarks import storm
from ip_remediator.common.clock import utc_now
from ip_remediator.signals.events import Signal
from local.stack.deployment import ROOT, STACK_NAME
from tests.integration.support.lab import Lab
from tests.support.waiting import eventually

SAMPLES = ROOT / "tests" / "data" / "signals"
LINE = 'E0302 aws-cni: add cmd: failed to assign an IP address to container" pod="default/{}"'


def incident_of(lab: Lab, cluster: str) -> Any:
    """The incident of the cluster's one execution, once it has begun."""
    [arn] = eventually("an execution starts", lambda: lab.executions_of(cluster), seconds=60)
    lab.end_of(arn)
    return lab.incident_of(arn)


def remembered(lab: Lab, cluster: str) -> list[Signal]:
    """What is known of a cluster while it opens no incident."""
    item = lab._table("IncidentsTableName").get_item(Key={"pk": f"CLUSTER#{cluster}", "sk": "SIGNALS"}).get("Item", {})
    return [Signal.model_validate_json(text) for text in item.get("signals", ())]


def put(lab: Lab, sample: str, **changes: Any) -> None:
    event = json.loads((SAMPLES / f"{sample}.json").read_text())
    entry = {"Source": event["source"], "DetailType": event["detail-type"]}
    entry["Detail"] = json.dumps({**event["detail"], **changes})
    assert lab.aws("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_given_a_log_subscription_when_lines_are_written_then_an_incident_knows_their_pods(lab: Lab) -> None:
    logs, group = lab.aws("logs"), "/aws/containerinsights/only-logs/dataplane"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="kubelet")
    destination = lab.outputs["IngestFunctionArn"]
    pattern = '?"failed to assign an IP address to container"'
    logs.put_subscription_filter(logGroupName=group, filterName="ip", filterPattern=pattern, destinationArn=destination)
    lines = [LINE.format("web-0"), "PLEG event", LINE.format("web-1"), LINE.format("web-0")]
    stamp = int(time.time() * 1000)
    events = [{"timestamp": stamp, "message": line} for line in lines]
    logs.put_log_events(logGroupName=group, logStreamName="kubelet", logEvents=events)
    incident = incident_of(lab, "only-logs")
    assert incident.reason == "cloudwatch-logs: no_address"
    assert (incident.signals.pods, incident.signals.count) == (("default/web-0", "default/web-1"), 2)


def test_given_an_alarm_and_a_pod_then_only_both_together_open_an_incident(lab: Lab) -> None:
    cloudwatch, cluster = lab.aws("cloudwatch"), "alarm-and-pod"
    cloudwatch.put_metric_alarm(
        AlarmName="shop-unwell",
        AlarmDescription=f"Pods of the shop wait (eks-ip-remediator:cluster={cluster})",
        Namespace="Shop",
        MetricName="waiting",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "waiting", "Value": 3}])
    [alarm] = eventually("the alarm is heard", lambda: remembered(lab, cluster))
    assert lab.executions_of(cluster) == []
    now = utc_now().isoformat()
    put(lab, "event_layout", cluster=cluster, firstSeen=now, lastSeen=now)
    incident = incident_of(lab, cluster)
    assert incident.signals.count == 2
    assert incident.signals.first_seen == alarm.first_seen
    assert incident.signals.zones == ("ap-northeast-2a",)


def test_given_the_node_monitoring_agents_event_then_it_opens_an_incident_alone(lab: Lab) -> None:
    put(lab, "event_node_monitoring_agent_condition", clusterName="monitored")
    incident = incident_of(lab, "monitored")
    assert incident.reason == "kubernetes-event: subnet_full"
    assert incident.signals.nodes == ("ip-10-0-0-5.ap-northeast-2.compute.internal",)


def test_given_a_storm_in_the_queue_when_it_is_drained_then_one_execution_has_run_and_nothing_is_dead(
    lab: Lab,
) -> None:
    sqs, url, dead = lab.aws("sqs"), lab.outputs["SignalsQueueUrl"], lab.outputs["SignalsDeadLetterQueueUrl"]
    events = storm.one_cluster(1500, "stormy")
    for start in range(0, len(events), 10):
        entries = [
            {"Id": str(number), "MessageBody": json.dumps(event)}
            for number, event in enumerate(events[start : start + 10])
        ]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")
    eventually("the queue is drained", lambda: messages(lab, url) == 0, seconds=90)
    assert messages(lab, dead) == 0
    incident = incident_of(lab, "stormy")
    assert len(lab.executions_of("stormy")) == 1
    assert (incident.signals.count, len(incident.signals.pods)) == (256, 167)


def messages(lab: Lab, url: str) -> int:
    """Those that wait, and those that are being read."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    result = lab.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(result[name]) for name in names)


def test_given_a_message_that_is_not_json_then_it_is_in_the_dead_letter_queue_with_its_reason(lab: Lab) -> None:
    sqs, dead = lab.aws("sqs"), lab.outputs["SignalsDeadLetterQueueUrl"]
    sent = sqs.send_message(QueueUrl=lab.outputs["SignalsQueueUrl"], MessageBody="{poison")["MessageId"]
    eventually("it is dead", lambda: messages(lab, dead) == 1, seconds=60)
    [message] = sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["Reason"])["Messages"]
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
    assert message["Body"] == "{poison"
    assert message["MessageAttributes"]["Reason"]["StringValue"].startswith("JSONDecodeError: Expecting property name")
    result = lab.aws("logs").filter_log_events(logGroupName=f"/aws/lambda/{STACK_NAME}-ingest", filterPattern=sent)
    entries = [json.loads(event["message"]) for event in result["events"]]
    assert {entry["message"] for entry in entries} == {"message not read"}
    assert {entry["message_id"] for entry in entries} == {sent}
    assert entries[0]["reason"].startswith("JSONDecodeError")


def test_given_log_lines_of_which_lambda_gave_up_when_redriven_then_they_are_heard(lab: Lab) -> None:
    batch = {"logGroup": "/aws/containerinsights/redriven/dataplane", "messageType": "DATA_MESSAGE"}
    events = [{"id": str(number), "message": LINE.format(f"web-{number}")} for number in range(2)]
    packed = base64.b64encode(gzip.compress(json.dumps({**batch, "logEvents": events}).encode())).decode()
    given_up = {"requestContext": {}, "requestPayload": {"awslogs": {"data": packed}}}
    dead = lab.outputs["SignalsDeadLetterQueueUrl"]
    lab.aws("sqs").send_message(QueueUrl=dead, MessageBody=json.dumps(given_up))
    ran = subprocess.run(
        ["make", "--silent", "redrive", f"STACK={STACK_NAME}"],
        cwd=ROOT,
        env={**os.environ, **lab.stack.servers.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["1", "1"]
    assert ran.stdout.endswith(": COMPLETED\n")
    assert incident_of(lab, "redriven").signals.pods == ("default/web-0", "default/web-1")
