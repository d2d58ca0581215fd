"""A real DynamoDB API over HTTP: MiniStack, started once, and a fresh table for each test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from ip_remediator.address_ledger.ledger import Ledger
from tests.contract.address_ledger import fault_proxy
from tests.contract.address_ledger.table import RawTable, resource
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MiniStack as it comes, in a process of its own: the ledger needs nothing that the local stack adds to it."""
    folder = tmp_path_factory.mktemp("aws")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "STATE_DIR": str(folder),
    }
    log = folder / "output"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "ministack"], cwd=folder, env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            _wait_until_it_serves(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_until_it_serves(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="ap-northeast-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def serves() -> bool:
        assert process.poll() is None, f"MiniStack ended:\n{log.read_text()[-2000:]}"
        try:
            client.list_tables()
        except BotoCoreError:
            return False
        return True

    eventually("MiniStack serves", serves, seconds=60)


@pytest.fixture
def table(aws_url: str) -> Table:
    return RawTable.create(aws_url, f"ledger-{uuid4().hex}").table


@pytest.fixture
def raw(table: Table) -> RawTable:
    return RawTable(table)


@pytest.fixture
def ledger(table: Table) -> Ledger:
    return Ledger(table, lambda: NOON)


@pytest.fixture
def proxy(aws_url: str) -> Iterator[fault_proxy.FaultProxy]:
    with fault_proxy.running(aws_url) as running:
        yield running


@pytest.fixture
def impatient(proxy: fault_proxy.FaultProxy, table: Table) -> Ledger:
    """A ledger behind the proxy whose client repeats nothing by itself, and that does not wait between its tries."""
    return Ledger(resource(proxy.url, attempts=1).Table(table.name), lambda: NOON, pause=lambda _: None)
