"""The workspace as a process of its own, and an app's endpoint that checks what it is sent."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import urllib3
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier

from tests.support.patience import within

SIGNING_SECRET = "a-signing-secret"
BOT_TOKEN = "xoxb-local"
CHANNEL = "C0INCIDENTS"
ON_CALL = "U0000ONCALL"
VIEWER = "U000VIEWER"
ROOT = Path(__file__).parents[3]


def start_process(*arguments: str) -> subprocess.Popen[str]:
    """`python -m local.slack` with the given flags added to the required ones and to a busy machine's patience."""
    required = ("--signing-secret", SIGNING_SECRET, "--bot-token", BOT_TOKEN, "--answer-seconds", str(within(3)))
    return subprocess.Popen(
        [sys.executable, "-m", "local.slack", *required, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def address_of(process: subprocess.Popen[str]) -> str:
    """The address that the process prints when it listens."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Slack workspace: http://127.0.0.1:"), line
    return line.split()[2].rstrip("/")


class Slack:
    """A running workspace: the official client, and the routes that only the local one has."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = WebClient(token=BOT_TOKEN, base_url=f"{url}/api/")

    def request(self, method: str, path: str, body: Any = None) -> urllib3.BaseHTTPResponse:
        return urllib3.request(method, self.url + path, json=body, retries=False, timeout=within(10))

    def messages(self) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.request("GET", "/_control/messages").json()
        return result

    def record_of(self, ts: str) -> dict[str, Any]:
        """What the workspace remembers of one message."""
        return next(message for message in self.messages() if message["ts"] == ts)

    def calls(self) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.request("GET", "/_control/calls").json()
        return result

    def fault(self, **fault: Any) -> urllib3.BaseHTTPResponse:
        return self.request("POST", "/_control/faults", fault)

    def send_clicks_to(self, url: str | None) -> None:
        assert self.request("PUT", "/_control/interactivity-url", {"url": url}).status == 200

    def post_button(self, **button: Any) -> str:
        """Posts a message with one button; its ts."""
        element = {"type": "button", "action_id": "approve", "text": plain("Approve"), "value": "inc-1", **button}
        blocks = [section("Shall I?"), {"type": "actions", "block_id": "decide", "elements": [element]}]
        return str(self.client.chat_postMessage(channel=CHANNEL, text="Shall I?", blocks=blocks)["ts"])

    def click(self, ts: str, user: str = ON_CALL) -> str | None:
        """Presses that button as the page does; the problem shown, if any."""
        place = {"channel": CHANNEL, "ts": ts, "block_id": "decide", "action_id": "approve"}
        problem: str | None = self.request("POST", "/_page/click", {"user": user, **place}).json()["problem"]
        return problem


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@dataclass
class Received:
    payload: dict[str, Any]
    signature_is_valid: bool
    content_type: str


class App:
    """An app's interactivity endpoint. It replies `status` and `answer`; clear `replies` to keep it waiting."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: dict[str, Any] | None = None
        self.replies = threading.Event()
        self.replies.set()
        self._received: queue.Queue[Received] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/slack/interactivity"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def next(self) -> Received:
        """The next payload that came in."""
        return self._received.get(timeout=within(5))

    @property
    def pending(self) -> int:
        """How many payloads came in that `next` has not given out."""
        return self._received.qsize()

    def close(self) -> None:
        self.replies.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(app) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler below
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                is_valid = SignatureVerifier(SIGNING_SECRET).is_valid_request(body, dict(self.headers))
                payload = json.loads(parse_qs(body)["payload"][0])
                app._received.put(Received(payload, is_valid, self.headers["Content-Type"]))
                app.replies.wait()
                answer = json.dumps(app.answer).encode() if app.answer else b""
                self.send_response(app.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Keeps the test's output free of access logs."""

        return Handler
