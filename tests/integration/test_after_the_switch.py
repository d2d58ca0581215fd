"""After the CNI was switched nothing is undone by itself: what stands is told, and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ip_remediator.common.enums import Outcome
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient

pytestmark = pytest.mark.slow


def test_given_nodes_without_a_free_eni_slot_when_remediated_then_the_nodes_to_replace_are_named(lab: Lab) -> None:
    with patient(lab, replace(Scenario(), free_eni_slots=False)) as full:
        full.settle(running=8, stuck=2)
        ended, incident = lab.remediate(full.name)
        assert (ended.status, incident.outcome) == ("FAILED", Outcome.FAILED), ended
        assert incident.verification is not None
        assert incident.verification.healed == ()
        assert len(incident.verification.still_stuck) == 2
        nodes = sorted(node.name for node in full.seeded.nodes)
        assert list(incident.verification.nodes_to_replace) == nodes
        message = lab.message_saying(incident.id, "failed", *nodes)
        assert lab.buttons(message) == ["replace", "rollback"]
        # The change stands.
        assert full.new_subnets() == incident.subnets
        assert full.eni_configs() == {zone: {"subnet": subnet} for zone, subnet in incident.subnets.items()}
        assert full.cni_environment()["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"] == "true"
        assert lab.ledger.reservation_of(incident.id) is not None
        assert lab.lock_holder(full.vpc_id) is None
