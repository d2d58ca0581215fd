"""The command line in this process: arguments and standard input in, exit status and both outputs out."""

from __future__ import annotations

import copy
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ip_remediator_cli.main import main

Run = Callable[..., "Ran"]

# Written by hand, as short as it can be: one full subnet with a stuck pod, one zone of which little is known.
SHORTAGE: dict[str, Any] = {
    "cluster": {"name": "shop"},
    "nodes": [
        {
            "name": "n1",
            "zone": "eu-west-1a",
            "max_enis": 3,
            "interfaces": [{"id": "eni-1", "subnet_id": "subnet-a", "primary": True}],
        },
        {"name": "n2", "zone": "eu-west-1b"},
    ],
    "stuck_pods": [{"namespace": "default", "name": "web-1", "node": "n1"}],
    "subnets": [{"id": "subnet-a", "zone": "eu-west-1a", "cidr": "10.0.0.0/24", "free": 0}],
    "vpc": {"id": "vpc-1", "cidrs": [{"cidr": "10.0.0.0/16"}]},
}


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON objects of its lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("plan", "--snapshot", "-", stdin=...)`; what is no text goes in as JSON."""

    def invoke(*arguments: str, stdin: Any = "") -> Ran:
        data = stdin if isinstance(stdin, bytes) else (stdin if isinstance(stdin, str) else json.dumps(stdin)).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return invoke


@pytest.fixture
def shortage() -> dict[str, Any]:
    return copy.deepcopy(SHORTAGE)


def one_error_line(ran: Ran) -> str:
    """What a failed command says: one line, no traceback."""
    [line] = ran.err.splitlines()
    assert line.startswith("error: "), line
    assert not ran.out
    return line.removeprefix("error: ")
