"""Every act of other people before every step: `make faults OTHERS=1` (CASE=<id>, SHARE=0.1, SEED=2, WORLDS=…)."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from local import own_folders
from tests.faults.inline import threads
from tests.faults.report import Planned, Result


def main(arguments: Iterable[str]) -> int:
    given = _parser().parse_args([*arguments])
    # Before whatever makes locks is imported: threads take turns from here on.
    threads.install()
    from tests.faults.others import cases, sweep  # noqa: PLC0415

    asked_worlds = given.worlds.split(",") if given.worlds else cases.WORLDS
    worlds = sorted({cases.case_of(id_).world for id_ in given.case}) or asked_worlds
    acts = {"acts": tuple(given.acts.split(","))} if given.acts else {}
    asked = sweep.Asked(
        tuple(worlds), tuple(given.case), share=given.share, seed=given.seed, at_once=given.workers, **acts
    )
    terminal, done, planned = sys.stdout, list[Result](), 0
    for result in sweep.results_of(asked):
        if isinstance(result, Planned):
            planned += result.cases
            continue
        done.append(result)
        print(f"{result.seconds:5.1f} s  {result.id}  {result.came}  {result.why[:600]}", file=terminal, flush=True)
    print(_table(done), file=terminal)
    broken = [result for result in done if result.why]
    seconds = sum(result.seconds for result in done)
    print(f"{len(done)} of {planned} cases, {len(broken)} violations, {seconds:.0f} s of processor time", file=terminal)
    for result in broken:
        print(f"{result.id}\n    {result.why}", file=terminal)
    terminal.flush()
    return 1 if broken or not done else 0


def _table(done: Sequence[Result]) -> str:
    """Acts by what came of them."""
    counts = Counter((result.id.rpartition(":")[2], result.came.partition(":")[0]) for result in done)
    ends = sorted({came for _, came in counts})
    acts = sorted({act for act, _ in counts})
    rows = [f"| {act} | {' | '.join(str(counts[act, came]) for came in ends)} |" for act in acts]
    return "\n".join(["", f"| act | {' | '.join(ends)} |", f"|---|{'---|' * len(ends)}", *rows, ""])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.others", description=__doc__)
    parser.add_argument("--case", action="append", default=[], help="the id of a case, to run it again")
    parser.add_argument("--share", type=float, default=1.0, help="this part of all cases, taken at random")
    parser.add_argument("--seed", type=int, default=1, help="of what is taken at random")
    parser.add_argument("--workers", type=int, default=2, help="cases at once")
    parser.add_argument("--worlds", default="", help="only these set-ups, separated by commas")
    parser.add_argument("--acts", default="", help="only these acts, separated by commas")
    return parser


if __name__ == "__main__":
    own_folders.use()
    status = main(sys.argv[1:])
    # Threads that take turns have no end of their own.
    os._exit(status)
