"""The functions against real servers over HTTP: the local AWS and the local Slack workspace."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from ip_remediator.clients.aws import session
from local.aws.settings import ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY
from tests.stack.slack.conftest import slack, workspace_url
from tests.stack.slack.harness import BOT_TOKEN, SIGNING_SECRET
from tests.support.patience import within
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

__all__ = ["slack", "workspace_url"]

ROOT = Path(__file__).parents[3]
REGION = "ap-northeast-2"
SECRET_PARAMETER = "/eks-ip-remediator/slack"


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("aws")
    (folder / "ca.pem").touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    flags = ["--port", port, "--state-dir", folder, "--ca-file", folder / "ca.pem", "--log", folder / "log"]
    process = subprocess.Popen([sys.executable, "-m", "local.aws", *map(str, flags)], cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_serves(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=within(20))


def _wait_until_it_serves(url: str, process: subprocess.Popen[bytes]) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ROOT_ACCESS_KEY_ID,
        aws_secret_access_key=ROOT_SECRET_ACCESS_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )

    def serves() -> bool:
        assert process.poll() is None, "the local AWS ended"
        try:
            client.list_tables()
        except BotoCoreError:
            return False
        return True

    eventually("the local AWS serves", serves, seconds=60)


@pytest.fixture(scope="session")
def boto_session() -> boto3.Session:
    """One for all tests: each new one reads botocore's models again."""
    return boto3.Session(ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, region_name=REGION)


@contextmanager
def plain_clients(url: str, boto_session: boto3.Session) -> Iterator[None]:
    """Plain boto3 clients of this process talk to the local AWS, as a function's do."""
    variables = {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_ACCESS_KEY,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", boto_session)
        patch.setattr(session, "_session", lambda: boto_session)
        session.client.cache_clear()
        session.table.cache_clear()
        yield
        session.client.cache_clear()
        session.table.cache_clear()


@pytest.fixture
def aws(aws_url: str, boto_session: boto3.Session) -> Iterator[str]:
    with plain_clients(aws_url, boto_session):
        yield aws_url


@pytest.fixture
def table(aws: str) -> Table:
    return new_table()


def new_table() -> Table:
    """A new Incidents table."""
    return boto3.resource("dynamodb").create_table(
        TableName=f"incidents-{uuid4().hex}",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def secret(aws: str) -> str:
    return put_secret()


def put_secret() -> str:
    """The name of the parameter with the secret of the local Slack workspace."""
    value = json.dumps({"bot_token": BOT_TOKEN, "signing_secret": SIGNING_SECRET})
    boto3.client("ssm").put_parameter(Name=SECRET_PARAMETER, Type="SecureString", Value=value, Overwrite=True)
    return SECRET_PARAMETER
