"""Requests to the public endpoint that are not Slack's: forged, stale, torn, too large, in the wrong form."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import urlencode

from tests.fuzz.hostile import value

SECRET = "the-signing-secret-of-this-app"
NOW = 1_780_000_000.0
_OTHER_SECRET = "the-signing-secret-of-another-app"
_UNICODE = ("\uff560=", "v0=\u202e", "v0=\u00e9", "v0=\x00", "V0=", "v1=", "")

Event = dict[str, Any]


def click(rng: Random) -> bytes:
    """What Slack sends for a button of ours."""
    action = rng.choice(["approve", "reject", "rollback", "rollback_confirm_evict", "replace", "run_again", "details"])
    button = {
        "action_id": action,
        "block_id": "offer",
        "value": json.dumps({"approval": f"a-{rng.randrange(1000)}", "incident": f"prod-{rng.randrange(1000)}"}),
    }
    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ann"},
        "channel": {"id": "C1"},
        "actions": [button],
        "trigger_id": "1.2.abc",
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def signature(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    return "v0=" + hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


def event(body: bytes, timestamp: str, signed: str, method: str = "POST", **headers: str) -> Event:
    """As a Lambda function URL gives it (payload format 2.0)."""
    named = {"x-slack-request-timestamp": timestamp, "x-slack-signature": signed}
    return {
        "version": "2.0",
        "requestContext": {"http": {"method": method}},
        "headers": {"content-type": "application/x-www-form-urlencoded", **named, **headers},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def genuine(rng: Random) -> Event:
    body, timestamp = click(rng), str(int(NOW) - rng.randrange(300))
    return event(body, timestamp, signature(body, timestamp))


def _forged(rng: Random) -> Event:
    signed = rng.choice(_UNICODE) + "".join(rng.choice("0123456789abcdef") for _ in range(rng.choice([0, 63, 64, 65])))
    return event(click(rng), str(int(NOW)), signed)


def _of_another_app(rng: Random) -> Event:
    body, timestamp = click(rng), str(int(NOW))
    return event(body, timestamp, signature(body, timestamp, _OTHER_SECRET))


def _stale(rng: Random) -> Event:
    """A replay included: what was genuine once, sent again later."""
    body, timestamp = click(rng), str(int(NOW) + rng.choice([-1, 1]) * rng.randrange(301, 10**9))
    return event(body, timestamp, signature(body, timestamp))


def _with_another_time(rng: Random) -> Event:
    """A replay whose time is made fresh, or unusable."""
    body, timestamp = click(rng), str(int(NOW) - 1000)
    fresh = rng.choice(
        [str(int(NOW)), f"{NOW}", "", "-1", "\uff11\uff17\uff18\uff10\uff10", "1e9", "9" * 40, f"{int(NOW)}\n", "nan"]
    )
    return event(body, fresh, signature(body, timestamp))


def _torn(rng: Random) -> Event:
    body, timestamp = click(rng), str(int(NOW))
    torn = body[: rng.randrange(len(body))] if rng.random() < 0.5 else body + rng.randbytes(rng.randrange(1, 50))
    return event(torn, timestamp, signature(body, timestamp))


def _too_large(rng: Random) -> Event:
    body, timestamp = click(rng) + b"&x=" + b"a" * rng.randrange(100_000, 130_000), str(int(NOW))
    return event(body, timestamp, signature(body, timestamp))


def _twice(rng: Random) -> Event:
    """Headers that came twice: the function URL joins them by a comma."""
    made = genuine(rng)
    name = rng.choice(["x-slack-signature", "x-slack-request-timestamp"])
    made["headers"][name] += "," + rng.choice([made["headers"][name], "v0=00", ""])
    return made


def _of_another_method(rng: Random) -> Event:
    made = genuine(rng)
    made["requestContext"]["http"]["method"] = rng.choice(
        ["GET", "PUT", "post", "OPTIONS", "", "POST ", "\uff30\uff2f\uff33\uff34"]
    )
    return made


def _not_base64(rng: Random) -> Event:
    made = genuine(rng)
    made["body"] = rng.choice(["***", "\u00e9", "A", "====", "\x00"])
    return made


def _of_no_use(rng: Random) -> Event:
    """Signed, and no click: another form, another type, anything for a payload."""
    body = rng.choice(
        [
            lambda: json.dumps(value(rng)).encode(errors="replace"),
            lambda: urlencode({"payload": json.dumps(value(rng))}, errors="replace").encode(),
            lambda: b"payload=" + rng.randbytes(rng.randrange(200)),
            lambda: urlencode({"command": "/x", "text": "approve"}).encode(),
            lambda: b"&".join([b"payload={}"] * rng.randrange(30)),
        ]
    )()
    timestamp = str(int(NOW))
    kind = rng.choice(["application/json", "text/plain", "", "multipart/form-data; boundary=x", "\u202e"])
    return event(body, timestamp, signature(body, timestamp), **{"content-type": kind})


def _headers_of_any_kind(rng: Random) -> Event:
    made = event(click(rng), "", "")
    made["headers"] = {str(value(rng))[:50]: str(value(rng))[:500] for _ in range(rng.randrange(20))}
    return made


ATTACKS: dict[str, Callable[[Random], Event]] = {
    "forged": _forged,
    "another app's": _of_another_app,
    "stale": _stale,
    "another time": _with_another_time,
    "torn": _torn,
    "too large": _too_large,
    "headers twice": _twice,
    "another method": _of_another_method,
    "not base64": _not_base64,
    "of no use": _of_no_use,
    "headers of any kind": _headers_of_any_kind,
}
