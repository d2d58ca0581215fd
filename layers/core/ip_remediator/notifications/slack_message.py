"""The incident's one Slack message: posted once, then updated in place."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.client import WebClient

from ip_remediator.clients.slack.client import BLOCKS_REFUSED, GONE, NO_CHANNEL, error_code, may_have_worked, outages
from ip_remediator.incidents.record import Incident, SlackMessage
from ip_remediator.notifications.messages.message import Message, digest

if TYPE_CHECKING:
    from slack_sdk.web.slack_response import SlackResponse


# A post whose answer was lost is looked for, and else tried again, so often.
_POSTS = 3
# Messages of the channel since just before the incident was opened; Slack gives at most 999 at once.
_LOOKED_THROUGH = 200
_CHANNELS_A_PAGE = 200
# A message's ts is of Slack's clock, the incident's opening of ours.
_CLOCKS_DIFFER = timedelta(minutes=1)
_EVENT = "eks_ip_remediator_incident"
# Names have no capital letters.
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]+")
# Why the app may not look for a message, or not there: then it is posted, because a message too few is worse.
_NOT_READABLE = {"missing_scope", "not_in_channel", "channel_not_found", "no_permission", "access_denied"}


class Slack:
    """`channel` is where new messages go unless the incident's cluster has one of its own: an ID, or a name where the
    workspace allows it. `posting`: a client that repeats no call which Slack may have done."""

    def __init__(self, client: WebClient, posting: WebClient, channel: str) -> None:
        self._client = client
        self._posting = posting
        self._channel = channel
        self._ids: dict[str, str] = {}

    def post_or_update(self, incident: Incident, message: Message) -> SlackMessage:
        """Shows `message`: in the incident's present Slack message if it still exists, else in a new one.

        Slack offers no idempotent post. A message carries the incident's id as metadata, and is looked for before it
        is posted: an earlier answer, or the record of it, may have been lost. Without the scopes that read the
        channel's history and find a named channel (`missing_scope`) a second message may appear then; the newest one is
        kept up to date.

        Raises:
            SlackUnavailable
        """
        place = incident.slack
        with outages():
            if place:
                try:
                    self._send(self._client.chat_update, message, channel=place.channel, ts=place.ts)
                except SlackApiError as error:
                    if error_code(error) not in GONE:
                        raise
                else:
                    return place.model_copy(update={"digest": digest(message)})
            channel, ts = self._post(incident, message)
            return SlackMessage(channel=channel, ts=ts, digest=digest(message))

    def _post(self, incident: Incident, message: Message) -> tuple[str, str]:
        """Into the cluster's own channel; into the stack's where the app cannot write to that. Channel and ts."""
        own_channel = incident.policy.slack_channel if incident.policy else None
        if own_channel:
            try:
                return self._post_once(incident, message, own_channel)
            except SlackApiError as error:
                if error_code(error) not in NO_CHANNEL:
                    raise
        return self._post_once(incident, message, self._channel)

    def _post_once(self, incident: Incident, message: Message, channel: str) -> tuple[str, str]:
        about = {"event_type": _EVENT, "event_payload": {"incident": incident.id}}
        how = {"channel": channel, "metadata": about, "unfurl_links": False, "unfurl_media": False}
        for attempt in range(_POSTS):
            if place := self._posted_before(incident, channel):
                self._send(self._client.chat_update, message, channel=place[0], ts=place[1])
                return place
            try:
                answer = self._send(self._posting.chat_postMessage, message, **how)
            except Exception as error:
                if attempt == _POSTS - 1 or not may_have_worked(error):
                    raise
            else:
                return str(answer["channel"]), str(answer["ts"])
        raise AssertionError("the last attempt returns or raises")

    def _posted_before(self, incident: Incident, channel: str) -> tuple[str, str] | None:
        """The message of a post of ours whose answer was lost; None as well where the app may not read the channel."""
        since = f"{(incident.opened_at - _CLOCKS_DIFFER).timestamp():.6f}"
        try:
            id_ = self._id_of(channel)
            answer = self._client.conversations_history(
                channel=id_, oldest=since, include_all_metadata=True, limit=_LOOKED_THROUGH
            )
        except SlackApiError as error:
            if error_code(error) not in _NOT_READABLE:
                raise
            return None
        for posted in answer["messages"]:
            about = posted.get("metadata") or {}
            if about.get("event_type") == _EVENT and about.get("event_payload", {}).get("incident") == incident.id:
                return id_, str(posted["ts"])
        return None

    def _id_of(self, channel: str) -> str:
        """A channel's messages are read by its ID alone, while a post takes a name as well. A name that is none of the
        channels which the app is in stays a name.

        https://docs.slack.dev/reference/methods/conversations.history, …/users.conversations
        """
        if _CHANNEL_ID.fullmatch(channel):
            return channel
        name, cursor = channel.removeprefix("#"), ""
        while name not in self._ids:
            page = self._client.users_conversations(
                types="public_channel,private_channel", exclude_archived=True, limit=_CHANNELS_A_PAGE, cursor=cursor
            )
            self._ids |= {str(listed["name"]): str(listed["id"]) for listed in page["channels"]}
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return self._ids.get(name, channel)

    def reply(self, place: SlackMessage, message: Message) -> str:
        """Puts `message` into the thread under the incident's message, and shows it in the channel as well: a reply
        alone makes a channel unread for nobody but those who follow the thread. Returns its ts.

        Raises:
            SlackUnavailable
        """
        where = {"channel": place.channel, "thread_ts": place.ts, "reply_broadcast": True}
        with outages():
            return str(self._send(self._client.chat_postMessage, message, **where)["ts"])

    def edit_reply(self, place: SlackMessage, ts: str, message: Message) -> None:
        """Puts `message` in place of a reply; one that is gone stays so.

        Raises:
            SlackUnavailable
        """
        with outages():
            try:
                self._send(self._client.chat_update, message, channel=place.channel, ts=ts)
            except SlackApiError as error:
                if error_code(error) not in GONE:
                    raise

    def _send(self, method: Callable[..., SlackResponse], message: Message, **arguments: Any) -> SlackResponse:
        try:
            return method(text=message.text, blocks=message.blocks, **arguments)
        except SlackApiError as error:
            if error_code(error) not in BLOCKS_REFUSED:
                raise
            return method(text=message.text, blocks=[], **arguments)
