"""Which people may decide by clicks, and in which channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ip_remediator.clients.slack.client import SlackUnavailable
from ip_remediator.observability import logger

if TYPE_CHECKING:
    from ip_remediator.slack_interactions.requests import Click

ANY = "any"
_GROUP = "S"
_NOT_AMONG = "You are not among the people who may decide here. Ask the owners of this app to add you."
_NOT_HERE = "Decisions made in this channel do not count. Ask the owners of this app which channels to use."


@dataclass(frozen=True)
class Access:
    """`users`: ids of users and user groups separated by commas, or "any". `channels`: ids of channels, or "any".
    `members` gives the users of a group, or raises SlackUnavailable."""

    users: str
    channels: str
    members: Callable[[str], frozenset[str]]

    def refusal(self, click: Click) -> str | None:
        """Why the click does not count, for the person who clicked; None if it does.

        If Slack can't resolve a group, the click is refused: nobody decides unchecked.
        """
        if self.channels != ANY and click.channel not in _ids(self.channels):
            return _NOT_HERE
        if self.users == ANY or click.user_id in _ids(self.users):
            return None
        unresolved = ""
        for group in (id_ for id_ in _ids(self.users) if id_.startswith(_GROUP)):
            try:
                if click.user_id in self.members(group):
                    return None
            except SlackUnavailable as error:
                logger.warning("user group not resolved", extra={"group": group, "reason": str(error)})
                unresolved = f"We could not check whether you may decide, so nothing was changed: {group}: {error}."
        return unresolved or _NOT_AMONG


def _ids(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
