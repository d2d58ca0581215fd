"""Lints the state machines as they are deployed: rendered with the template's substitutions.

Besides statelint's rules it checks what no general linter knows: that every substitution exists on both sides, that
every error name is an exception of ours or AWS's and only `Transient` ones are retried, that every Lambda task retries
what any function may meet, and that each task asks its function for an action that exists, with the fields that this
action takes, and reads only fields that it returns (the tables of actions in `ip_remediator`).
"""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import ip_remediator
from ip_remediator.common.actions import Action, ActionTable, UnknownAction
from ip_remediator.common.errors import Transient, Waiting
from ip_remediator.node_replacement.cluster_actions import CLUSTER
from ip_remediator.node_replacement.incident_actions import INCIDENT
from ip_remediator.node_replacement.verify_actions import VERIFY
from ip_remediator.remediation.diagnose_actions import DIAGNOSE
from ip_remediator.remediation.plan_actions import PLAN
from ip_remediator.rollback.network_actions import NETWORK

ROOT = Path(__file__).resolve().parents[1]
AWS_ERRORS = re.compile(r"(States|Lambda)\.\w+")
# A function that was killed: every step can be run again.
KILLED = {"Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError"}
# What every invocation may meet, from "Handle transient Lambda service exceptions" (bp-lambda-serviceexception.html),
# and the errors of Lambda's Invoke (botocore's model) that end when one waits: a function is throttled, idle, or still
# made ready. "Lambda errors are reported as Lambda.ErrorName", says that page.
ALWAYS_RETRIED = KILLED | {
    Transient.__name__,
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.ENINotReadyException",
    "Lambda.EC2ThrottledException",
    "Lambda.CodeArtifactUserPendingException",
}
# AWS takes a JSONata expression here (States Language, "TimeoutSeconds"); statelint 3.1 knows only integers.
KNOWN_FALSE = re.compile(r'TimeoutSeconds is "\{% .* %\}" but should be an Integer')
TABLES: dict[str, ActionTable[Any]] = {
    "IncidentFunction": INCIDENT,
    "DiagnoseFunction": DIAGNOSE,
    "PlanFunction": PLAN,
    "NetworkFunction": NETWORK,
    "ClusterFunction": CLUSTER,
    "VerifyFunction": VERIFY,
}
FUNCTION = re.compile(r"\$\{(\w+Function)\}")
READ_OF_RESULT = re.compile(r"\$states\.result\.Payload\.(\w+)")
READ_OF_INPUT = re.compile(r"\$states\.input\.(\w+)")
READ_OF_VARIABLE = re.compile(r"\$([a-z]\w*)\.(\w+)")
WHOLE_RESULT = "{% $states.result.Payload %}"
States = dict[str, dict[str, Any]]


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short tags as plain values."""


_Template.add_multi_constructor("!", lambda _loader, suffix, _node: f"arn:aws:lambda:xx:0:function:{suffix}")


def main() -> int:
    """Prints the problems of all state machines; returns the exit status."""
    problems = []
    resources = yaml.load((ROOT / "template.yaml").read_text(), _Template)["Resources"]  # noqa: S506 - a SafeLoader
    for resource in resources.values():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            path = ROOT / resource["Properties"]["DefinitionUri"]
            problems += [f"{path.name}: {problem}" for problem in lint(path, resource["Properties"])]
    print("\n".join(problems) or "state machines: no problem")
    return 1 if problems else 0


def lint(path: Path, properties: dict[str, Any]) -> Iterator[str]:
    """Everything that is wrong with one definition."""
    source = path.read_text()
    substitutions = {**properties["DefinitionSubstitutions"], "Partition": "aws"}
    used = set(re.findall(r"\$\{(\w+)\}", source))
    given = properties["DefinitionSubstitutions"].keys()
    yield from (f"substitution {name} is not in template.yaml" for name in sorted(used - given))
    yield from (f"substitution {name} is not used" for name in sorted(given - used))
    yield from _statelint(re.sub(r"\$\{(\w+)\}", lambda match: str(substitutions.get(match[1])), source))
    yield from check(json.loads(source))


def check(machine: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a definition's errors and calls."""
    _import_everything()
    levels = list(_levels(machine))
    for states in levels:
        for name, state in states.items():
            yield from (f"{name}: {problem}" for problem in _errors(state))
            yield from (f"{name}: {problem}" for problem in _call(state))
        yield from _reads_of_input(states)
    yield from _reads_of_variables([state for states in levels for state in states.values()])


@functools.cache
def _import_everything() -> None:
    """For the exception classes of every module."""
    for module in pkgutil.walk_packages(ip_remediator.__path__, "ip_remediator."):
        importlib.import_module(module.name)


