"""`aws stepfunctions stop-execution` at the states for which a cluster of another kind is needed; one for each case."""

from __future__ import annotations

import pytest

from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient
from tests.integration.support.stopping import CONFIRMED, TAKES_TOO_LONG, Way, answer, refusing, states_of
from tests.integration.support.strategies import LEAKED, ROOMY, leak
from tests.integration.test_replacement import ONE_IS_FULL, SPEED, remediated
from tests.integration.test_replacement import start as start_replacement
from tests.integration.test_subnets_for_nodes import crowded, group_of
from tests.integration.test_watchdog import assert_nothing_is_held, settled, stop_at

pytestmark = pytest.mark.slow

REPLACING = {
    "Give the node back": Way(
        CONFIRMED[:1], meets=refusing("autoscaling", "TerminateInstanceInAutoScalingGroup", "ClusterFunction")
    ),
    "Stop the replacement": Way(CONFIRMED[:1], meets=refusing("eks", "DescribeCluster", "ClusterFunction")),
    "Ask people": Way(),
    "Cancel the replacement": Way(answer="replace_cancel"),
}
# Only replacements of more nodes than one execution takes come there.
OF_MANY_NODES = {"Go on in another execution"}


def test_given_a_remediation_that_is_stopped_while_it_deletes_leaked_enis_then_nothing_is_held(lab: Lab) -> None:
    with patient(lab, ROOMY) as cluster:
        cluster.settle(running=8, stuck=2)
        for subnet in cluster.seeded.network.subnets.values():
            leak(cluster, subnet, LEAKED)
        execution = lab.start(cluster.name)
        stop_at(lab, execution, "Delete the leaked ENIs")
        settled(lab, lab.incident_when_known(execution).id)
        assert_nothing_is_held(lab, cluster)


def test_given_a_remediation_that_is_stopped_while_it_gives_subnets_to_a_group_then_nothing_is_held(lab: Lab) -> None:
    with crowded(lab, "self-managed") as cluster:
        lab.aws("autoscaling").set_desired_capacity(AutoScalingGroupName=group_of(cluster), DesiredCapacity=2)
        execution = lab.start(cluster.name)
        stop_at(lab, execution, "Give the subnets away")
        settled(lab, lab.incident_when_known(execution).id)
        assert_nothing_is_held(lab, cluster)


@pytest.mark.parametrize("state", [s for s in states_of("replace") if s not in TAKES_TOO_LONG | OF_MANY_NODES])
def test_given_a_replacement_that_is_stopped_at_any_state_then_nothing_is_held(lab: Lab, state: str) -> None:
    with patient(lab, ONE_IS_FULL, speed=SPEED) as cluster:
        incident = remediated(lab, cluster)
        way = REPLACING.get(state, Way(CONFIRMED[:1]))
        with way.meets(lab):
            execution = start_replacement(lab, incident.id, **dict(way.asked))
            answer(lab, incident, way)
            stop_at(lab, execution, state)
        settled(lab, incident.id)
        assert_nothing_is_held(lab, cluster)
