"""Which act meets a run where: before a function that the state machine invokes."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.cases import RUNS
from tests.faults.others.acts import ACTS

WORLDS = ("new-cidr", "extension", "discovery", "existing-subnets", "leaked-enis", "node-groups")


@dataclass(frozen=True, order=True)
class Case:
    """`step`: the function with its action; `index`: which invocation of it in the run, from 0."""

    world: str
    run: str
    step: str
    index: int
    act: str

    @property
    def id(self) -> str:
        return f"{self.world}:{self.run}:{self.step}:{self.index}:{self.act}"


def case_of(id_: str) -> Case:
    """The case of this id. ValueError when it is none."""
    parts = id_.split(":")
    if len(parts) != 5 or parts[0] not in WORLDS or parts[1] not in RUNS or parts[4] not in ACTS:
        example = "new-cidr:rollback:network.undo:0:subnet-deleted"
        raise ValueError(f"{id_!r} is no id of a case, such as {example}")
    world, run, step, index, act = parts
    return Case(world, run, step, int(index), act)
