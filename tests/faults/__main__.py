"""Every single fault: `make faults` (CASE=<id> replays one, SECONDS=… takes a sample, PAIRS=2000, WORLDS=new-cidr)."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.faults.cases import WORLDS, Call, Case, case_of, cases_of, pairs_of
from tests.faults.report import Planned, Result, document, table
from tests.faults.world import World
from tests.faults.worlds import SETTINGS
from tests.integration.support.lab import Lab

PARAMETERS = {"DefaultMode": "auto", "ApprovalMinutes": "1", "MaxPerVpcPerDay": "100"}
SPEED, WAIT_SCALE = 60, 0.02
# Each case remediates twice, and a VPC may be changed 100 times a day without asking.
_CASES_PER_WORLD = 40
# So many cases are run in one set-up before the next one has its turn; fewer at first, so that a short sample has some
# of each.
_TURN, _FIRST_TURN = 8, 2
PAGE = Path("docs/reliability.md")


@dataclass(frozen=True)
class Asked:
    """What one process of `workers` does: its share of all cases, or of those that are named. `ends`: of the clock
    that `time.monotonic` reads; no further case is begun after that."""

    worker: int
    workers: int
    cases: tuple[str, ...]
    worlds: tuple[str, ...]
    seed: int
    ends: float
    writes_only: bool
    pairs: int


def work(asked: Asked, results: Any) -> None:
    """One process: a stack of its own, and its share of the cases in an order of the seed."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            ports = Ports.free()
            with Stack(Path(folder), ports, PARAMETERS, speed=SPEED, wait_scale=WAIT_SCALE) as stack:
                stack.start()
                _work(Lab(stack), asked, results)
    except Exception:
        results.put(traceback.format_exc())
    results.put(None)


def _work(lab: Lab, asked: Asked, results: Any) -> None:
    """Set-up after set-up has its turn. Each is recorded when it has its first."""
    waiting = _named(asked, results) if asked.cases else {}
    unrecorded = [] if asked.cases else order_of(asked.worlds, asked.worker, asked.workers)
    while (waiting or unrecorded) and time.monotonic() < asked.ends:
        if unrecorded:
            name, turn = unrecorded.pop(0), _FIRST_TURN
            waiting[name] = _share(lab, name, asked, results)
        else:
            name, turn = next(iter(waiting)), _TURN
        cases = waiting.pop(name)
        rest = [*_run(lab, name, cases[:turn], asked.ends, results), *cases[turn:]]
        if rest:
            waiting[name] = rest


def order_of(worlds: Sequence[str], worker: int, workers: int) -> list[str]:
    """The set-ups in a process's order: those first that no other process begins with."""
    own = worlds[worker::workers]
    return [*own, *(name for name in worlds if name not in own)]


def _named(asked: Asked, results: Any) -> dict[str, list[Case]]:
    """The process's share of the cases that were asked for, by set-up."""
    every = [case_of(id_) for id_ in asked.cases]
    mine = every[asked.worker :: asked.workers]
    for name in {case.world for case in every}:
        results.put(Planned(name, sum(case.world == name for case in every)))
    return {name: [case for case in mine if case.world == name] for name in {case.world for case in mine}}


def _share(lab: Lab, name: str, asked: Asked, results: Any) -> list[Case]:
    """The process's cases of a set-up, in an order of the seed."""
    with World.made(lab, name) as world:
        calls = [call for call in world.record() if call.writes or not asked.writes_only]
    cases = _cases(calls, asked, name)
    results.put(Planned(name, len(cases)))
    return cases[asked.worker :: asked.workers]


def _cases(calls: Sequence[Call], asked: Asked, name: str) -> list[Case]:
    """The same in every process, as far as all recorded the same calls."""
    order = random.Random(f"{asked.seed} {name}")
    cases = pairs_of(calls, asked.pairs // len(asked.worlds), order) if asked.pairs else cases_of(calls)
    order.shuffle(cases)
    return cases


def _run(lab: Lab, name: str, cases: list[Case], ends: float, results: Any) -> list[Case]:
    """Runs cases in one set-up until it is used up, or spoilt by a violation; returns those that are left."""
    while cases and time.monotonic() < ends:
        with World.made(lab, name) as world:
            for case in _as_long_as_whole(world, cases, ends, results):
                cases = cases[cases.index(case) + 1 :]
    return cases


def _as_long_as_whole(world: World, cases: Sequence[Case], ends: float, results: Any) -> Iterator[Case]:
    """Yields each case that was run."""
    for case in cases[:_CASES_PER_WORLD]:
        if time.monotonic() > ends:
            return
        began = time.monotonic()
        try:
            came, why = world.run(case), ""
        except Exception as error:
            came, why = "VIOLATION", "".join(traceback.format_exception_only(error)).strip()
        results.put(Result(case.id, came, why, time.monotonic() - began))
        yield case
        if why or not SETTINGS[world.name].returns:
            return


def main(arguments: Iterable[str]) -> int:
    given = _parser().parse_args([*arguments])
    for id_ in given.case:
        case_of(id_)
    workers = min(given.workers, len(given.case) or given.workers)
    results: Any = multiprocessing.Queue()
    ends = time.monotonic() + given.seconds
    worlds = tuple(given.worlds.split(","))
    shares = [
        Asked(n, workers, tuple(given.case), worlds, given.seed, ends, given.writes, given.pairs)
        for n in range(workers)
    ]
    processes = [multiprocessing.Process(target=work, args=(share, results)) for share in shares]
    for process in processes:
        process.start()
    done, planned, crashed = _collect(results, processes)
    for process in processes:
        process.join()
    unreached = () if given.case else tuple(name for name in worlds if name not in planned)
    print(table(done, sum(planned.values()), given.seed, unreached))  # noqa: T201
    for crash in crashed:
        print(crash)  # noqa: T201
    if given.page:
        PAGE.write_text(document(done, sum(planned.values()), given.seed, given.pairs, unreached))
    violated = any(result.why for result in done)
    return 1 if violated or crashed or not done else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--case", action="append", default=[], help="the id of a case, to run it again")
    parser.add_argument("--seconds", type=float, default=3500.0, help="no further case is begun after that")
    parser.add_argument("--seed", type=int, default=1, help="of the order; cases of a time limit are a sample")
    parser.add_argument("--workers", type=int, default=3, help="stacks at once")
    parser.add_argument("--worlds", default=",".join(WORLDS), help="set-ups, separated by commas")
    parser.add_argument("--pairs", type=int, default=0, help="so many pairs of faults instead of single ones")
    parser.add_argument("--writes", action="store_true", help="only calls that write")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE}")
    return parser


def _collect(results: Any, processes: list[multiprocessing.Process]) -> tuple[list[Result], dict[str, int], list[str]]:
    """The results as they come, how many cases each set-up has that was reached, and what ended a process early."""
    done: list[Result] = []
    crashed: list[str] = []
    planned: dict[str, int] = {}
    ended = 0
    while ended < len(processes):
        try:
            result = results.get(timeout=5)
        except Empty:
            if not any(process.is_alive() for process in processes):
                crashed.append("a process ended without a word")
                break
            continue
        if isinstance(result, Result):
            done.append(result)
            print(f"{result.came:>20}  {result.seconds:5.0f} s  {result.id}  {result.why[:300]}", flush=True)  # noqa: T201
        elif isinstance(result, Planned):
            planned[result.world] = max(result.cases, planned.get(result.world, 0))
        elif result is None:
            ended += 1
        else:
            crashed.append(result)
    return done, planned, crashed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
