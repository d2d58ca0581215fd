"""A remediation whose functions are idle or throttled when they are invoked, of a cluster with an old CA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ip_remediator.common.enums import Outcome
from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.conftest import SPEED, WAIT_SCALE
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
# Functions of the path to a healed incident, by the ends of their names.
FUNCTIONS = ("incident", "diagnose", "plan", "network", "cluster", "verify")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Patient]:
    """Its certificates have no key identifiers, as those of clusters from before Kubernetes 1.17."""
    parameters = {"DefaultMode": "auto"}
    with Stack(tmp_path, Ports.free(), parameters, speed=SPEED, wait_scale=WAIT_SCALE, key_identifiers=False) as stack:
        stack.start()
        with patient(Lab(stack)) as made:
            made.settle(running=8, stuck=2)
            yield made


def test_given_idle_and_throttled_functions_when_pods_wait_then_they_are_healed_all_the_same(cluster: Patient) -> None:
    lab = cluster.lab
    inactive = [{"function": f"-{name}", "state": "Inactive", "restore_seconds": 1} for name in FUNCTIONS[::3]]
    connecting = [{"function": f"-{name}", "state": "Connecting", "times": 3} for name in FUNCTIONS[1::3]]
    throttled = [{"function": f"-{name}", "state": "Throttled", "times": 3} for name in FUNCTIONS[2::3]]
    with lab.functions(*inactive, *connecting, *throttled):
        ended, incident = lab.remediate(cluster.name)
    assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
    assert len(cluster.moved()) == 2
    history = lab.aws("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=ended.arn)
    errors = [event.get("taskFailedEventDetails", {}).get("error") for page in history for event in page["events"]]
    expected = ("ResourceNotReadyException", "ENINotReadyException", "TooManyRequestsException")
    assert {f"Lambda.{name}" for name in expected} <= set(errors)
