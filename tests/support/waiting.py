"""Waiting on conditions, never on time alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.support.patience import within

T = TypeVar("T")
_POLL_SECONDS = 0.05
_SHOWN = 2000


def eventually(
    expectation: str, read: Callable[[], T], wanted: Callable[[T], object] = bool, seconds: float = 30.0
) -> T:
    """Reads until `wanted`; fails with the last value, after `seconds` of a quiet machine."""
    began = time.monotonic()
    while not wanted(value := read()):
        waited = time.monotonic() - began
        assert waited < within(seconds), f"{expectation}: still {str(value)[:_SHOWN]} after {waited:.0f} s"
        time.sleep(_POLL_SECONDS)
    return value
