"""Lints the state machines as they are deployed: rendered with the template's substitutions.

Besides statelint's rules it checks what no general linter knows: that every substitution exists on both sides, that
only errors of `Transient` are retried, that every error name is an exception of ours or AWS's, and that every Lambda
task retries all transient errors that any step can raise.
"""

from __future__ import annotations

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
from ip_remediator.common.errors import Transient

ROOT = Path(__file__).resolve().parents[1]
AWS_ERRORS = re.compile(r"(States|Lambda)\.\w+")
# A function that was killed: every step can be run again.
KILLED = {"Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError"}
# AWS takes a JSONata expression here (States Language, "TimeoutSeconds"); statelint 3.1 knows only integers.
KNOWN_FALSE = re.compile(r'TimeoutSeconds is "\{% .* %\}" but should be an Integer')
# Retried wherever they can occur, and only there: each waits for something of its own.
WAITING = {"NotYet", "RolloutStalled", "PodsStillPending", "VpcLocked"}


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short tags as plain values."""


_Template.add_multi_constructor("!", lambda _loader, suffix, _node: f"arn:aws:lambda:xx:0:function:{suffix}")


def main() -> int:
    for module in pkgutil.walk_packages(ip_remediator.__path__, "ip_remediator."):
        importlib.import_module(module.name)  # for its exception classes
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
    substitutions = properties["DefinitionSubstitutions"]
    used = set(re.findall(r"\$\{(\w+)\}", source))
    yield from (f"substitution {name} is not in template.yaml" for name in sorted(used - substitutions.keys()))
    yield from (f"substitution {name} is not used" for name in sorted(substitutions.keys() - used))
    rendered = re.sub(r"\$\{(\w+)\}", lambda found: str(substitutions.get(found[1])), source)
    yield from _statelint(rendered)
    for name, state in _states(json.loads(rendered)):
        yield from (f"{name}: {problem}" for problem in _errors(state))


def _statelint(rendered: str) -> Iterator[str]:
    done = subprocess.run(["statelint", rendered], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith(" ")]
    yield from (line for line in lines if not KNOWN_FALSE.search(line))
    if done.returncode and not lines:
        yield f"statelint failed: {done.stdout}{done.stderr}"


def _states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in definition["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


def _errors(state: dict[str, Any]) -> Iterator[str]:
    transient = {kind.__name__ for kind in _subclasses(Transient)}
    ours = {kind.__name__ for kind in _subclasses(Exception) if kind.__module__.startswith("ip_remediator")}
    retried = {name for retry in state.get("Retry", []) for name in retry["ErrorEquals"]}
    caught = {name for catch in state.get("Catch", []) for name in catch["ErrorEquals"]}
    unknown = {name for name in retried | caught if not AWS_ERRORS.fullmatch(name)} - ours - KILLED
    yield from (f"{name} is no exception of ours" for name in sorted(unknown))
    permanent = {name for name in retried & ours if name not in transient}
    yield from (f"{name} is retried, but is not Transient" for name in sorted(permanent))
    if ":lambda:invoke" in state.get("Resource", ""):
        yield from (f"{name} is not retried" for name in sorted((transient | KILLED) - WAITING - retried))


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


if __name__ == "__main__":
    sys.exit(main())
