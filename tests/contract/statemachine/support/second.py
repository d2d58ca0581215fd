"""Walks a traced definition with sfnx, a second implementation of the States Language with JSONata."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sfnx import testing

from tests.contract.statemachine.support.definitions import Definition, inside_maps
from tests.contract.statemachine.support.passage import EXECUTION, MACHINE, Passage, passage
from tests.contract.statemachine.support.worlds import OWN_NAME, World

# What sfnx calls every execution.
NAME = "execution"
OWN = {
    f"arn:aws:states:us-east-1:123456789012:execution:machine:{NAME}": EXECUTION,
    "arn:aws:states:us-east-1:123456789012:stateMachine:machine": MACHINE,
}
# What Step Functions adds to a payload.
STATUS = {"ExecutedVersion": "$LATEST", "StatusCode": 200}


def walk_second(machine: Definition, world: World) -> testing.Execution:
    return testing.run(machine, document_of(world, NAME), _Answering(world))


def second_passage(machine: Definition, world: World) -> Passage:
    done = walk_second(machine, world)
    payloads: list[Any] = [call.arguments["Payload"] for call in done.calls if isinstance(call.arguments, dict)]
    ending = (done.error, done.cause, None if done.error else done.output)
    return passage(list(done.states), payloads, ending, inside_maps(machine), OWN)


def document_of(world: World, name: str) -> dict[str, Any]:
    return {key: name if value == OWN_NAME else value for key, value in world.document.items()}


class _Answering:
    def __init__(self, world: World) -> None:
        self._answers, self._given = world.answers, Counter[str]()

    def __call__(self, call: testing.Call) -> Any:
        arguments: Any = call.arguments
        zoned = f"{call.state} {arguments['Payload'].get('zone', '')}"
        answers = self._answers.get(zoned) or self._answers.get(call.state) or [{"returns": {}}]
        answer = answers[min(self._given[zoned], len(answers) - 1)]
        self._given[zoned] += 1
        if "raises" in answer:
            cause = {"errorMessage": answer["message"], "errorType": answer["raises"]}
            raise testing.Failure(answer["raises"], json.dumps(cause))
        if "silent" in answer:
            raise testing.Failure("States.Timeout")
        waits = call.resource.endswith(".waitForTaskToken")
        return answer["returns"] if waits else {**STATUS, "Payload": answer["returns"]}
