"""CloudWatch Logs subscriptions: which lines reach a function, in which shape, and what becomes of those it refuses."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.signals.events import Signal
from ip_remediator.signals.logs import parse_logs
from tests.stack.aws.conftest import Inbox, Maker, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

PASS_ON = """
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["INBOX"], MessageBody=json.dumps(event))
    if "refuse" in os.environ: raise ValueError("refused")
"""
ALLOW_SEND = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
NO_ADDRESS = "failed to assign an IP address to container"


@pytest.fixture
def inbox(aws: LocalAws) -> Inbox:
    return Inbox(aws)


def subscribed(aws: LocalAws, make: Maker, inbox: Inbox, pattern: str, **variables: str) -> tuple[str, str]:
    """A log group whose matching lines a function passes on to the inbox; names of group and function."""
    variables = {"INBOX": inbox.url, **variables}
    name = make.function(PASS_ON, role=make.role(ALLOW_SEND), Environment={"Variables": variables})
    arn = aws.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    logs, group = aws.client("logs"), f"/aws/containerinsights/{unique('shop')}/dataplane"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="node")
    logs.put_subscription_filter(logGroupName=group, filterName="ip", filterPattern=pattern, destinationArn=arn)
    return group, name


def write(aws: LocalAws, group: str, *lines: str) -> None:
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
    aws.client("logs").put_log_events(logGroupName=group, logStreamName="node", logEvents=events)


def lines_of(payload: Any) -> list[str]:
    return [signal.excerpt for signal in signals_of(payload)]


def signals_of(payload: Any) -> list[Signal]:
    result = list(parse_logs(payload, received_at=datetime.now(UTC)))
    return [one for one in result if isinstance(one, Signal)]


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ("", {"a", "b", "c"}),
        (f'"{NO_ADDRESS}"', {"a"}),
        (f'?"{NO_ADDRESS}" ?InsufficientFreeAddressesInSubnet', {"a", "b"}),
        ("aws-cni -InsufficientFreeAddressesInSubnet", {"a", "c"}),
        ("%address(es)?In%", {"b"}),
        ("%[Aa]ddress(es)?In%", {"b"}),
    ],
)
def test_given_a_filter_pattern_when_lines_are_written_then_the_matching_ones_arrive_together(
    aws: LocalAws, make: Maker, inbox: Inbox, pattern: str, passes: set[str]
) -> None:
    group, _ = subscribed(aws, make, inbox, pattern)
    lines = {
        "a": f"aws-cni: add cmd: {NO_ADDRESS}",
        "b": "aws-cni: address, InsufficientFreeAddressesInSubnet: addressesIn",
        "c": "aws-cni: connection refused",
    }
    write(aws, group, *lines.values())
    assert set(lines_of(inbox.next())) == {lines[name] for name in passes}


def test_given_lines_when_delivered_then_the_payload_gives_signals_of_the_groups_cluster(
    aws: LocalAws, make: Maker, inbox: Inbox
) -> None:
    group, _ = subscribed(aws, make, inbox, "")
    write(aws, group, f'E0302 aws-cni: {NO_ADDRESS} pod="default/web-0"', f"aws-cni: {NO_ADDRESS}")
    first, second = signals_of(inbox.next())
    assert (first.cluster, first.pod) == (group.split("/")[3], "default/web-0")
    assert first.id != second.id


def test_given_a_function_that_fails_when_it_was_tried_three_times_then_the_destination_gets_the_payload(
    aws: LocalAws, make: Maker, inbox: Inbox
) -> None:
    group, function = subscribed(aws, make, inbox, "", refuse="yes")
    dead = Inbox(aws)
    aws.client("lambda").put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=2, DestinationConfig={"OnFailure": {"Destination": dead.arn}}
    )
    write(aws, group, NO_ADDRESS)
    record = dead.next()
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert lines_of(record["requestPayload"]) == [NO_ADDRESS]
    assert [lines_of(inbox.next()) for _ in range(3)] == [[NO_ADDRESS]] * 3
    assert json.dumps(record["responsePayload"]).count("ValueError") >= 1
