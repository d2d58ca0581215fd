"""ASGI middleware in front of MiniStack: records calls, injects faults, answers the control endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from local.aws.control_routes import PREFIX, ControlRoutes
from local.aws.event_history import EventHistory
from local.aws.faults import Fault, Faults
from local.aws.functions.worker import crash
from local.aws.operations import Operation, identify
from local.aws.wire import error_answer

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Promises an answer and ends before it has come: the server then closes the connection.
CUT_OFF: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"64")]}
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Control:
    """The middleware; ``faults`` may be shared with calls that services make inside the process."""

    def __init__(self, application: Application, faults: Faults, routes: ControlRoutes, history: EventHistory) -> None:
        self._application = application
        self._faults = faults
        self._routes = routes
        self._history = history

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
        elif scope["path"].startswith(PREFIX):
            await self._answer_control(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        # Read the body in any case: answering before its end would cost the client its connection.
        body = await _read(receive)
        operation = identify(
            scope["method"], scope["path"], scope.get("query_string", b"").decode("latin-1"), headers, body
        )
        if operation is None:
            await self._application(scope, _replay(body), send)
        else:
            await self._serve_operation(operation, scope, body, send)

    async def _serve_operation(self, operation: Operation, scope: Scope, body: bytes, send: Send) -> None:
        call = self._faults.record(operation)
        fault = self._faults.take(operation)

        async def note_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
            await send(message)

        if fault is None:
            await self._perform(operation, scope, body, note_status)
            return
        await asyncio.sleep(fault.delay)
        if fault.when in ("after", "killed"):
            await self._perform(operation, scope, body, _discard)
        if fault.when == "killed":
            crash(operation.principal.rpartition("/")[2])
        if fault.when in ("cut", "killed"):
            await note_status(CUT_OFF)
            return
        if fault.when == "after":
            fault = Fault(operation.service, operation.action, "InternalError", status=500, message=fault.message)
        await _send(note_status, *error_answer(operation.protocol, fault.error, fault.message, fault.status))

    async def _perform(self, operation: Operation, scope: Scope, body: bytes, send: Send) -> None:
        """Serves an operation; CloudTrail's event history gets an event of it whether or not its answer arrives."""
        if not self._history.records(operation):
            await self._application(scope, _replay(body), send)
            return
        status, answer = 0, b""

        async def note(message: Message) -> None:
            nonlocal status, answer
            status = message.get("status", status)
            answer += bytes(message.get("body", b""))
            await send(message)

        await self._application(scope, _replay(body), note)
        self._history.record(operation, scope["path"], body, status, answer)

    async def _answer_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        status, document = self._routes.answer(scope["method"], scope["path"], scope.get("query_string", b""), body)
        await _send(send, status, {"content-type": "application/json"}, json.dumps(document).encode())


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
