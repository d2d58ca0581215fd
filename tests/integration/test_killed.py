"""The processes that a run talks to, and those that it runs in, are killed in mid-run and started again.

A Kubernetes API server has its objects from etcd, the nodes' agents find theirs again in Kubernetes and EC2, Slack
forgets nothing, and a function's process may end at any time. One test freezes a process instead: connections hang.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ip_remediator.common.enums import Outcome
from local.stack.processes import Server
from tests.integration.support.killing import (
    Witness,
    assert_no_overlap,
    functions_killed_now_and_then,
    kill_and_start_again,
    kill_functions,
)
from tests.integration.support.lab import Lab
from tests.integration.support.neighbours import neighbours
from tests.integration.support.patient import Patient
from tests.integration.support.rollbacks import dump, start_rollback
from tests.integration.support.strategies import stricken
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SECONDS = 12.0  # longer than Slack and the connections of a Lambda function wait
RUN_SECONDS = 240


def kubernetes(cluster: Patient) -> Server:
    return cluster.kubernetes


def simulator(cluster: Patient) -> Server:
    return cluster.simulator


def slack(cluster: Patient) -> Server:
    return cluster.lab.stack.servers.running("local.slack")


def begin(lab: Lab, cluster: Patient) -> tuple[str, str]:
    """A remediation that has recorded its first change: execution and incident."""
    execution = lab.start(cluster.name)
    incident = lab.incident_when_known(execution).id
    eventually("the first change is recorded", lambda: lab.changes(incident), seconds=60)
    return execution, incident


def begin_rollback(lab: Lab, cluster: Patient, incident: str) -> str:
    """A rollback that has moved the first pod."""
    before = cluster.moved().keys()
    execution = start_rollback(lab, incident, confirmed=True, evict=True)
    eventually("the first pod is moved", lambda: before - cluster.moved().keys(), seconds=120)
    return execution


def assert_healed(lab: Lab, cluster: Patient, execution: str, incident: str) -> None:
    ended = lab.end_of(execution, seconds=RUN_SECONDS)
    assert (ended.status, lab.incidents.get(incident).outcome) == ("SUCCEEDED", Outcome.HEALED), ended
    cluster.settle(running=10, stuck=0)
    assert len(cluster.moved()) == 2
    lab.message_saying(incident, "healed", seconds=120)
    assert lab.lock_holder(cluster.vpc_id) != incident
    assert_no_overlap(cluster)


def assert_restored(lab: Lab, cluster: Patient, execution: str, incident: str) -> None:
    ended = lab.end_of(execution, seconds=RUN_SECONDS)
    assert (ended.status, lab.incidents.get(incident).outcome) == ("SUCCEEDED", Outcome.ROLLED_BACK), ended
    assert lab.changes(incident) == []
    lab.message_saying(incident, "rolled back", seconds=120)
    assert lab.lock_holder(cluster.vpc_id) is None
    assert_no_overlap(cluster)


@contextmanager
def as_before_in_the_end(lab: Lab) -> Iterator[Patient]:
    """A cluster with stuck pods. After the block everything is as it was, and each change was that of the incident
    which had the VPC's lock."""
    with stricken(lab) as cluster:
        before, witness = dump(cluster), Witness(lab, cluster.vpc_id)
        with witness.looking():
            yield cluster
        cluster.settle(running=8, stuck=2)
        assert dump(cluster) == before
        assert witness.changes
        assert witness.intruders == []


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    thaw = threading.Timer(SECONDS, os.kill, (server.pid, signal.SIGCONT))
    thaw.start()
    try:
        yield
    finally:
        thaw.join()


@pytest.mark.parametrize("counterpart", [kubernetes, simulator, slack])
def test_given_a_counterpart_that_is_killed_in_mid_run_then_the_remediation_heals_and_the_rollback_restores_everything(
    lab: Lab, counterpart: Callable[[Patient], Server]
) -> None:
    with as_before_in_the_end(lab) as cluster:
        execution, incident = begin(lab, cluster)
        [message] = eventually("Slack has a message", lambda: lab.messages(incident))
        kill_and_start_again(lab, counterpart(cluster))
        assert_healed(lab, cluster, execution, incident)

        execution = begin_rollback(lab, cluster, incident)
        kill_and_start_again(lab, counterpart(cluster))
        assert_restored(lab, cluster, execution, incident)
        assert [shown["ts"] for shown in lab.messages(incident)] == [message["ts"]]


def test_given_functions_that_are_killed_at_random_moments_then_the_remediation_heals_and_the_rollback_restores(
    lab: Lab,
) -> None:
    with as_before_in_the_end(lab) as cluster:
        with functions_killed_now_and_then(lab) as killed_first:
            execution, incident = begin(lab, cluster)
            assert_healed(lab, cluster, execution, incident)
        with functions_killed_now_and_then(lab) as killed_then:
            execution = begin_rollback(lab, cluster, incident)
            assert_restored(lab, cluster, execution, incident)
        assert all(map(sum, (killed_first, killed_then)))


def test_given_two_clusters_in_one_vpc_when_everything_is_killed_at_once_then_both_are_healed_by_one_writer_at_a_time(
    lab: Lab,
) -> None:
    with neighbours(lab) as both:
        witness = Witness(lab, both.first.vpc_id)
        with witness.looking():
            first = lab.start(both.first.name)
            second = both.second.lab.start(both.second.name)
            incidents = [lab.incident_when_known(execution).id for execution in (first, second)]
            eventually("a change is recorded", lambda: any(map(lab.changes, incidents)), seconds=60)
            kill_functions(lab)
            agents = [get(cluster) for cluster in (both.first, both.second) for get in (kubernetes, simulator)]
            kill_and_start_again(lab, slack(both.first), *agents)

            assert_healed(lab, both.first, first, incidents[0])
            assert_healed(lab, both.second, second, incidents[1])
        assert lab.lock_holder(both.first.vpc_id) is None
        assert {incident for incident, _ in witness.changes} == set(incidents)
        assert witness.intruders == []


def test_given_a_kubernetes_api_that_stands_still_in_mid_run_then_it_heals_and_one_message_says_so(lab: Lab) -> None:
    with stricken(lab) as cluster:
        execution, incident = begin(lab, cluster)
        with frozen(cluster.kubernetes):
            lab.end_of(execution, seconds=RUN_SECONDS)
        assert_healed(lab, cluster, execution, incident)
