"""The command as a process of its own: what it imports, and how it ends when nobody reads on."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import within
from tests.unit.cli.conftest import SHORTAGE

ENTRY = [sys.executable, "-m", "ip_remediator_cli.main"]


def test_given_an_offline_command_then_no_aws_or_kubernetes_client_is_imported() -> None:
    code = (
        "import sys; from ip_remediator_cli.main import main; status = main(['plan', '--snapshot', '-']);"
        "print([name for name in ('boto3', 'botocore', 'kubernetes') if name in sys.modules]); sys.exit(status)"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(
        command, input=json.dumps(SHORTAGE), capture_output=True, text=True, check=True, timeout=within(60)
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def test_given_a_reader_that_stops_then_the_command_ends_quietly(tmp_path: Path) -> None:
    # More lines than a pipe holds, of which the reader takes one.
    file = tmp_path / "many.jsonl"
    file.write_text('{"x": 1}\n' * 20_000)
    with subprocess.Popen([*ENTRY, "signals", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(within(60)) == 0


def test_given_help_then_nothing_is_imported_that_only_commands_need() -> None:
    """`--help` is there at once: the parser alone is read. `make bench` measures it."""
    code = (
        "import sys; from ip_remediator_cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = ('boto3', 'botocore', 'pydantic', 'rich', 'yaml', 'jinja2', 'shtab', 'kubernetes', 'difflib')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=within(60))
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("plan --snapshot - <&-", 2, "--snapshot - is empty"),
        ("plan --snapshot FILE >&-", 0, ""),
        ("plan --snapshot FILE >&- 2>&-", 0, ""),
        ("plan --snapshot FILE --output json >/dev/full", 1, "No space left on device: free some space"),
        ("--help >/dev/full", 1, "No space left on device: free some space"),
        ("status --help >/dev/full", 1, "No space left on device: free some space"),
        ("--version >/dev/full", 1, "No space left on device: free some space"),
        ("completion fish >/dev/full", 1, "No space left on device: free some space"),
        ("--help >&-", 0, ""),
    ],
)
def test_given_a_stream_that_is_closed_or_full_then_the_command_ends_in_its_own_words(
    tmp_path: Path, arguments: str, status: int, message: str
) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHORTAGE))
    command = f"{shlex.join(ENTRY)} {arguments.replace('FILE', str(file))}"
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=within(60))
    assert ran.returncode == status
    assert message in ran.stderr
    assert len(ran.stderr.splitlines()) == (1 if message else 0)
    assert "unexpected" not in ran.stderr


def test_given_a_locale_without_the_letters_of_a_name_then_they_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps({**SHORTAGE, "cluster": {"name": "caf\u00e9"}}))
    plain = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [*ENTRY, "plan", "--snapshot", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=within(60), env=plain)
    assert "caf\\xe9" in ran.stdout
