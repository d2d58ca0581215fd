"""Nothing that this project starts leaves files outside its ignored folders, and modules stay compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import own_folders
from tests.support.patience import within

ROOT = Path(__file__).parents[2]
SHELL = {"PATH": os.environ["PATH"], "TMPDIR": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1"}
NAMES = ("TMPDIR", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
OWN = [str(own_folders.TEMPORARY), str(own_folders.COMPILED), ""]
SHOWN = "print(*(os.environ.get(name, '') for name in sys.argv[1:]), sep=chr(10))"


def lines(*command: str) -> list[str]:
    done = subprocess.run(command, cwd=ROOT, env=SHELL, capture_output=True, text=True, check=True, timeout=within(30))
    return done.stdout.split("\n")[:-1]


def test_given_a_shell_with_folders_of_its_own_then_the_processes_of_a_command_use_the_projects():
    shown = f"import os, sys; {SHOWN}"
    child = f"subprocess.run([sys.executable, '-c', {shown!r}, *sys.argv[1:]])"
    code = f"import subprocess, sys; from local import own_folders; own_folders.use(); {child}"

    assert lines(sys.executable, "-c", code, *NAMES) == OWN


def test_given_a_shell_with_folders_of_its_own_then_make_uses_the_same_ones_as_the_commands():
    shown = "; ".join(f'echo "$${name}"' for name in NAMES)

    assert lines("make", "--silent", f"--eval=show: ; @{shown}", "show") == OWN


@pytest.mark.parametrize("command", ["benchmarks", "tests/faults", "local/demo", "local/stack", "scripts/pictures.py"])
def test_every_command_that_starts_a_stack_uses_them(command: str):
    path = ROOT / command
    assert "own_folders.use()" in (path if path.is_file() else path / "__main__.py").read_text()
