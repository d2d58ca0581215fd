"""Step Functions: permissions of roles, idempotent starts, and parts of the states language that MiniStack lacks."""

from __future__ import annotations

import contextvars
import json
import random
from typing import TYPE_CHECKING, Any

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import stepfunctions

from local.aws.corrections.guard import original, replace, require
from local.aws.operations import Operation
from local.aws.partitions import partition_of
from local.aws.step_functions import branches, definitions, executions, limits, permissions, scopes
from local.aws.step_functions.errors import failure

if TYPE_CHECKING:
    from local.aws.faults import Faults
    from local.aws.step_functions.executions import Runner
    from local.aws.switches import Switches

JSONATA = "JSONata"

# Role of the state machine whose task runs in this thread, and the task's token while it waits for a callback.
_role: contextvars.ContextVar[str] = contextvars.ContextVar("role", default="")
_token: contextvars.ContextVar[str] = contextvars.ContextVar("token", default="")


def install(faults: Faults, switches: Switches) -> None:
    """Correct how Step Functions runs executions."""
    runner = executions.install(switches)
    branches.install(runner)
    limits.install()
    enforce_role(faults)
    evaluate_task_timeout()
    fail_callback_task_with_its_function()
    output_of_succeed()
    start_once()
    retry_after_at_most(runner)
    refuse_foreign_resources()


def enforce_role(faults: Faults) -> None:
    """A task may do only what the state machine's role allows; MiniStack runs every task as root.

    Tasks do not pass through the HTTP gateway, so they are recorded, and refused by injected faults, here.
    """
    require(stepfunctions, "_ExecutionError")
    require(iam_evaluator, "_gather_role_policies", "EvalContext", "evaluate")
    execute_task = original(stepfunctions, "_execute_task")
    machines = original(stepfunctions, "_state_machines")

    def execute_with_role(state: Any, raw_input: Any, execution: Any, context: Any) -> Any:
        # A child of a distributed Map belongs to a state machine "name/label", and has the role of "name".
        machine = machines.get((execution or {}).get("stateMachineArn", "").partition("/")[0]) or {}
        reset = _role.set(machine.get("roleArn", ""))
        try:
            return execute_task(state, raw_input, execution, context)
        finally:
            _role.reset(reset)

    replace(stepfunctions, "_execute_task", execute_with_role)
    for name in ("_invoke_resource", "_invoke_with_callback"):
        replace(stepfunctions, name, _guarded(original(stepfunctions, name), faults))


def _guarded(invoke: Any, faults: Faults) -> Any:
    def guarded(resource: str, data: Any, *arguments: Any) -> Any:
        needed = permissions.needed(resource, data, get_region(), get_account_id())
        role = _role.get()
        for permission in needed:
            if role and not permissions.allowed(role, permission):
                raise failure(permission.error("AccessDeniedException"), permission.denial(role))
        if not needed:
            return invoke(resource, data, *arguments)
        first = needed[0]
        operation = Operation(first.service, first.operation, role, "json")
        call, fault = faults.record(operation), faults.take(operation)
        if fault and fault.when == "before":
            call.status = fault.status
            raise failure(first.error(fault.error), fault.message)
        answer = invoke(resource, data, *arguments)
        call.status = 200
        if fault:
            raise failure(first.error("InternalError"), fault.message)
        return answer

    return guarded


def evaluate_task_timeout() -> None:
    """TimeoutSeconds of a task may be a JSONata expression; MiniStack waits for the text itself and fails."""
    execute_task = original(stepfunctions, "_execute_task")
    evaluate = original(stepfunctions, "_jsonata_state_field")

    def execute_with_timeout(state: Any, raw_input: Any, execution: Any, context: Any) -> Any:
        if isinstance(state.get("TimeoutSeconds"), str):
            state = {**state, "TimeoutSeconds": evaluate(state, "TimeoutSeconds", "number", raw_input, context)}
        return execute_task(state, raw_input, execution, context)

    replace(stepfunctions, "_execute_task", execute_with_timeout)


