"""The process: how it starts, refuses to start, protects itself and ends."""

from __future__ import annotations

import signal
import socket
import time

import pytest
import urllib3

from tests.stack.slack.harness import ON_CALL, App, Slack, address_of, start_process
from tests.support.patience import within


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_asked_even_with_a_page_open(number: signal.Signals) -> None:
    process = start_process("--port", "0")
    page = urllib3.request("GET", f"{address_of(process)}/_page/events", preload_content=False)
    assert page.read(9) == b"data: 0\n\n"

    asked = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=within(10))

    assert process.returncode == 0
    assert errors == ""
    assert time.monotonic() - asked < within(5)


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start_process("--port", str(port))
        _, errors = process.communicate(timeout=within(10))

    assert process.returncode == 2
    assert errors == f"--port {port} is taken by another program: choose another one, or 0 for any free port.\n"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--port", "web"), "argument --port: 'web' is not a port"),
        (("--port", "0", "--interactivity-url", "localhost:1"), "argument --interactivity-url: 'localhost:1'"),
        (("--port", "0", "--bot-token", " "), "argument --bot-token: must not be empty"),
    ],
)
def test_a_bad_flag_is_named(flags: tuple[str, ...], complaint: str) -> None:
    process = start_process(*flags)
    _, errors = process.communicate(timeout=within(10))

    assert process.returncode == 2
    assert complaint in errors


def test_the_interactivity_url_can_be_given_at_the_start() -> None:
    app = App()
    process = start_process("--port", "0", "--interactivity-url", app.url)
    try:
        slack = Slack(address_of(process))
        slack.click(slack.post_button())
        assert app.next().signature_is_valid
    finally:
        process.terminate()
        process.communicate(timeout=within(10))
        app.close()


def test_only_loopback_names_are_answered(slack: Slack) -> None:
    answer = urllib3.request("GET", f"{slack.url}/_control/messages", headers={"Host": "attacker.example"})

    assert answer.status == 400


def test_other_sites_pages_cannot_press_buttons(slack: Slack) -> None:
    answer = urllib3.request("POST", f"{slack.url}/_page/say", body="{}", headers={"Content-Type": "text/plain"})

    assert answer.status == 415


def test_a_bad_request_names_the_fields(slack: Slack) -> None:
    answer = slack.request("POST", "/_page/say", {"user": ON_CALL, "channel": 7, "text": ""})
    url = slack.request("PUT", "/_control/interactivity-url", {"url": "nowhere"})

    assert answer.status == 400
    assert answer.json()["error"].startswith("channel: ")
    assert "; text: " in answer.json()["error"]
    assert url.status == 400
    assert url.json()["error"].startswith("url: ")


def test_the_page_allows_nothing_from_elsewhere(slack: Slack) -> None:
    page = urllib3.request("GET", f"{slack.url}/")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in page.data.decode()
    assert "https://" not in page.data.decode()
    assert urllib3.request("GET", f"{slack.url}/_page/assets/..%2fserver.py").status == 404
