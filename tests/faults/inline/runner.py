"""Every single fault: one stack in one process, a fork of it for each set-up, and of that one for each case."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import random
import sys
import tempfile
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.faults.cases import REMEDIATION, RUNS, Call, Case, case_of, cases_of, pairs_of
from tests.faults.inline.forks import Forks, Met, Tables, send
from tests.faults.inline.servers import Bridge, InlineServers, environment_of_tests
from tests.faults.inline.threads import fork, real_monotonic
from tests.faults.report import Planned, Result
from tests.faults.world import World
from tests.faults.worlds import PARAMETERS, SETTINGS
from tests.integration.support.lab import Lab
from tests.support import waiting

# Waits cost nothing, but each look at whether they are over does.
_LOOK_SECONDS = 8.0
_SPARES = 10


@dataclass(frozen=True)
class Asked:
    """`share`: of all cases, so many by chance. `cases`: only these. `pairs`: so many pairs instead. `seconds`: no
    case is begun so long after the start of the stack."""

    worlds: tuple[str, ...]
    cases: tuple[str, ...] = ()
    share: float = 1.0
    pairs: int = 0
    seed: int = 1
    writes_only: bool = False
    at_once: int = 2
    seconds: float = math.inf


def results_of(asked: Asked) -> Iterator[Planned | Result]:
    """The results as they come; before those of a set-up, how many it has."""
    logging.disable(logging.WARNING)
    threading.excepthook = _ends
    environment_of_tests()
    waiting._POLL_SECONDS = _LOOK_SECONDS
    # What functions write is their log, which nobody reads.
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        lab = _started(Path(folder))
        ends = real_monotonic() + asked.seconds
        for place, name in enumerate(asked.worlds):
            until = _share_of_time(ends, len(asked.worlds) - place)
            yield from _lines_of(partial(_play_world, lab, name, asked, until, Path(folder) / "tables"))


def _ends(failed: threading.ExceptHookArgs) -> None:
    """No thread ends unseen: of the servers' and the functions' none raises anything."""
    traceback.print_exception(failed.exc_type, failed.exc_value, failed.exc_traceback, file=sys.__stderr__)
    os._exit(1)


def _started(folder: Path, parameters: Mapping[str, str] = PARAMETERS) -> Lab:
    """The deployed stack, every function of it warm."""
    stack = Stack(folder, Ports.free(), dict(parameters))
    stack.servers = InlineServers(stack.servers.folder, stack.servers.ports)
    Bridge(stack.servers).install()
    stack.start()
    lab = Lab(stack)
    with World.made(lab, "new-cidr") as world:
        world.warm_up()
    from tests.faults.inline import functions  # noqa: PLC0415 - the emulators read the environment

    functions.keep_spares(_SPARES)
    return lab


def _play_world(lab: Lab, name: str, asked: Asked, ends: float, folder: Path, out: int) -> None:
    with World.made(lab, name) as world:
        gc.collect()
        gc.freeze()
        gc.disable()
        tables = Tables(folder, name)
        runs = RUNS if SETTINGS[name].rolled_back else RUNS[:1]
        recorded = {run: _recorded(world, run, tables) for run in runs}
        cases, total = _chosen(name, [call for met in recorded.values() for call in met.calls], asked)
        send(out, Planned(name, total, {run: met.came for run, met in recorded.items()}))
        servers = world.lab.stack.servers
        # What a lasting fault comes to is often shown by the same fault of a moment.
        plays = [
            (run, mine)
            for lasts, run in product((False, True), runs)
            if (mine := [case for case in cases if case.run == run and case.lasts is lasts])
        ]
        for place, (run, mine) in enumerate(plays):
            until = _share_of_time(ends, len(plays) - place)
            wanted = Wanted(mine, recorded[run].calls, until, random.Random(f"{asked.seed} {name} {run}"))
            forks = Forks(servers, name, run, wanted.at, recorded[run], asked.at_once, out, tables)
            _alone(partial(_play, world, forks))


def _share_of_time(ends: float, parts: int) -> float:
    """When the first of so many parts has had its share of the time that is left."""
    now = real_monotonic()
    return now + max(0.0, ends - now) / parts


def _chosen(name: str, calls: Sequence[Call], asked: Asked) -> tuple[list[Case], int]:
    """The cases to run, and of how many they are."""
    if asked.cases:
        cases = [case for case in map(case_of, asked.cases) if case.world == name]
        return cases, len(cases)
    order = random.Random(f"{asked.seed} {name}")
    calls = [call for call in calls if call.writes or not asked.writes_only]
    if asked.pairs:
        cases = pairs_of(calls, asked.pairs // len(asked.worlds), order)
        return cases, len(cases)
    cases = cases_of(calls)
    return sorted(order.sample(cases, max(1, round(asked.share * len(cases))))), len(cases)


class Wanted:
    """The cases that begin at a call, that of their faults which is met first. When there is not the time for all of
    them, each call gets the same share of it, and some of its cases by chance."""

    def __init__(self, cases: Sequence[Case], calls: Sequence[Call], ends: float, order: random.Random) -> None:
        self._begins: dict[Call, list[Case]] = defaultdict(list)
        for case in order.sample(cases, len(cases)):
            for injection in case.injections:
                self._begins[injection.call].append(case)
        begins = real_monotonic()
        places = [call for call in calls if call in self._begins]
        self._until = {call: begins + (ends - begins) * (place + 1) / len(places) for place, call in enumerate(places)}
        self._ends, self._begun = ends, set[Case]()

    def at(self, call: Call) -> Iterator[Case]:
        for case in self._begins[call]:
            if case not in self._begun and real_monotonic() <= self._until.get(call, self._ends):
                self._begun.add(case)
                yield case


def _recorded(world: World, run: str, tables: Tables) -> Met:
    """The calls of a run without a fault."""
    lines = _lines_of(lambda out: _record(world, run, tables, out))
    [met] = [line for line in lines if isinstance(line, Met)]
    return met


def _record(world: World, run: str, tables: Tables, out: int) -> None:
    forks = Forks(world.lab.stack.servers, world.name, run, lambda _: [], Met(), 1, out, tables)
    came = world.run(run, forks.watched(), again=lambda: False)
    if run == REMEDIATION and came != "healed":
        raise RuntimeError(f"{world.name}, {run}, without a fault: {came}")
    send(out, Met(tuple(forks.calls), forks.marks, came))


def _play(world: World, forks: Forks) -> None:
    came, why = "VIOLATION", ""
    try:
        came = world.run(forks.run, forks.watched(), again=forks.is_new_standing)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    if forks.case is not None:
        forks.report(came, why)
    forks.children.await_all()
    if why or len(forks.calls) < len(forks.undisturbed.calls):
        raise RuntimeError(f"{world.name}, {forks.run}, once more without a fault: {len(forks.calls)} calls, {why}")


_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Planned, Result)}


def _lines_of(play: Callable[[int], None]) -> Iterator[Any]:
    """What a fork tells."""
    read, write = os.pipe()

    def body() -> None:
        os.close(read)
        play(write)

    child = _alone(body, wait=False)
    os.close(write)
    with os.fdopen(read) as lines:
        for line in lines:
            kind, document = json.loads(line)
            yield _KINDS[kind](**document) if kind != "Met" else Met.of(document)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a fork ended with status {status}")


def _alone(do: Callable[[], None], *, wait: bool = True) -> int:
    """In a fork, which ends with it."""
    child = fork()
    if not child:
        try:
            do()
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    if wait and os.waitpid(child, 0)[1]:
        raise RuntimeError("a fork failed")
    return child
