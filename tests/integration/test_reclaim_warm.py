"""Nodes give back what they keep warm: the targets of aws-node are lowered, pods get addresses, and all is put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from local.cluster.scenario_spec import NodeSpec, Scenario, Zone
from tests.integration.support.lab import Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back
from tests.integration.support.strategies import remediate
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

# Two nodes that each keep a spare ENI, and then nothing is free.
SPARES = Scenario(
    zones=(Zone(ZONES[0], "10.0.0.0/26"),),
    nodes=(NodeSpec(ZONES[0]), NodeSpec(ZONES[0])),
    free_per_subnet=12,
    nginx_replicas=2,
)


def free_addresses(cluster: Patient) -> int:
    [subnet] = cluster.lab.aws("ec2").describe_subnets(SubnetIds=list(cluster.seeded.network.subnets.values()))[
        "Subnets"
    ]
    return int(subnet["AvailableIpAddressCount"])


def settings(cluster: Patient) -> dict[str, Any]:
    """What a rollback puts back. Which ENIs nodes have is up to ipamd, as before."""
    world = dump(cluster)
    del world["interfaces"]
    for subnet in world["subnets"].values():
        del subnet["AvailableIpAddressCount"]
    return world


@contextmanager
def short_of_addresses(lab: Lab) -> Iterator[Patient]:
    """A node with a spare ENI and two pods, and another that can get no further ENI for its pods."""
    with patient(lab, SPARES, speed=SPEED) as cluster:
        cluster.settle(running=2, stuck=0)
        eventually(
            "both nodes have their spare ENI", lambda: free_addresses(cluster), lambda free: free == 0, seconds=60
        )
        lab.stack.kubectl("cordon", cluster.seeded.nodes[0].name)
        cluster.scale(12)
        cluster.settle(running=10, stuck=2)
        yield cluster


def test_given_idle_addresses_on_nodes_when_reclaimed_then_pods_run_and_a_rollback_puts_the_targets_back(
    lab: Lab,
) -> None:
    with short_of_addresses(lab) as cluster:
        before = settings(cluster)

        # when
        _, incident = remediate(lab, cluster, Outcome.HEALED, strategy="reclaim-warm")

        # then
        plan, proof = incident.plan, incident.verification
        assert plan is not None
        assert proof is not None
        assert (plan.strategy, plan.block, plan.subnets, plan.heals_now) == ("reclaim-warm", None, (), 2)
        [promised] = plan.frees.values()
        [freed] = proof.freed.values()
        assert freed >= promised > 0
        assert len(proof.healed) == 2
        cluster.settle(running=12, stuck=0)
        assert cluster.moved() == {}
        assert {"WARM_IP_TARGET", "MINIMUM_IP_TARGET"} <= cluster.cni_environment().keys()
        assert free_addresses(cluster) > 0
        message = lab.message_saying(incident.id, "healed", "warm")
        assert "rollback" in lab.buttons(message)

        # and when it is rolled back
        ended = roll_back(lab, incident.id, confirmed=True)
        assert ended.status == "SUCCEEDED", ended
        assert settings(cluster) == before
        assert lab.changes(incident.id) == []
        cluster.settle(running=12, stuck=0)


def test_given_lowered_targets_whose_rollout_cannot_be_seen_then_they_are_given_back_at_once(lab: Lab) -> None:
    with short_of_addresses(lab) as cluster:
        before = settings(cluster)
        fault = {"user": "ClusterFunction", "action": "watch daemonsets", "status": 403, "times": 100}
        cluster.api.request("POST", "/_local/faults", body=fault)

        _, incident = remediate(lab, cluster, Outcome.UNDONE, strategy="reclaim-warm")

        assert incident.failure is not None
        assert incident.failure.step == "Watch the rollout of aws-node"
        assert settings(cluster) == before
        assert lab.changes(incident.id) == []
        lab.message_saying(incident.id, "failed, all changes were undone")


def test_given_lowered_targets_whose_verification_fails_then_they_stand_recorded_and_a_rollback_restores_them(
    lab: Lab,
) -> None:
    with short_of_addresses(lab) as cluster:
        before = settings(cluster)
        fault = {"user": "VerifyFunction", "status": 403, "times": 100}
        cluster.api.request("POST", "/_local/faults", body=fault)

        _, incident = remediate(lab, cluster, Outcome.FAILED, strategy="reclaim-warm")

        cluster.api.request("DELETE", "/_local/faults")

        assert incident.failure is not None
        assert incident.failure.step == "Verify"
        assert settings(cluster) != before
        [standing] = lab.changes(incident.id)
        assert "CHANGE#reclaimed_warm#" in standing
        message = lab.message_saying(incident.id, "failed")
        assert lab.buttons(message)[-1] == "rollback"

        ended = roll_back(lab, incident.id, confirmed=True)
        assert ended.status == "SUCCEEDED", ended
        assert (settings(cluster), lab.changes(incident.id)) == (before, [])
