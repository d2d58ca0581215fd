"""The child process of a Lambda execution environment; it runs with the standard library alone.

Protocol: one JSON document per line. On standard input first ``{"handler", "paths", "function_name", ...}``, then one
``{"event", "context"}`` per invocation. On the answer descriptor one document each: ``{}`` after a good start,
``{"result"}`` or ``{"error": {"errorMessage", "errorType", "stackTrace"}}``. Standard output and error are the
function's log; ``END_OF_LOG`` closes the lines of one answer.
"""

from __future__ import annotations

import importlib
import json
import os
import site
import sys
import time
import traceback
from typing import Any, TextIO

END_OF_LOG = "\x1eend of log\x1e"
TRACE_VARIABLE = "_X_AMZN_TRACE_ID"


class Context:
    """The context object of an invocation, with the attributes of Lambda's Python runtime."""

    identity = None
    client_context = None

    def __init__(self, start: dict[str, Any], call: dict[str, Any]) -> None:
        self.function_name = start["function_name"]
        self.function_version = start["function_version"]
        self.memory_limit_in_mb = start["memory"]
        self.log_group_name = start["log_group_name"]
        self.log_stream_name = start["log_stream_name"]
        self.aws_request_id = call["request_id"]
        self.invoked_function_arn = call["invoked_function_arn"]
        self._deadline = time.time() + start["timeout"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended."""
        return max(0, int((self._deadline - time.time()) * 1000))


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as Lambda reports it: errorType is the class name, which Step Functions takes as error name."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def load(start: dict[str, Any]) -> Any:
    """The handler function; layers come before the code in ``paths`` and are site directories, as on AWS."""
    for path in start["paths"]:
        site.addsitedir(path)
    # addsitedir appends; the function's own code must win over its layers, and these over the runtime's packages.
    sys.path[:0] = start["paths"]
    module, _, name = start["handler"].rpartition(".")
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise RuntimeError(f"Unable to import module '{module}': {error}") from error
    return getattr(loaded, name)


def answer(channel: TextIO, document: dict[str, Any]) -> None:
    """Write one answer after the log lines that belong to it."""
    sys.stdout.flush()
    sys.stderr.write(f"{END_OF_LOG}\n")
    sys.stderr.flush()
    channel.write(json.dumps(document) + "\n")
    channel.flush()


def invoke(handler: Any, start: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """Run one invocation; an exception of the handler is an answer and leaves the environment warm."""
    if call["trace_id"]:
        os.environ[TRACE_VARIABLE] = call["trace_id"]
    else:
        os.environ.pop(TRACE_VARIABLE, None)
    try:
        result = handler(call["event"], Context(start, call))
        json.dumps(result)
    except Exception as error:
        report = describe(error)
        sys.stderr.write(f"[ERROR] {report['errorType']}: {report['errorMessage']}\n{traceback.format_exc()}\n")
        return {"error": report}
    return {"result": result}


def main() -> None:
    """Serve invocations until standard input ends."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    start = json.loads(sys.stdin.readline())
    try:
        handler = load(start)
    except BaseException as error:
        report = describe(error)
        if report["errorMessage"].startswith("Unable to import module"):
            report["errorType"] = "Runtime.ImportModuleError"
        traceback.print_exc()
        answer(channel, {"error": report})
        return
    answer(channel, {})
    for line in sys.stdin:
        answer(channel, invoke(handler, start, json.loads(line)))


if __name__ == "__main__":
    main()
