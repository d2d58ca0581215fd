"""Simulated time: every wait is divided by one speed, so that tests and demos need not wait."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """`speed` simulated seconds pass in one real second. Raises ValueError when it is not positive."""

    speed: float = 1.0

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(
                f"--speed must be greater than 0, not {self.speed}: 1.0 is real time, 10 is ten times faster"
            )

    def real(self, seconds: float) -> float:
        """Real seconds to wait for `seconds` of the simulation."""
        return seconds / self.speed

    def now(self) -> float:
        """Monotonic simulated seconds."""
        return time.monotonic() * self.speed
