"""Slack out: one message per incident, posted once and updated in place; a modal with details; who is in a user group.

Needs the scope `chat:write`, `usergroups:read` where user groups are named, and `channels:history` (`groups:history` in
a private channel) to find a message again whose answer was lost, with `channels:read` and `groups:read` where the
channel is named.
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

from ip_remediator.clients.unreachable import why_unreachable

if TYPE_CHECKING:
    from slack_sdk.http_retry.request import HttpRequest
    from slack_sdk.http_retry.response import HttpResponse
    from slack_sdk.http_retry.state import RetryState

# Three tries of 3 s and the pauses between them: about 10 s at the worst.
_TIMEOUT_SECONDS = 3
_RETRIES = 2
_LONGEST_PAUSE_SECONDS = 4
_MEMBERS_KEPT_SECONDS = 300

# The message cannot be updated any more: https://docs.slack.dev/reference/methods/chat.update#errors
GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"}
NO_CHANNEL = {"channel_not_found", "not_in_channel", "is_archived", "restricted_action"}
# Slack refuses the blocks; the text alone still contains everything.
BLOCKS_REFUSED = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"}
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


def web_client(token: str, api_url: str, *, repeats_lost_calls: bool = True) -> WebClient:
    """A client with a bounded number of retries. `api_url` is Slack's own unless tests or the local stack give another.

    Not `repeats_lost_calls`: only what Slack surely did not do is tried again. Slack has no idempotent post.
    """
    lost = [
        ConnectionErrorRetryHandler(max_retry_count=_RETRIES, error_types=[OSError, HTTPException]),
        ServerErrorRetryHandler(max_retry_count=_RETRIES),
    ]
    return WebClient(
        token=token,
        base_url=api_url,
        timeout=_TIMEOUT_SECONDS,
        retry_handlers=[_ShortRateLimit(max_retry_count=_RETRIES), *(lost if repeats_lost_calls else ())],
    )


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
            with outages():
                members = frozenset(self._client.usergroups_users_list(usergroup=group)["users"])
            self._known[group] = (self._now(), members)
        return members


def fill_view(client: WebClient, external_id: str, view: dict[str, Any]) -> bool:
    """Puts `view` in place of the open modal of that id. False: it is not open (any more).

    Raises:
        SlackUnavailable
    """
    with outages():
        try:
            client.views_update(external_id=external_id, view={**view, "external_id": external_id})
        except SlackApiError as error:
            if error_code(error) != "not_found":
                raise
            return False
    return True


@contextmanager
def outages() -> Iterator[None]:
    """What slack_sdk raises, as SlackUnavailable."""
    try:
        yield
    except SlackApiError as error:
        code = error_code(error)
        raise SlackUnavailable(f"{code}: {_REMEDIES.get(code, 'see the errors of the Slack Web API')}") from error
    except (SlackClientError, HTTPException, OSError) as error:
        raise SlackUnavailable(f"Slack cannot be reached, {why_unreachable(error)}") from error


def may_have_worked(error: Exception) -> bool:
    """Whether Slack may have done what was asked although the caller got this error instead of an answer."""
    if isinstance(error, SlackApiError):
        return int(getattr(error.response, "status_code", 0) or 0) >= 500
    return isinstance(error, (SlackClientError, HTTPException, OSError))


def error_code(error: SlackApiError) -> str:
    """Slack's error code; of a proxy's answer, which has none, its beginning."""
    answer = error.response
    return str((answer.get("error") if hasattr(answer, "get") else None) or answer)[:100]
