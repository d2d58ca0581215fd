"""Every single fault: `make faults` (CASE=<id> runs one again, SHARE=0.1 takes a sample, PAIRS=2000)."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from local import own_folders
from tests.faults.cases import WORLDS, case_of
from tests.faults.report import Planned, Result, Sweep

PAGE = Path("docs/reliability.md")


def main(arguments: Iterable[str]) -> int:
    given = _parser().parse_args([*arguments])
    cases = [case_of(id_) for id_ in given.case]
    given.worlds = sorted({case.world for case in cases}) or given.worlds.split(",")
    terminal, done = sys.stdout, list[Result]()
    # By the real clock: `time` is soon the simulated one's.
    clock = time.monotonic
    began = clock()
    planned: dict[str, int] = {}
    undisturbed: dict[str, Mapping[str, str]] = {}
    asked = _asked(given)
    # Who stops it by hand gets the table of what there is.
    with suppress(KeyboardInterrupt):
        for result in _results(given):
            if isinstance(result, Planned):
                planned[result.world], undisturbed[result.world] = result.cases, result.undisturbed
                continue
            done.append(result)
            print(_line(result), file=terminal, flush=True)
    minutes = (clock() - began) / 60
    sweep = Sweep(done, planned, asked, minutes, given.workers, bool(given.pairs), undisturbed)
    print(sweep.table(), file=terminal, flush=True)
    if given.page:
        PAGE.write_text(sweep.document(WORLDS))
    return 1 if not done or sweep.broken else 0


def _line(result: Result) -> str:
    came = f"as {result.same_as}" if result.same_as else result.came
    return f"{result.seconds:5.1f} s  {result.id}  {came}  {result.why[:300]}"


def _asked(given: argparse.Namespace) -> str:
    """What the run was asked for, where that is not everything."""
    asked = [f"at most {given.seconds:.0f} seconds"] if given.seconds < math.inf else []
    asked += [f"{given.pairs} pairs at random by the seed {given.seed}"] if given.pairs else []
    asked += [f"{given.share:.0%} of the cases at random by the seed {given.seed}"] if given.share < 1 else []
    asked += ["only calls that write"] if given.writes else []
    return ", ".join(asked)


def _results(given: argparse.Namespace) -> Iterator[Planned | Result]:
    if given.whole:
        from tests.faults import whole  # noqa: PLC0415

        return whole.results_of([case_of(id_) for id_ in given.case])
    from tests.faults.inline import threads  # noqa: PLC0415 - threads take turns from here on

    threads.install()
    from tests.faults.inline import runner  # noqa: PLC0415

    asked = runner.Asked(
        worlds=tuple(given.worlds),
        cases=tuple(given.case),
        share=given.share,
        pairs=given.pairs,
        seed=given.seed,
        writes_only=given.writes,
        at_once=given.workers,
        seconds=given.seconds,
    )
    return runner.results_of(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--case", action="append", default=[], help="the id of a case, to run it again")
    parser.add_argument("--whole", action="store_true", help="run the cases on the whole stack, in real time")
    parser.add_argument("--share", type=float, default=1.0, help="this part of all cases, taken at random")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="no case is begun later; each call has its share"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is taken at random")
    parser.add_argument("--workers", type=int, default=2, help="cases at once")
    parser.add_argument("--worlds", default=",".join(WORLDS), help="set-ups, separated by commas")
    parser.add_argument("--pairs", type=int, default=0, help="so many pairs of faults instead of single ones")
    parser.add_argument("--writes", action="store_true", help="only calls that write")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE}")
    return parser


if __name__ == "__main__":
    own_folders.use()
    status = main(sys.argv[1:])
    # Threads that take turns have no end of their own.
    os._exit(status)
