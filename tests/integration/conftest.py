from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.support.lab import Lab

SPEED = 10
# Waits of the state machines take a thirtieth of their time; what the functions themselves wait for is real.
WAIT_SCALE = 0.03


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The real template, built and deployed once for all tests, on ports of its own."""
    parameters = {"DefaultMode": "auto", "ApprovalMinutes": "1"}
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, Ports.free(), parameters, speed=SPEED, wait_scale=WAIT_SCALE) as stack:
        stack.start()
        yield Lab(stack)
