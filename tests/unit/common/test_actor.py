"""Who asked or decided: stored as a typed actor, beside the text that release 0.1.0 reads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from ip_remediator.common.actor import Actor, ActorKind
from ip_remediator.incidents.record import Approval, ApprovalState, Rollback, RollbackState
from ip_remediator.rollback.workflow import RollbackRun

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN = Actor.slack("U0000ONCALL", "ann")
ACTORS = [ANN, Actor.slack("U0000ONCALL"), Actor.aws("arn:aws:sts::111122223333:assumed-role/r/s"), Actor.named("ann")]


@pytest.mark.parametrize("actor", ACTORS, ids=str)
def test_an_actor_is_stored_as_such_and_as_the_text_that_earlier_releases_read(actor: Actor) -> None:
    rollback = Rollback(state=RollbackState.RUNNING, requested_by=actor)
    stored = rollback.model_dump(mode="json")
    assert stored["requested_by"] == str(actor)
    assert Rollback.model_validate_json(rollback.model_dump_json()) == rollback


@pytest.mark.parametrize("actor", ACTORS, ids=str)
def test_a_record_of_an_earlier_release_has_the_text_only(actor: Actor) -> None:
    stored = {"state": "running", "requested_by": str(actor)}
    assert Rollback.model_validate(stored).requested_by == actor


def test_a_name_that_looks_like_a_slack_user_stays_a_name() -> None:
    # given somebody whose name has the form of a user
    approval = Approval(
        id="a",
        state=ApprovalState.APPROVED,
        plan_hash="h",
        asked_at=NOON,
        expires_at=NOON,
        decided_by=Actor.named("U0000ONCALL (ann)"),
    )
    # then storing and reading it makes no user of it
    read = Approval.model_validate_json(approval.model_dump_json())
    assert read.decided_by is not None
    assert (read.decided_by.kind, read.decided_by.slack_user) == (ActorKind.OTHER, "")


def test_nobody_is_stored_as_nobody() -> None:
    approval = Approval(id="a", state=ApprovalState.PENDING, plan_hash="h", asked_at=NOON, expires_at=NOON)
    assert "decided_by_actor" not in approval.model_dump()
    assert Approval.model_validate_json(approval.model_dump_json()).decided_by is None


def test_people_start_a_rollback_with_a_text_and_the_button_with_an_actor() -> None:
    typed = RollbackRun.model_validate({"incident": "i", "requested_by": "ann"})
    clicked = RollbackRun.model_validate({"incident": "i", "requested_by": ANN.model_dump(mode="json")})
    assert (typed.requested_by, clicked.requested_by) == (Actor.named("ann"), ANN)
    for wrong in ("", "x" * 201):
        with pytest.raises(ValidationError, match="1 to 200 characters"):
            RollbackRun.model_validate({"incident": "i", "requested_by": wrong})
