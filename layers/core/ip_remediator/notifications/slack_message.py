"""The incident's one Slack message: posted once, then updated in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.client import WebClient

from ip_remediator.clients.slack.client import BLOCKS_REFUSED, GONE, NO_CHANNEL, error_code, outages
from ip_remediator.incidents.record import Incident, SlackMessage
from ip_remediator.notifications.messages.message import Message, digest

if TYPE_CHECKING:
    from slack_sdk.web.slack_response import SlackResponse


class Slack:
    """`channel` is where new messages go unless the incident's cluster has one of its own: an ID, or a name where the
    workspace allows it."""

    def __init__(self, client: WebClient, channel: str) -> None:
        self._client = client
        self._channel = channel

    def post_or_update(self, incident: Incident, message: Message) -> SlackMessage:
        """Shows `message`: in the incident's present Slack message if it still exists, else in a new one.

        Slack offers no idempotent post, and searching for a lost one would need a scope that reads channels: when
        the answer to a post is lost, a second message may appear. The newest one is then kept up to date.

        Raises:
            SlackUnavailable
        """
        place = incident.slack
        with outages():
            if place:
                try:
                    answer = self._send(self._client.chat_update, message, channel=place.channel, ts=place.ts)
                except SlackApiError as error:
                    if error_code(error) not in GONE:
                        raise
                else:
                    return place.model_copy(update={"digest": digest(message)})
            answer = self._post(message, incident.policy.slack_channel if incident.policy else None)
            return SlackMessage(channel=str(answer["channel"]), ts=str(answer["ts"]), digest=digest(message))

    def _post(self, message: Message, own_channel: str | None) -> SlackResponse:
        """Into the cluster's own channel; into the stack's where the app cannot write to that."""
        post, how = self._client.chat_postMessage, {"unfurl_links": False, "unfurl_media": False}
        if own_channel:
            try:
                return self._send(post, message, channel=own_channel, **how)
            except SlackApiError as error:
                if error_code(error) not in NO_CHANNEL:
                    raise
        return self._send(post, message, channel=self._channel, **how)

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
