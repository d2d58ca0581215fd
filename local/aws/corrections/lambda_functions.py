"""Lambda: execution environments for Python, error reports as on AWS, and functions that cannot be invoked."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from ministack.core import lambda_runtime
from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import eventbridge, lambda_svc, stepfunctions

from local.aws.corrections.guard import original, replace, require
from local.aws.functions.concurrency import reserves_of
from local.aws.functions.refusals import ACCOUNT_FULL, FUNCTION_FULL
from local.aws.functions.worker import PythonWorker, reported
from local.aws.step_functions.errors import failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.functions.concurrency import Concurrency
    from local.aws.functions.conditions import FunctionConditions
    from local.aws.functions.refusals import Refusal

# How often an event that waits for a function tries again, and how long it waits unless its function says otherwise
# (MaximumEventAgeInSeconds).
ASYNC_RETRY_SECONDS = 0.2
ASYNC_AGE_SECONDS = 6 * 3600
# What MiniStack's `_acquire_execution_slot` answers beside a slot that is None.
FULL = {FUNCTION_FULL: "function", ACCOUNT_FULL: "account"}
THROTTLES = {dict(refusal.fields)["Reason"]: refusal for refusal in FULL}


class OnRefusal(Enum):
    """What an invocation does when Lambda refuses it."""

    ANSWER = auto()  # for MiniStack's own callers: event source mappings, function URLs, HTTP APIs
    RAISE = auto()
    WAIT = auto()


class RefusedError(Exception):
    """Lambda did not run the function."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


_on_refusal: ContextVar[OnRefusal] = ContextVar("on_refusal", default=OnRefusal.ANSWER)


def install(conditions: FunctionConditions, concurrency: Concurrency) -> None:
    """Correct how Lambda runs and refuses functions."""
    run_in_own_environment()
    report_exception_class()
    limit_concurrency(concurrency)
    refuse_invocations(conditions)
    tell_refusals()
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


def limit_concurrency(concurrency: Concurrency) -> None:
    """Functions with a reserve may use that, all others what reserves leave of the quota.

    MiniStack counts both against one number, which it derives from the machine's memory, and grants every reserve.
    """
    functions = original(lambda_svc, "_functions")
    put = original(lambda_svc, "_put_function_concurrency")
    require(lambda_svc, "_acquire_execution_slot", "_release_execution_slot")

    def begin(_function: Any, config: dict[str, Any]) -> tuple[Any, str | None]:
        slot = (get_account_id(), get_region()), config["FunctionName"]
        refusal = concurrency.begin(*slot, reserves_of(functions))
        return (None, FULL[refusal]) if refusal else (slot, None)

    def end(slot: Any) -> None:
        if slot is not None:
            concurrency.end(*slot)

    def reserve(name: str, request: dict[str, Any]) -> Any:
        wanted = int(request.get("ReservedConcurrentExecutions", 0))
        problem = concurrency.too_little_left(name, wanted, reserves_of(functions))
        return error_response_json("InvalidParameterValueException", problem, 400) if problem else put(name, request)

    replace(lambda_svc, "_acquire_execution_slot", begin)
    replace(lambda_svc, "_release_execution_slot", end)
    replace(lambda_svc, "_put_function_concurrency", reserve)


def refuse_invocations(conditions: FunctionConditions) -> None:
    """Refuse invocations of inactive and throttled functions: by Invoke, by Step Functions and by event sources.

    Batches from SQS fail and become visible again.
    """
    execute = original(lambda_svc, "_execute_function")

    def execute_or_refuse(function: dict[str, Any], event: Any) -> Any:
        ends = time.monotonic() + _event_age(function)
        while True:
            refusal = conditions.refusal(_name(function))
            answer = None if refusal else execute(function, event)
            refusal = refusal or _throttle(answer)
            if refusal is None:
                return answer
            if _on_refusal.get() is OnRefusal.RAISE:
                raise RefusedError(refusal)
            if _on_refusal.get() is OnRefusal.ANSWER or time.monotonic() > ends:
                return {"error": True, "throttle": refusal in FULL, "body": _report(refusal)}
            time.sleep(ASYNC_RETRY_SECONDS)

    replace(lambda_svc, "_execute_function", execute_or_refuse)


def tell_refusals() -> None:
    """Each caller learns of a refusal in its own way.

    Asynchronous events wait in Lambda's queue until the function can run, for up to six hours
    (invocation-async-error-handling.html); MiniStack counts a throttle as a failed attempt. Step Functions' names of
    Lambda's own errors begin with "Lambda." (connect-lambda.html); MiniStack calls a throttle Lambda.Unknown.
    """
    invoke = original(lambda_svc, "_invoke")
    invoke_async = original(lambda_svc, "invoke_async_with_retry")
    call_lambda = original(stepfunctions, "_call_lambda")

    async def invoke_or_refuse(*arguments: Any) -> Any:
        try:
            with _upon_refusal(OnRefusal.RAISE):
                return await invoke(*arguments)
        except RefusedError as error:
            return _answer(error.refusal)

    def invoke_when_possible(function: dict[str, Any], event: Any) -> None:
        with _upon_refusal(OnRefusal.WAIT):
            invoke_async(function, event)

    def call_or_fail(reference: str, event: Any) -> Any:
        try:
            with _upon_refusal(OnRefusal.RAISE):
                return call_lambda(reference, event)
        except RefusedError as error:
            raise failure(f"Lambda.{error.refusal.code}", error.refusal.message) from None

    replace(lambda_svc, "_invoke", invoke_or_refuse)
    replace(lambda_svc, "invoke_async_with_retry", invoke_when_possible)
    replace(stepfunctions, "_call_lambda", call_or_fail)


@contextmanager
def _upon_refusal(action: OnRefusal) -> Iterator[None]:
    """Threads that MiniStack starts for an invocation have a copy of the context, and so the same action."""
    before = _on_refusal.set(action)
    try:
        yield
    finally:
        _on_refusal.reset(before)


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


def _event_age(function: dict[str, Any]) -> float:
    """Seconds for which an asynchronous event of the function may wait."""
    configured = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST")
    return float((configured or {}).get("MaximumEventAgeInSeconds") or ASYNC_AGE_SECONDS)


def _throttle(answer: dict[str, Any] | None) -> Refusal | None:
    """The refusal that MiniStack's answer to an execution stands for."""
    return THROTTLES[answer["body"]["Reason"]] if answer and answer.get("throttle") else None


def _name(function: dict[str, Any]) -> str:
    return str((function.get("config") or function).get("FunctionName", ""))


def _report(refusal: Refusal) -> dict[str, Any]:
    return {"errorType": refusal.code, "errorMessage": refusal.message, **dict(refusal.fields)}


def _answer(refusal: Refusal) -> tuple[int, dict[str, str], bytes]:
    headers = {"Content-Type": "application/json", "x-amzn-errortype": refusal.code}
    return refusal.status, headers, json.dumps({**dict(refusal.fields), "message": refusal.message}).encode()
