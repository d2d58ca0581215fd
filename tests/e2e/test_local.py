"""`make local`, as people follow it: the three commands that it prints lead to a healed incident."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack.deployment import ROOT
from tests.support.patience import within
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
ANY_PORTS = {"AWS_PORT": "0", "KUBERNETES_PORT": "0", "SLACK_PORT": "0"}
EXPORTS = ROOT / ".local" / "env"


@pytest.fixture
def printed(tmp_path: Path) -> Iterator[str]:
    """What the running stack says; its mode is auto, so that nobody has to answer."""
    if EXPORTS.exists():
        pytest.skip("a local stack of yours is up: its .local/env would be written over")
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.stack"],
            cwd=ROOT,
            env={**os.environ, **ANY_PORTS, "MODE": "auto"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually("the stack is up", lambda: "Ctrl-C ends everything" in output.read_text(), seconds=240)
        yield output.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(within(60)) == 0, output.read_text()
        assert not EXPORTS.exists()


def test_given_a_local_stack_when_its_three_commands_are_run_as_printed_then_an_incident_is_healed(
    printed: str, tmp_path: Path
) -> None:
    # given the commands under "In another shell"
    block = printed.partition("In another shell:")[2].partition("Ctrl-C")[0]
    source, scale, status = [line for line in block.splitlines() if line.strip()]
    assert re.match(r"\s+source \.local/env\s+#", source)

    # when they are run in a shell that knows none of the tools
    waiting = "until ip-remediator incidents | grep -q demo; do sleep 1; done"
    script = tmp_path / "script.sh"
    script.write_text("\n".join(["set -e", source, scale, waiting, status, "aws --version", "sam --version", ""]))
    ran = subprocess.run(
        ["bash", str(script)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=within(200),
    )

    # then the last one followed the incident to its end
    assert ran.returncode == 0, ran
    assert "outcome   healed" in ran.stdout
