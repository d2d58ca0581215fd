"""`aws stepfunctions stop-execution` at every state that works or waits: of a remediation, and of a rollback.

The states are those of the definitions; a new one is stopped at without further ado, or needs a way that leads to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ip_remediator.common.enums import Outcome
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient
from tests.integration.support.rollbacks import start_rollback
from tests.integration.support.stopping import CONFIRMED, TAKES_TOO_LONG, Way, answer, refusing, states_of
from tests.integration.support.strategies import stricken
from tests.integration.test_watchdog import assert_nothing_is_held, settled, stop_at

pytestmark = pytest.mark.slow

ASKING, FAILING = Way((("mode", "approve"),)), Way(meets=refusing("eks", "UpdateAddon", "ClusterFunction"))
REMEDIATING = dict.fromkeys(("Ask people", "Remind people"), ASKING) | dict.fromkeys(
    ("Was the CNI switched?", "Undo the ENIConfigs", "Undo the VPC changes"), FAILING
)
# Plans of other kinds come there (test_watchdog_states_others.py).
OF_OTHER_PLANS = {"Delete the leaked ENIs", "Give the subnets away"}
STUCK = Way(CONFIRMED, meets=refusing("ec2", "DeleteSubnet", "NetworkFunction"))
ROLLING_BACK = dict.fromkeys(
    ("Give the nodes back before pausing", "Restore the warm targets before pausing", "Pause the rollback"), STUCK
) | {"Ask people": Way(), "Cancel the rollback": Way(answer="rollback_cancel")}


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    """As the suite's, with a faster ipamd: most cases roll back."""
    with stricken(lab) as cluster:
        yield cluster


@pytest.mark.parametrize("state", [s for s in states_of("remediate") if s not in TAKES_TOO_LONG | OF_OTHER_PLANS])
def test_given_a_remediation_that_is_stopped_at_any_state_then_nothing_is_held_and_it_can_be_taken_back(
    lab: Lab, sick: Patient, state: str
) -> None:
    sick.settle(running=8, stuck=2)
    before = sick.world()
    way = REMEDIATING.get(state, Way())
    with way.meets(lab):
        execution = lab.start(sick.name, **dict(way.asked))
        stop_at(lab, execution, state)
    incident = lab.incident_when_known(execution).id
    record = settled(lab, incident)
    assert record.outcome in (Outcome.UNDONE, Outcome.FAILED, Outcome.HEALED)
    if lab.changes(incident):
        assert lab.roll_back(incident).status == "SUCCEEDED"
        settled(lab, incident)
    assert_nothing_is_held(lab, sick)
    assert sick.world() == before


@pytest.mark.parametrize("state", [s for s in states_of("rollback") if s not in TAKES_TOO_LONG])
def test_given_a_rollback_that_is_stopped_at_any_state_then_nothing_is_held_and_the_next_one_ends_it(
    lab: Lab, sick: Patient, state: str
) -> None:
    sick.settle(running=8, stuck=2)
    before = sick.world()
    _, healed = lab.remediate(sick.name)
    assert healed.outcome is Outcome.HEALED
    way = ROLLING_BACK.get(state, Way(CONFIRMED))
    with way.meets(lab):
        execution = start_rollback(lab, healed.id, **dict(way.asked))
        answer(lab, healed, way)
        stop_at(lab, execution, state)
    settled(lab, healed.id)
    assert_nothing_is_held(lab, sick)
    if lab.changes(healed.id):
        assert lab.roll_back(healed.id).status == "SUCCEEDED"
        settled(lab, healed.id)
    assert sick.world() == before
