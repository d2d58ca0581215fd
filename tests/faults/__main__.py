"""Every single fault: `make faults` (CASE=<id> replays one, SECONDS=… ends earlier, PAIRS is not offered yet)."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.faults.cases import Case, case_of, cases_of
from tests.faults.report import Result, document, table
from tests.faults.world import World
from tests.integration.support.lab import Lab
from tests.support.patience import within

PARAMETERS = {"DefaultMode": "auto", "ApprovalMinutes": "1", "MaxPerVpcPerDay": "100"}
SPEED, WAIT_SCALE = 60, 0.02
# Each case remediates twice, and a VPC may be changed 100 times a day without asking.
CASES_PER_WORLD = 40
PAGE = Path("docs/reliability.md")


@dataclass(frozen=True)
class Asked:
    """What one process of `workers` does: its share of all cases, or of those that are named."""

    worker: int
    workers: int
    cases: tuple[str, ...]
    seed: int
    seconds: float
    writes_only: bool


def work(asked: Asked, results: Any) -> None:
    """One process: a stack of its own, and its share of the cases in an order of the seed."""
    ends = time.monotonic() + asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        ports = Ports.free()
        with Stack(
            Path(folder), ports, PARAMETERS, speed=SPEED, wait_scale=WAIT_SCALE, slack_seconds=within(3)
        ) as stack:
            stack.start()
            lab = Lab(stack)
            cases = _share(lab, asked)
            results.put(len(cases))
            while cases and time.monotonic() < ends:
                cases = _while_whole(lab, cases, ends, results)
    results.put(None)


def _share(lab: Lab, asked: Asked) -> list[Case]:
    if asked.cases:
        return [case_of(id_) for id_ in asked.cases[asked.worker :: asked.workers]]
    with World.made(lab) as world:
        calls = [call for call in world.record() if call.writes or not asked.writes_only]
    cases = sorted(cases_of(calls))
    random.Random(asked.seed).shuffle(cases)
    return cases[asked.worker :: asked.workers]


def _while_whole(lab: Lab, cases: list[Case], ends: float, results: Any) -> list[Case]:
    """Runs cases in one world until it is used up, or spoilt by a violation; returns those that are left."""
    with World.made(lab) as world:
        for _ in range(CASES_PER_WORLD):
            if not cases or time.monotonic() > ends:
                break
            case, cases = cases[0], cases[1:]
            began = time.monotonic()
            try:
                came, why = world.run(case), ""
            except Exception as error:
                came, why = "VIOLATION", "".join(traceback.format_exception_only(error)).strip()
            results.put(Result(case.id, came, why, time.monotonic() - began))
            if why:
                break
    return cases


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--case", action="append", default=[], help="the id of a case, to run it again")
    parser.add_argument("--seconds", type=float, default=3500.0, help="no further case is begun after that")
    parser.add_argument("--seed", type=int, default=1, help="of the order; cases of a time limit are a sample")
    parser.add_argument("--workers", type=int, default=2, help="stacks at once")
    parser.add_argument("--writes", action="store_true", help="only calls that write")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE}")
    given = parser.parse_args([*arguments])
    for id_ in given.case:
        case_of(id_)
    workers = min(given.workers, len(given.case) or given.workers)
    results: Any = multiprocessing.Queue()
    shares = [Asked(n, workers, tuple(given.case), given.seed, given.seconds, given.writes) for n in range(workers)]
    processes = [multiprocessing.Process(target=work, args=(share, results)) for share in shares]
    for process in processes:
        process.start()
    outcome, planned = _collect(results, processes)
    for process in processes:
        process.join()
    print(table(outcome, planned, given.seed))  # noqa: T201
    if given.page:
        PAGE.write_text(document(outcome, planned, given.seed))
    broken = [result for result in outcome if result.why]
    died = any(process.exitcode for process in processes)
    return 1 if broken or died or not outcome else 0


def _collect(results: Any, processes: list[multiprocessing.Process]) -> tuple[list[Result], int]:
    """The results as they come, and how many cases there are."""
    result: list[Result] = []
    told: Counter[str] = Counter()
    while told["ended"] < len(processes):
        try:
            said = results.get(timeout=5)
        except Empty:
            if not any(process.is_alive() for process in processes):
                break
            continue
        if isinstance(said, Result):
            result.append(said)
            print(f"{said.came:>20}  {said.seconds:5.0f} s  {said.id}  {said.why[:300]}", flush=True)  # noqa: T201
        elif said is None:
            told["ended"] += 1
        else:
            told["planned"] += said
    return result, told["planned"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
