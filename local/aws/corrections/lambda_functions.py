"""Lambda: Python functions run in execution environments of ours, and report errors as AWS does."""

from __future__ import annotations

from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.aws.corrections.guard import original, replace, require
from local.aws.functions.worker import PythonWorker, reported


def install() -> None:
    """Restore how Lambda runs Python."""
    run_in_own_environment()
    report_exception_class()


def run_in_own_environment() -> None:
    """A function sees its code, its layers and the AWS SDK only; a handler's exception leaves it warm.

    MiniStack's worker inherits all packages of the server, ends after every exception, waits 50 ms for log lines
    of a silent function, and unpacks and compiles every layer anew for each environment.
    """
    known = original(lambda_runtime, "_worker_class_for")
    require(lambda_svc, "_resolve_layer_zip")
    require(lambda_runtime, "execution_credentials", "reset")

    def worker_class_for(config: dict[str, Any]) -> Any:
        return PythonWorker if str(config.get("Runtime", "")).startswith("python") else known(config)

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
