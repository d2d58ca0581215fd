"""Waiting on conditions, never on time alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.1
_SHOWN = 2000


def eventually(what: str, read: Callable[[], T], wanted: Callable[[T], object] = bool, seconds: float = 30.0) -> T:
    """Reads until `wanted`; fails with the last value."""
    deadline = time.monotonic() + seconds
    while not wanted(value := read()):
        assert time.monotonic() < deadline, f"{what}: still {str(value)[:_SHOWN]} after {seconds} s"
        time.sleep(_POLL_SECONDS)
    return value
