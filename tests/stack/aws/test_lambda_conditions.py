"""Lambda functions that cannot be invoked: inactive, connecting and throttled ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import ALLOW_INVOKE, Inbox, Maker, code_of, eventually, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.client import LocalAws

HELLO = "def handler(event, context): return 'hello'"


@pytest.fixture(autouse=True)
def no_conditions(aws: LocalAws) -> Iterator[None]:
    yield
    aws.control("DELETE", "/_local/functions")


def task(function: str, *retriers: dict[str, Any]) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": {}}
    resource = "arn:aws:states:::lambda:invoke"
    return {"Type": "Task", "Resource": resource, "Arguments": arguments, "Retry": list(retriers), "End": True}


def test_given_an_inactive_function_when_invoked_then_it_is_not_ready_then_pending_then_active(
    aws: LocalAws, make: Maker
):
    name, client = make.function(HELLO), aws.client("lambda")

    def state() -> tuple[str, str]:
        result = client.get_function_configuration(FunctionName=name)
        return result["State"], result.get("StateReasonCode", "")

    with aws.function(name, state="Inactive", restore_seconds=1):
        assert state() == ("Inactive", "Idle")
        assert code_of(client.invoke, FunctionName=name) == "ResourceNotReadyException"
        assert code_of(client.invoke, FunctionName=name) == "ResourceConflictException"
        assert state() == ("Pending", "Restoring")
        eventually(lambda: code_of(client.invoke, FunctionName=name) == "")
        assert state()[0] == "Active"


def test_given_a_full_subnet_when_an_inactive_function_is_invoked_then_it_never_comes_back(aws: LocalAws, make: Maker):
    name, client = make.function(HELLO), aws.client("lambda")
    with aws.function(name, state="Inactive", restore_seconds=0, restorable=False):
        assert code_of(client.invoke, FunctionName=name) == "ResourceNotReadyException"
        assert code_of(client.invoke, FunctionName=name) == "SubnetIPAddressLimitReachedException"
        result = client.get_function(FunctionName=name)["Configuration"]
        assert (result["State"], result["StateReasonCode"]) == ("Inactive", "SubnetOutOfIPAddresses")


@pytest.mark.parametrize(
    ("state", "code"), [("Throttled", "TooManyRequestsException"), ("Connecting", "ENINotReadyException")]
)
def test_given_a_function_that_is_not_ready_when_invoked_then_so_many_calls_fail(
    aws: LocalAws, make: Maker, state: str, code: str
):
    name, client = make.function(HELLO), aws.client("lambda")
    with aws.function(name, state=state, times=2):
        codes = [code_of(client.invoke, FunctionName=name) for _ in range(3)]
    assert codes == [code, code, ""]


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ({"state": "Throttled", "times": 1}, "Lambda.TooManyRequestsException"),
        ({"state": "Connecting", "times": 1}, "Lambda.ENINotReadyException"),
        ({"state": "Inactive", "restore_seconds": 0}, "Lambda.ResourceNotReadyException"),
    ],
)
def test_given_a_task_when_its_function_cannot_run_then_a_retrier_for_that_error_gets_over_it(
    aws: LocalAws, make: Maker, condition: dict[str, Any], error: str
):
    name = make.function(HELLO)
    retrier = {"ErrorEquals": [error], "IntervalSeconds": 1, "MaxAttempts": 3}
    patient = make.machine({"StartAt": "A", "States": {"A": task(name, retrier)}}, ALLOW_INVOKE)
    plain = make.machine({"StartAt": "A", "States": {"A": task(name)}}, ALLOW_INVOKE)
    with aws.function(name, **condition):
        assert make.run(plain)["error"] == error
    with aws.function(name, **condition):
        assert make.run(patient)["status"] == "SUCCEEDED"


def test_given_an_event_when_its_function_is_inactive_then_the_event_waits_for_it(
    aws: LocalAws, make: Maker, inbox: Inbox
):
    events, source = aws.client("events"), unique("source")
    send = f"boto3.client('sqs').send_message(QueueUrl='{inbox.url}', MessageBody='{{}}')"
    code = f"import boto3\ndef handler(event, context): {send}"
    role = make.role({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"})
    name = make.function(code, role=role, Timeout=20)
    arn = aws.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    events.put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=source, Targets=[{"Id": "f", "Arn": arn}])
    with aws.function(name, state="Inactive", restore_seconds=0.5):
        events.put_events(Entries=[{"Source": source, "DetailType": "d", "Detail": "{}"}])
        assert inbox.next() == {}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "function is missing"),
        ({"function": "a", "state": "Asleep"}, "state must be Inactive, Connecting or Throttled"),
        (
            {"function": "a", "state": "Throttled", "restore_seconds": 1},
            "restore_seconds is not a field of state Throttled",
        ),
        ({"function": "a", "state": "Inactive", "restorable": 1}, "restorable must be of the kind of its default True"),
        ({"function": "a", "state": "Throttled", "times": -1}, "times must be"),
    ],
)
def test_given_a_condition_that_is_wrong_when_sent_then_the_answer_names_field_and_remedy(
    aws: LocalAws, document: dict[str, Any], message: str
):
    status, answer = aws.control("POST", "/_local/functions", document)
    assert status == 400
    assert message in answer["error"]
