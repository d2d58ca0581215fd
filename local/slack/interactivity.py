"""From a click to the app: payloads, the signature, the three-second deadline.

References: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload,
.../view-interactions-payload, https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3
from slack_sdk.signature import SignatureVerifier

from local.slack import blockkit
from local.slack.model import APP_ID, BOT_ID, TEAM, Json, OpenView, SlackError

if TYPE_CHECKING:
    from local.slack.workspace import Workspace


@dataclass(frozen=True)
class Delivery:
    """How the app took an interaction. `problem` is what the page shows, None when all is well."""

    payload: Json
    status: int | None
    seconds: float
    problem: str | None
    answer: Json | None = None

    def as_json(self) -> Json:
        """The delivery as the control API shows it."""
        return asdict(self)


class Interactivity:
    """Sends what people do on the page to the app's endpoint, as Slack does.

    As long as the workspace has no request URL every click ends in a problem that says so.
    """

    def __init__(self, workspace: Workspace, signing_secret: str, base_url: str, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self.deliveries: list[Delivery] = []
        self._workspace = workspace
        self._base_url = base_url
        self._signature = SignatureVerifier(signing_secret)
        self._http = urllib3.PoolManager(retries=False)

    async def click(self, user: str, channel: str, ts: str, block_id: str, action_id: str) -> Delivery:
        """A person presses a button of a message."""
        message = self._workspace.message(channel, ts)
        if message.ephemeral_to not in (None, user):
            raise SlackError("message_not_found")
        action = _action(message.blocks, block_id, action_id, self._timestamp())
        response_id = self._workspace.issue_response_url(user, message)
        container = {
            "type": "message",
            "message_ts": ts,
            "channel_id": channel,
            "is_ephemeral": message.ephemeral_to is not None,
        }
        payload = self._common("block_actions", user) | {
            "container": container,
            "channel": {"id": channel, "name": self._workspace.channels[channel].name},
            "message": message.as_slack(),
            "state": {"values": {}},
            "response_url": f"{self._base_url}/_response/{response_id}",
            "actions": [action],
        }
        return await self._deliver(payload)

    async def submit(self, user: str, view_id: str, values: Json) -> Delivery:
        """A person sends a modal off; the app's answer decides what becomes of it (`response_action`)."""
        view = self._own_view(user, view_id)
        payload = self._common("view_submission", user) | {
            "view": view.as_slack() | {"state": {"values": values}},
            "response_urls": [],
        }
        delivery = await self._deliver(payload)
        if delivery.problem or view.id not in self._workspace.views:
            return delivery
        try:
            self._follow(view, delivery.answer or {})
        except SlackError as error:
            return replace(delivery, problem=f"The app's answer was refused: {error.code}.")
        return delivery

    async def close(self, user: str, view_id: str) -> None:
        """A person closes a modal; the app hears of it only if the view asked for that."""
        view = self._own_view(user, view_id)
        self._workspace.close_views([view])
        if view.content.get("notify_on_close"):
            payload = self._common("view_closed", user) | {"view": view.as_slack(), "is_cleared": False}
            await self._deliver(payload)

    def _follow(self, view: OpenView, answer: Json) -> None:
        match answer.get("response_action"):
            case "errors":
                return
            case "update":
                self._workspace.update_view(view, answer.get("view", {}))
            case "push":
                self._workspace.open_view(view.user, answer.get("view", {}))
            case "clear":
                self._workspace.close_views(self._workspace.views_of(view.user))
            case _:
                self._workspace.close_views([view])

    def _own_view(self, user: str, view_id: str) -> OpenView:
        view = self._workspace.view(view_id)
        if view.user != user:
            raise SlackError("not_found")
        return view

    def _common(self, kind: str, user_id: str) -> Json:
        user = self._workspace.user(user_id)
        return {
            "type": kind,
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": TEAM["id"]},
            "api_app_id": APP_ID,
            "bot_id": BOT_ID,
            "team": {"id": TEAM["id"], "domain": TEAM["domain"]},
            "enterprise": None,
            "is_enterprise_install": False,
            "trigger_id": self._workspace.issue_trigger(user.id),
        }

    def _timestamp(self) -> str:
        return f"{self._workspace.now().timestamp():.6f}"

    async def _deliver(self, payload: Json) -> Delivery:
        started = time.monotonic()
        status, answer, problem = await self._exchange(payload)
        delivery = Delivery(payload, status, round(time.monotonic() - started, 3), problem, answer)
        self.deliveries.append(delivery)
        return delivery

    async def _exchange(self, payload: Json) -> tuple[int | None, Json | None, str | None]:
        """Status, answer and problem of one delivery."""
        url = self._workspace.request_url
        if not url:
            return None, None, "This app is not configured to handle interactive responses."
        try:
            sending = asyncio.to_thread(self._send, url, payload)
            status, answer = await asyncio.wait_for(sending, self._answer_seconds)
        except urllib3.exceptions.NewConnectionError:
            return None, None, "The app could not be reached."
        except (TimeoutError, urllib3.exceptions.TimeoutError):
            return None, None, f"The app did not respond within {self._answer_seconds:g} seconds."
        except urllib3.exceptions.HTTPError as error:
            return None, None, f"The app's answer was broken off ({type(error).__name__})."
        return status, answer, None if status == 200 else f"The app responded with status code {status}."

    def _send(self, url: str, payload: Json) -> tuple[int, Json | None]:
        body = urlencode({"payload": json.dumps(payload)})
        timestamp = str(int(time.time()))
        signature = self._signature.generate_signature(timestamp=timestamp, body=body)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": str(signature),
        }
        response = self._http.request(
            "POST",
            url,
            body=body,
            headers=headers,
            redirect=False,
            timeout=urllib3.Timeout(total=self._answer_seconds),
        )
        return response.status, _object_or_none(response.data)


def _action(blocks: list[Json], block_id: str, action_id: str, timestamp: str) -> Json:
    """What `actions` says about the button pressed."""
    for block in blocks:
        for element in blockkit.interactive_elements(block):
            if block["block_id"] == block_id and element["action_id"] == action_id:
                shown = ("type", "action_id", "text", "value", "style", "url", "confirm")
                chosen = {key: element[key] for key in shown if key in element}
                return {**chosen, "block_id": block_id, "action_ts": timestamp}
    raise SlackError("action_not_found")


def _object_or_none(body: bytes) -> Json | None:
    try:
        document: Any = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
