"""`python -m local.demo`, as people run it: the proof, nothing left behind, and Ctrl-C at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.stack.deployment import ROOT
from tests.support.patience import within
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

DEMO_SECONDS = 240
STOP_SECONDS = 60.0
# Ports of its own: a demo beside this one must not disturb it.
ANY_PORTS = {"AWS_PORT": "0", "KUBERNETES_PORT": "0", "SLACK_PORT": "0"}


@contextmanager
def demo(output: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The demo as a process; ended with everything it started if a test leaves it running."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.demo"],
            cwd=ROOT,
            env={**os.environ, **ANY_PORTS, "COLUMNS": "120", **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(within(STOP_SECONDS))


def servers_of(process: int) -> set[int]:
    """The pids of everything that it, or what it started, has running."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
    result: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in result | {process}} - result:
        result |= more
    return result


def alive(pids: set[int]) -> set[int]:
    """Those that still run; one that ended and waits to be collected does not."""
    if not pids:
        return set()
    selected = ",".join(str(pid) for pid in pids)
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-p", selected], check=False, capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {int(pid) for pid, state in rows if not state.startswith("Z")}


def files_not_ignored() -> set[str]:
    """Files of the working tree that git neither tracks nor ignores; none where the sources are no git repository."""
    if not (ROOT / ".git").exists():
        return set()
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(listed.stdout.splitlines())


def test_given_a_laptop_when_the_demo_runs_then_the_cure_is_proven_and_nothing_is_left(tmp_path: Path) -> None:
    before, output = files_not_ignored(), tmp_path / "output"
    with demo(output) as process:
        eventually("the incident is open", lambda: "is open" in output.read_text(), seconds=DEMO_SECONDS)
        started = servers_of(process.pid)
        status = process.wait(within(DEMO_SECONDS))

    printed = output.read_text()
    assert status == 0, printed
    assert "proven: read back from the Kubernetes API and from EC2" in printed
    assert "not proven" not in printed
    assert started
    assert alive(started) == set()
    assert files_not_ignored() - before == set()


def test_given_the_demo_is_at_work_when_ctrl_c_is_pressed_then_every_process_ends(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with demo(output) as process:
        eventually("the cluster is there", lambda: "a deployment grows" in output.read_text(), seconds=DEMO_SECONDS)
        started = servers_of(process.pid)
        process.send_signal(signal.SIGINT)
        status = process.wait(within(STOP_SECONDS))

    assert status == 130, output.read_text()
    assert len(started) >= 4
    assert alive(started) == set()
    assert "Traceback" not in output.read_text()
