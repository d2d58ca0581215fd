"""Walks a traced definition with the embedded Step Functions, whose tasks invoke one scripted Lambda function."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from local.aws.client import LocalAws
from tests.contract.statemachine.support.definitions import Definition, inside_maps
from tests.contract.statemachine.support.passage import EXECUTION, MACHINE, Passage, passage
from tests.contract.statemachine.support.second import document_of
from tests.contract.statemachine.support.worlds import World
from tests.stack.aws.conftest import ALLOW_INVOKE, Maker, allow, eventually, unique

RUN_SECONDS = 60.0
# Answers as the walk's script says, a folder for each execution; notes the payload.
FUNCTION = """
import json, pathlib
import boto3
states = boto3.client("stepfunctions")
def handler(event, context):
    walk, state = pathlib.Path("FOLDER", event["trace"]["walk"]), event["trace"]["state"]
    with (walk / "calls").open("a") as calls:
        calls.write(json.dumps(event) + chr(10))
    zoned = state + " " + str(event.get("zone", ""))
    script = json.loads((walk / "script").read_text())
    answers = script.get(zoned) or script.get(state) or [{"returns": {}}]
    counter = walk / zoned
    number = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(number + 1))
    answer = answers[min(number, len(answers) - 1)]
    if "raises" in answer:
        raise type(answer["raises"], (Exception,), {})(answer["message"])
    if "task_token" in event and "returns" in answer:
        states.send_task_success(taskToken=event["task_token"], output=json.dumps(answer["returns"]))
    return answer.get("returns")
"""


class Embedded:
    """A definition, created as a state machine."""

    def __init__(self, aws: LocalAws, folder: Path, traced: Definition) -> None:
        make = Maker(aws)
        self._states, self._folder, self._inside = aws.client("stepfunctions"), folder, inside_maps(traced)
        role = make.role(allow("states:SendTaskSuccess"))
        function = make.function(FUNCTION.replace("FOLDER", str(folder)), role=role, Timeout=60)
        text = re.sub(r"\$\{\w+Function\}", function, json.dumps(traced))
        self._machine = make.machine(json.loads(text), ALLOW_INVOKE)

    def passage(self, world: World) -> Passage:
        """Walk it once."""
        name = unique("walk")
        walk = self._folder / name
        walk.mkdir()
        (walk / "script").write_text(json.dumps(world.answers))
        (walk / "calls").touch()
        execution = self._states.start_execution(
            stateMachineArn=self._machine, name=name, input=json.dumps(document_of(world, name))
        )["executionArn"]
        done = eventually(lambda: self._ended(execution), RUN_SECONDS)
        payloads = [json.loads(line) for line in (walk / "calls").read_text().splitlines()]
        output = json.loads(done["output"]) if done["status"] == "SUCCEEDED" else None
        ending = (done.get("error") or None, done.get("cause"), output)
        own = {execution: EXECUTION, self._machine: MACHINE, name: "execution"}
        return passage(self._entered(execution), payloads, ending, self._inside, own)

    def _ended(self, execution: str) -> dict[str, Any] | None:
        described: dict[str, Any] = self._states.describe_execution(executionArn=execution)
        return described if described["status"] != "RUNNING" else None

    def _entered(self, execution: str) -> list[str]:
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=execution)
        events = [event.get("stateEnteredEventDetails") for page in pages for event in page["events"]]
        return [str(details["name"]) for details in events if details]
