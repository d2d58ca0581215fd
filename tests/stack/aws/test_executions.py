"""Step Functions: how executions, and the branches inside them, end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import ALLOW_INVOKE, Inbox, Maker, code_of, eventually, subscribe

if TYPE_CHECKING:
    from local.aws.client import LocalAws

# Says that it has begun, and says that it is done once it is let go. {"fail": true}: fails when others have begun.
MEETING = """
import pathlib, time
def handler(event, context):
    here = pathlib.Path(event["folder"])
    def until(name):
        while not (here / name).exists():
            time.sleep(0.02)
    if event.get("fail"):
        until("begun")
        raise RuntimeError("this zone has no room")
    (here / event["begun"]).touch()
    until("go")
    (here / event["done"]).touch()
"""
LATER = "import pathlib\ndef handler(event, context): (pathlib.Path(event['folder']) / 'later').touch()\n"


def task(function: str, **fields: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": "{% $states.input %}"}
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, **fields}


def history(aws: LocalAws, execution: str) -> list[str]:
    pages = aws.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event["type"] for page in pages for event in page["events"]]


def meeting(make: Maker, kind: str) -> dict[str, Any]:
    """A Map or Parallel state of two: one fails, while the function of the other still runs."""
    work = task(make.function(MEETING, Timeout=60), Output="{% $states.input %}", Next="Later")
    states = {"Work": work, "Later": task(make.function(LATER), End=True)}
    if kind == "Map":
        return {
            "Type": "Map",
            "Items": "{% $states.input.items %}",
            "ItemProcessor": {"StartAt": "Work", "States": states},
        }
    branches = [{"StartAt": f"Pick{index}", "States": {f"Pick{index}": pick(index), **states}} for index in range(2)]
    return {"Type": "Parallel", "Branches": branches}


def pick(index: int) -> dict[str, Any]:
    return {"Type": "Pass", "Output": f"{{% $states.input.items[{index}] %}}", "Next": "Work"}


@pytest.mark.parametrize("kind", ["Map", "Parallel"])
def test_given_a_branch_that_fails_when_others_run_then_they_stop_but_their_functions_go_on(
    aws: LocalAws, make: Maker, tmp_path: Path, kind: str
):
    together = meeting(make, kind)
    together["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Undo"}]
    together["End"] = True
    machine = make.machine(
        {"StartAt": "Zones", "States": {"Zones": together, "Undo": {"Type": "Succeed"}}}, ALLOW_INVOKE
    )
    items = [{"folder": str(tmp_path), "begun": "begun", "done": "done"}, {"folder": str(tmp_path), "fail": True}]

    ended = make.run(machine, {"items": items})

    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["Error"] == "RuntimeError"
    assert not (tmp_path / "done").exists(), "the other branch was waited for"
    (tmp_path / "go").touch()
    eventually((tmp_path / "done").exists)
    types = history(aws, ended["executionArn"])
    assert types.count("TaskScheduled") == 2, "the stopped branch took its next step"
    assert types[-1] == "ExecutionSucceeded"
    if kind == "Map":
        assert types.count("MapIterationFailed") == types.count("MapIterationAborted") == 1
    assert not (tmp_path / "later").exists()


def test_given_a_limit_of_one_at_a_time_when_an_iteration_fails_then_the_next_never_starts(make: Maker, tmp_path: Path):
    processor = {
        "StartAt": "Work",
        "States": {"Work": task(make.function(LATER.replace("'later'", "event['name']")), End=True)},
    }
    zones = {
        "Type": "Map",
        "MaxConcurrency": 1,
        "Items": "{% $states.input.items %}",
        "ItemProcessor": processor,
        "End": True,
    }
    machine = make.machine({"StartAt": "Zones", "States": {"Zones": zones}}, ALLOW_INVOKE)
    missing = {"folder": str(tmp_path / "absent"), "name": "x"}

    ended = make.run(machine, {"items": [missing, {"folder": str(tmp_path), "name": "second"}]})

    assert (ended["status"], ended["error"]) == ("FAILED", "FileNotFoundError")
    assert not (tmp_path / "second").exists()


def test_given_a_result_over_256_kib_when_caught_then_only_its_own_name_catches_it(make: Maker):
    large = make.function("def handler(event, context): return 'x' * (event['kib'] * 1024)")
    both = [
        {"ErrorEquals": ["States.DataLimitExceeded"], "Next": "Named"},
        {"ErrorEquals": ["States.ALL"], "Next": "All"},
    ]
    ends = {
        "Named": {"Type": "Pass", "Output": "named", "End": True},
        "All": {"Type": "Pass", "Output": "all", "End": True},
    }
    small = "{% $length($states.result.Payload) %}"

    named = make.machine(
        {"StartAt": "A", "States": {"A": task(large, Catch=both, Output=small, End=True), **ends}}, ALLOW_INVOKE
    )
    catch_all = make.machine(
        {"StartAt": "A", "States": {"A": task(large, Catch=both[1:], Output=small, End=True), "All": ends["All"]}},
        ALLOW_INVOKE,
    )

    assert json.loads(make.run(named, {"kib": 255})["output"]) == 255 * 1024
    assert json.loads(make.run(named, {"kib": 257})["output"]) == "named"
    assert make.run(catch_all, {"kib": 257})["error"] == "States.DataLimitExceeded"


def test_given_states_that_grow_their_data_when_it_passes_256_kib_then_the_execution_fails(make: Maker):
    double = {"Type": "Pass", "Output": "{% $states.input & $states.input %}", "Next": "Double"}
    machine = make.machine(
        {"StartAt": "Start", "States": {"Start": {"Type": "Pass", "Output": "x", "Next": "Double"}, "Double": double}}
    )
    assert make.run(machine)["error"] == "States.DataLimitExceeded"


@pytest.mark.parametrize("condition", ["{% $states.input.count %}", "{% 'yes' %}", "{% [] %}", "{% $states.input %}"])
def test_given_a_condition_that_is_not_boolean_when_evaluated_then_the_execution_fails(make: Maker, condition: str):
    choice = {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "End"}], "Default": "End"}
    machine = make.machine({"StartAt": "A", "States": {"A": choice, "End": {"Type": "Succeed"}}})

    ended = make.run(machine, {"count": 1})

    assert (ended["status"], ended["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert "Expected 'boolean'" in ended["cause"]


def test_given_timeout_seconds_when_over_then_the_execution_is_timed_out_whatever_it_catches(
    aws: LocalAws, make: Maker, inbox: Inbox
):
    inside = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    caught = {
        "Type": "Parallel",
        "Branches": [inside],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
        "End": True,
    }
    machine = make.machine(
        {"TimeoutSeconds": 1, "StartAt": "A", "States": {"A": caught, "Caught": {"Type": "Succeed"}}}
    )
    subscribe(aws, inbox, {"source": ["aws.states"], "detail": {"stateMachineArn": [machine], "status": ["TIMED_OUT"]}})

    ended = make.run(machine)

    assert ended["status"] == "TIMED_OUT"
    assert history(aws, ended["executionArn"])[-1] == "ExecutionTimedOut"
    assert inbox.next()["detail"]["executionArn"] == ended["executionArn"]


def test_given_a_setting_when_an_execution_takes_longer_then_it_is_timed_out(aws: LocalAws, make: Maker):
    machine = make.machine({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}})
    with aws.settings(execution_timeout_seconds=0.2):
        assert make.run(machine)["status"] == "TIMED_OUT"


def test_given_the_quota_of_events_when_reached_then_the_execution_fails_unless_it_has_succeeded(
    aws: LocalAws, make: Maker
):
    two = make.machine(
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "End": True}}}
    )
    with aws.settings(execution_events=6):
        succeeded = make.run(two)
    with aws.settings(execution_events=5):
        failed = make.run(two)

    assert (succeeded["status"], len(history(aws, succeeded["executionArn"]))) == ("SUCCEEDED", 6)
    assert failed["status"] == "FAILED"
    assert failed["cause"] == "The execution reached the maximum number of history events (5)."
    assert history(aws, failed["executionArn"])[-1] == "ExecutionFailed"


def test_given_states_inside_of_a_map_when_they_run_then_their_events_count(aws: LocalAws, make: Maker):
    processor = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    zones = {"Type": "Map", "Items": [1, 2, 3], "ItemProcessor": processor, "End": True}
    ended = make.run(make.machine({"StartAt": "Zones", "States": {"Zones": zones}}))

    types = history(aws, ended["executionArn"])

    assert types.count("PassStateEntered") == types.count("MapIterationSucceeded") == 3


def test_given_a_stopped_execution_when_its_states_fail_later_then_it_stays_aborted(
    aws: LocalAws, make: Maker, tmp_path: Path
):
    machine = make.machine(
        {"StartAt": "A", "States": {"A": task(make.function(MEETING, Timeout=60), Next="B"), "B": {"Type": "Fail"}}},
        ALLOW_INVOKE,
    )
    states = aws.client("stepfunctions")
    given = json.dumps({"folder": str(tmp_path), "begun": "begun", "done": "done"})
    execution = states.start_execution(stateMachineArn=machine, input=given)["executionArn"]
    eventually((tmp_path / "begun").exists)

    states.stop_execution(executionArn=execution, error="Operator", cause="wrong cluster")
    states.stop_execution(executionArn=execution)
    (tmp_path / "go").touch()
    eventually((tmp_path / "done").exists)

    ended = states.describe_execution(executionArn=execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Operator", "wrong cluster")
    assert history(aws, execution)[-1] == "ExecutionAborted"


def test_given_a_waiting_task_when_its_execution_is_stopped_then_its_token_is_of_no_more_use(
    aws: LocalAws, make: Maker, tmp_path: Path
):
    code = "import pathlib\ndef handler(event, context): pathlib.Path(event['file']).write_text(event['token'])\n"
    payload = {"token": "{% $states.context.Task.Token %}", "file": "{% $states.input.file %}"}
    arguments = {"FunctionName": make.function(code), "Payload": payload}
    resource = "arn:aws:states:::lambda:invoke.waitForTaskToken"
    ask = {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True}
    machine = make.machine({"StartAt": "Ask", "States": {"Ask": ask}}, ALLOW_INVOKE)
    states, file = aws.client("stepfunctions"), tmp_path / "token"
    execution = states.start_execution(stateMachineArn=machine, input=json.dumps({"file": str(file)}))["executionArn"]
    token = eventually(lambda: file.exists() and file.read_text())

    states.stop_execution(executionArn=execution)

    eventually(
        lambda: code_of(states.send_task_success, taskToken=token, output="{}") in ("TaskTimedOut", "TaskDoesNotExist")
    )
    assert states.describe_execution(executionArn=execution)["status"] == "ABORTED"


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "ABORTED"])
def test_given_an_execution_when_it_starts_and_ends_then_rules_get_an_event_of_each(
    aws: LocalAws, make: Maker, inbox: Inbox, status: str
):
    last = {
        "SUCCEEDED": {"Type": "Succeed"},
        "FAILED": {"Type": "Fail", "Error": "NoRoom", "Cause": "full"},
        "ABORTED": {"Type": "Wait", "Seconds": 3600, "End": True},
    }[status]
    machine = make.machine({"StartAt": "A", "States": {"A": last}})
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]}
    subscribe(aws, inbox, {**pattern, "detail": {"stateMachineArn": [machine]}})
    states = aws.client("stepfunctions")

    execution = states.start_execution(stateMachineArn=machine, input='{"a": 1}')["executionArn"]
    if status == "ABORTED":
        states.stop_execution(executionArn=execution)
    details = [inbox.next()["detail"] for _ in range(2)]

    assert {one["status"] for one in details} == {"RUNNING", status}
    (ended,) = (one for one in details if one["status"] == status)
    assert (ended["executionArn"], ended["input"]) == (execution, '{"a": 1}')
    assert isinstance(ended["stopDate"], int)
    assert ended["redriveStatus"] == ("NOT_REDRIVABLE" if status == "SUCCEEDED" else "REDRIVABLE")
