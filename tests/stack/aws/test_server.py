"""The process: what it takes, how it ends, what it leaves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.aws.client import free_port, running
from local.aws.corrections.guard import MissingPartError, original, replace, require
from tests.stack.aws.conftest import Maker, eventually
from tests.support.patience import within

if TYPE_CHECKING:
    from local.aws.client import LocalAws


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text("ca")
    return path


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.aws", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=within(60), check=False)


def test_given_a_taken_port_when_started_then_it_says_so_and_how_to_go_on(tmp_path: Path, authority: Path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        ended = start("--port", port, "--state-dir", str(tmp_path / "s"), "--ca-file", str(authority))
    assert ended.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in ended.stderr
    assert "--port" in ended.stderr


def test_given_no_ca_file_when_started_then_the_message_names_the_option(tmp_path: Path):
    ended = start("--port", str(free_port()), "--state-dir", str(tmp_path), "--ca-file", str(tmp_path / "none"))
    assert ended.returncode == 2
    assert "--ca-file" in ended.stderr


def test_given_root_credentials_when_asked_who_calls_then_the_account_root_answers(aws: LocalAws):
    assert aws.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"


def test_given_unknown_credentials_when_they_call_then_they_are_refused(aws: LocalAws):
    stranger = {"aws_access_key_id": "AKIASTRANGER00000000", "aws_secret_access_key": "x"}
    with pytest.raises(Exception, match=r"AuthFailure|InvalidClientTokenId|not able to validate|invalid"):
        aws.client("ec2", **stranger).describe_vpcs()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads the process table of Linux")
def test_given_a_warm_function_when_the_server_is_terminated_then_no_process_and_no_foreign_file_remain(
    tmp_path: Path, authority: Path
):
    before = set(Path(tmp_path).iterdir())
    with running(tmp_path / "state", authority) as aws:
        function = Maker(aws).function("import os\ndef handler(event, context): return os.getpid()")
        pid = int(aws.client("lambda").invoke(FunctionName=function)["Payload"].read())
        assert Path(f"/proc/{pid}").exists()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {"state"}


def test_given_a_private_name_that_is_gone_when_it_is_corrected_then_the_start_fails_and_names_it():
    with pytest.raises(MissingPartError, match=r"json\.no_such_part is gone"):
        original(json, "no_such_part")
    with pytest.raises(MissingPartError, match="no_such_function"):
        require(json, "loads", "no_such_function")
    with pytest.raises(MissingPartError, match="no_such_key"):
        replace({}, "no_such_key", 1)
