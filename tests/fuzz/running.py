"""Runs inputs through a source, counts what they were taken for, and stops at the first that breaks it."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.sources import Source

# Of CPU. One input must be dealt with well within the time that the function has for its whole batch (30 seconds).
LIMIT_SECONDS = 5.0


class Broken(Exception):
    """An input led to an exception, or to something that must not be."""


@dataclass
class Report:
    source: str
    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        counted = ", ".join(f"{name} {number:,}" for name, number in self.outcomes.most_common())
        took = f"{self.seconds:.0f} s of CPU, slowest {self.slowest * 1000:.0f} ms"
        return f"{self.source}: {self.inputs:,} inputs in {took}, peak memory {peak_mebibytes():.0f} MiB\n    {counted}"


def peak_mebibytes() -> float:
    """The most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def run(
    source: Source,
    seed: int,
    numbers: range,
    *,
    deadline: float = float("inf"),
    progress: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Every input of `numbers`, or as many as there is time for until `deadline` (time.monotonic).

    Raises:
        Broken: names the input's number, from which it can be made again.
    """
    report, rng, started = Report(source.name), Random(), time.process_time()
    for number in numbers:
        rng.seed(f"{seed}/{source.name}/{number}")
        made = source.make(rng)
        begun = time.monotonic()
        try:
            report.outcomes.update(source.read(made))
        except Exception as error:
            shown = repr(made)[:2_000]
            raise Broken(f"{source.name}, seed {seed}, input {number}: {error!r}\n{shown}") from error
        ended = time.monotonic()
        report.slowest = max(report.slowest, ended - begun)
        # Where the clock of CPU time is a call to the kernel, asking it takes longer than reading an input.
        if ended - begun > LIMIT_SECONDS and (seconds := _of_cpu(source, made)) > LIMIT_SECONDS:
            raise Broken(f"{source.name}, seed {seed}, input {number}: took {seconds:.1f} s")
        report.inputs += 1
        if ended > deadline:
            break
        progress(report)
    report.seconds = time.process_time() - started
    return report


def _of_cpu(source: Source, made: object) -> float:
    """The CPU time of reading an input once more, whatever else the machine does."""
    begun = time.process_time()
    list(source.read(made))
    return time.process_time() - begun
