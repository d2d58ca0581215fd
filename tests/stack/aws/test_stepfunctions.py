"""Step Functions: the parts of the states language and of its service that the state machines use."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import ALLOW_INVOKE, Maker, code_of, eventually, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

FAILING = "class PlanRejected(Exception): pass\ndef handler(event, context): raise PlanRejected('too risky')\n"


def invoke(function: str, **fields: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": "{% $states.input %}"}
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, **fields}


def test_given_an_exception_when_caught_by_class_name_then_the_catch_runs(make: Maker):
    catch = [{"ErrorEquals": ["PlanRejected"], "Next": "Caught", "Output": "{% $states.errorOutput %}"}]
    machine = make.machine(
        {
            "StartAt": "Plan",
            "States": {"Plan": invoke(make.function(FAILING), Catch=catch, End=True), "Caught": {"Type": "Succeed"}},
        },
        ALLOW_INVOKE,
    )
    output = json.loads(make.run(machine)["output"])
    assert output["Error"] == "PlanRejected"
    assert json.loads(output["Cause"])["errorMessage"] == "too risky"


def test_given_a_transient_error_when_retried_then_the_next_attempt_counts(make: Maker):
    code = (
        "class Throttled(Exception): pass\ncalls = 0\n"
        "def handler(event, context):\n"
        "    global calls\n    calls += 1\n"
        "    if calls < 3: raise Throttled('slow down')\n    return calls\n"
    )
    retry = [{"ErrorEquals": ["Throttled"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 3}]
    output = "{% $states.result.Payload %}"
    task = invoke(make.function(code), Retry=retry, Output=output, End=True)
    machine = make.machine({"StartAt": "A", "States": {"A": task}}, ALLOW_INVOKE)
    assert make.run(machine)["output"] == "3"


def test_given_a_longest_pause_when_retried_then_no_pause_is_longer(make: Maker):
    code = (
        "import time\nclass NotYet(Exception): pass\ncalls = []\n"
        "def handler(event, context):\n"
        "    calls.append(time.time())\n"
        "    if len(calls) < 4: raise NotYet('wait')\n    return calls\n"
    )
    # without the bound the third pause would last 100 times the first
    retry = [
        {"ErrorEquals": ["NotYet"], "IntervalSeconds": 1, "BackoffRate": 10, "MaxAttempts": 5, "MaxDelaySeconds": 1}
    ]
    task = invoke(make.function(code), Retry=retry, Output="{% $states.result.Payload %}", End=True)
    machine = make.machine({"StartAt": "A", "States": {"A": task}}, ALLOW_INVOKE)

    calls = json.loads(make.run(machine)["output"])

    pauses = [later - earlier for earlier, later in pairwise(calls)]
    assert max(pauses) < 5 * min(pauses)


def test_given_a_succeed_state_with_output_when_reached_then_that_is_the_result(make: Maker):
    succeed = {"Type": "Succeed", "Output": {"who": "{% $states.input.name %}"}}
    machine = make.machine({"StartAt": "A", "States": {"A": succeed}})
    assert json.loads(make.run(machine, {"name": "demo"})["output"]) == {"who": "demo"}


def test_given_a_role_without_the_permission_when_a_task_runs_then_access_is_denied(make: Maker):
    function = make.function("def handler(event, context): return 1")
    machine = make.machine({"StartAt": "A", "States": {"A": invoke(function, End=True)}})
    ended = make.run(machine)
    assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.AWSLambdaException")
    assert "lambda:InvokeFunction" in ended["cause"]


@pytest.mark.parametrize("allowed", [True, False])
def test_given_a_dynamodb_task_when_it_runs_then_the_table_named_by_the_role_counts(
    aws: LocalAws, make: Maker, allowed: bool
):
    table = unique("table")
    aws.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    name = table if allowed else "another"
    arn = f"arn:aws:dynamodb:{aws.region}:000000000000:table/{name}"
    update = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:updateItem",
        "Arguments": {
            "TableName": table,
            "Key": {"k": {"S": "a"}},
            "UpdateExpression": "SET s = :s",
            "ExpressionAttributeValues": {":s": {"S": "planned"}},
        },
        "End": True,
    }
    machine = make.machine(
        {"StartAt": "A", "States": {"A": update}},
        {"Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": arn},
    )
    ended = make.run(machine)
    assert (ended["status"], ended.get("error")) == (
        ("SUCCEEDED", None) if allowed else ("FAILED", "DynamoDB.AccessDeniedException")
    )


def test_given_the_same_name_and_input_while_running_when_started_again_then_the_running_one_answers(
    aws: LocalAws, make: Maker
):
    machine = make.machine({"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 60, "End": True}}})
    states, name = aws.client("stepfunctions"), unique("incident")
    start = states.start_execution
    first = start(stateMachineArn=machine, name=name, input='{"a": 1}')["executionArn"]
    assert start(stateMachineArn=machine, name=name, input='{"a": 1}')["executionArn"] == first
    assert code_of(start, stateMachineArn=machine, name=name, input='{"a": 2}') == "ExecutionAlreadyExists"
    states.stop_execution(executionArn=first)
    assert code_of(start, stateMachineArn=machine, name=name, input='{"a": 1}') == "ExecutionAlreadyExists"


def callback(function: str, **fields: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": {"token": "{% $states.context.Task.Token %}"}}
    resource = "arn:aws:states:::lambda:invoke.waitForTaskToken"
    return {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True, **fields}


def test_given_a_task_token_when_sent_back_then_the_task_ends_with_its_output(aws: LocalAws, make: Maker):
    url = aws.client("sqs").create_queue(QueueName=unique("q"))["QueueUrl"]
    code = (
        "import boto3\n"
        "def handler(event, context):\n"
        f"    boto3.client('sqs').send_message(QueueUrl='{url}', MessageBody=event['token'])\n"
    )
    role = make.role({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"})
    task = callback(make.function(code, role=role, Timeout=20))
    machine = make.machine({"StartAt": "A", "States": {"A": task}}, ALLOW_INVOKE)
    states = aws.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    (message,) = eventually(lambda: aws.client("sqs").receive_message(QueueUrl=url).get("Messages"))
    states.send_task_success(taskToken=message["Body"], output='{"approved": true}')
    ended = eventually(
        lambda: (one := states.describe_execution(executionArn=execution))["status"] != "RUNNING" and one
    )
    assert json.loads(ended["output"]) == {"approved": True}


@pytest.mark.parametrize("seconds", [1, "{% $states.input.seconds %}"])
def test_given_no_answer_when_the_callbacks_time_is_over_then_states_timeout(make: Maker, seconds: object):
    task = callback(make.function("def handler(event, context): pass"), TimeoutSeconds=seconds)
    machine = make.machine({"StartAt": "A", "States": {"A": task}}, ALLOW_INVOKE)
    assert make.run(machine, {"seconds": 1})["error"] == "States.Timeout"


def test_given_a_function_that_fails_when_it_should_hand_on_a_token_then_the_task_fails_at_once(make: Maker):
    task = callback(make.function(FAILING), TimeoutSeconds=600)
    machine = make.machine({"StartAt": "A", "States": {"A": task}}, ALLOW_INVOKE)
    assert make.run(machine)["error"] == "PlanRejected"


def test_given_parallel_branches_when_they_assign_the_same_variable_then_each_keeps_its_own(make: Maker):
    def branch(name: str, seconds: float) -> dict[str, Any]:
        return {
            "StartAt": f"Set{name}",
            "States": {
                f"Set{name}": {"Type": "Pass", "Assign": {"zone": name}, "Next": f"Wait{name}"},
                f"Wait{name}": {"Type": "Wait", "Seconds": seconds, "Next": f"Get{name}"},
                f"Get{name}": {"Type": "Pass", "Output": "{% $zone %}", "End": True},
            },
        }

    parallel = {"Type": "Parallel", "Branches": [branch("a", 1), branch("b", 0)], "End": True}
    machine = make.machine({"StartAt": "P", "States": {"P": parallel}})
    assert json.loads(make.run(machine)["output"]) == ["a", "b"]


def test_given_a_map_over_zones_when_it_runs_then_results_keep_their_order_and_see_outer_variables(make: Maker):
    item = {"Type": "Pass", "Output": "{% $block & '/' & $states.input %}", "End": True}
    zones = {
        "Type": "Map",
        "Items": "{% $states.input.zones %}",
        "ItemProcessor": {"StartAt": "Zone", "States": {"Zone": item}},
        "End": True,
    }
    first = {"Type": "Pass", "Assign": {"block": "{% $states.input.block %}"}, "Next": "Zones"}
    machine = make.machine({"StartAt": "Set", "States": {"Set": first, "Zones": zones}})
    output = json.loads(make.run(machine, {"block": "100.64", "zones": ["a", "b"]})["output"])
    assert output == ["100.64/a", "100.64/b"]


def test_given_put_events_in_a_state_when_it_runs_then_the_event_reaches_the_rules_target(aws: LocalAws, make: Maker):
    events, sqs, source = aws.client("events"), aws.client("sqs"), unique("source")
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=source, Targets=[{"Id": "q", "Arn": arn}])
    entry = {"Source": source, "DetailType": "Remediated", "Detail": {"cluster": "demo"}}
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [entry]},
        "End": True,
    }
    allow = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    assert make.run(make.machine({"StartAt": "A", "States": {"A": put}}, allow))["status"] == "SUCCEEDED"
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    assert json.loads(message["Body"])["detail"] == {"cluster": "demo"}