def _statelint(rendered: str) -> Iterator[str]:
    done = subprocess.run(["statelint", rendered], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith(" ")]
    yield from (line for line in lines if not KNOWN_FALSE.search(line))
    if done.returncode and not lines:
        yield f"statelint failed: {done.stdout}{done.stderr}"


def _levels(definition: dict[str, Any]) -> Iterator[States]:
    """The states of the machine, and of each of its Maps."""
    yield definition["States"]
    for state in definition["States"].values():
        if "ItemProcessor" in state:
            yield from _levels(state["ItemProcessor"])


# ---------------------------------------------------------------------------------------------------- errors
def _errors(state: dict[str, Any]) -> Iterator[str]:
    transient = {Transient.__name__} | {kind.__name__ for kind in _subclasses(Waiting)}
    ours = {kind.__name__ for kind in _subclasses(Exception) if kind.__module__.startswith("ip_remediator")}
    retried = {name for retry in state.get("Retry", []) for name in retry["ErrorEquals"]}
    caught = {name for catch in state.get("Catch", []) for name in catch["ErrorEquals"]}
    unknown = {name for name in retried | caught if not AWS_ERRORS.fullmatch(name)} - ours - KILLED
    yield from (f"{name} is no exception of ours" for name in sorted(unknown))
    permanent = {name for name in retried & ours if name not in transient}
    yield from (f"{name} is retried, but the handlers' edge never raises it as transient" for name in sorted(permanent))
    if _function(state):
        yield from (f"{name} is not retried" for name in sorted(ALWAYS_RETRIED - retried))


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


# ---------------------------------------------------------------------------------------------------- calls
def _function(state: dict[str, Any]) -> str | None:
    called = FUNCTION.search(str(state.get("Arguments", {}).get("FunctionName", "")))
    return called[1] if called else None


def _action(state: dict[str, Any]) -> Action[Any] | None:
    """The action that a task asks for; None where it invokes no function of the tables, or asks for none of theirs."""
    function = _function(state)
    if function not in TABLES:
        return None
    try:
        return TABLES[function].find(state["Arguments"]["Payload"].get("action"))
    except UnknownAction:
        return None


def _call(state: dict[str, Any]) -> Iterator[str]:
    function = _function(state)
    if function is None:
        return
    payload = state["Arguments"]["Payload"]
    action = _action(state)
    if action is None:
        yield f"{function} has no action {payload.get('action')!r}"
        return
    fields = action.request.model_fields
    sent = payload.keys() - {"action"}
    yield from (f"action {action.name} takes no field {name!r}" for name in sorted(sent - fields.keys()))
    required = {name for name, field in fields.items() if field.is_required()}
    yield from (f"action {action.name} needs field {name!r}" for name in sorted(required - sent))
    read = {name for text in _texts(state) for name in READ_OF_RESULT.findall(text)}
    yield from (f"action {action.name} returns no field {name!r}" for name in sorted(read - _returned(action)))


def _returned(action: Action[Any]) -> set[str]:
    return set(action.result.model_fields)


def _reads_of_input(states: States) -> Iterator[str]:
    """Fields that a state reads of its input, against what the tasks before it return."""
    for state in states.values():
        action = _action(state)
        following = states.get(state.get("Next", ""), {})
        if action is None or state.get("Output") != WHOLE_RESULT:
            continue
        read = {name for text in _texts(following) for name in READ_OF_INPUT.findall(text)}
        missing = sorted(read - _returned(action))
        yield from (f"{state['Next']}: action {action.name} before it returns no field {name!r}" for name in missing)


def _reads_of_variables(states: list[dict[str, Any]]) -> Iterator[str]:
    """Fields that are read of variables which hold a whole result."""
    holds = {
        name: action
        for state in states
        if (action := _action(state))
        for name, value in state.get("Assign", {}).items()
        if value == WHOLE_RESULT and name != "failure"  # which a Catch assigns as well
    }
    for state in states:
        for text in _texts(state):
            for name, field in READ_OF_VARIABLE.findall(text):
                if name in holds and field not in _returned(holds[name]):
                    yield f"${name}.{field}: action {holds[name].name} returns no such field"


def _texts(value: Any) -> Iterator[str]:
    """The JSONata expressions of a state; those of a Map's own states are theirs."""
    if isinstance(value, str):
        yield from [value] if value.startswith("{%") else []
    elif isinstance(value, dict):
        for key, child in value.items():
            if key != "ItemProcessor":
                yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)


if __name__ == "__main__":
    sys.exit(main())
