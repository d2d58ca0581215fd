"""The set-ups in which a remediation takes each of its strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, switch_custom_networking_on
from tests.integration.support.strategies import LEAKED, POD_SUBNET, ROOMY, leak, theirs

RUNNING, STUCK = 8, 2
# Of the template: a VPC may be changed so often without asking, because each case remediates twice.
PARAMETERS = {"DefaultMode": "auto", "ApprovalMinutes": "1", "MaxPerVpcPerDay": "100"}


def _as_it_is(_cluster: Patient) -> None:
    """Nothing is prepared."""


def _spare_subnets(cluster: Patient) -> None:
    theirs(cluster, **{POD_SUBNET: cluster.name})


def _leaked_enis(cluster: Patient) -> None:
    for subnet in cluster.seeded.network.subnets.values():
        leak(cluster, subnet, LEAKED)


@dataclass(frozen=True)
class Setting:
    """`prepare`: what is there before anything happens. `asked`: what a run by hand asks for. `returns`: after a
    rollback the pods hang again, so that the world serves for the next case. `rolled_back`: something is left to roll
    back after a heal."""

    prepare: Callable[[Patient], None] = _as_it_is
    scenario: Scenario | None = None
    asked: tuple[tuple[str, str], ...] = ()
    returns: bool = True
    rolled_back: bool = True


SETTINGS = {
    "new-cidr": Setting(),
    "extension": Setting(prepare=switch_custom_networking_on),
    "discovery": Setting(asked=(("strategy", "subnet-discovery"),)),
    "existing-subnets": Setting(prepare=_spare_subnets, returns=False),
    "leaked-enis": Setting(prepare=_leaked_enis, scenario=ROOMY, returns=False, rolled_back=False),
    # For acts of other people, whose node groups these are.
    "node-groups": Setting(scenario=Scenario(provisioner="managed")),
}


@contextmanager
def prepared(lab: Lab, setting: Setting) -> Iterator[Patient]:
    with patient(lab, setting.scenario, speed=SPEED) as cluster:
        cluster.settle(running=RUNNING, stuck=STUCK)
        setting.prepare(cluster)
        yield cluster