def fail_callback_task_with_its_function() -> None:
    """A waitForTaskToken task fails at once with its function's error; MiniStack waits for the token regardless."""
    invoke = original(stepfunctions, "_invoke_with_callback")
    call_lambda = original(stepfunctions, "_call_lambda")
    tokens = original(stepfunctions, "_task_tokens")
    failed = original(stepfunctions, "_ExecutionError")

    def invoke_with_token(resource: str, data: Any, token: str, state: Any) -> Any:
        reset = _token.set(token)
        scope = scopes.current.get()
        if scope is not None:
            scope.when_stopped(lambda: _close(token))
        try:
            return invoke(resource, data, token, state)
        finally:
            _token.reset(reset)

    def _close(token: str) -> None:
        waiting = tokens.get(token)
        if waiting:
            waiting["event"].set()

    def call_and_report(reference: Any, event: Any) -> Any:
        try:
            return call_lambda(reference, event)
        except failed as error:
            waiting = tokens.get(_token.get())
            if waiting:
                waiting["error"] = {"Error": error.error, "Cause": error.cause}
                waiting["event"].set()
            raise

    replace(stepfunctions, "_invoke_with_callback", invoke_with_token)
    replace(stepfunctions, "_call_lambda", call_and_report)


def output_of_succeed() -> None:
    """The Output of a JSONata Succeed state is the result of the execution; MiniStack passes its input through."""
    output_path = original(stepfunctions, "_apply_output_path")
    evaluate = original(stepfunctions, "_apply_jsonata_output")
    language = original(stepfunctions, "_state_query_language")

    def output(state: Any, data: Any, context: Any = None) -> Any:
        if state.get("Type") == "Succeed" and "Output" in state and language(state, context) == JSONATA:
            return evaluate(state, data, context, default=data)
        return output_path(state, data, context)

    replace(stepfunctions, "_apply_output_path", output)


def start_once() -> None:
    """StartExecution with the name and input of a running execution answers that one (API_StartExecution.html)."""
    start = original(stepfunctions, "_start_execution")
    executions = original(stepfunctions, "_executions")

    def start_or_find(data: dict[str, Any]) -> Any:
        name, machine = data.get("name"), data.get("stateMachineArn", "").partition("#")[0]
        running = executions.get(f"{machine.replace(':stateMachine:', ':execution:')}:{name}") if name else None
        if running and running["status"] == "RUNNING" and _same_input(running.get("input"), data.get("input")):
            return json_response({"executionArn": running["executionArn"], "startDate": running["startDate"]})
        return start(data)

    replace(stepfunctions, "_start_execution", start_or_find)


def _same_input(one: str | None, other: str | None) -> bool:
    return bool(json.loads(one or "{}") == json.loads(other or "{}"))


def retry_after_at_most(runner: Runner) -> None:
    """MaxDelaySeconds limits the pause before a retry, and JitterStrategy FULL picks a random part of it.

    MiniStack supports neither and cuts every pause at a minute. Source: "Retrying after an error" of the AWS Step
    Functions Developer Guide.
    """
    find = original(stepfunctions, "_find_matching_retrier")

    def find_and_pause(retriers: Any, error: str, counts: dict[int, int]) -> Any:
        retrier, index = find(retriers, error, counts)
        if retrier is None or scopes.current.get() is None:
            return retrier, index
        pause = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** counts.get(index, 0)
        pause = min(pause, retrier.get("MaxDelaySeconds", pause))
        if retrier.get("JitterStrategy") == "FULL":
            pause = random.uniform(0, pause)
        runner.pause(pause)
        # The caller's own pause has to be zero.
        return {**retrier, "IntervalSeconds": 0}, index

    replace(stepfunctions, "_find_matching_retrier", find_and_pause)


def refuse_foreign_resources() -> None:
    """A definition whose tasks name resources of another partition cannot be created; MiniStack runs them."""
    create = original(stepfunctions, "_create_state_machine")
    update = original(stepfunctions, "_update_state_machine")

    def refusing(change: Any) -> Any:
        def checked(request: dict[str, Any]) -> Any:
            foreign = definitions.foreign_resources(request.get("definition") or "", partition_of(get_region()))
            if foreign:
                return error_response_json("InvalidDefinition", definitions.unknown_resource(foreign[0]), 400)
            return change(request)

        return checked

    replace(stepfunctions, "_create_state_machine", refusing(create))
    replace(stepfunctions, "_update_state_machine", refusing(update))
