"""A person at a terminal, scripted: types our commands, and answers what `sam deploy --guided` asks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pexpect

from local.stack.deployment import ROOT, SHARED
from tests.integration.support.lab import Lab
from tests.support.patience import within

SECONDS = 300
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
# A question ends with its default in brackets, and waits.
_QUESTION = re.compile(r"\t([^\t\r\n]*?)(?:\x1b\[0m)? \[[^\]\r\n]*\]: $|(Deploy this changeset\?) \[y/N\]: $")


@dataclass(frozen=True)
class Dialogue:
    """`asked`: the questions in their order."""

    asked: list[str]
    status: int
    text: str


def typed(lab: Lab, *arguments: str, status: int = 0) -> str:
    """Output of `ip-remediator`; what it says on stderr when another `status` is expected."""
    command = [str(Path(sys.executable).parent / "ip-remediator"), *arguments]
    env = {**os.environ, **lab.stack.servers.environment}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=within(120))
    assert ran.returncode == status, ran
    return ran.stdout if status == 0 else ran.stderr


def sam_environment(environment: Mapping[str, str]) -> dict[str, str]:
    own = {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(SHARED / "app"), "TERM": "dumb"}
    return {**os.environ, **own, **environment}


def sam() -> str:
    return str(Path(sys.executable).parent / "sam")


def guided(configuration: Path, environment: Mapping[str, str], answers: Mapping[str, str]) -> Dialogue:
    """`sam deploy --guided` of what was built; a question without an answer gets the return key, as people press it.

    Args:
        configuration: a copy of samconfig.toml; it is where SAM saves the answers.
    """
    child = pexpect.spawn(
        sam(),
        [
            *("deploy", "--guided", "--config-file", str(configuration)),
            *("--template-file", str(SHARED / "build" / "template.yaml")),
        ],
        cwd=str(ROOT),
        env=sam_environment(environment),
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(50, 200),
    )
    asked, text = [], ""
    while child.expect([_QUESTION, pexpect.EOF]) == 0:
        question = _STYLE.sub("", child.match[1] or child.match[2]).strip()
        asked.append(question)
        text += child.before + child.after
        child.sendline(answers.get(question, ""))
    child.close()
    return Dialogue(asked, int(child.exitstatus), _STYLE.sub("", text + child.before))
