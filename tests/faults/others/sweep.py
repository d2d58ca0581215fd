"""One run as a tree: before each function that the state machine invokes the world is forked for each act of others."""

from __future__ import annotations

import gc
import logging
import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.cases import REMEDIATION, RUNS, WITH_EVICTIONS
from tests.faults.inline import runner
from tests.faults.inline.children import Children
from tests.faults.inline.forks import Tables, send
from tests.faults.inline.servers import environment_of_tests
from tests.faults.inline.threads import Process, run_in, scheduler
from tests.faults.others.acts import ACTS, Deed, NothingThere, Others, RefusedByAws
from tests.faults.others.aftermath import Aftermath, how_ended
from tests.faults.others.cases import Case, case_of
from tests.faults.report import Planned, Result
from tests.faults.world import _SECONDS, World
from tests.faults.worlds import PARAMETERS, SETTINGS
from tests.integration.support.lab import Ended
from tests.integration.support.rollbacks import start_rollback
from tests.support import waiting

_STEPS = ("incident", "diagnose", "plan", "network", "cluster", "verify")
_BEFORE_THE_PLAN = ("incident.open", "diagnose", "plan")
_MOST_SECONDS = 120


@dataclass(frozen=True)
class Asked:
    """`share`: of all cases, so many by chance. `cases`: only these."""

    worlds: tuple[str, ...]
    cases: tuple[str, ...] = ()
    acts: tuple[str, ...] = tuple(ACTS)
    share: float = 1.0
    seed: int = 1
    at_once: int = 2


def results_of(asked: Asked) -> Iterator[Planned | Result]:
    logging.disable(logging.WARNING)
    threading.excepthook = runner._ends
    environment_of_tests()
    waiting._POLL_SECONDS = runner._LOOK_SECONDS
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        lab = runner._started(Path(folder), {**PARAMETERS, "NameCallers": "true"})
        lab._control("PUT", "/_local/settings", {"cloudtrail_delay_seconds": 0.0})
        for name in asked.worlds:
            yield from runner._lines_of(partial(_play_world, lab, name, asked, Tables(Path(folder), name)))


def _play_world(lab: Any, name: str, asked: Asked, tables: Tables, out: int) -> None:
    with World.made(lab, name) as world:
        others = Others(world)
        gc.collect()
        gc.freeze()
        gc.disable()
        wanted = {case_of(id_) for id_ in asked.cases}
        runs = RUNS if SETTINGS[name].rolled_back else (REMEDIATION,)
        runs = tuple(run for run in runs if not wanted or any((case.world, case.run) == (name, run) for case in wanted))
        for run in runs:
            [recorded] = runner._lines_of(partial(_record, world, others, run, tables))
            cases = [
                Case(name, run, step, index, act)
                for step, count in sorted(recorded.undisturbed["steps"].items())
                for index in range(count)
                for act in asked.acts
            ]
            order = random.Random(f"{asked.seed} {name} {run}")
            chosen = order.sample(cases, max(1, round(asked.share * len(cases)))) if cases else []
            send(out, Planned(f"{name}:{run}", len(cases)))
            trunk = Trunk(
                world,
                others,
                run,
                {case for case in cases if case in wanted} if wanted else {*chosen},
                recorded.undisturbed["ended"],
                asked.at_once,
                out,
                tables,
            )
            runner._alone(trunk.play)


def _record(world: World, others: Others, run: str, tables: Tables, out: int) -> None:
    trunk = Trunk(world, others, run, set(), "", 1, out, tables)
    ended = trunk.run_to_its_end()
    recorded: Any = {"steps": dict(trunk.counts), "ended": how_ended(ended)}
    send(out, Planned(world.name, 0, recorded))


@dataclass
class Trunk:
    """`wanted`: the cases that are played. `undisturbed`: how the run ends without any act."""

    world: World
    others: Others
    run: str
    wanted: set[Case]
    undisturbed: str
    at_once: int
    out: int
    standings: Tables
    counts: Counter[str] = field(default_factory=Counter)
    case: Case | None = None
    deed: Deed | None = None

    def __post_init__(self) -> None:
        self._children = Children(self.at_once, _MOST_SECONDS, partial(send, self.out))
        self._process = Process("others", dict(scheduler.current.process.environment))

    def play(self) -> None:
        came, why = "VIOLATION", ""
        try:
            ended = self.run_to_its_end()
            if self.case is not None:
                assert self.deed is not None
                early, last = self.case.step in _BEFORE_THE_PLAN, self.case.step == "incident.close"
                facts = (self.world, self.case.act, self.deed, self.undisturbed, early, last, self._is_new_standing)
                came = Aftermath(*facts).judge(ended, self._incident)
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            if self.case is None:
                raise
        if self.case is not None:
            self._report(came, why)
        self._children.await_all()
        if how_ended(ended) != self.undisturbed:
            raise RuntimeError(f"{self.world.name}, {self.run}, once more without an act: {ended}")

    def run_to_its_end(self) -> Ended:
        lab, sick = self.world.lab, self.world.sick
        if self.run == REMEDIATION:
            self._watch()
            execution = lab.start(sick.name, **dict(self.world.setting.asked))
            ended = lab.end_of(execution, _SECONDS)
            records = [item for item in lab._incidents_with("execution", execution) if item["sk"] == "META"]
            ids = [str(item["pk"]).removeprefix("INCIDENT#") for item in records]
        else:
            ids = [self.world._remediate().id]
            self._watch()
            evict = self.run == WITH_EVICTIONS
            ended = lab.end_of(start_rollback(lab, ids[0], confirmed=True, evict=evict), _SECONDS)
        self._functions().unwatch()
        self._incident = lab.incidents.get(ids[0]) if ids else None
        return ended

    def _is_new_standing(self) -> bool:
        """Whether no case of the act has left the same standing yet."""
        from tests.faults.inline import state  # noqa: PLC0415 - the emulators read the environment

        assert self.case is not None
        standing = state.standing(self.world.lab.stack.servers)
        return self.standings.of(self.case.act).first(standing, self.case.id) == self.case.id

    def _watch(self) -> None:
        nothing: Callable[..., None] = lambda *_: None  # noqa: E731
        self._functions().watch(self._begins, nothing, nothing)

    @staticmethod
    def _functions() -> Any:
        from tests.faults.inline import functions  # noqa: PLC0415 - the emulators read the environment

        return functions

    def _begins(self, name: str, event: Any, _alone: bool) -> None:
        function = name.rpartition("-")[2]
        if function not in _STEPS or self.case is not None:
            return
        action = event.get("action") or ("final" if event.get("final") else "")
        step = f"{function}.{action}" if action else function
        index = self.counts[step]
        self.counts[step] += 1
        for act in ACTS:
            case = Case(self.world.name, self.run, step, index, act)
            if case in self.wanted and self._children.forked(case.id):
                self.case = case
                thread = run_in(self._process, "others", self._act)
                thread.join()
                return

    def _act(self) -> None:
        assert self.case is not None
        try:
            self.deed = self.others.do(self.case.act)
        except NothingThere:
            self._report("nothing there", "")
        except RefusedByAws as error:
            self._report(f"AWS refuses: {error}", "")
        except Exception as error:
            self._report("VIOLATION", f"the act itself: {type(error).__name__}: {error}")

    def _report(self, came: str, why: str) -> None:
        assert self.case is not None
        send(self.out, Result(self.case.id, came, why, self._children.seconds()))
        os._exit(0)
