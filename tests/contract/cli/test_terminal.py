"""On a terminal: a width that fits, colours that can be turned off. In a pipe: one line for each row."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import yaml

from tests.support.patience import within
from tests.unit.cli.conftest import SHORTAGE

ENTRY = [sys.executable, "-m", "ip_remediator_cli.main"]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_terminal(*arguments: str, columns: int = 80, **environment: str) -> str:
    """What a terminal of that width is sent."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        [*ENTRY, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**inherited, "TERM": "xterm-256color", **environment},
    ) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            shown += part
        process.wait(within(60))
    os.close(leader)
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def file(tmp_path: Path) -> str:
    named = {**SHORTAGE, "cluster": {"name": "shop-production-eu-west-1-with-a-name-of-some-length"}}
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(named))
    return str(path)


@pytest.mark.parametrize("columns", [80, 120])
def test_given_a_terminal_then_no_line_of_a_table_or_list_is_wider_than_it(file: str, columns: int) -> None:
    for command in ("plan", "diagnose"):
        shown = ESCAPE.sub("", on_terminal(command, "--snapshot", file, columns=columns))
        assert "ZONE" in shown
        wide = [line for line in shown.splitlines() if len(line) > columns]
        assert [line for line in wide if not re.match(r"\s+(aws|kubectl|eksctl) ", line)] == []


def test_given_a_terminal_then_headers_are_bold_unless_colours_are_not_wanted(file: str) -> None:
    assert "\x1b[1m" in on_terminal("plan", "--snapshot", file)
    assert "\x1b[3" not in on_terminal("plan", "--snapshot", file, NO_COLOR="1")
    assert "\x1b" not in on_terminal("plan", "--snapshot", file, TERM="dumb")


def test_given_a_pipe_then_there_are_no_escapes_and_a_row_is_a_line(file: str) -> None:
    ran = subprocess.run([*ENTRY, "plan", "--snapshot", file], capture_output=True, text=True, check=True)
    assert "\x1b" not in ran.stdout
    assert re.search(r"^existing-subnet +passed over +.{100,}$", ran.stdout, re.MULTILINE)


def test_given_a_pipe_then_the_library_of_the_terminal_is_not_even_imported(file: str) -> None:
    code = (
        "import sys; from ip_remediator_cli.main import main;"
        f"main(['plan', '--snapshot', {file!r}]); print('rich' in sys.modules, 'yaml' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize("output", ["json", "yaml"])
@pytest.mark.parametrize("command", ["plan", "diagnose"])
def test_given_another_output_then_the_same_document_is_written(file: str, command: str, output: str) -> None:
    ran = subprocess.run(
        [*ENTRY, command, "--snapshot", file, "-o", output], capture_output=True, text=True, check=True
    )
    document = yaml.safe_load(ran.stdout)
    assert document["verdict"] == "subnet_exhausted"
