"""Runs executions from their start to their end: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.

MiniStack has no TIMED_OUT and no quota of history events. It overwrites ABORTED when a state fails afterwards, and
records no history inside Map and Parallel states.
"""

from __future__ import annotations

import contextvars
import json
import threading
from typing import TYPE_CHECKING, Any

from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import eventbridge, stepfunctions

from local.aws.corrections.guard import original, replace, require
from local.aws.step_functions import scopes
from local.aws.step_functions.errors import failure
from local.aws.step_functions.limits import check_size
from local.aws.step_functions.scopes import Scope, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.switches import Switches

Execution = dict[str, Any]

RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED = "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"
# Name of the last event, and of its details, for each way to end (API_HistoryEvent.html).
ENDS = {SUCCEEDED: "ExecutionSucceeded", FAILED: "ExecutionFailed", TIMED_OUT: "ExecutionTimedOut"}
ENDS[ABORTED] = "ExecutionAborted"
HANDLERS = ("Pass", "Task", "Choice", "Wait", "Parallel", "Map")
_WITH_EXECUTION = ("Task", "Parallel", "Map")
# The event leaves input and output out from this length on (eventbridge-integration.html).
LARGEST_IN_EVENT = 248 * 1024

_lock = threading.RLock()
# Scopes of the executions that run, by ARN.
_running: dict[str, Scope] = {}


def install(switches: Switches) -> Runner:
    """Replace MiniStack's runner and return ours. MissingPartError when MiniStack lacks a part that it needs."""
    require(stepfunctions, "_state_machines", "_executions", "_ExecutionError", "_task_tokens", "_SFN_WAIT_SCALE")
    require(stepfunctions, "_fail_state_error", "_apply_input_path", "_apply_output_path")
    require(stepfunctions, *(f"_execute_{kind.lower()}" for kind in HANDLERS))
    require(eventbridge, "_put_events")
    runner = Runner(switches)
    replace(stepfunctions, "_add_event", runner.add_event)
    replace(stepfunctions, "_run_execution", runner.run)
    replace(stepfunctions, "_fail_execution", lambda record, error, cause: end(record, FAILED, error, cause))
    replace(stepfunctions, "_stop_execution", stop)
    replace(stepfunctions, "_emit_execution_status_event", publish)
    replace(stepfunctions, "_run_sub_machine", runner.run_child)
    replace(stepfunctions, "_scaled_sleep", runner.pause)
    return runner


def end(execution: Execution, status: str, error: str = "", cause: str = "", output: str | None = None) -> bool:
    """End an execution and stop everything that runs for it. False when it had already ended."""
    with _lock:
        if execution["status"] != RUNNING:
            return False
        execution.update(status=status, stopDate=now_iso(), output=output)
        details: dict[str, Any] = {"output": output}
        if status != SUCCEEDED:
            execution.update(error=error, cause=cause)
            details = {"error": error, "cause": cause}
        name = ENDS[status]
        _append(execution, name, {f"{name[0].lower()}{name[1:]}EventDetails": details})
    scope = _running.get(execution["executionArn"])
    if scope is not None:
        scope.stop()
    publish(execution)
    return True


def stop(request: dict[str, Any]) -> Any:
    """StopExecution: the execution becomes ABORTED and stays so (API_StopExecution.html)."""
    execution = original(stepfunctions, "_executions").get(request.get("executionArn"))
    if execution is None:
        message = f"Execution Does Not Exist: '{request.get('executionArn')}'"
        return error_response_json("ExecutionDoesNotExist", message, 400)
    if not end(execution, ABORTED, request.get("error", ""), request.get("cause", "")) and (
        execution["status"] != ABORTED
    ):
        return error_response_json("ValidationException", "Execution is not running", 400)
    return json_response({"stopDate": execution["stopDate"]})


