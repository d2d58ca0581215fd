"""The state machines on the embedded Step Functions, with functions that answer as a script says.

Each run is repeated on a second implementation of the States Language with JSONata, sfnx, which shares no interpreter
of states with the embedded one: path, calls and ending must be the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sfnx import testing

from local.aws.client import LocalAws
from scripts.lint_state_machines import TABLES
from tests.stack.aws.conftest import ALLOW_INVOKE, Maker
from tests.support.local_aws import local_aws
from tests.unit.docs.documents import ROOT

Answers = dict[str, list[dict[str, Any]]]

# Answers with the next line of its script: {"<action>": [{"returns": …} | {"raises": name, "message": …}]}; the last
# answer holds for every further call. Actions that are not in the script return nothing.
SCRIPTED = """
import json, pathlib
def handler(event, context):
    folder = pathlib.Path("FOLDER")
    action = event.get("action") or "NAMELESS"
    zone = event.get("zone", "")
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps(event) + chr(10))
    script = json.loads((folder / "script").read_text())
    answers = script.get(action + " " + zone) or script.get(action) or [{"returns": {}}]
    counter = folder / ("count " + action + " " + zone)
    number = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(number + 1))
    answer = answers[min(number, len(answers) - 1)]
    if "raises" in answer:
        raise type(answer["raises"], (Exception,), {})(answer.get("message", ""))
    return answer["returns"]
"""
NAMELESS = {"DiagnoseFunction": "diagnose", "PlanFunction": "plan", "VerifyFunction": "verify"}


class Rehearsal:
    """A state machine with scripted functions."""

    def __init__(self, aws: LocalAws, folder: Path, name: str) -> None:
        self.aws, self.folder, self.make = aws, folder, Maker(aws)
        text = (ROOT / "statemachine" / f"{name}.asl.json").read_text().replace("${Partition}", "aws")
        for function in TABLES:
            if f"${{{function}}}" in text:
                code = SCRIPTED.replace("FOLDER", str(folder)).replace("NAMELESS", NAMELESS.get(function, ""))
                text = text.replace(f"${{{function}}}", self.make.function(code, Timeout=60))
        self.definition = json.loads(text)
        self.machine = self.make.machine(self.definition, ALLOW_INVOKE)

    def forget(self) -> None:
        for file in self.folder.iterdir():
            file.unlink()
        (self.folder / "calls").touch()

    def run(self, document: dict[str, Any], script: Answers) -> dict[str, Any]:
        (self.folder / "script").write_text(json.dumps(script))
        ended = self.make.run(self.machine, document)
        second = testing.run(self.definition, document, Answering(script))
        assert Counter(self.states(ended["executionArn"])) == Counter(second.states)
        made = [call.arguments["Payload"] for call in second.calls if isinstance(call.arguments, dict)]
        assert _comparable(self.calls()) == _comparable(made)
        assert (ended.get("error") or None) == second.error
        return ended

    def calls(self, action: str | None = None) -> list[dict[str, Any]]:
        made = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        return [call for call in made if action is None or call.get("action") == action]

    def states(self, execution: str) -> list[str]:
        pages = self.aws.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        entered = [event.get("stateEnteredEventDetails") for page in pages for event in page["events"]]
        return [str(details["name"]) for details in entered if details]


class Answering:
    """The script's answers to a task of sfnx."""

    def __init__(self, script: Answers) -> None:
        self.script, self.asked = script, Counter[str]()

    def __call__(self, call: testing.Call) -> dict[str, Any]:
        arguments: Any = call.arguments
        payload = arguments["Payload"]
        action = payload.get("action") or ONLY_ACTIONS[call.state]
        key = f"{action} {payload.get('zone', '')}"
        answers = self.script.get(key) or self.script.get(action) or [{"returns": {}}]
        answer = answers[min(self.asked[key], len(answers) - 1)]
        self.asked[key] += 1
        if "raises" in answer:
            message = answer.get("message", "")
            raise testing.Failure(answer["raises"], json.dumps({"errorMessage": message}))
        return {"Payload": answer["returns"]}


