"""What people read when a step failed and its undo did, too."""

from __future__ import annotations

import json

import pytest

from ip_remediator.remediation.close import failure_of


def cause(message: str) -> str:
    """As Lambda tells an exception."""
    return json.dumps({"errorMessage": message, "errorType": "Some", "stackTrace": []})


@pytest.mark.parametrize(
    ("undo", "words"),
    [
        (None, "the kill switch is on"),
        ("the kill switch is on", "the kill switch is on; for the same reason not all was undone"),
        ("access denied", "the kill switch is on; the undo failed as well: access denied"),
    ],
)
def test_given_a_failed_undo_then_its_reason_is_told_once(undo: str | None, words: str) -> None:
    caught = {"step": "rollback", "error": "KillSwitchOn", "cause": cause("the kill switch is on")}
    if undo:
        caught |= {"undo_error": "Other", "undo_cause": cause(undo)}
    assert failure_of(caught, ()).message == words
