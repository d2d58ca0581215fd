"""A counterpart that stands still in the middle of a run, and then goes on: connections hang, and nothing is lost.

The local servers keep their state in memory, so they cannot be killed and started again; they are frozen instead.
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
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient
from tests.integration.support.strategies import stricken
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SECONDS = 12.0  # longer than Slack and the connections of a Lambda function wait


def kubernetes(cluster: Patient) -> Server:
    return cluster.kubernetes


def simulator(cluster: Patient) -> Server:
    return cluster.simulator


def slack(cluster: Patient) -> Server:
    [server] = [server for server in cluster.lab.stack.servers._running if server.module == "local.slack"]
    return server


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    pid = server._process.pid
    os.kill(pid, signal.SIGSTOP)
    thaw = threading.Timer(SECONDS, os.kill, (pid, signal.SIGCONT))
    thaw.start()
    try:
        yield
    finally:
        thaw.join()


@pytest.mark.parametrize("counterpart", [kubernetes, simulator, slack])
def test_given_a_counterpart_that_stands_still_in_mid_run_then_it_heals_and_one_message_says_so(
    lab: Lab, counterpart: Callable[[Patient], Server]
) -> None:
    with stricken(lab) as cluster:
        execution = lab.start(cluster.name)
        incident = lab.incident_when_known(execution).id
        eventually("the first change is recorded", lambda: lab.changes(incident), seconds=60)
        with frozen(counterpart(cluster)):
            ended = lab.end_of(execution, seconds=240)
        assert (ended.status, lab.incidents.get(incident).outcome) == ("SUCCEEDED", Outcome.HEALED), ended
        assert len(cluster.moved()) == 2
        lab.message_saying(incident, "healed", seconds=120)
        assert lab.lock_holder(cluster.vpc_id) is None