ONLY_ACTIONS = {
    "Diagnose": "diagnose",
    "Plan": "plan",
    "Verify": "verify",
    "Judge what is there": "verify",
    "Look at the pods again": "verify",
    "Judge what runs": "verify",
}
# What names the execution, and a cause, which has the stack trace of Lambda.
_OWN = ("execution", "state_machine", "task_token", "input")


def _comparable(calls: list[dict[str, Any]]) -> list[str]:
    """The calls in any order, because zones run side by side."""
    kept = [{name: value for name, value in call.items() if name not in _OWN} for call in calls]
    return sorted(json.dumps(_without_causes(call), sort_keys=True) for call in kept)


def _without_causes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_causes(child) for name, child in value.items() if name not in ("Cause", "cause")}
    return [_without_causes(child) for child in value] if isinstance(value, list) else value


BEGUN = {"incident": "i", "requested_by": "ada", "confirmed": True, "confirmation_seconds": 60}
REPLACEMENT = {**BEGUN, "nodes": ["n1"], "continued": False, "zones": []}
ASSESSED = {"returns": {"zones": ["a", "b"], "nodes": 8, "pods": 9}}
PLANNED = {
    "decision": "go",
    "why": "mode auto",
    "reason": None,
    "hash": "h",
    "block": "100.64.0.0/22",
    "strategy": "custom-networking",
    "prepares_only": False,
    "zones": ["a", "b"],
    "approval_minutes": 60,
    "ask_seconds": 60,
    "remind_seconds": 60,
}
REPORT = {"incident": "i", "cluster": "prod", "outcome": "undone", "failure": {"error": "E", "message": "m"}}


def counting_down(*numbers: int) -> list[dict[str, Any]]:
    return [{"returns": {"zone": "a", "left": number}} for number in numbers]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """Pauses take a tenth of their time."""
    with local_aws(tmp_path_factory.mktemp("hurried-aws"), "--wait-scale", "0.1") as started:
        yield started


@pytest.fixture(scope="module")
def rehearsals(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Rehearsal]:
    """One of each state machine for all tests: its dozen functions take a while to start."""
    return cache(lambda name: Rehearsal(aws, tmp_path_factory.mktemp(name), name))


@pytest.fixture
def rehearse(rehearsals: Callable[[str], Rehearsal]) -> Callable[[str], Rehearsal]:
    """Gives the state machine of a name, whose functions were not called yet."""

    def new(name: str) -> Rehearsal:
        rehearsal = rehearsals(name)
        rehearsal.forget()
        return rehearsal

    return new


def remediation(**answers: list[dict[str, Any]]) -> Answers:
    return {
        "open": [{"returns": {"incident": "i", "cluster": "prod"}}],
        "diagnose": [{"returns": {"verdict": "subnet_exhausted", "curable": True, "needed": True}}],
        "plan": [{"returns": PLANNED}],
        "create_subnet": [{"returns": {"zone": "a", "subnet": "subnet-1", "cidr": "100.64.0.0/24"}}],
        "close": [{"returns": REPORT}],
        **answers,
    }


def test_given_more_nodes_than_one_execution_takes_then_it_hands_over_and_ends_well(
    rehearse: Callable[[str], Rehearsal],
) -> None:
    # given a zone with eight nodes and one with two
    rehearsal = rehearse("replace")
    script: Answers = {
        "begin_replacement": [{"returns": REPLACEMENT}],
        "assess_replacement": [ASSESSED],
        "await_successor a": counting_down(7, 6, 5, 4, 3, 2, 1, 0),
        "await_successor b": [{"returns": {"zone": "b", "left": number}} for number in (1, 0)],
    }

    # when it runs
    ended = rehearsal.run({"incident": "i"}, script)

    # then five of the one zone were replaced, and the rest is another execution's
    assert ended["status"] == "SUCCEEDED", ended
    assert [call["zone"] for call in rehearsal.calls("end_node")].count("a") == 5
    [handed] = rehearsal.calls("continue_replacement")
    assert (handed["execution"], handed["state_machine"]) == (ended["executionArn"], rehearsal.machine)
    assert rehearsal.calls("finish_replacement") == rehearsal.calls("stop_replacement") == []


