"""Lambda: execution environments for Python, error reports as on AWS, and functions that cannot be invoked."""

from __future__ import annotations

import json
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ministack.core import lambda_runtime
from ministack.services import eventbridge, lambda_svc, stepfunctions

from local.aws.corrections.guard import original, replace, require
from local.aws.functions.worker import PythonWorker, reported
from local.aws.step_functions.errors import failure

if TYPE_CHECKING:
    from local.aws.functions.conditions import FunctionConditions, Refusal

# How often an event that waits for a function tries again.
ASYNC_RETRY_SECONDS = 0.2


def install(conditions: FunctionConditions) -> None:
    """Correct how Lambda runs and refuses functions."""
    run_in_own_environment()
    report_exception_class()
    refuse_invocations(conditions)
    invoke_targets_asynchronously()
    describe_conditions(conditions)


def run_in_own_environment() -> None:
    """A function sees its code, its layers and the AWS SDK only; a handler's exception leaves it warm.

    MiniStack's worker inherits all packages of the server, ends after every exception, waits 50 ms for log lines
    of a silent function, and unpacks and compiles every layer anew for each environment.
    """
    of_ministack = original(lambda_runtime, "_worker_class_for")
    require(lambda_svc, "_resolve_layer_zip")
    require(lambda_runtime, "execution_credentials", "reset")

    def worker_class_for(config: dict[str, Any]) -> Any:
        return PythonWorker if str(config.get("Runtime", "")).startswith("python") else of_ministack(config)

    replace(lambda_runtime, "_worker_class_for", worker_class_for)


def report_exception_class() -> None:
    """errorType is the exception's class name, the error name that Step Functions retries and catches by.

    MiniStack answers Runtime.HandlerError for every exception.
    """
    execute = original(lambda_svc, "_execute_function_warm")

    def execute_and_report(function: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        reported.error = None
        answer: dict[str, Any] = execute(function, event, request_id)
        if answer.get("error") and reported.error:
            answer["body"] = {**reported.error, "requestId": request_id}
        return answer

    replace(lambda_svc, "_execute_function_warm", execute_and_report)


def refuse_invocations(conditions: FunctionConditions) -> None:
    """Refuse invocations of inactive and throttled functions: by Invoke, by Step Functions and by event sources.

    Asynchronous events wait in Lambda's queue until the function can run ("Lambda retains the event … for up to six
    hours", invocation-async.html). Batches from SQS fail and become visible again.
    """
    invoke = original(lambda_svc, "_invoke")
    execute = original(lambda_svc, "_execute_function")
    invoke_async = original(lambda_svc, "invoke_async_with_retry")
    call_lambda = original(stepfunctions, "_call_lambda")

    async def invoke_or_refuse(name: str, event: Any, headers: dict[str, str], *arguments: Any) -> Any:
        kind = headers.get("x-amz-invocation-type") or headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        refusal = conditions.refusal(name) if kind == "RequestResponse" else None
        return _answer(refusal) if refusal else await invoke(name, event, headers, *arguments)

    def execute_or_refuse(function: dict[str, Any], event: Any) -> Any:
        refusal = conditions.refusal(_name(function))
        return {"error": True, "body": _report(refusal)} if refusal else execute(function, event)

    def invoke_when_possible(function: dict[str, Any], event: Any) -> None:
        def wait() -> None:
            while conditions.refusal(_name(function)):
                time.sleep(ASYNC_RETRY_SECONDS)
            invoke_async(function, event)

        if conditions.refusal(_name(function)) is None:
            invoke_async(function, event)
        else:
            threading.Thread(target=copy_context().run, args=(wait,), daemon=True).start()

    def call_or_fail(reference: str, event: Any) -> Any:
        refusal = conditions.refusal(reference.partition(":function:")[2] or reference)
        if refusal:
            # Names of Lambda's own errors in Step Functions begin with "Lambda." (connect-lambda.html).
            raise failure(f"Lambda.{refusal.code}", refusal.message)
        return call_lambda(reference, event)

    replace(lambda_svc, "_invoke", invoke_or_refuse)
    replace(lambda_svc, "_execute_function", execute_or_refuse)
    replace(lambda_svc, "invoke_async_with_retry", invoke_when_possible)
    replace(stepfunctions, "_call_lambda", call_or_fail)


def invoke_targets_asynchronously() -> None:
    """EventBridge invokes functions asynchronously, with retries (invocation-async.html).

    MiniStack invokes the function once.
    """
    original(eventbridge, "_dispatch_to_lambda")
    require(lambda_svc, "_get_func_record_for_ref", "_execution_record_for_config")

    def dispatch(arn: str, payload: str) -> None:
        function, config, _ = original(lambda_svc, "_get_func_record_for_ref")(arn)
        if function and config:
            record = original(lambda_svc, "_execution_record_for_config")(function, config)
            original(lambda_svc, "invoke_async_with_retry")(record, _event(payload))

    replace(eventbridge, "_dispatch_to_lambda", dispatch)


def describe_conditions(conditions: FunctionConditions) -> None:
    """GetFunction and GetFunctionConfiguration show State, StateReason and StateReasonCode of an inactive function."""
    for name in ("_get_function", "_get_function_config"):
        replace(lambda_svc, name, _described(original(lambda_svc, name), conditions))


def _described(describe: Any, conditions: FunctionConditions) -> Any:
    def described(name: str, *arguments: Any) -> Any:
        status, headers, body = describe(name, *arguments)
        changed = conditions.configuration(name)
        if status >= 300 or not changed:
            return status, headers, body
        document = json.loads(body)
        (document.get("Configuration") or document).update(changed)
        return status, headers, json.dumps(document).encode()

    return described


def _event(payload: str) -> Any:
    """The function's event. The output of an input transformer may not be JSON."""
    try:
        return json.loads(payload)
    except (json.JSONDecodeError, TypeError):
        return {"body": payload}


def _name(function: dict[str, Any]) -> str:
    return str((function.get("config") or function).get("FunctionName", ""))


def _report(refusal: Refusal) -> dict[str, Any]:
    return {"errorType": refusal.code, "errorMessage": refusal.message}


def _answer(refusal: Refusal) -> tuple[int, dict[str, str], bytes]:
    headers = {"Content-Type": "application/json", "x-amzn-errortype": refusal.code}
    return refusal.status, headers, json.dumps({**dict(refusal.fields), "message": refusal.message}).encode()
