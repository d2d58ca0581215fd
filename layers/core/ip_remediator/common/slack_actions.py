"""The ids of the buttons in Slack: what a message offers and what the endpoint understands are the same list.

Only the standard library is imported: the endpoint reads it before it answers Slack.
"""

from __future__ import annotations

from enum import StrEnum


class SlackAction(StrEnum):
    """A button's action_id, which Slack sends back with a click."""

    APPROVE = "approve"
    REJECT = "reject"
    ROLLBACK = "rollback"
    ROLLBACK_CONFIRM = "rollback_confirm"
    ROLLBACK_EVICT = "rollback_confirm_evict"
    ROLLBACK_CANCEL = "rollback_cancel"
    REPLACE = "replace"
    REPLACE_CONFIRM = "replace_confirm"
    REPLACE_CANCEL = "replace_cancel"
    RUN_AGAIN = "run_again"
    DETAILS = "details"

    @property
    def answers(self) -> bool:
        """Whether it answers a question; the others name the incident."""
        return self in _ANSWERS

    @property
    def agrees(self) -> bool:
        """Whether the button answers its question with yes."""
        return self in _AGREEMENTS


_AGREEMENTS = frozenset(
    {SlackAction.APPROVE, SlackAction.ROLLBACK_CONFIRM, SlackAction.ROLLBACK_EVICT, SlackAction.REPLACE_CONFIRM}
)
_ANSWERS = _AGREEMENTS | {SlackAction.REJECT, SlackAction.ROLLBACK_CANCEL, SlackAction.REPLACE_CANCEL}