def test_given_another_executions_nodes_then_it_goes_on_without_assessing_or_asking(
    rehearse: Callable[[str], Rehearsal],
) -> None:
    rehearsal = rehearse("replace")
    script: Answers = {
        "begin_replacement": [{"returns": {**REPLACEMENT, "nodes": [], "continued": True, "zones": ["a"]}}],
        "await_successor": counting_down(1, 0),
        "verify": [{"returns": {"outcome": "healed", "healed": 3, "still_stuck": 0}}],
        "finish_replacement": [{"returns": {"incident": "i", "outcome": "healed", "failure": None}}],
    }
    ended = rehearsal.run({"incident": "i", "continues": True}, script)
    assert ended["status"] == "SUCCEEDED", ended
    assert rehearsal.calls("assess_replacement") == rehearsal.calls("ask_replacement") == []
    [finished] = rehearsal.calls("finish_replacement")
    assert (finished["outcome"], finished["failures"]) == ("healed", [])


@pytest.mark.parametrize("name", ["rollback", "replace"])
def test_given_no_incident_in_the_input_when_even_begin_cannot_run_then_it_ends_with_the_reason(
    rehearse: Callable[[str], Rehearsal], name: str
) -> None:
    rehearsal = rehearse(name)
    broken = [{"raises": "SettingMissing", "message": "INCIDENTS_TABLE not set"}]
    missing_setting = [{"returns": {"error": "SettingMissing", "cause": "INCIDENTS_TABLE not set"}}]
    script = {f"begin_{change}": broken for change in ("rollback", "replacement")}
    script |= {"pause_rollback": missing_setting, "stop_replacement": missing_setting}
    ended = rehearsal.run({}, script)
    assert (ended["status"], ended["error"]) == ("FAILED", "SettingMissing")
    [stopped] = rehearsal.calls("pause_rollback") + rehearsal.calls("stop_replacement")
    assert stopped["incident"] is None
    assert stopped["execution"] == ended["executionArn"]
    assert stopped["failure"]["step"] == "Begin"


def test_given_a_zone_that_fails_then_the_undo_begins_when_every_zone_has_ended(
    rehearse: Callable[[str], Rehearsal],
) -> None:
    # given a zone whose subnet is refused, and one whose subnet is not there at once
    rehearsal = rehearse("remediate")
    made = {"returns": {"zone": "b", "subnet": "subnet-2", "cidr": "100.64.1.0/24"}}
    script = remediation(
        **{
            "create_subnet a": [{"raises": "PermissionDenied", "message": "CreateSubnet"}],
            "create_subnet b": [*[{"raises": "NotYet"}] * 4, made],
        }
    )

    # when it runs
    ended = rehearsal.run({"cluster": "prod"}, script)

    # then nothing was undone before the last call of a zone
    assert ended["status"] == "FAILED"
    actions = [call.get("action") for call in rehearsal.calls()]
    assert actions.count("create_subnet") == 6
    assert actions.index("undo") > max(at for at, action in enumerate(actions) if action == "create_subnet")
    [closed] = rehearsal.calls("close")
    assert closed["outcome"] == "undone"
    assert (closed["failure"]["step"], closed["failure"]["Error"]) == ("Create the zone's subnet", "PermissionDenied")


def test_given_the_kill_switch_while_subnets_are_made_then_nothing_is_undone(
    rehearse: Callable[[str], Rehearsal],
) -> None:
    rehearsal = rehearse("remediate")
    stopped = [{"raises": "KillSwitchOn", "message": "stopped"}]
    other = [{"raises": "NotFound", "message": "no route table"}]
    script = remediation(**{"create_subnet a": other, "create_subnet b": stopped})
    rehearsal.run({"cluster": "prod"}, script)
    [closed] = rehearsal.calls("close")
    assert (closed["outcome"], closed["failure"]["Error"]) == ("failed", "KillSwitchOn")
    assert rehearsal.calls("undo") == []


