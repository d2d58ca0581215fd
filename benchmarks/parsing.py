"""How long signals take to read: parsing and classifying beside `json.loads` of the same bytes, for each source.

    python -m benchmarks.parsing

The records are those of tests/data/signals. CPU time, the least of twenty rounds. A log payload arrives as base64 and
gzip of JSON; whoever reads it must undo both, so its baseline is decompression and `json.loads` of what was inside. The
lines in it are often JSON again: reading these is our work and stands in no baseline.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
import timeit
import zlib
from datetime import UTC, datetime
from functools import partial
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
_ROUNDS, _REPEATS = 20, 100
_GZIP = 31
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


def _measure(source: str, samples: list[str]) -> Speed:
    speeds = [_speed_of(_as_it_arrives(json.loads(sample))) for sample in samples]
    return Speed(source, median(loads for loads, _ in speeds), median(parse for _, parse in speeds))


def _speed_of(text: str) -> tuple[float, float]:
    """Microseconds for the baseline and for parsing, measured in turns: a busy machine slows both down."""
    timers = [timeit.Timer(partial(work, text), timer=time.process_time) for work in (_load, _parse)]
    rounds = [[timer.timeit(_REPEATS) / _REPEATS * 1e6 for timer in timers] for _ in range(_ROUNDS)]
    loads, parse = (min(times) for times in zip(*rounds, strict=True))
    return loads, parse


def _as_it_arrives(document: dict[str, Any]) -> str:
    if "logEvents" not in document:
        return json.dumps(document)
    data = base64.b64encode(gzip.compress(json.dumps(document).encode())).decode()
    return json.dumps({"awslogs": {"data": data}})


def _load(text: str) -> Any:
    document = json.loads(text)
    if "awslogs" not in document:
        return document
    return json.loads(zlib.decompress(base64.b64decode(document["awslogs"]["data"]), wbits=_GZIP))


def _parse(text: str) -> list[Any]:
    return list(parse_message(json.loads(text), received_at=_NOW, cluster="shop-prod"))


def lines(speeds: list[Speed]) -> list[str]:
    return [
        f"{speed.source}: {speed.parse:.0f} us, {speed.factor:.1f} x json.loads of the same bytes (wanted: at most "
        f"{LIMIT:.0f} x)"
        for speed in speeds
    ]


if __name__ == "__main__":
    print("\n".join(lines(measure())))
