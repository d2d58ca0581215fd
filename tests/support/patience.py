"""How much longer than usual a wait may take. A busy machine is slow, which is no fault of the code.

The factor is the largest of three: how slow a fixed piece of work was when the tests began, how many processes wanted
each processor during the last minute, and how many workers the tests have. For one worker on a quiet machine it is 1.
"""

from __future__ import annotations

import hashlib
import os
import time

# What the piece of work takes on a quiet machine of the kind that CI has.
_USUAL_SECONDS = 0.08
_VARIABLE = "TESTS_PATIENCE"


def factor() -> float:
    load, _, _ = os.getloadavg()
    workers = float(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(workers, _slowness_at_start(), load / (os.cpu_count() or 1))


def within(seconds: float) -> float:
    """The deadline of a wait that takes less than `seconds` on a quiet machine."""
    return seconds * factor()


def _slowness_at_start() -> float:
    """Measured once; the workers of a test run and their processes read it from the environment."""
    if _VARIABLE not in os.environ:
        began = time.monotonic()
        _work()
        os.environ[_VARIABLE] = f"{(time.monotonic() - began) / _USUAL_SECONDS:.2f}"
    return float(os.environ[_VARIABLE])


def _work() -> None:
    digest = b""
    for number in range(100_000):
        digest = hashlib.sha256(digest + str(number).encode()).digest()
