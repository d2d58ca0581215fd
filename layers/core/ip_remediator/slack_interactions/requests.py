"""Verifies that a request comes from Slack, and reads which button was clicked.

Little but the standard library is imported: this runs before Slack is answered, also when the function starts cold.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from ip_remediator.common.slack_actions import SlackAction

MAX_BODY_BYTES = 100_000
MAX_AGE_SECONDS = 300

_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_OURS = frozenset(SlackAction)
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Refused(Exception):
    """The request is not answered with 200. The reason is for our log; the sender learns the status only."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Click:
    """A button, who pressed it, and where a private reply goes.

    `subject` is the approval's or the incident's id; `offer` the block_id, which changes with the message; `trigger`
    may open a modal within 3 seconds.
    """

    action: SlackAction
    subject: str
    offer: str
    user_id: str
    user_name: str
    channel: str
    response_url: str
    trigger: str

    @property
    def view(self) -> str:
        """The external_id of the modal that this click opens: known before it is open, so that it can be filled even
        if Slack's answer to opening it was lost."""
        return f"details-{hashlib.sha256(self.trigger.encode()).hexdigest()[:32]}"


def read_click(event: Mapping[str, Any], signing_secret: str, now: float) -> Click | None:
    """The click in a Lambda function URL's event (payload format 2.0); None for what is Slack's but no click of ours.

    Nothing is parsed before size and signature are checked. `now` is in seconds since the epoch.

    Raises:
        Refused: 405 not a POST, 413 too large, 401 not signed by Slack within five minutes, 400 malformed.
    """
    method = str(event.get("requestContext", {}).get("http", {}).get("method", ""))
    if method != "POST":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"method {method or '(none)'}")
    body = _raw_body(event)
    headers = {str(name).lower(): str(value) for name, value in event.get("headers", {}).items()}
    _verify(headers, body, signing_secret, now)
    return _parse(body)


def _raw_body(event: Mapping[str, Any]) -> bytes:
    text = str(event.get("body") or "")
    encoded = bool(event.get("isBase64Encoded"))
    # base64 has four characters for three bytes
    if len(text) > (MAX_BODY_BYTES + 2) // 3 * 4:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body over {MAX_BODY_BYTES} bytes")
    try:
        body = base64.b64decode(text, validate=True) if encoded else text.encode()
    except (binascii.Error, ValueError):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is not the base64 it claims to be") from None
    if len(body) > MAX_BODY_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body over {MAX_BODY_BYTES} bytes")
    return body


def _verify(headers: Mapping[str, str], body: bytes, signing_secret: str, now: float) -> None:
    """Slack's v0 signature: https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    timestamp = headers.get("x-slack-request-timestamp", "")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Refused(HTTPStatus.UNAUTHORIZED, "no usable X-Slack-Request-Timestamp")
    if abs(now - int(timestamp)) > MAX_AGE_SECONDS:
        raise Refused(HTTPStatus.UNAUTHORIZED, "the request is older than five minutes, or a clock is wrong")
    base = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(signing_secret.encode(), base, hashlib.sha256).hexdigest()
    # as bytes: compare_digest refuses non-ASCII text
    given = headers.get("x-slack-signature", "").encode(errors="replace")
    if not hmac.compare_digest(expected.encode(), given):
        raise Refused(HTTPStatus.UNAUTHORIZED, "the signature does not match")


def _parse(body: bytes) -> Click | None:
    try:
        form = parse_qs(body.decode(), max_num_fields=10)
        if "payload" not in form:
            return None
        payload = json.loads(form["payload"][0])
        if payload["type"] != "block_actions":
            return None
        return _click(payload)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "the payload is not one of Slack's interactions") from None


def _click(payload: dict[str, Any]) -> Click | None:
    pressed = next((button for button in payload["actions"] if button["action_id"] in _OURS), None)
    if pressed is None:
        return None
    action = SlackAction(pressed["action_id"])
    subject = _text(json.loads(pressed["value"])["approval" if action.answers else "incident"])
    if not _ID.fullmatch(subject):
        raise ValueError(subject)
    user = payload["user"]
    return Click(
        action=action,
        subject=subject,
        offer=_text(pressed["block_id"])[:80],
        user_id=_text(user["id"]),
        user_name=_text(user.get("username") or user.get("name") or "")[:80],
        channel=_text(payload.get("channel", {}).get("id", "")),
        response_url=_text(payload.get("response_url", "")),
        trigger=_text(payload.get("trigger_id", "")),
    )


def _text(value: object) -> str:
    """As text that UTF-8 can carry: in JSON there may be half of a surrogate pair, which nothing behind us takes."""
    return str(value).encode(errors="replace").decode()
