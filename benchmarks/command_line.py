"""What the command costs before it says anything: CPU seconds of `--help` and of `status`, each in its own process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.stage import Stage

_COMMAND = Path(sys.executable).parent / "ip-remediator"
# CPU seconds that people do not notice.
BOUNDS = {"--help": 0.15, "status": 0.6}


@dataclass(frozen=True)
class CommandStart:
    """CPU seconds, user and system: the median and the least of the runs, for others may use the machine meanwhile."""

    command: str
    middle: float
    least: float

    @property
    def bound(self) -> float:
        return BOUNDS[self.command]


def starts(stage: Stage, rounds: int) -> list[CommandStart]:
    environment = {**os.environ, **stage.servers.environment}
    # An installed command has its bytecode, whatever this shell says.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return [_start(command, environment, rounds) for command in BOUNDS]


def _start(command: str, environment: dict[str, str], rounds: int) -> CommandStart:
    # The first run writes the bytecode.
    seconds = [_cpu_seconds([str(_COMMAND), command], environment) for _ in range(rounds + 1)][1:]
    return CommandStart(command, median(seconds), min(seconds))


def _cpu_seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
