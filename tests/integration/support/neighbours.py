"""Two clusters in one VPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from local.cluster.scenario_spec import Scenario, Zone
from tests.integration.support.lab import Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.integration.support.rollbacks import SPEED


@dataclass(frozen=True)
class Neighbours:
    first: Patient
    second: Patient


@contextmanager
def neighbours(lab: Lab) -> Iterator[Neighbours]:
    """Both as in the reference scenario, in subnets of their own."""
    with patient(lab, replace(Scenario(), cluster="shop"), speed=SPEED) as first, lab.beside("depot") as other_lab:
        zones = (Zone(ZONES[0], "10.0.2.0/28"), Zone(ZONES[1], "10.0.3.0/28"))
        beside = replace(
            Scenario(),
            cluster="depot",
            zones=zones,
            vpc_id=first.vpc_id,
            endpoint_tags=other_lab.stack.servers.endpoint_tags,
        )
        with patient(other_lab, beside, speed=SPEED) as second:
            for cluster in (first, second):
                cluster.settle(running=8, stuck=2)
            yield Neighbours(first, second)
