"""A question that nobody answers. Last, because it takes a minute; the other tests use that minute."""

from __future__ import annotations

import pytest

from ip_remediator.domain.incidents import ApprovalState, Outcome
from tests.integration.support.lab import Lab

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
    assert lab.buttons(message) == []
