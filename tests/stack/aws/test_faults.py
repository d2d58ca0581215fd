"""Injected errors and recorded calls: what crash tests rely on."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
from typing import TYPE_CHECKING

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from tests.stack.aws.conftest import ALLOW_INVOKE, Maker, Network, code_of, unique
from tests.support.patience import within

if TYPE_CHECKING:
    from local.aws.client import LocalAws

pytestmark = pytest.mark.usefixtures("no_faults")

# Service of boto3, an operation of it; every wire protocol is among them.
OPERATIONS = [
    ("ec2", "DescribeVpcs"),
    ("eks", "ListClusters"),
    ("dynamodb", "ListTables"),
    ("sts", "GetCallerIdentity"),
    ("sns", "ListTopics"),
    ("sqs", "ListQueues"),
    ("stepfunctions", "ListStateMachines"),
    ("ssm", "DescribeParameters"),
    ("cloudwatch", "ListMetrics"),
    ("events", "ListRules"),
    ("lambda", "ListFunctions"),
]


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_given_a_fault_before_when_called_then_its_code_is_raised_once(aws: LocalAws, service: str, operation: str):
    client = aws.client(service)
    aws.inject(client.meta.service_model.signing_name, operation, error="RequestLimitExceeded")
    with pytest.raises(ClientError) as raised:
        getattr(client, xform_name(operation))()
    assert raised.value.response["Error"]["Code"] == "RequestLimitExceeded"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    getattr(client, xform_name(operation))()


def test_given_a_body_that_comes_late_when_a_fault_refuses_the_call_then_the_connection_stays_open(aws: LocalAws):
    aws.inject("events", "ListRules", error="ThrottlingException")
    signed = (
        f"AWS4-HMAC-SHA256 Credential=test/20260101/{aws.region}/events/aws4_request, SignedHeaders=host, Signature=0"
    )
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", aws.port, timeout=within(10))) as connection:
        connection.connect()
        socket = connection.sock
        for wanted in (400, 200):
            connection.putrequest("POST", "/")
            for name, value in {
                "Authorization": signed,
                "X-Amz-Target": "AWSEvents.ListRules",
                "Content-Type": "application/x-amz-json-1.1",
                "Content-Length": "2",
            }.items():
                connection.putheader(name, value)
            connection.endheaders()
            # What is answered before the body has come is there by now.
            select.select([socket], [], [], 0.3)
            connection.send(b"{}")
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, connection.sock) == (wanted, socket)


def test_given_a_fault_before_when_a_write_is_refused_then_it_has_no_effect(aws: LocalAws, network: Network):
    aws.inject("ec2", "CreateSubnet", error="RequestLimitExceeded", times=2)
    asked = {"VpcId": network.vpc, "CidrBlock": "10.0.0.0/24"}
    assert [code_of(network.ec2.create_subnet, **asked) for _ in range(3)] == [
        "RequestLimitExceeded",
        "RequestLimitExceeded",
        "",
    ]


def test_given_a_fault_that_skips_when_called_then_the_calls_before_pass(aws: LocalAws, network: Network):
    aws.inject("ec2", "CreateSubnet", error="RequestLimitExceeded", skip=1)
    made = [
        code_of(network.ec2.create_subnet, VpcId=network.vpc, CidrBlock=f"10.0.{number}.0/24") for number in range(3)
    ]
    assert made == ["", "RequestLimitExceeded", ""]


def test_given_a_fault_after_when_a_write_is_sent_then_it_takes_effect_and_the_answer_is_lost(
    aws: LocalAws, network: Network
):
    aws.inject("ec2", "CreateSubnet", when="after")
    with pytest.raises(ClientError) as raised:
        network.subnet("10.0.0.0/24")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    mine = [{"Name": "vpc-id", "Values": [network.vpc]}]
    assert len(network.ec2.describe_subnets(Filters=mine)["Subnets"]) == 1


def test_given_a_fault_that_cuts_then_the_call_has_no_effect_and_no_answer(aws: LocalAws, network: Network):
    aws.inject("ec2", "CreateSubnet", when="cut", times=9)
    with pytest.raises((EndpointConnectionError, HTTPClientError)):
        network.subnet("10.0.0.0/24")
    mine = [{"Name": "vpc-id", "Values": [network.vpc]}]
    assert network.ec2.describe_subnets(Filters=mine)["Subnets"] == []


WRITER = """
import boto3
def handler(event, context):
    boto3.client("sqs").create_queue(QueueName=event["queue"])
    return "alive"
"""


def test_given_a_function_that_is_killed_after_its_call_then_the_call_took_effect_and_the_next_invocation_works(
    aws: LocalAws, make: Maker
):
    queue = unique("queue")
    function = make.function(
        WRITER, role=make.role({"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}), Timeout=30
    )
    aws.inject("sqs", "CreateQueue", when="killed", principal=function)
    arguments = {"FunctionName": function, "Payload": json.dumps({"queue": queue}).encode()}
    first = aws.client("lambda").invoke(**arguments)
    assert json.loads(first["Payload"].read())["errorType"] == "Runtime.ExitError"
    assert any(url.endswith(queue) for url in aws.client("sqs").list_queues()["QueueUrls"])
    second = aws.client("lambda").invoke(**arguments)
    assert json.loads(second["Payload"].read()) == "alive"


def test_given_a_fault_for_one_caller_when_others_call_then_they_are_spared(aws: LocalAws, make: Maker):
    caller = make.session({"Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"})
    mine = aws.client("sqs", **caller)
    who = aws.client("sts", **caller).get_caller_identity()["Arn"]
    aws.inject("sqs", "ListQueues", error="Throttling", principal=who.rpartition("/")[0])
    assert code_of(aws.client("sqs").list_queues) == ""
    assert code_of(mine.list_queues) == "Throttling"


def test_given_calls_when_listed_then_each_names_service_action_caller_status_and_time(aws: LocalAws):
    aws.client("ec2").describe_vpcs()
    code_of(aws.client("dynamodb").describe_table, TableName=unique("none"))
    (first,) = aws.calls(service="ec2")
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "service": "ec2",
        "action": "DescribeVpcs",
        "principal": "arn:aws:iam::000000000000:root",
        "status": 200,
    }
    (second,) = aws.calls(service="dynamodb", action="DescribeTable")
    assert second["status"] == 400


def test_given_a_task_of_a_state_machine_when_a_fault_matches_then_the_task_fails_with_it(aws: LocalAws, make: Maker):
    function = make.function("def handler(event, context): return 1")
    arguments = {"FunctionName": function, "Payload": {}}
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, "End": True}
    machine = make.machine({"StartAt": "A", "States": {"A": task}}, ALLOW_INVOKE)
    aws.inject("lambda", "Invoke", error="TooManyRequestsException")
    assert make.run(machine)["error"] == "Lambda.TooManyRequestsException"
    assert [one["status"] for one in aws.calls(service="lambda", action="Invoke")] == [400]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"service": "ec2"}, "action"),
        ({"service": "ec2", "action": "X", "when": "later"}, "when"),
        ({"service": "ec2", "action": "X", "times": 0}, "times"),
        ({"service": "ec2", "action": "X", "skip": -1}, "skip"),
        ({"service": "ec2", "action": "X", "colour": "red"}, "colour"),
        ([], "JSON object"),
    ],
)
def test_given_a_wrong_document_when_posted_then_the_answer_names_the_field(
    aws: LocalAws, document: object, field: str
):
    status, answer = aws.control("POST", "/_local/faults", document)
    assert status == 400
    assert field in answer["error"]
