"""What the function `incident` does in a remediation: opened by hand, put to people, closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Request, Result
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import AskReason
from ip_remediator.remediation.caught import Caught
from ip_remediator.remediation.close import Lifecycle


@dataclass(frozen=True)
class IncidentWork:
    """`minutes`: how long a question is open. `is_running` tells whether an execution, named by its ARN, still runs;
    `resume` gives the task that waits with a token its answer; `start` starts an execution of a state machine's ARN by
    name, unless there is one."""

    lifecycle: Lifecycle
    region: str
    default_mode: Mode
    minutes: int
    is_running: Callable[[str], bool]
    resume: Callable[[str, dict[str, Any]], None]
    start: Callable[[str, str, Mapping[str, Any]], str]


class Begin(Request):
    """`input`: what was given to the execution of this ARN; whatever it is, the action checks it."""

    input: Any
    execution: str


class Opened(Result):
    """The incident of the execution, and its cluster."""

    incident: str
    cluster: str


class Ask(OfIncident):
    """`why`, `reason`: what made the remediator ask."""

    task_token: str
    minutes: int
    why: str
    reason: AskReason | None = None


class Remind(OfIncident):
    """`task_token`: that of the reminder, to which the question is bound from now on."""

    task_token: str


class Asked(Result):
    """The answer comes from people, to the task's token."""


class Close(OfIncident):
    """`failure`: the first error of the execution; None where nothing failed."""

    outcome: Outcome
    failure: Caught | None = None


class FailureReport(Result):
    """The error's name and message, as the execution's output shows them."""

    error: str
    message: str


class Report(Result):
    """The output of a remediation. `plan`: of a dry run, which is asked for because of it."""

    incident: str
    cluster: str
    outcome: Outcome
    verdict: str | None = None
    block: str | None = None
    failure: FailureReport | None = None
    plan: dict[str, Any] | None = Field(default=None)


REMEDIATION_INCIDENT: ActionTable[IncidentWork] = ActionTable()


@REMEDIATION_INCIDENT.action(Begin, Opened, Effect.READS)
def open(work: IncidentWork, asked: Begin) -> Opened:  # noqa: A001 - the action's name
    """Opens an incident for a run by hand. Raises InvalidInput, IncidentOpen."""
    return Opened(**work.lifecycle.open(asked.input, work.region, work.default_mode, asked.execution))


@REMEDIATION_INCIDENT.action(Ask, Asked, Effect.READS)
def ask(work: IncidentWork, asked: Ask) -> Asked:
    """Stores the question to people; its answer resumes the execution."""
    work.lifecycle.ask(asked.incident, asked.task_token, asked.minutes, asked.why, asked.reason)
    return Asked()


@REMEDIATION_INCIDENT.action(Remind, Asked, Effect.READS)
def remind(work: IncidentWork, asked: Remind) -> Asked:
    """Reminds people. If the question was answered just before, the execution resumes at once."""
    if answered := work.lifecycle.remind(asked.incident, asked.task_token):
        work.resume(asked.task_token, answered)
    return Asked()


@REMEDIATION_INCIDENT.action(Close, Report, Effect.READS)
def close(work: IncidentWork, asked: Close) -> Report:
    """Closes the incident with its outcome."""
    return Report(**work.lifecycle.close(asked.incident, asked.outcome, asked.failure))
