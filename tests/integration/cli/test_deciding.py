"""Questions answered from a terminal, and incidents found there: no Slack is needed."""

from __future__ import annotations

import json

import pytest

from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.vpc_lock import VpcLock
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient
from tests.integration.support.terminal import typed

pytestmark = pytest.mark.slow


def test_given_a_question_when_rejected_and_the_next_one_approved_from_a_terminal_then_each_answer_counts(
    lab: Lab,
) -> None:
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        before = cluster.world()
        execution = lab.start(cluster.name, mode="approve")
        first = lab.incident_when_known(execution)
        lab.message_saying(first.id, "If nobody answers")
        assert "wrong" in typed(lab, "approve", first.id, "--plan", "wrong", "--yes", status=2)
        assert "reject" in typed(lab, "reject", first.id, "--yes")
        assert lab.end_of(execution).status == "SUCCEEDED"
        assert lab.incidents.get(first.id).outcome is Outcome.REJECTED
        assert cluster.world() == before
        assert "waits for no answer" in typed(lab, "approve", first.id, "--yes", status=2)

        execution = lab.start(cluster.name, mode="approve")
        second = lab.incident_when_known(execution)
        lab.message_saying(second.id, "If nobody answers")
        assert second.id in typed(lab, "incidents", "--open", "--cluster", cluster.name)
        output = typed(lab, "approve", "--cluster", cluster.name, "--yes")
        assert "Changes" in output
        assert lab.end_of(execution).status == "SUCCEEDED"
        healed = lab.incidents.get(second.id)
        assert healed.outcome is Outcome.HEALED
        assert healed.approval is not None
        assert "arn:aws" in str(healed.approval.decided_by)
        listed = json.loads(typed(lab, "incidents", "--cluster", cluster.name, "--output", "json"))
        assert [one["id"] for one in listed] == [second.id, first.id]
        assert second.id in typed(lab, "status", "--cluster", cluster.name)
        assert typed(lab, "incidents", "--cluster", cluster.name, "--open").strip() == "no incident"


def test_given_an_incident_at_work_when_closed_or_unlocked_from_a_terminal_then_it_is_refused_until_it_has_ended(
    lab: Lab,
) -> None:
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        execution = lab.start(cluster.name, mode="approve")
        incident = lab.incident_when_known(execution)
        lab.message_saying(incident.id, "If nobody answers")
        output = typed(lab, "close", incident.id, "--reason", "a test", status=1)
        assert f"aws stepfunctions stop-execution --execution-arn {execution}" in output
        output = typed(lab, "unlock", "--vpc", cluster.vpc_id, status=1)
        assert "is at work" in output
        assert incident.id in output
        assert lab.incidents.get(incident.id).open

        lab.aws("stepfunctions").stop_execution(executionArn=execution)
        # Whether the watchdog was there before or not: it is closed, and nothing is held.
        assert "closed" in typed(lab, "close", incident.id, "--reason", "a test")
        assert lab.incidents.get(incident.id).outcome is Outcome.UNDONE
        assert typed(lab, "unlock", "--vpc", cluster.vpc_id).strip() == f"the lock of {cluster.vpc_id} is free"
        assert typed(lab, "unlock", "--cluster", cluster.name).strip().endswith("is free")


def test_given_a_lock_whose_incident_nobody_knows_when_unlocked_from_a_terminal_then_it_is_free(lab: Lab) -> None:
    lock = VpcLock(lab.incidents._records.table, utc_now)
    lock.acquire("vpc-0a1b2c3d4e5f67890", "gone-20260301-120000-abcdef")
    output = typed(lab, "unlock", "--vpc", "vpc-0a1b2c3d4e5f67890")
    assert "there is no record of it" in output
    assert lock.holder("vpc-0a1b2c3d4e5f67890") is None
