"""Questions that nobody answers. Last, because each takes a minute; the other tests use the first one's minute."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ApprovalState, RollbackState
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient
from tests.integration.support.rollbacks import SPEED, dump, start_rollback
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


def test_given_a_question_when_nobody_answers_then_it_expires_and_the_block_is_free_again(
    lab: Lab, unanswered: str
) -> None:
    assert lab.end_of(unanswered).status == "SUCCEEDED"
    incident = lab.incident_of(unanswered)
    assert incident.outcome is Outcome.REJECTED
    assert incident.approval is not None
    assert incident.approval.state is ApprovalState.EXPIRED
    assert incident.plan is not None
    assert lab.ledger.reservation_of(incident.id) is None
    assert lab.lock_holder(incident.plan.vpc_id) is None
    message = lab.message_saying(incident.id, "nobody answered, nothing was changed")
    assert lab.buttons(message) == ["run_again"]


def test_given_a_rollbacks_question_when_nobody_answers_in_time_then_nothing_was_changed_and_it_is_offered_again(
    lab: Lab,
) -> None:
    with patient(lab, replace(Scenario(), managed_addon=False), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        _, incident = lab.remediate(cluster.name)
        subnets = incident.subnets.values()
        eventually("the warm ENIs are there", lambda: len(cluster.interfaces_in(*subnets)), lambda number: number == 4)
        standing = dump(cluster)
        execution = start_rollback(lab, incident.id, requested_by="a person who went home")
        lab.message_saying(incident.id, "Roll back? It waits for your confirmation")

        ended = lab.end_of(execution)

        assert (ended.status, ended.error) == ("FAILED", "NotConfirmed")
        record = lab.incidents.get(incident.id)
        assert record.outcome is Outcome.HEALED
        assert record.rollback is not None
        assert record.rollback.state is RollbackState.CANCELLED
        assert record.rollback_approval is not None
        assert record.rollback_approval.state is ApprovalState.EXPIRED
        assert ended.arn == execution
        assert dump(cluster) == standing
        assert lab.buttons(lab.message_saying(incident.id, "healed")) == ["rollback"]
        entries = [(entry["what"], entry["by"]) for entry in lab.incidents.timeline(incident.id)]
        assert ("rollback running", "a person who went home") in entries
        assert entries[-2:] == [
            ("rollback_approval expired", "eks-ip-remediator"),
            ("rollback skipped", "eks-ip-remediator"),
        ]
