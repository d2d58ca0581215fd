"""Why a connection failed: our words for whatever a library raises, real errors of real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator

import boto3
import pytest
import urllib3
from botocore.config import Config

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.kubernetes.api import KubeApi, KubernetesUnreachable
from ip_remediator.clients.slack.client import SlackUnavailable, outages
from ip_remediator.clients.unreachable import why_unreachable
from ip_remediator.common.errors import ServiceUnavailable

REFUSED = "it refuses connections, or there is no route to it"
CLOSED = "it closed the connection"
LATE = "it did not answer in time"
UNKNOWN = "its name is not known here"
# What only a library would say.
FOREIGN = (
    "endpoint URL",
    "HTTPConnectionPool",
    "HTTPSConnectionPool",
    "urlopen",
    "Errno",
    "Max retries",
    "object at 0x",
)


@pytest.fixture
def refusing() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"127.0.0.1:{port}"


@pytest.fixture
def closing() -> Iterator[str]:
    """Accepts, and closes without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.recv(1)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        with socket.create_connection(server.getsockname()) as last:
            last.send(b"x")
        thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    """Accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(params=["refusing", "closing", "silent"])
def broken(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The address of a server, and what is said of it."""
    return request.getfixturevalue(request.param), {"refusing": REFUSED, "closing": CLOSED, "silent": LATE}[
        request.param
    ]


def assert_in_our_words(message: str, why: str) -> None:
    assert why in message
    assert [phrase for phrase in FOREIGN if phrase in message] == []


def test_given_a_call_of_aws_that_is_not_answered_then_our_words_say_why(broken: tuple[str, str]) -> None:
    host, why = broken
    config = Config(connect_timeout=0.3, read_timeout=0.3, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-west-1"}
    client = boto3.client("sts", endpoint_url=f"http://{host}", config=config, **keys)
    with pytest.raises(ServiceUnavailable) as raised, aws_call("GetCallerIdentity"):
        client.get_caller_identity()
    assert_in_our_words(str(raised.value), f"GetCallerIdentity: {host} cannot be reached, {why}")


def test_given_a_call_of_slack_that_is_not_answered_then_our_words_say_why(broken: tuple[str, str]) -> None:
    host, why = broken
    with pytest.raises(SlackUnavailable) as raised, outages():
        urllib.request.urlopen(f"http://{host}/", timeout=0.3)
    assert_in_our_words(str(raised.value), f"Slack cannot be reached, {why}")


def test_given_a_kubernetes_api_that_is_not_answered_then_our_words_say_why(broken: tuple[str, str]) -> None:
    host, why = broken
    api = KubeApi(f"http://{host}", "", "token", seconds=0.5)
    with pytest.raises(KubernetesUnreachable) as raised:
        api.get("/version")
    assert_in_our_words(str(raised.value), f"no answer from http://{host}, {why}")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (urllib.request.URLError(socket.gaierror(-2, "Name or service not known")), UNKNOWN),
        (urllib.request.URLError(ssl.SSLCertVerificationError("self-signed")), "its certificate is not trusted"),
        (urllib3.exceptions.SSLError("bad"), "its certificate is not trusted"),
        (RuntimeError("something else"), "no connection came about"),
    ],
)
def test_given_other_errors_then_the_reason_is_found_where_the_library_keeps_it(error: Exception, why: str) -> None:
    assert why_unreachable(error) == why
