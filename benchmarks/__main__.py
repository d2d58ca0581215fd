"""`make bench`: measures on the embedded stack and writes benchmarks/RESULTS.md.

    python -m benchmarks [--quick] [--rounds N] [--speed X] [--output FILE]
    python -m benchmarks --start-up [--output FILE]

Exit status 1 when the stack could not start or a way to cure never healed; numbers themselves fail nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import command_line, cures, imports, parsing, reservations, storm
from benchmarks.results import ARMS, Results
from benchmarks.stage import Stage
from local import own_folders
from local.cluster.scenario import NotSettled
from local.demo.watching import TooSlow
from local.stack.deployment import DeploymentFailed
from local.stack.processes import NotStarted

OUTPUT = Path(__file__).with_name("RESULTS.md")
# In a round the cold remediator comes before the warm one: it leaves every function warm.
CURES: dict[str, Callable[[Stage], cures.Round]] = {
    "cold": lambda stage: cures.remediator(stage, cold=True),
    "warm": lambda stage: cures.remediator(stage, cold=False),
    "by hand": cures.by_hand,
    "calls only": cures.unavoidable,
}


@dataclass(frozen=True)
class Options:
    """rounds: of each way to cure. reservations: at each count of threads. events, clusters: of the storms.
    imports: of each function. commands: of each measured command. parses: of each sample of a record."""

    rounds: int
    reservations: int
    events: int
    clusters: int
    imports: int
    commands: int
    parses: int
    speed: float
    output: Path
    only_start_up: bool

    @classmethod
    def parse(cls) -> Options:
        parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures on the embedded stack.")
        parser.add_argument("--rounds", type=_positive(int), help="of each way to cure (default 5, quick 1)")
        parser.add_argument("--speed", type=_positive(float), help="of the simulated cluster (default 1, quick 5)")
        parser.add_argument("--quick", action="store_true", help="few repetitions, within two minutes")
        parser.add_argument("--output", type=Path, default=OUTPUT, help=f"default {OUTPUT.name} in this folder")
        parser.add_argument(
            "--start-up",
            action="store_true",
            help="only the start-up of the command and of the functions, in place of those parts of the page",
        )
        given = parser.parse_args()
        few = given.quick
        return cls(
            rounds=given.rounds or (1 if few else 5),
            reservations=50 if few else 200,
            events=2_000 if few else 20_000,
            clusters=50 if few else 500,
            imports=1 if few else 5,
            commands=5 if few else 15,
            parses=1 if few else parsing.ROUNDS,
            speed=given.speed or (5.0 if few else 1.0),
            output=given.output,
            only_start_up=given.start_up,
        )


class Bench:
    def __init__(self, options: Options) -> None:
        self.options = options
        self.results = Results(options.speed)
        self.console = Console(highlight=False, soft_wrap=True)
        self._begun = time.monotonic()

    def run(self) -> int:
        """Measures everything; the exit status."""
        self._say("starting the stack: servers, sam build, sam deploy …")
        with Stage(self.options.speed) as stage:
            if self.options.only_start_up:
                self._commands(stage)
                self._imports()
                self.options.output.write_text(self.results.renewed(self.options.output.read_text()))
                return 0
            for number in range(1, self.options.rounds + 1):
                for arm in CURES:
                    self._round(stage, number, arm)
            self._commands(stage)
            for rate in reservations.rates(stage, self.options.reservations):
                self.results.rates.append(rate)
                self._say(f"ledger: {rate.reservations:.1f} reservations/s by {rate.threads} threads")
            for result in storm.measured(stage, self.options.events, self.options.clusters):
                self.results.storms.append(result)
                self._say(
                    f"storm of {result.events} events: {result.executions} executions, {result.meter.write_units} units"
                )
        self._imports()
        for line in parsing.lines(parsing.measure(self.options.parses)):
            self._say(line)
        self.results.seconds = time.monotonic() - self._begun
        text = self.results.markdown()
        self.options.output.write_text(text)
        self.console.print(text, markup=False)
        self._say(f"written to {self.options.output}")
        return 0 if all(self.results.of(arm) for arm in ARMS) else 1

    def _commands(self, stage: Stage) -> None:
        for start in command_line.starts(stage, self.options.commands):
            self.results.commands.append(start)
            self._say(f"ip-remediator {start.command}: {start.least:.2f} s of CPU (at most {start.bound:.2f})")

    def _round(self, stage: Stage, number: int, arm: str) -> None:
        label = f"round {number} of {self.options.rounds}, {ARMS[arm]}"
        try:
            done = CURES[arm](stage)
        except (cures.NotHealed, NotSettled, TooSlow, TimeoutError, subprocess.SubprocessError) as error:
            self.results.failures.append(f"{label}: {error}")
            self._say(f"{label}: NOT HEALED: {error}")
            return
        self.results.rounds.append(done)
        self._say(f"{label}: last write after {done.switched:.2f} s, pods Running after {done.running:.2f} s")

    def _imports(self) -> None:
        with imports.copies() as built:
            self.results.layers = built.layer_sizes()
            for start in built.starts(self.options.imports):
                self.results.starts.append(start)
                milliseconds = 1000 * (start.plain - start.bare)
                self._say(f"cold start of {start.function}: {milliseconds:.0f} ms of imports without bytecode")

    def _say(self, text: str) -> None:
        self.console.print(f"[{time.monotonic() - self._begun:5.0f} s]  {text}", markup=False)


def _positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def number(text: str) -> int | float:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text} must be more than 0")
        return value

    return number


def main() -> int:
    own_folders.use()
    options = Options.parse()
    try:
        return Bench(options).run()
    except (NotStarted, DeploymentFailed) as error:
        Console(stderr=True).print(f"error: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
