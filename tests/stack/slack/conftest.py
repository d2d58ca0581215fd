from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.slack.harness import App, Slack, address_of, start_process
from tests.support.patience import within

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def workspace_url() -> Iterator[str]:
    process = start_process("--port", "0")
    try:
        yield address_of(process)
    finally:
        process.terminate()
        process.communicate(timeout=within(10))


@pytest.fixture
def slack(workspace_url: str) -> Iterator[Slack]:
    slack = Slack(workspace_url)
    yield slack
    slack.request("DELETE", "/_control/faults")
    slack.send_clicks_to(None)


@pytest.fixture
def app(slack: Slack) -> Iterator[App]:
    """An app whose endpoint the workspace's clicks go to."""
    app = App()
    slack.send_clicks_to(app.url)
    yield app
    app.close()
