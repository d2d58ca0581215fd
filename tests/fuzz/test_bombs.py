"""Whatever a payload of CloudWatch Logs inflates to, the function reads it within its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.bombs import BOMBS
from tests.support.patience import within

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's address space")


# The rest inflate to all that the function reads, which takes seconds.
_QUICK = ("empty log events", "pairs of arrays", "deep arrays", "short texts", "escaped objects in a line")


@pytest.mark.parametrize(
    "name", [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BOMBS]
)
def test_given_a_bomb_when_read_within_the_functions_memory_then_it_is_read_or_dropped(name: str):
    command = [sys.executable, "-m", "tests.fuzz.bombs", name]
    paths = {"PYTHONPATH": f"{ROOT / 'layers' / 'core'}:{ROOT / 'cli'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=paths, capture_output=True, text=True, timeout=within(60), check=False)
    assert done.returncode == 0, done.stderr[-1_000:]
    assert json.loads(done.stdout)["lines"] >= 1
