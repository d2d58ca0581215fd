"""Executions of functions at the same time: reserves, the account's quota, and what callers learn of a throttle."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.stack.aws.conftest import ALLOW_INVOKE, Inbox, Maker, code_of, eventually
from tests.stack.aws.test_cloudformation import deploy
from tests.stack.aws.test_lambda_conditions import task

if TYPE_CHECKING:
    from local.aws.client import LocalAws

RESERVED, UNRESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded", "ConcurrentInvocationLimitExceeded"
# Runs until its file is gone, and says so by another file; without a file it ends at once.
HELD = """
import pathlib, time
def handler(event, context):
    if 'file' in event:
        blocker = pathlib.Path(event['file'])
        blocker.with_suffix('.begun').touch()
        while blocker.exists(): time.sleep(0.02)
    return {'statusCode': 200, 'body': 'done'}
"""


def invoke(aws: LocalAws, name: str, document: dict[str, Any] | None = None, **options: Any) -> Any:
    return aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(document or {}), **options)


@contextmanager
def running_call(aws: LocalAws, name: str, folder: Path) -> Iterator[None]:
    """One execution of the function runs, until the block ends."""
    file = folder / name
    file.touch()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(invoke, aws, name, {"file": str(file)})
        try:
            eventually(file.with_suffix(".begun").exists)
            yield
        finally:
            file.unlink()
        running.result()


@pytest.fixture
def reserved(aws: LocalAws, make: Maker) -> Iterator[str]:
    """A function with a reserve of one."""
    name = make.function(HELD, Timeout=120)
    aws.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    yield name
    aws.client("lambda").delete_function_concurrency(FunctionName=name)


def test_given_a_reserve_that_is_used_up_when_invoked_then_that_function_alone_is_throttled(
    aws: LocalAws, make: Maker, reserved: str, tmp_path: Path
):
    other = make.function(HELD)
    with running_call(aws, reserved, tmp_path):
        with pytest.raises(ClientError) as refused:
            invoke(aws, reserved)
        assert invoke(aws, other)["StatusCode"] == 200
    answer = refused.value.response
    assert answer["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
    assert (answer["Reason"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (RESERVED, 429)
    assert invoke(aws, reserved)["StatusCode"] == 200


def test_given_a_reserve_that_is_used_up_when_a_state_machine_calls_then_lambdas_error_can_be_retried(
    aws: LocalAws, make: Maker, reserved: str, tmp_path: Path
):
    error = "Lambda.TooManyRequestsException"
    retrier = {"ErrorEquals": [error], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 60}
    plain = make.machine({"StartAt": "A", "States": {"A": task(reserved)}}, ALLOW_INVOKE)
    patient = make.machine({"StartAt": "A", "States": {"A": task(reserved, retrier)}}, ALLOW_INVOKE)
    with ThreadPoolExecutor(1) as pool:
        with running_call(aws, reserved, tmp_path):
            waiting = pool.submit(make.run, patient)
            failed = make.run(plain)
        assert (failed["error"], failed["cause"]) == (error, "Rate Exceeded.")
        assert waiting.result()["status"] == "SUCCEEDED"


def test_given_a_reserve_that_is_used_up_when_an_event_comes_then_it_waits_without_using_up_its_attempts(
    aws: LocalAws, make: Maker, inbox: Inbox, tmp_path: Path
):
    send = f"    boto3.client('sqs').send_message(QueueUrl='{inbox.url}', MessageBody='{{}}')\n"
    role = make.role({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"})
    code = HELD.replace("import pathlib", "import boto3, pathlib").replace("    if", f"{send}    if", 1)
    name = make.function(code, role=role, Timeout=120)
    client = aws.client("lambda")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    with running_call(aws, name, tmp_path):
        assert inbox.next() == {}
        assert invoke(aws, name, InvocationType="Event")["StatusCode"] == 202
        assert code_of(invoke, aws, name) == "TooManyRequestsException"
    assert inbox.next() == {}
    client.delete_function_concurrency(FunctionName=name)


def test_given_a_reserve_that_is_used_up_when_its_url_is_called_then_too_many_requests(
    aws: LocalAws, reserved: str, tmp_path: Path
):
    url = aws.client("lambda").create_function_url_config(FunctionName=reserved, AuthType="NONE")["FunctionUrl"]
    address = f"{aws.endpoint}/_aws/lambda-url/{url.split('//')[1].split('.')[0]}/"
    with running_call(aws, reserved, tmp_path), pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address)
    assert refused.value.code == 429
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == b"done"


def test_given_a_quota_that_is_used_up_when_invoked_then_only_reserves_run(
    aws: LocalAws, make: Maker, reserved: str, tmp_path: Path
):
    busy, other = make.function(HELD, Timeout=120), make.function(HELD)
    # One is the reserve's, one is for all others.
    with running_call(aws, busy, tmp_path), aws.settings(function_concurrency=2):
        with pytest.raises(ClientError) as refused:
            invoke(aws, other)
        assert refused.value.response["Reason"] == UNRESERVED
        assert invoke(aws, reserved)["StatusCode"] == 200
    assert invoke(aws, other)["StatusCode"] == 200


@pytest.mark.parametrize(("quota", "wanted", "minimum"), [(1000, 901, 100), (105, 6, 100), (10, 1, 10)])
def test_given_a_reserve_that_leaves_too_little_when_wanted_then_it_is_refused_by_lambda_and_so_is_the_stack(
    aws: LocalAws, make: Maker, quota: int, wanted: int, minimum: int
):
    name = make.function(HELD)
    with aws.settings(function_concurrency=quota):
        with pytest.raises(ClientError) as refused:
            aws.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=wanted)
        properties = {
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": make.role(),
            "Code": {"ZipFile": HELD},
            "ReservedConcurrentExecutions": wanted,
        }
        with pytest.raises(AssertionError, match="ROLLBACK_COMPLETE"):
            deploy(aws, {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}})
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidParameterValueException"
    assert error["Message"].endswith(f"UnreservedConcurrentExecution below its minimum value of [{minimum}].")
    assert "ReservedConcurrentExecutions" not in aws.client("lambda").get_function_concurrency(FunctionName=name)
