"""Every command that a plan, a refusal or a diagnosis prints can be run as it is printed.

`aws` commands are held against the AWS CLI's own tables of operations and options, the others against the verbs of
their tool.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.handover import node_groups
from ip_remediator.planning.model import REQUESTED_STRATEGIES
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.model import Snapshot
from tests.unit.support.commands import PLACEHOLDER, aws_problem
from tests.unit.support.corpus import CASES
from tests.unit.support.plans import first_plan

# The options that eksctl's source defines (scripts/eksctl_options.py).
EKSCTL = json.loads((Path(__file__).parents[2] / "data" / "eksctl" / "create_nodegroup.json").read_text())["options"]
# A command ends where the sentence goes on: at a backtick, a bracket of words, or "; ".
_COMMAND = re.compile(r"\b(?:aws|kubectl|eksctl) [a-z][^`]*")
_SUBSTITUTION = re.compile(r'"?\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)"?')
KUBECTL = {
    "apply",
    "patch",
    "label",
    "annotate",
    "set",
    "get",
    "drain",
    "edit",
    "logs",
    "describe",
    "rollout",
    "diff",
    "exec",
    "delete",
}


def texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from texts(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from texts(value)


def commands_in(text: str) -> Iterator[str]:
    """The commands of a text, those inside "$(...)" as well, each cut where the sentence goes on."""
    for inner in _SUBSTITUTION.findall(text):
        yield from commands_in(inner)
    flat = _SUBSTITUTION.sub("VALUE", text)
    for result in _COMMAND.finditer(flat):
        yield _cut(result.group())


def raw_commands_in(text: str) -> Iterator[str]:
    """The commands of a text with their "$(...)" as printed, for a shell to run."""
    inner = {f"SUBSTITUTION{number}": match.group() for number, match in enumerate(_SUBSTITUTION.finditer(text))}
    for mark, printed in inner.items():
        text = text.replace(printed, mark)
    for match in _COMMAND.finditer(text):
        command = _cut(match.group())
        for mark, printed in inner.items():
            command = command.replace(mark, printed)
        yield command


def _cut(words: str) -> str:
    """Up to the end of the command: outside of quotes, a bracket, a semicolon or a comma with a blank ends it, and the
    end of a bracket that began before it."""
    quoted = ""
    for index, letter in enumerate(words):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif words.startswith((" (", ")", "; ", ", ", ": ", " and ", " (or"), index):
            return words[:index]
    return words.rstrip(".,;")


def problem(command: str) -> str | None:
    try:
        words = shlex.split(PLACEHOLDER.sub("VALUE", command))
    except ValueError as error:
        return str(error)
    match words[0]:
        case "aws":
            return aws_problem(words[1:], values=False)
        case "kubectl":
            verb = next((word for word in words[1:] if word in KUBECTL), None)
            return None if verb else "no verb that kubectl has"
        case _:
            return _eksctl_problem(words)


def _eksctl_problem(words: list[str]) -> str | None:
    if words[1:3] != ["create", "nodegroup"]:
        return "eksctl is used for node groups only"
    accepted = EKSCTL.keys() | set(filter(None, EKSCTL.values()))
    unknown = {word.split("=")[0] for word in words[3:] if word.startswith("-")} - accepted
    return f"unknown {sorted(unknown)}" if unknown else None


def told_by(snapshot: Snapshot, signals: Any) -> Iterator[str]:
    diagnosis = diagnose(snapshot, signals)
    yield from texts(json.loads(diagnosis.model_dump_json()))
    for strategy in REQUESTED_STRATEGIES:
        try:
            yield from texts(json.loads(first_plan(snapshot, PlanningOptions(strategy=strategy)).model_dump_json()))  # type: ignore[arg-type]
        except CannotPlan as refusal:
            yield from (str(refusal), *refusal.alternatives)


def test_every_command_of_the_corpus_parses_as_printed() -> None:
    printed = {
        command for case in CASES for text in told_by(case.snapshot, case.signals) for command in commands_in(text)
    }
    assert len(printed) > 30
    wrong = {command: why for command in sorted(printed) if (why := problem(command))}
    assert wrong == {}


@pytest.mark.parametrize(
    "wrong",
    [
        "aws eks updat-cluster-config --name x",
        "aws eks update-cluster-config --nam x",
        "aws ec2 create-tags --resources subnet-1",
        "kubectl lable node x",
        "kubectl label node 'x",
        "eksctl create nodegroup --cluster x --subnets subnet-1",
    ],
)
def test_given_a_misspelt_command_then_it_is_found(wrong: str) -> None:
    assert problem(wrong)


def test_given_one_way_only_then_no_command_begins_with_or() -> None:
    [first, *_] = node_groups(Snapshot.model_validate({"cluster": {"name": "shop"}}), ())
    assert first.startswith("eksctl create nodegroup ")
