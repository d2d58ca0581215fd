"""What a Slack workspace remembers, and the rules it keeps.

Nothing here speaks HTTP. Refusals are `SlackError`s with Slack's own error codes
(https://docs.slack.dev/reference/methods/chat.postMessage and the pages of the other methods).
"""

from __future__ import annotations

import json
import secrets
from collections import UserDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from local.journal import Change, Journal
from local.slack import blockkit
from local.slack.model import (
    APP_ID,
    BOT_USER_ID,
    Channel,
    Json,
    Message,
    OpenView,
    RequestUrl,
    ResponseUrl,
    SlackError,
    Trigger,
    User,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# chat.update takes less text than chat.postMessage (reference pages of the two methods).
MAX_TEXT_POSTED = 40_000
MAX_TEXT_UPDATED = 4_000
# A trigger opens one view, within three seconds; a response_url serves five answers within half an hour
# (https://docs.slack.dev/interactivity/handling-user-interaction).
TRIGGER_LIFE = timedelta(seconds=3)
RESPONSE_LIFE = timedelta(minutes=30)
RESPONSE_USES = 5
MAX_OPEN_VIEWS = 3
MAX_VIEW_BYTES = 250_000

CHANNELS = (
    Channel("C0INCIDENTS", "eks-incidents", "Pods without an address, and what was done about it"),
    Channel("C0PLATFORM", "platform", "Everything about the platform"),
    Channel("C0RANDOM", "random", "The app is not in this channel", has_bot=False),
)
USERS = (
    User("U0000ONCALL", "on-call", "On-call engineer"),
    User("U0PLATFORM", "platform-lead", "Platform lead"),
    User("U000VIEWER", "viewer", "Viewer"),
    User(BOT_USER_ID, "eks_ip_remediator", "EKS IP Remediator", is_bot=True),
)
USER_GROUPS = {"S0000ONCALL": ("eks-oncall", ["U0000ONCALL", "U0PLATFORM"])}


Item = TypeVar("Item")


def _now() -> datetime:
    return datetime.now(UTC)


class Stored(UserDict[str, Item]):
    """What a workspace has of one kind, by id, oldest first: as the journal has it, from the first moment on.

    Who changes an item puts it in again.
    """

    def __init__(self, journal: Journal, kind: type[Item]) -> None:
        self._journal = journal
        self._collection = kind.__name__
        read = TypeAdapter(kind).validate_json
        super().__init__()
        self.data = {id_: read(document) for id_, document in journal.read(self._collection).items()}

    def __setitem__(self, id_: str, item: Item) -> None:
        if self._journal.remembers:
            self._journal.write(Change(self._collection, id_, to_json(item)))
        super().__setitem__(id_, item)

    def __delitem__(self, id_: str) -> None:
        self._journal.write(Change(self._collection, id_, None))
        super().__delitem__(id_)


class Workspace:
    """Channels, people, messages and views. `on_change` is called after every visible change.

    A workspace that is made of a journal goes on with what another one wrote into it.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = _now,
        on_change: Callable[[], None] = lambda: None,
        trigger_life: timedelta = TRIGGER_LIFE,
        journal: Journal | None = None,
    ) -> None:
        journal = journal or Journal(None)
        self.now = now
        self.on_change = on_change
        self._trigger_life = trigger_life
        self.channels = {channel.id: channel for channel in CHANNELS}
        self.users = {user.id: user for user in USERS}
        self._messages = Stored(journal, Message)
        self.views = Stored(journal, OpenView)
        self._triggers = Stored(journal, Trigger)
        self._responses = Stored(journal, ResponseUrl)
        self._request_urls = Stored(journal, RequestUrl)
        self._last_ts = max((int(ts.replace(".", "")) for ts in self._messages), default=0)

    # -- messages

    @property
    def messages(self) -> list[Message]:
        """Every message, oldest first."""
        return list(self._messages.values())

    def channel(self, reference: str, *, by_name: bool = False) -> Channel:
        """The channel of an id, or of a name too where the method takes names; `channel_not_found`."""
        match = self.channels.get(reference)
        if match is None and by_name:
            match = next((one for one in CHANNELS if one.name == reference.removeprefix("#")), None)
        if match is None:
            raise SlackError("channel_not_found")
        return match

    def user(self, reference: str) -> User:
        """The user with that id. Raises SlackError `user_not_found`."""
        if reference not in self.users:
            raise SlackError("user_not_found")
        return self.users[reference]

    def message(self, channel: str, ts: str) -> Message:
        """The message of a channel, ephemeral ones too; `message_not_found`."""
        match = self._messages.get(ts)
        if match is None or match.channel != channel or match.deleted:
            raise SlackError("message_not_found")
        return match

    def visible(self, channel: str) -> list[Message]:
        """What everybody in the channel sees, oldest first."""
        return [one for one in self.messages if one.channel == channel and not one.deleted and not one.ephemeral_to]

    def post(
        self,
        channel: str,
        user: str,
        text: str,
        blocks: list[Json],
        *,
        thread_ts: str | None = None,
        broadcast: bool = False,
        ephemeral_to: str | None = None,
        metadata: Json | None = None,
    ) -> Message:
        """Adds a message; `broadcast` shows a reply in the channel as well.

        Errors: no_text, msg_too_long, msg_blocks_too_long, invalid_blocks.
        """
        version = self._version(text, blocks, MAX_TEXT_POSTED)
        message = Message(
            channel, self._next_ts(), user, [version], thread_ts, ephemeral_to, broadcast, metadata=metadata
        )
        self._messages[message.ts] = message
        self.on_change()
        return message

    def update(self, message: Message, text: str | None, blocks: list[Json] | None) -> Message:
        """Replaces a message's content.

        As in Slack, text without blocks removes the blocks, and blocks without text keep the text.
        """
        new_blocks = ([] if text else message.blocks) if blocks is None else blocks
        new_text = message.text if text is None else text
        message.versions.append(self._version(new_text, new_blocks, MAX_TEXT_UPDATED))
        self._messages[message.ts] = message
        self.on_change()
        return message

    def delete(self, message: Message) -> None:
        """Marks the message as deleted."""
        message.deleted = True
        self._messages[message.ts] = message
        self.on_change()

    def _version(self, text: str, blocks: list[Json], max_text: int) -> Version:
        if not text and not blocks:
            raise SlackError("no_text")
        if len(text) > max_text:
            raise SlackError("msg_too_long")
        errors = blockkit.message_errors(blocks)
        if errors:
            raise SlackError("invalid_blocks", errors)
        if blockkit.text_length(blocks) > blockkit.MAX_TEXT_OF_ALL_BLOCKS:
            raise SlackError("msg_blocks_too_long")
        return Version(self.now(), text, blockkit.with_ids(blocks))

    def _next_ts(self) -> str:
        """Slack's message id: seconds with six decimals, unique in its channel, never going back."""
        self._last_ts = max(self._last_ts + 1, int(self.now().timestamp() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    # -- interactions

    @property
    def request_url(self) -> str | None:
        """Where the app takes interactions; None: nowhere."""
        stored = self._request_urls.get(APP_ID)
        return stored.url if stored else None

    @request_url.setter
    def request_url(self, url: str | None) -> None:
        self._request_urls[APP_ID] = RequestUrl(url)

    def issue_trigger(self, user: str) -> str:
        """A new trigger id for the user."""
        trigger_id = f"{secrets.randbelow(10**9)}.{secrets.randbelow(10**9)}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(user, self.now())
        return trigger_id

    def exchange_trigger(self, trigger_id: str) -> str:
        """The user a trigger stands for; it works once, for three seconds."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if self.now() - trigger.issued > self._trigger_life:
            raise SlackError("expired_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        trigger.used = True
        self._triggers[trigger_id] = trigger
        return trigger.user

    def issue_response_url(self, user: str, message: Message) -> str:
        """The id behind a response_url."""
        response_id = secrets.token_urlsafe(18)
        self._responses[response_id] = ResponseUrl(user, message.channel, message.ts, self.now())
        return response_id

    def use_response_url(self, response_id: str) -> ResponseUrl:
        """Counts one use of the URL. Raises SlackError when it is unknown, too old or used up."""
        response = self._responses.get(response_id)
        if response is None or self.now() - response.issued > RESPONSE_LIFE:
            raise SlackError("expired_url")
        if response.uses >= RESPONSE_USES:
            raise SlackError("used_url")
        response.uses += 1
        self._responses[response_id] = response
        return response

    # -- views

    def open_view(self, user: str, content: Json) -> OpenView:
        """Puts a modal on top of the user's others."""
        self._check_view(content)
        if len(self.views_of(user)) >= MAX_OPEN_VIEWS:
            raise SlackError("push_limit_reached")
        view = OpenView(f"V{secrets.token_hex(5).upper()}", user, self._with_ids(content), self._new_hash())
        self.views[view.id] = view
        self.on_change()
        return view

    def update_view(self, view: OpenView, content: Json, expected_hash: str | None = None) -> OpenView:
        """Replaces the content of a modal. Raises SlackError `hash_conflict` if it has changed meanwhile."""
        if expected_hash and expected_hash != view.hash:
            raise SlackError("hash_conflict")
        self._check_view(content)
        view.content, view.hash = self._with_ids(content), self._new_hash()
        self.views[view.id] = view
        self.on_change()
        return view

    def view(self, view_id: str = "", external_id: str = "") -> OpenView:
        """The open modal with that id or external id. Raises SlackError `not_found`."""
        for one in self.views.values():
            if one.id == view_id or (external_id and one.content.get("external_id") == external_id):
                return one
        raise SlackError("not_found")

    def views_of(self, user: str) -> list[OpenView]:
        """The user's open modals, the topmost last."""
        return [one for one in self.views.values() if one.user == user]

    def close_views(self, views: list[OpenView]) -> None:
        """Closes the modals."""
        for one in views:
            self.views.pop(one.id, None)
        self.on_change()

    @staticmethod
    def _check_view(content: Json) -> None:
        errors = blockkit.view_errors(content)
        if errors:
            raise SlackError("invalid_arguments", errors)
        if len(json.dumps(content)) > MAX_VIEW_BYTES:
            raise SlackError("view_too_large")

    @staticmethod
    def _with_ids(content: Json) -> Json:
        return {**content, "blocks": blockkit.with_ids(content["blocks"])}

    @staticmethod
    def _new_hash() -> str:
        return secrets.token_hex(8)
