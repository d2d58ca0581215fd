"""Connections within the process: what http.client takes for a socket is a call of an ASGI application.

Clients are the real ones (botocore, urllib3, slack_sdk, urllib) down to the bytes of HTTP. TLS is left out.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import threading
from collections import deque
from typing import Any
from urllib.parse import unquote

from tests.faults.inline.threads import Loop, Process, run_in, scheduler

_SECONDS_OF_A_CALL = 0.002


class Network:
    """The applications by port, and the one event loop that serves them all."""

    def __init__(self) -> None:
        self.applications: dict[int, Any] = {}
        self.process = Process("servers", dict(scheduler.current.process.environment))
        self.loop = Loop()
        self.tasks: set[Any] = set()
        self._connect_outside, self._wrap = socket.create_connection, ssl.SSLContext.wrap_socket
        run_in(self.process, "servers", self.loop.run_forever)

    def install(self) -> None:
        import urllib3.util.connection  # noqa: PLC0415 - only once threads are installed

        socket.create_connection = self.connect  # type: ignore[assignment]
        urllib3.util.connection.create_connection = self.connect  # type: ignore[assignment]
        urllib3.connection.wait_for_read = lambda *_, **__: False
        wrap = self._wrap

        def wrap_socket(context: Any, sock: Any, *arguments: Any, **more: Any) -> Any:
            return sock if isinstance(sock, Connection) else wrap(context, sock, *arguments, **more)

        ssl.SSLContext.wrap_socket = wrap_socket  # type: ignore[method-assign,assignment]

    def connect(self, address: tuple[str, int], timeout: Any = None, *_more: Any, **_named: Any) -> Connection:
        application = self.applications.get(address[1])
        if application is None:
            raise ConnectionRefusedError(111, f"Connection refused: {address}")
        return Connection(self, application, address, timeout if isinstance(timeout, (int, float)) else None)

    def call(self, coroutine: Any) -> Any:
        """The result of a coroutine on the servers' loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


class _Sent(io.RawIOBase):
    """The answer's bytes as they come. Reading waits for at most the connection's time-out."""

    def __init__(self, timeout: float | None, loop: Any) -> None:
        self._timeout, self._loop, self._parts = timeout, loop, deque[bytes]()
        self._changed, self._ended = threading.Condition(), False
        self.left = asyncio.Event()

    def add(self, part: bytes) -> None:
        with self._changed:
            self._parts.append(part)
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def close(self) -> None:
        """The server notices that nobody reads any more."""
        if not self.closed and not self._ended:
            self._loop.call_soon_threadsafe(self.left.set)
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._changed:
            while not self._parts and not self._ended:
                if not self._changed.wait(self._timeout):
                    raise TimeoutError("timed out")
            if not self._parts:
                return 0
            part = self._parts.popleft()
            if len(part) > len(buffer):
                self._parts.appendleft(part[len(buffer) :])
                part = part[: len(buffer)]
        buffer[: len(part)] = part
        return len(part)


class Connection:
    """As much of a socket as http.client and urllib3 use; one request, then the server closes it."""

    def __init__(self, network: Network, application: Any, address: tuple[str, int], timeout: float | None) -> None:
        self._network, self._application, self._address = network, application, address
        self._timeout, self._request = timeout, bytearray()
        self.proto, self.family, self.type = 0, socket.AF_INET, socket.SOCK_STREAM

    def sendall(self, data: Any, *_flags: int) -> None:
        self._request += data

    def makefile(self, mode: str = "r", *_: Any, **__: Any) -> Any:
        del mode
        asked, self._request = bytes(self._request), bytearray()
        sent = _Sent(self._timeout, self._network.loop)
        self._network.loop.call_soon_threadsafe(self._serve, asked, sent)
        return io.BufferedReader(sent)

    def _serve(self, asked: bytes, sent: _Sent) -> None:
        task = self._network.loop.create_task(_serve(self._application, asked, sent))
        self._network.tasks.add(task)
        task.add_done_callback(self._network.tasks.discard)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        return self._timeout

    def getpeercert(self, *_: Any) -> Any:
        return {}

    def close(self) -> None:
        """Who reads the answer closes it by itself."""

    def setsockopt(self, *_: Any) -> None: ...
    def shutdown(self, *_: Any) -> None: ...
    def fileno(self) -> int:
        return -1

    def getpeername(self) -> tuple[str, int]:
        return self._address


def parse(data: bytes) -> tuple[dict[str, Any], bytes]:
    """An ASGI scope, and the body."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    method, target, _version = line.split(b" ", 2)
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines)]
    if (b"transfer-encoding", b"chunked") in headers:
        body = _dechunked(body)
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method.decode(),
        "scheme": "http",
        "path": unquote(path.decode()),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {},
    }
    return scope, body


def _dechunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
        if not length:
            break
    return body


async def _serve(application: Any, data: bytes, sent: _Sent) -> None:
    scope, body = parse(data)
    given = False

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            await sent.left.wait()
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    head: dict[str, Any] = {}
    chunked = False

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        elif message["type"] == "http.response.body":
            nonlocal chunked
            content, more = bytes(message.get("body", b"")), message.get("more_body", False)
            if head:
                chunked = more and not any(name.lower() == b"content-length" for name, _ in head.get("headers", []))
                sent.add(_head(head, "transfer-encoding: chunked" if chunked else f"content-length: {len(content)}"))
                head.clear()
            if content and scope["method"] != "HEAD":
                sent.add(b"%x\r\n%b\r\n" % (len(content), content) if chunked else content)
            if chunked and not more:
                sent.add(b"0\r\n\r\n")

    try:
        await asyncio.sleep(_SECONDS_OF_A_CALL)
        await application(scope, receive, send)
    finally:
        if head:
            sent.add(_head(head, "connection: close"))
        sent.end()


def _head(start: dict[str, Any], otherwise: str) -> bytes:
    """Status line and headers; `otherwise` says where the answer ends unless it does itself."""
    lines = [f"HTTP/1.1 {start['status']} X".encode()]
    headers = [(bytes(name), bytes(value)) for name, value in start.get("headers", [])]
    lines += [name + b": " + value for name, value in headers if name.lower() != b"connection"]
    if not any(name.lower() == b"content-length" for name, _ in headers):
        lines.append(otherwise.encode())
    return b"\r\n".join([*lines, b"", b""])
