from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.enums import Mode
from ip_remediator.incidents.record import Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.vpc_lock import VpcLock
from tests.contract.conftest import Clock, unique
from tests.contract.watchdog.world import REMEDIATION, World, new_table
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from local.aws.client import LocalAws


@pytest.fixture
def table(aws: LocalAws) -> Any:
    """A table for each test: a sweep looks at all that is in it."""
    return new_table(aws, "incidents").table


@pytest.fixture
def world(table: Any, clock: Clock, cluster: str) -> World:
    """An open incident whose execution has a plan, the VPC's lock and a CIDR."""
    vpc = unique("vpc")
    incidents = Incidents(table, clock)
    incident = incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution=REMEDIATION)
    incidents.complete(incident, Step.DIAGNOSE)
    incidents.complete(incident, Step.PLAN, plan=PLAN.model_copy(update={"vpc_id": vpc}))
    VpcLock(table, clock).acquire(vpc, incident)
    return World(table, clock, incident, vpc)
