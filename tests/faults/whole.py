"""Cases on the whole embedded stack: servers, functions and cluster are processes of their own, and time is real."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.faults.cases import Case
from tests.faults.report import Planned, Result
from tests.faults.world import World
from tests.faults.worlds import PARAMETERS
from tests.integration.support.lab import Lab

_SPEED, _WAIT_SCALE = 60, 0.02


def results_of(cases: Sequence[Case]) -> Iterator[Planned | Result]:
    for name in sorted({case.world for case in cases}):
        yield Planned(name, sum(case.world == name for case in cases))
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), Ports.free(), PARAMETERS, speed=_SPEED, wait_scale=_WAIT_SCALE) as stack,
    ):
        stack.start()
        lab = Lab(stack)
        for case in cases:
            yield _result_of(lab, case)


def _result_of(lab: Lab, case: Case) -> Result:
    began = time.monotonic()
    came, why = "VIOLATION", ""
    try:
        with World.made(lab, case.world) as world:
            came = world.run(case.run, world.injected(case))
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    return Result(case.id, came, why, time.monotonic() - began)
