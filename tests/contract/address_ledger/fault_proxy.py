"""An HTTP proxy before DynamoDB that loses requests or answers, answers itself, or lets something happen in between."""

from __future__ import annotations

import http.client
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from tests.support.patience import within


@dataclass(frozen=True)
class LoseRequest:
    """The connection breaks before DynamoDB sees the request."""


@dataclass(frozen=True)
class LoseAnswer:
    """DynamoDB carries the request out, and the connection breaks before the answer."""


@dataclass(frozen=True)
class Refuse:
    """DynamoDB answers with an error; `reasons` are the codes of a cancelled transaction."""

    code: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meanwhile:
    """Something happens after the client has decided and before DynamoDB sees the request."""

    happens: Callable[[], object]


Fault = LoseRequest | LoseAnswer | Refuse | Meanwhile


@dataclass
class FaultProxy:
    upstream: str
    url: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    conflicting: bool = False
    lock: Lock = field(default_factory=Lock)
    in_flight: list[frozenset[str]] = field(default_factory=list)

    def conflict_as_dynamodb_does(self) -> None:
        """Cancels a transaction that touches an item of another one in flight. MiniStack runs one after the other."""
        self.conflicting = True

    @contextmanager
    def conflict(self, operation: str, body: dict[str, Any]) -> Iterator[Refuse | None]:
        """The refusal of a transaction that meets another one; else None, and it is in flight until the block ends."""
        keys = _keys(body) if self.conflicting and operation.startswith("Transact") else frozenset()
        with self.lock:
            if any(keys & others for others in self.in_flight):
                refusal = Refuse("TransactionCanceledException", ("TransactionConflict",) * len(keys))
            else:
                refusal = None
                self.in_flight.append(keys)
        try:
            yield refusal
        finally:
            if refusal is None:
                with self.lock:
                    self.in_flight.remove(keys)

    def inject(self, operation: str, *faults: Fault) -> None:
        """The next calls of `operation` meet these faults, one each, in this order."""
        self.faults[operation].extend(faults)

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def forward(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        target = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=within(30))
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@contextmanager
def running(upstream: str) -> Iterator[FaultProxy]:
    proxy = FaultProxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            document = json.loads(body)
            proxy.calls.append((operation, document))
            queue = proxy.faults[operation]
            with proxy.conflict(operation, document) as conflict:
                self._meet(queue.popleft() if queue else conflict, body)

        def _meet(self, fault: Fault | None, body: bytes) -> None:
            if isinstance(fault, Meanwhile):
                fault.happens()
            if isinstance(fault, LoseRequest):
                self.close_connection = True
            elif isinstance(fault, Refuse):
                self._answer(400, {}, _error(fault))
            else:
                status, headers, content = proxy.forward(body, dict(self.headers))
                if isinstance(fault, LoseAnswer):
                    self.close_connection = True
                else:
                    self._answer(status, headers, content)

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", headers.get("content-type", "application/x-amz-json-1.0"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """The test's own assertions say what went wrong; the log would only bury them."""

    return Handler


def _keys(body: dict[str, Any]) -> frozenset[str]:
    """The items that a transaction touches."""
    actions = [action for entry in body["TransactItems"] for action in entry.values()]
    keys = [action.get("Item") or action["Key"] for action in actions]
    return frozenset(f"{key['pk']['S']} {key['sk']['S']}" for key in keys)


def _error(fault: Refuse) -> bytes:
    document: dict[str, Any] = {
        "__type": f"com.amazonaws.dynamodb.v20120810#{fault.code}",
        "message": f"Transaction cancelled, please refer cancellation reasons [{', '.join(fault.reasons)}]",
    }
    if fault.reasons:
        document["CancellationReasons"] = [{"Code": code} for code in fault.reasons]
    return json.dumps(document).encode()
