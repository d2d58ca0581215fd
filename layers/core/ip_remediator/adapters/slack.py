"""Slack out: one message per incident, posted once and updated in place; a modal with details; who is in a user group.

Needs the scope `chat:write`, and `usergroups:read` where user groups are named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.web.client import WebClient

from ip_remediator.domain.incidents import Incident, SlackMessage
from ip_remediator.domain.messages import Message, digest

if TYPE_CHECKING:
    from slack_sdk.http_retry.request import HttpRequest
    from slack_sdk.http_retry.response import HttpResponse
    from slack_sdk.http_retry.state import RetryState
    from slack_sdk.web.slack_response import SlackResponse

# Three tries of 3 s and the pauses between them: about 10 s at the worst.
_TIMEOUT_SECONDS = 3
_RETRIES = 2
_LONGEST_PAUSE_SECONDS = 4
_MEMBERS_KEPT_SECONDS = 300

# The message cannot be updated any more: https://docs.slack.dev/reference/methods/chat.update#errors
_GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"}
_NO_CHANNEL = {"channel_not_found", "not_in_channel", "is_archived", "restricted_action"}
# Slack does not like the blocks: the text alone still tells everything.
_BLOCKS_REFUSED = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"}
_REMEDIES = {
    "channel_not_found": "check the channel's ID, and invite the app if it is private",
    "not_in_channel": "invite the app to the channel",
    "is_archived": "choose a channel that is not archived",
    "missing_scope": "install the app again with the scopes of slack/manifest.yaml",
    "no_such_subteam": "no user group has this id, or it is disabled",
    "plan_upgrade_required": "this workspace's plan has no user groups: name users instead",
    "invalid_auth": "put the bot token of the installed app into the secret parameter",
    "not_authed": "put the bot token of the installed app into the secret parameter",
    "token_revoked": "install the app again and put the new bot token into the secret parameter",  # nosec B105 - advice, no password
    "account_inactive": "install the app again and put the new bot token into the secret parameter",
    "ratelimited": "Slack asks to wait longer than a notification can",
}


class SlackUnavailable(Exception):
    """Slack did not take the message after all tries. The message says why and what to do."""


class _ShortRateLimit(RateLimitErrorRetryHandler):
    """Obeys Retry-After while it is short: a stream of changes waits behind this one."""

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if response is None or not super()._can_retry(state=state, request=request, response=response, error=error):
            return False
        asked = next((value for name, value in response.headers.items() if name.lower() == "retry-after"), ["1"])
        return asked[0].isdigit() and int(asked[0]) <= _LONGEST_PAUSE_SECONDS


def web_client(token: str, api_url: str) -> WebClient:
    """A client that tries again, boundedly. `api_url` is Slack's own unless tests or the local stack give another."""
    return WebClient(
        token=token,
        base_url=api_url,
        timeout=_TIMEOUT_SECONDS,
        retry_handlers=[
            _ShortRateLimit(max_retry_count=_RETRIES),
            ConnectionErrorRetryHandler(max_retry_count=_RETRIES, error_types=[OSError, HTTPException]),
            ServerErrorRetryHandler(max_retry_count=_RETRIES),
        ],
    )


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
        with _outages():
            if place:
                try:
                    answer = self._send(self._client.chat_update, message, channel=place.channel, ts=place.ts)
                except SlackApiError as error:
                    if _code(error) not in _GONE:
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
                if _code(error) not in _NO_CHANNEL:
                    raise
        return self._send(post, message, channel=self._channel, **how)

    def reply(self, place: SlackMessage, message: Message) -> None:
        """Puts `message` into the thread under the incident's message, and shows it in the channel as well: a reply
        alone makes a channel unread for nobody but those who follow the thread.

        Raises:
            SlackUnavailable
        """
        where = {"channel": place.channel, "thread_ts": place.ts, "reply_broadcast": True}
        with _outages():
            self._send(self._client.chat_postMessage, message, **where)

    def _send(self, method: Callable[..., SlackResponse], message: Message, **arguments: Any) -> SlackResponse:
        try:
            return method(text=message.text, blocks=message.blocks, **arguments)
        except SlackApiError as error:
            if _code(error) not in _BLOCKS_REFUSED:
                raise
            return method(text=message.text, blocks=[], **arguments)


class UserGroups:
    """Who is in which user group, remembered for some minutes: clicks come in bursts, and Slack allows 20 calls in a
    minute. `now` is in seconds."""

    def __init__(self, client: WebClient, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._now = now
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    def members(self, group: str) -> frozenset[str]:
        """The ids of the group's users.

        Raises:
            SlackUnavailable
        """
        asked_at, members = self._known.get(group, (float("-inf"), frozenset[str]()))
        if self._now() - asked_at > _MEMBERS_KEPT_SECONDS:
            with _outages():
                members = frozenset(self._client.usergroups_users_list(usergroup=group)["users"])
            self._known[group] = (self._now(), members)
        return members


def fill_view(client: WebClient, external_id: str, view: dict[str, Any]) -> bool:
    """Puts `view` in place of the open modal of that id. False: it is not open (any more).

    Raises:
        SlackUnavailable
    """
    with _outages():
        try:
            client.views_update(external_id=external_id, view={**view, "external_id": external_id})
        except SlackApiError as error:
            if _code(error) != "not_found":
                raise
            return False
    return True


@contextmanager
def _outages() -> Iterator[None]:
    """What slack_sdk raises, as SlackUnavailable."""
    try:
        yield
    except SlackApiError as error:
        code = _code(error)
        raise SlackUnavailable(f"{code}: {_REMEDIES.get(code, 'see the errors of the Slack Web API')}") from error
    except (SlackClientError, HTTPException, OSError) as error:
        raise SlackUnavailable(f"Slack does not answer: {error}") from error


def _code(error: SlackApiError) -> str:
    """Slack's error code; of a proxy's answer, which has none, its beginning."""
    answer = error.response
    return str((answer.get("error") if hasattr(answer, "get") else None) or answer)[:100]
