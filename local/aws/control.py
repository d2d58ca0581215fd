"""ASGI middleware in front of MiniStack: records calls, injects faults, answers the control endpoints."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl

from local.aws.faults import BadFaultError, Fault, Faults, parse_fault
from local.aws.operations import Operation, identify
from local.aws.wire import error_answer

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

FAULTS_PATH, CALLS_PATH = "/_local/faults", "/_local/calls"


class Control:
    """The middleware; ``faults`` may be shared with calls that services make inside the process."""

    def __init__(self, application: Application, faults: Faults) -> None:
        self._application = application
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
        elif scope["path"] in (FAULTS_PATH, CALLS_PATH):
            await self._answer_control(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body = b""
        # Only forms name their operation in the body; uploads to S3 stay streams.
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body = await _read(receive)
            receive = _replay(body)
        operation = identify(
            scope["method"], scope["path"], scope.get("query_string", b"").decode("latin-1"), headers, body
        )
        if operation is None:
            await self._application(scope, receive, send)
        else:
            await self._serve_operation(operation, scope, receive, send)

    async def _serve_operation(self, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._faults.record(operation)
        fault = self._faults.take(operation)

        async def note_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
            await send(message)

        if fault is None:
            await self._application(scope, receive, note_status)
            return
        if fault.when == "after":
            await self._application(scope, receive, _discard)
            fault = Fault(operation.service, operation.action, "InternalError", status=500, message=fault.message)
        await _send(note_status, *error_answer(operation.protocol, fault.error, fault.message, fault.status))

    async def _answer_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        status, document = self._control(scope["method"], scope["path"], scope.get("query_string", b""), body)
        await _send(send, status, {"content-type": "application/json"}, json.dumps(document).encode())

    def _control(self, method: str, path: str, query: bytes, body: bytes) -> tuple[int, Any]:
        faults = path == FAULTS_PATH
        if method == "GET":
            wanted = dict(parse_qsl(query.decode()))
            return 200, [asdict(one) for one in self._faults.pending] if faults else self._faults.recorded(wanted)
        if method == "DELETE":
            (self._faults.pending if faults else self._faults.calls).clear()
            return 200, []
        if method == "POST" and faults:
            try:
                self._faults.pending.append(parse_fault(json.loads(body)))
            except BadFaultError as error:
                return 400, {"error": str(error)}
            except ValueError as error:
                return 400, {"error": f"the body must be JSON: {error}"}
            return 200, [asdict(one) for one in self._faults.pending]
        return 405, {"error": f"{method} {path} is not offered; see local/aws/faults.py"}


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return body


def _replay(body: bytes) -> Receive:
    """A receive() that gives ``body`` once, then waits for the client to go away, as a server's does."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _discard(_message: Message) -> None:
    """Lose an answer."""


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