FAILURES = [
    ("diagnose", "Diagnose", "undone", False),
    ("plan", "Plan", "undone", False),
    ("associate_cidr", "Add the CIDR to the VPC", "undone", True),
    ("apply_eni_configs", "Create the ENIConfigs", "undone", True),
    ("configure_cni", "Configure the CNI", "undone", True),
    ("await_rollout", "Watch the rollout of aws-node", "failed", False),
    ("verify", "Verify", "failed", False),
]


@pytest.mark.parametrize(("action", "state", "outcome", "undone"), FAILURES)
def test_given_a_state_that_fails_then_the_record_names_it_and_it_is_undone_only_before_the_switch(
    rehearse: Callable[[str], Rehearsal], action: str, state: str, outcome: str, undone: bool
) -> None:
    rehearsal = rehearse("remediate")
    script = remediation(cni_switched=[{"returns": {"switched": False}}])
    script[action] = [{"raises": "RequestRefused", "message": "no"}]
    rehearsal.run({"cluster": "prod"}, script)
    [closed] = rehearsal.calls("close")
    assert (closed["failure"]["step"], closed["outcome"]) == (state, outcome)
    assert bool(rehearsal.calls("undo")) is undone


def test_given_warm_targets_that_do_not_roll_out_then_they_are_given_back(rehearse: Callable[[str], Rehearsal]) -> None:
    rehearsal = rehearse("remediate")
    script = remediation()
    script["plan"] = [{"returns": {**script["plan"][0]["returns"], "strategy": "reclaim-warm"}}]
    script["await_rollout"] = [{"raises": "RequestRefused", "message": "node-1 is NotReady"}]
    rehearsal.run({"cluster": "prod"}, script)
    [closed] = rehearsal.calls("close")
    assert (closed["failure"]["step"], closed["outcome"]) == ("Watch the rollout of aws-node", "undone")
    assert len(rehearsal.calls("undo")) == 2


@pytest.mark.parametrize("strategy", ["node-group", "cluster-subnets"])
@pytest.mark.parametrize(
    ("failing", "outcome", "undone"), [(None, "healed", False), ("RequestRefused", "undone", True)]
)
def test_given_subnets_that_are_not_for_pods_then_they_are_given_away_and_verified_or_all_is_undone(
    rehearse: Callable[[str], Rehearsal], strategy: str, failing: str | None, outcome: str, undone: bool
) -> None:
    rehearsal = rehearse("remediate")
    script = remediation()
    script["plan"] = [{"returns": {**script["plan"][0]["returns"], "strategy": strategy}}]
    script["verify"] = [{"returns": {"outcome": "healed", "healed": 1, "still_stuck": 0}}]
    script["give_subnets"] = [{"raises": failing, "message": "no"}] if failing else [{"returns": {"recipients": 1}}]
    rehearsal.run({"cluster": "prod"}, script)
    [closed] = rehearsal.calls("close")
    assert closed["outcome"] == outcome
    assert bool(rehearsal.calls("undo")) is undone
    assert rehearsal.calls("apply_eni_configs") == []


@pytest.mark.parametrize(
    "condition", [{"state": "Inactive", "restore_seconds": 1}, {"state": "Connecting", "times": 1}]
)
def test_given_an_idle_function_when_invoked_then_it_is_waited_for(
    aws: LocalAws, rehearse: Callable[[str], Rehearsal], condition: dict[str, Any]
) -> None:
    # given a function that Lambda still makes ready
    rehearsal = rehearse("rollback")
    aws.control("POST", "/_local/functions", {"function": "fn-", **condition})

    # when it is invoked
    try:
        ended = rehearsal.run({}, {"begin_rollback": [{"raises": "InvalidInput", "message": "field 'incident'"}]})
    finally:
        aws.control("DELETE", "/_local/functions")

    # then it answered at last
    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidInput")
