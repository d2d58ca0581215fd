"""The things a Slack workspace is made of, and how Slack shows them in its API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

TEAM = {"id": "T0LOCAL", "domain": "local", "name": "Local workspace"}
APP_ID = "A0REMEDIATOR"
BOT_ID = "B0REMEDIATOR"
BOT_USER_ID = "U0REMEDIATOR"


class SlackError(Exception):
    """A refusal: `code` is Slack's `error`, `details` the lines of `response_metadata.messages`."""

    def __init__(self, code: str, details: Iterable[str] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.details = list(details)


@dataclass(frozen=True)
class User:
    """A member of the workspace, or the app's bot."""

    id: str
    name: str
    real_name: str
    is_bot: bool = False


@dataclass(frozen=True)
class Channel:
    """A channel; `has_bot` is false where the app is no member."""

    id: str
    name: str
    topic: str
    has_bot: bool = True


@dataclass(frozen=True)
class Version:
    """A message's content from `at` on."""

    at: datetime
    text: str
    blocks: list[Json]


@dataclass
class Message:
    """A message with all its versions; `ephemeral_to` names the only user who sees it."""

    channel: str
    ts: str
    user: str
    versions: list[Version]
    thread_ts: str | None = None
    ephemeral_to: str | None = None
    broadcast: bool = False
    deleted: bool = False
    metadata: Json | None = None

    @property
    def text(self) -> str:
        """The text of the latest version."""
        return self.versions[-1].text

    @property
    def blocks(self) -> list[Json]:
        """The blocks of the latest version."""
        return self.versions[-1].blocks

    @property
    def edited(self) -> bool:
        """Slack marks a message as edited only when the update came as text (chat.update reference)."""
        return len(self.versions) > 1 and not self.blocks

    def as_slack(self) -> Json:
        """The message object of the Web API and of interaction payloads."""
        shown: Json = {
            "type": "message",
            "user": self.user,
            "ts": self.ts,
            "text": self.text,
            "team": TEAM["id"],
        }
        if self.user == BOT_USER_ID:
            shown |= {"bot_id": BOT_ID, "app_id": APP_ID}
        if self.blocks:
            shown["blocks"] = self.blocks
        if self.thread_ts:
            shown["thread_ts"] = self.thread_ts
        if self.broadcast:
            shown["subtype"] = "thread_broadcast"
        if self.edited:
            shown["edited"] = {"user": self.user, "ts": f"{self.versions[-1].at.timestamp():.6f}"}
        return shown


@dataclass
class OpenView:
    """A modal that a user has open."""

    id: str
    user: str
    content: Json
    hash: str

    def as_slack(self) -> Json:
        """The view as Slack's Web API returns it."""
        optional = {
            "callback_id": "",
            "external_id": "",
            "private_metadata": "",
            "submit": None,
            "close": None,
        }
        return {
            **optional,
            **self.content,
            "id": self.id,
            "team_id": TEAM["id"],
            "app_id": APP_ID,
            "bot_id": BOT_ID,
            "hash": self.hash,
        }


@dataclass
class Trigger:
    """A trigger id of a click: it opens one modal, for a few seconds."""

    user: str
    issued: datetime
    used: bool = False


@dataclass(frozen=True)
class RequestUrl:
    """Where the app takes interactions; None: nowhere."""

    url: str | None


@dataclass
class ResponseUrl:
    """A URL of a click on a message by which the app may answer, a limited number of times."""

    user: str
    channel: str
    ts: str
    issued: datetime
    uses: int = 0
