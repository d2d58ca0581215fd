from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.support.lab import Lab
from tests.support.patience import within

# The simulated cluster lives ten times as fast, and waits of the state machines hardly take any time.
SPEED, WAIT_SCALE = 10, 0.01


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The real template on a stack of its own, which asks before it changes anything."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(
        folder, Ports.free(), {"DefaultMode": "approve"}, speed=SPEED, wait_scale=WAIT_SCALE, slack_seconds=within(3)
    ) as stack:
        stack.start()
        yield Lab(stack)
