"""Payloads of CloudWatch Logs that are small on the wire and large in memory, read as the function reads them.

`python -m tests.fuzz.bombs NAME` reads one within the memory that Lambda gives the function, and prints what became
of it. In a process of its own, because the limit holds for all of a process.
"""

# ruff: noqa: T201 - a command: it prints

from __future__ import annotations

import base64
import json
import os
import resource
import sys
import zlib
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

from ip_remediator.intake.handle import forward
from ip_remediator.signals.logs import MAX_CONTAINERS, MAX_INFLATED_BYTES
from tests.fuzz.running import peak_mebibytes

FUNCTION_BYTES = 512 * 1024 * 1024
_ROOM = MAX_INFLATED_BYTES - 1_000
_LINES = MAX_CONTAINERS - 10
_START = b'{"messageType": "DATA_MESSAGE", "logGroup": "/aws/containerinsights/shop/dataplane", "logEvents": ['


def _filled(unit: bytes, start: bytes = b"[", end: bytes = b"0]") -> bytes:
    return start + unit * (_ROOM // len(unit)) + end


def _lines(message: Callable[[int], str]) -> bytes:
    events = (json.dumps({"id": str(number), "message": message(number)}).encode() for number in range(_LINES))
    return _START + b",".join(events) + b"]}"


BOMBS: dict[str, Callable[[], bytes]] = {
    "blanks of 256 MiB": lambda: b" " * (256 * 1024 * 1024),
    "empty objects": lambda: _filled(b"{},"),
    "empty log events": lambda: _filled(b"{},", _START, b"{}]}"),
    "pairs of arrays": lambda: _filled(b"[[]],"),
    "as many log events as are read": lambda: _START + b"{}," * _LINES + b"{}]}",
    "deep arrays": lambda: b"[" * (MAX_CONTAINERS - 1),
    "short texts": lambda: _filled(b'"ab",'),
    "fractions": lambda: _filled(b"0.5,"),
    "many keys": lambda: b"{" + b",".join(b'"%06x":0' % number for number in range(_ROOM // 11)) + b"}",
    "escaped objects in a line": lambda: _filled(b"\\u007b\\u007d,", _START + b'{"message": "[', b'0]"}]}'),
    "one long line": lambda: _filled(b"a", _START + b'{"message": "', '\U0001f525"}]}'.encode()),
    "a line for every pod": lambda: _lines(lambda number: f'no available IP addresses pod="shop/web-{number}"'),
    "the same line again": lambda: _lines(lambda number: f"DataStore has no available IP addresses {number}"),
}


def main() -> None:
    payload = _payload(BOMBS[sys.argv[1]])
    resource.setrlimit(resource.RLIMIT_AS, (FUNCTION_BYTES, FUNCTION_BYTES))
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        result = forward(payload, lambda _signals: None, datetime.now(UTC))
    print(json.dumps({**result, "mebibytes": round(peak_mebibytes())}))


def _payload(make: Callable[[], bytes]) -> dict[str, dict[str, str]]:
    deflate = zlib.compressobj(1, wbits=31)
    packed = deflate.compress(make()) + deflate.flush()
    return {"awslogs": {"data": base64.b64encode(packed).decode()}}


if __name__ == "__main__":
    main()
