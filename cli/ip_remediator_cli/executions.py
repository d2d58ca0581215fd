"""Executions of the state machines: what they end with, and what the incident's timeline says meanwhile."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.incidents.record import ApprovalState, Incident
from ip_remediator.incidents.timeline import Stage, State
from ip_remediator_cli.records import IncidentRecords
from ip_remediator_cli.tables import cell, in_words, wrapped

_POLL_SECONDS = 1.0
_NAME_LENGTH = 80
_QUESTIONS = tuple(
    f"{stage} {State.PENDING}" for stage in (Stage.APPROVAL, Stage.ROLLBACK_APPROVAL, Stage.REPLACEMENT_APPROVAL)
)


@dataclass(frozen=True)
class ExecutionEnd:
    """How an execution ended; `error` and `cause` are None when it succeeded."""

    error: str | None
    cause: str | None

    def __str__(self) -> str:
        return f"{self.cause} ({self.error})" if self.cause else str(self.error)


def new_name(prefix: str, incident: str) -> str:
    """For an execution that may go on with a stopped one's work: Step Functions runs a name once."""
    return f"{prefix}-{incident}"[: _NAME_LENGTH - 7] + f"-{secrets.token_hex(3)}"


class Execution:
    """One execution. Raises the errors of `common.errors`."""

    def __init__(self, sfn: Any, arn: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.arn = arn
        self._sfn = sfn
        self._sleep = sleep

    def ending(self) -> ExecutionEnd | None:
        """None while it runs."""
        with aws_call("DescribeExecution"):
            described = self._sfn.describe_execution(executionArn=self.arn)
        if described["status"] == "RUNNING":
            return None
        if described["status"] == "SUCCEEDED":
            return ExecutionEnd(None, None)
        return ExecutionEnd(described.get("error") or described["status"], _words(described.get("cause") or ""))

    def wait(self, seconds: float | None = None) -> Iterator[ExecutionEnd | None]:
        """Its ending again and again, about once a second, until it has one or `seconds` are over."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            ending = self.ending()
            yield ending
            if ending or (deadline is not None and time.monotonic() > deadline):
                return
            self._sleep(_POLL_SECONDS)


def follow(execution: Execution, records: IncidentRecords, incident: str, shown: int = 0) -> ExecutionEnd:
    """Prints the timeline's events from number `shown` on as they come, until the execution has ended."""
    try:
        for ending in execution.wait():
            events = records.timeline(incident)
            for event in events[shown:]:
                print(_line(event), flush=True)
                if event["what"] in _QUESTIONS:
                    print(_how_to_answer(records.get(incident)), flush=True)
            shown = max(shown, len(events))
            if ending:
                return ending
    except KeyboardInterrupt:
        print(f"\nthe execution goes on: ip-remediator status {incident}")
        raise
    raise AssertionError("an execution without a deadline is watched until it ends")


def _line(event: dict[str, str]) -> str:
    start = f"{event['at'][11:19]}  {in_words(event['what']):<28}"
    return wrapped(cell(event["detail"]), start, " " * 10).rstrip(" -")


def _how_to_answer(incident: Incident) -> str:
    pending = [approval for approval in incident.questions if approval and approval.state is ApprovalState.PENDING]
    until = f" until {pending[0].expires_at:%H:%M} UTC" if pending else ""
    return f"{'':<10}answer it{until} in Slack, or: ip-remediator approve {incident.id}"


def _words(cause: str) -> str:
    """The message in a cause, which is a Lambda error document when a function failed."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
