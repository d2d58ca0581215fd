from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.cluster.scenario_spec import Scenario
from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.support.lab import UNANSWERED, Lab
from tests.integration.support.patient import Patient, patient
from tests.support.patience import within

SPEED = 10
# Waits of the state machines hardly take any time; what the functions themselves wait for is real.
WAIT_SCALE = 0.02
NO_PODS = Scenario(nginx_replicas=0, coredns_replicas=0)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The real template, built and deployed once for all tests, on ports of its own."""
    parameters = {
        "DefaultMode": "auto",
        "ApprovalMinutes": "1",
        "MaxPerVpcPerDay": "100",
        "SweepMetrics": "subnets",
        "ClusterSubnetsOf": "*",
    }
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, Ports.free(), parameters, speed=SPEED, wait_scale=WAIT_SCALE, slack_seconds=within(3)) as stack:
        stack.start()
        yield Lab(stack)


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    """Two pods without an address; its events reach nobody, so that only the tests start anything."""
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


@pytest.fixture(scope="session")
def unanswered(lab: Lab) -> str:
    """The execution of a question that nobody will answer. A minute later it has expired."""
    with patient(lab, replace(NO_PODS, cluster=UNANSWERED)) as cluster:
        execution = lab.start(cluster.name, mode="approve")
        lab.message_saying(lab.incident_when_known(execution).id, "If nobody answers")
    return execution
