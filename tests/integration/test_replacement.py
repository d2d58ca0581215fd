"""Nodes without a free slot for an ENI are replaced: after a click, by whoever made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ip_remediator.domain.incidents import Incident, Outcome
from ip_remediator.domain.replacement import NodeState, ReplacementState
from local.cluster.kube import NODES
from local.cluster.runtime import instance_id
from local.cluster.scenario_spec import NodeSpec, Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import CGNAT, ZONES, Patient, patient
from tests.integration.support.waiting import eventually

pytestmark = pytest.mark.slow
SPEED = 30
# One of the two nodes takes an ENI in the new subnet at once, the other one has no slot for it.
ONE_IS_FULL = replace(
    Scenario(), provisioner="managed", nodes=(NodeSpec(ZONES[0], free_eni_slots=False), NodeSpec(ZONES[1]))
)


def partly(lab: Lab, cluster: Patient) -> Incident:
    cluster.settle(running=8, stuck=2)
    _, incident = lab.remediate(cluster.name)
    assert incident.verification is not None
    return incident


def instances(cluster: Patient) -> dict[str, str]:
    """Zone by instance of the nodes."""
    nodes = cluster.api.get(NODES.path())["items"]
    return {instance_id(node): node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes}


def ended(lab: Lab, incident: str, state: ReplacementState, seconds: float = 120) -> Incident:
    return eventually(
        f"the replacement is {state}",
        lambda: lab.incidents.get(incident),
        lambda found: found.replacement is not None and found.replacement.state is state,
        seconds,
    )


def test_given_a_full_node_of_a_managed_group_when_replace_is_clicked_then_a_fresh_node_heals_the_rest(
    lab: Lab,
) -> None:
    with patient(lab, ONE_IS_FULL, speed=SPEED) as cluster:
        incident = partly(lab, cluster)
        [full] = incident.verification.nodes_to_replace if incident.verification else ()
        assert incident.outcome is Outcome.PARTLY
        message = lab.message_saying(incident.id, "partly healed", "press Replace", full)
        assert lab.buttons(message) == ["replace", "rollback"]
        before = instances(cluster)

        lab.click(message, "replace")

        after = ended(lab, incident.id, ReplacementState.DONE)
        assert after.outcome is Outcome.HEALED
        assert after.verification is not None
        assert after.verification.still_stuck == ()
        assert after.verification.nodes_to_replace == ()
        assert len(cluster.addresses()) == 10
        [gone] = before.keys() - instances(cluster).keys()
        [fresh] = instances(cluster).keys() - before.keys()
        assert before[gone] == instances(cluster)[fresh] == ZONES[0]
        shown = lab.message_saying(incident.id, "healed", "Nodes replaced", fresh)
        assert lab.buttons(shown) == ["rollback"]
        assert len(lab.messages(incident.id)) == 1
        told = [event["detail"] for event in lab.events_of(incident.id)]
        assert [each["outcome"] for each in told if each["stage"] == "incident" and "outcome" in each][-1] == "healed"
        assert lab.lock_holder(cluster.vpc_id) is None