def _append(execution: Execution, kind: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    with _lock:
        event = {"id": len(execution["events"]) + 1, "type": kind, "timestamp": now_iso(), **(details or {})}
        execution["events"].append(event)
        return event


class Runner:
    """Runs executions under the server's settings."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches

    def pause(self, seconds: float) -> None:
        """The scaled pause of a Wait state or of a retry. Raises Stopped when the execution ends."""
        scaled = seconds * original(stepfunctions, "_SFN_WAIT_SCALE") * self._switches.wait_factor
        scope = scopes.current.get()
        if scaled > 0:
            (scope.pause if scope else threading.Event().wait)(scaled)

    def add_event(self, execution: Execution, kind: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        """Add an event to the history; when the history is full, fail the execution.

        Every step of a state calls this, so this is where stopped branches end: it raises Stopped.
        """
        scope = scopes.current.get()
        if scope is not None:
            scope.check()
        event = self._append_if_room(execution, kind, details)
        if event is None:
            most = self._switches.execution_events
            cause = f"The execution reached the maximum number of history events ({most})."
            # The error's name is not documented; the cause is (cloudonaut.io and AWS's console show it).
            end(execution, FAILED, "States.Runtime", cause)
            raise Stopped
        if kind == "TaskScheduled" and details:
            resource = details["taskScheduledEventDetails"]["resource"]
            self.add_event(execution, "TaskStarted", {"taskStartedEventDetails": {"resource": resource}})
            if resource.endswith(".waitForTaskToken"):
                self.add_event(execution, "TaskSubmitted", {"taskSubmittedEventDetails": {"resource": resource}})
        return event

    def _append_if_room(self, execution: Execution, kind: str, details: dict[str, Any] | None) -> dict[str, Any] | None:
        """The last event of the quota is ExecutionSucceeded, or the execution fails (bp-history-limit.html)."""
        with _lock:
            full = len(execution["events"]) >= self._switches.execution_events - 1
            return None if full else _append(execution, kind, details)

    def run(self, arn: str) -> None:
        """Run an execution to its end."""
        execution = original(stepfunctions, "_executions").get(arn)
        if execution is None or execution["status"] != RUNNING:
            return
        scope = Scope(execution, scopes.current.get())
        _running[arn] = scope
        reset = scopes.current.set(scope)
        try:
            self._run_to_end(execution)
        except Stopped:
            # No effect when the execution has ended; a nested execution is aborted with its parent.
            end(execution, ABORTED)
        except original(stepfunctions, "_ExecutionError") as error:
            end(execution, FAILED, error.error, error.cause)
        except Exception as error:
            end(execution, FAILED, "States.Runtime", f"{type(error).__name__}: {error}")
        finally:
            scopes.current.reset(reset)
            _running.pop(arn, None)

    def _run_to_end(self, execution: Execution) -> None:
        machine = original(stepfunctions, "_state_machines").get(execution["stateMachineArn"])
        if machine is None:
            raise failure("StateMachineDeleted", "State machine no longer exists")
        definition = json.loads(machine["definition"])
        context = _context(execution, machine, definition)
        timer = self._timer(execution, definition.get("TimeoutSeconds"))
        try:
            data = json.loads(execution["input"])
            output = self.walk(definition["States"], definition["StartAt"], data, execution, context)
            end(execution, SUCCEEDED, output=json.dumps(output))
        finally:
            if timer is not None:
                timer.cancel()

    def _timer(self, execution: Execution, own: float | None) -> threading.Timer | None:
        """Start the timer for TimeoutSeconds of a state machine, in real seconds. States cannot catch it."""
        limits = [one for one in (own, self._switches.execution_timeout_seconds) if one]
        if not limits:
            return None
        scoped = contextvars.copy_context()
        timer = threading.Timer(min(limits), scoped.run, (end, execution, TIMED_OUT))
        timer.daemon = True
        timer.start()
        return timer

    def run_child(self, states: Any, start_at: str, data: Any, execution: Execution, context: Any) -> Any:
        """Run a child execution of a distributed Map, which has a history of its own."""
        scope = _running[execution["executionArn"]] = Scope(execution, scopes.current.get())
        reset = scopes.current.set(scope)
        try:
            return self.walk(states, start_at, data, execution, context)
        except Stopped:
            raise failure(execution.get("error") or "States.Runtime", execution.get("cause") or "stopped") from None
        finally:
            scopes.current.reset(reset)
            _running.pop(execution["executionArn"], None)

    def walk(self, states: Any, start_at: str, data: Any, execution: Execution, context: Any) -> Any:
        """Run the states from ``start_at`` to the end and return the output. Used for executions and branches."""
        name: str | None = start_at
        while name:
            state = states.get(name)
            if state is None:
                raise failure("States.Runtime", f"State '{name}' not found in definition")
            data, name = self._step(name, state, data, execution, context)
        return data

    def _step(self, name: str, state: Any, data: Any, execution: Execution, context: Any) -> tuple[Any, str | None]:
        kind = state.get("Type")
        context["State"] = {"Name": name, "EnteredTime": now_iso(), "RetryCount": 0}
        entered = {"name": name, "input": json.dumps(data)}
        self.add_event(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": entered})
        if kind == "Fail":
            raise failure(*original(stepfunctions, "_fail_state_error")(state, data, context))
        output, following = self._handled(kind, state, data, execution, context)
        check_size(output, name)
        exited = {"name": name, "output": json.dumps(output)}
        self.add_event(execution, f"{kind}StateExited", {"stateExitedEventDetails": exited})
        return output, following

    def _handled(self, kind: str, state: Any, data: Any, execution: Execution, context: Any) -> tuple[Any, str | None]:
        if kind == "Succeed":
            given = original(stepfunctions, "_apply_input_path")(state, data, context)
            return original(stepfunctions, "_apply_output_path")(state, given, context), None
        if kind not in HANDLERS:
            raise failure("States.Runtime", f"Unknown state type: {kind}")
        handler: Callable[..., tuple[Any, str | None]] = original(stepfunctions, f"_execute_{kind.lower()}")
        with_execution = (execution,) if kind in _WITH_EXECUTION else ()
        return handler(state, data, *with_execution, context)


def _context(execution: Execution, machine: dict[str, Any], definition: dict[str, Any]) -> dict[str, Any]:
    """The context object of a new execution (input-output-contextobject.html), and MiniStack's own fields in it."""
    return {
        "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
        "Execution": {
            "Id": execution["executionArn"],
            "Input": json.loads(execution["input"]),
            "Name": execution["name"],
            "RoleArn": machine.get("roleArn", ""),
            "StartTime": execution["startDate"],
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
        "variables": {},
    }


def publish(execution: Execution) -> None:
    """Send "Step Functions Execution Status Change" to the default bus (eventbridge-integration.html).

    Executions of standard state machines send one when they start and when they end, whatever the reason.
    """
    if execution.get("sync"):
        # StartSyncExecution is for express state machines, which send none.
        return
    entry = {
        "Source": "aws.states",
        "DetailType": "Step Functions Execution Status Change",
        "Detail": json.dumps(_detail(execution)),
        "Resources": [execution["executionArn"]],
    }
    original(eventbridge, "_put_events")({"Entries": [entry]}, allow_aws_source=True)


def _detail(execution: Execution) -> dict[str, Any]:
    status = execution["status"]
    # Executions can be redriven for 14 days unless they succeeded (redrive-executions.html).
    redrivable = status in (FAILED, TIMED_OUT, ABORTED)
    milliseconds = original(stepfunctions, "_iso_to_epoch_ms")
    detail = {
        "executionArn": execution["executionArn"],
        "stateMachineArn": execution["stateMachineArn"],
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "name": execution["name"],
        "status": status,
        "startDate": milliseconds(execution["startDate"]),
        "stopDate": milliseconds(execution["stopDate"]),
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
        "redriveStatusReason": None if redrivable else f"Execution is {status} and cannot be redriven",
        "error": execution.get("error") or None,
        "cause": execution.get("cause") or None,
    }
    for field in ("input", "output"):
        text = execution.get(field)
        kept = text is None or len(text) <= LARGEST_IN_EVENT
        detail[field] = text if kept else None
        detail[f"{field}Details"] = None if text is None else {"included": kept}
    return detail
