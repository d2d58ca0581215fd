"""Following an incident: the stack's time counts, people's does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from ip_remediator.incidents.record import ApprovalState, Incident
from local.demo import watching
from local.demo.watching import TooSlow, follow
from tests.unit.support import records

LIMIT = 180.0


class Story:
    """Records as they are read one after the other; each look takes a minute."""

    def __init__(self, *incidents: Incident) -> None:
        self._incidents: Iterator[Incident] = iter(incidents)
        self.now = 0.0

    def get(self, _: str) -> Incident:
        self.now += 60.0
        return next(self._incidents)


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> list[Story]:
    stories: list[Story] = []
    monkeypatch.setattr(watching.time, "monotonic", lambda: stories[0].now if stories else 0.0)
    monkeypatch.setattr(watching.time, "sleep", lambda _: None)
    return stories


def test_given_people_who_read_for_long_when_they_approve_then_the_stack_has_its_whole_time_from_then_on(
    minutes: list[Story],
) -> None:
    asked = records.asked()
    assert asked.approval is not None
    decided = asked.approval.model_copy(update={"state": ApprovalState.APPROVED})
    approved = asked.model_copy(update={"approval": decided})
    story = Story(*[asked] * 20, approved, approved, records.healed())
    minutes.append(story)
    lines = [line for line, _ in follow(story, "i", LIMIT)]  # type: ignore[arg-type]
    assert "approval: approved" in lines


def test_given_nobody_to_wait_for_when_nothing_happens_then_it_is_too_slow(minutes: list[Story]) -> None:
    story = Story(*[records.incident()] * 20)
    minutes.append(story)
    with pytest.raises(TooSlow, match="not closed after 180 s"):
        list(follow(story, "i", LIMIT))  # type: ignore[arg-type]
    assert timedelta(seconds=story.now) <= timedelta(seconds=LIMIT + 60)
