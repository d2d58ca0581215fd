"""`make fuzz`: many inputs for each source, within a time; exit 1 when one breaks it or the time did not suffice."""

# ruff: noqa: T201 - a command: it prints

from __future__ import annotations

import argparse
import contextlib
import logging
import resource
import sys
import time

from tests.fuzz.running import Broken, Report, run
from tests.fuzz.sources import SOURCES

PROGRESS_SECONDS = 15.0
# The generator's copies of an input included; the functions themselves have 512 MiB.
MEMORY_BYTES = 1024**3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="for each source")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=900, help="for all of it")
    parser.add_argument("--source", choices=[source.name for source in SOURCES], help="this one only")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this input only")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    return fuzz(chosen)


def fuzz(chosen: argparse.Namespace) -> int:
    numbers = range(chosen.inputs) if chosen.only is None else range(chosen.only, chosen.only + 1)
    sources = [source for source in SOURCES if chosen.source in (None, source.name)]
    started = time.monotonic()
    deadline, total, complete = started + chosen.seconds, 0, True
    print(f"seed {chosen.seed}", flush=True)
    for source in sources:
        try:
            report = run(source, chosen.seed, numbers, deadline=deadline, progress=_Progress())
        except Broken as broken:
            print(f"BROKEN {broken}", file=sys.stderr)
            return 1
        print(report, flush=True)
        total += report.inputs
        complete = complete and report.inputs == len(numbers)
    seconds = f"{time.monotonic() - started:.0f} s ({time.process_time():.0f} s of CPU)"
    print(f"{total:,} inputs for {len(sources)} sources, seed {chosen.seed}, {seconds}: none broke")
    if not complete:
        print("the time ran out before every input was tried; give --seconds", file=sys.stderr)
    return 0 if complete else 1


class _Progress:
    """Says every few seconds how far it is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, report: Report) -> None:
        if time.monotonic() >= self._next:
            self._next += PROGRESS_SECONDS
            print(f"  {report.source}: {report.inputs:,} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
