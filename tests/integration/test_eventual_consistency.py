"""EC2 shows what is new late, to calls or to IAM's conditions: remediation and rollback end well all the same.

On a stack of its own, where waits of the state machines take their real time: their patience is what is tried.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ip_remediator.common.enums import Outcome
from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient
from tests.integration.support.rollbacks import SPEED, dump, start_rollback

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LATE = {
    "reads": ("ec2_reads_after_seconds", "ec2_writes_after_seconds"),
    "conditions": ("ec2_policies_see_after_seconds",),
}


@pytest.fixture(scope="module")
def unhurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A stack whose state machines wait as long as on AWS."""
    folder = tmp_path_factory.mktemp("unhurried")
    with Stack(folder, Ports.free(), {"DefaultMode": "auto", "MaxPerVpcPerDay": "100"}, speed=SPEED) as stack:
        stack.start()
        yield Lab(stack)


@pytest.mark.parametrize(
    ("view", "seconds"), [("reads", 0), ("reads", 2), ("reads", 20), ("conditions", 2), ("conditions", 20)]
)
def test_given_an_ec2_that_shows_new_things_late_when_healed_and_rolled_back_then_everything_is_as_before(
    unhurried: Lab, view: str, seconds: float
) -> None:
    lab = unhurried
    with patient(lab, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        before = dump(cluster)
        with lab.settings(**dict.fromkeys(LATE[view], seconds)):
            execution = lab.start(cluster.name)
            ended = lab.end_of(execution, seconds=400)
            incident = lab.incident_of(execution)
            assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
            assert len(cluster.moved()) == 2

            rolled_back = lab.end_of(start_rollback(lab, incident.id, confirmed=True, evict=True), seconds=400)

        assert rolled_back.status == "SUCCEEDED", rolled_back
        cluster.settle(running=8, stuck=2)
        assert dump(cluster) == before
        assert lab.changes(incident.id) == []
