"""The public endpoint's handler under attack: nobody comes in, nothing breaks, nothing is read or written before.

`ATTACKS_SEED` gives other requests.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from functions.slack import app
from ip_remediator.observability import logger
from tests.fuzz.attacks import ATTACKS, NOW, SECRET, genuine

SEED = int(os.environ.get("ATTACKS_SEED", "1"))
CONTEXT = SimpleNamespace(invoked_function_arn="arn:aws:lambda:eu-west-1:1:function:slack")
# A request that is Slack's and no click is acknowledged, and does nothing.
REFUSED = {400, 401, 405, 413}


class Touched(Exception):
    """The handler called AWS or Slack."""


@pytest.fixture(autouse=True)
def untouchable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The secret is there, time stands still, and nothing else may be reached."""

    def client(_service: str) -> Any:
        raise Touched

    def opened(*_arguments: Any) -> None:
        raise Touched

    monkeypatch.setattr(app, "_secret", lambda: SimpleNamespace(get=lambda: SimpleNamespace(signing_secret=SECRET)))
    monkeypatch.setattr(app, "_settings", lambda: SimpleNamespace(slack_api_url="http://127.0.0.1:9"))
    monkeypatch.setattr(app.session, "client", client)
    monkeypatch.setattr(app, "open_loading_view", opened)
    monkeypatch.setattr(app.time, "time", lambda: NOW)
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_no_attack_comes_in_or_breaks_the_handler(count: int) -> None:
    statuses: Counter[tuple[str, int]] = Counter()
    names = sorted(ATTACKS)
    rng = Random()
    for number in range(count):
        name = names[number % len(names)]
        rng.seed(f"{SEED}/{name}/{number}")
        statuses[name, app.handler(ATTACKS[name](rng), CONTEXT)["statusCode"]] += 1
    acknowledged = {name for name, status in statuses if status == 200}
    assert acknowledged <= {"of no use"}, statuses
    assert {status for _, status in statuses} <= {200, *REFUSED}, statuses
    assert {name for name, _ in statuses} == set(names)


def test_a_genuine_click_comes_in() -> None:
    """So that the attacks are refused for what they are."""
    for number in range(20):
        with pytest.raises((Touched, AttributeError)):
            app.handler(genuine(Random(number)), CONTEXT)
