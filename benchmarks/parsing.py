"""How long signals take to read: parsing and classifying beside `json.loads` of the same bytes, for each source.

    python -m benchmarks.parsing

The records are those of tests/data/signals. CPU time, the least of five rounds.
"""

from __future__ import annotations

import json
import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from ip_remediator.signals.events import parse_message

SAMPLES = Path(__file__).parents[1] / "tests" / "data" / "signals"
SOURCES = {
    "alarms": "alarm_*.json",
    "Kubernetes Events": "event_[!l]*.json",
    "events in this project's layout": "event_layout*.json",
    "log payloads": "logs_data*.json",
    "own signals": "own_*.json",
}
# What is wanted of each source.
LIMIT = 4.0
_ROUNDS, _REPEATS = 5, 500
_NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Speed(NamedTuple):
    """`loads` and `parse` are microseconds for a record, the median of the source's records."""

    source: str
    loads: float
    parse: float

    @property
    def factor(self) -> float:
        return self.parse / self.loads


def measure() -> list[Speed]:
    return [_measure(source, [path.read_text() for path in SAMPLES.glob(glob)]) for source, glob in SOURCES.items()]


def _measure(source: str, texts: list[str]) -> Speed:
    compact = [json.dumps(json.loads(text)) for text in texts]
    loads = median(_microseconds(lambda text=text: json.loads(text)) for text in compact)
    parse = median(_microseconds(lambda text=text: _parse(text)) for text in compact)
    return Speed(source, loads, parse)


def _parse(text: str) -> list[Any]:
    return list(parse_message(json.loads(text), received_at=_NOW, cluster="shop-prod"))


def _microseconds(work: Callable[[], Any]) -> float:
    rounds = timeit.repeat(work, number=_REPEATS, repeat=_ROUNDS, timer=time.process_time)
    return min(rounds) / _REPEATS * 1e6


def lines(speeds: list[Speed]) -> list[str]:
    return [
        f"{speed.source}: {speed.parse:.0f} us, {speed.factor:.1f} x json.loads of the same bytes (wanted: at most "
        f"{LIMIT:.0f} x)"
        for speed in speeds
    ]


if __name__ == "__main__":
    print("\n".join(lines(measure())))
