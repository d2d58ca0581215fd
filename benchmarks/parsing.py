"""How long signals take to read: parsing and classifying beside `json.loads` of the same bytes, for each source.

    python -m benchmarks.parsing

The records are made from those of tests/data/signals: every record has ids, pods, nodes, digests and times of its own,
and every round has new records, so no text is read twice. CPU time of forty records of a sample, the least of thirty
rounds, and the mean of a source's samples. Rounds are shorter than the turn that a busy machine gives a process: what
ran in between would empty the processor's caches. A log payload arrives as base64 and gzip of JSON; whoever reads it
must undo both, so its baseline is decompression and `json.loads` of what was inside. The lines in it are often JSON
again: reading these is our work and stands in no baseline.
"""

from __future__ import annotations

import base64
import gc
import gzip
import json
import re
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import mean
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
ROUNDS, _RECORDS = 30, 40
_GZIP = 31
_NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Speed(NamedTuple):
    """`loads` and `parse` are microseconds for a record, the mean of the source's records."""

    source: str
    loads: float
    parse: float

    @property
    def factor(self) -> float:
        return self.parse / self.loads


def measure(rounds: int = ROUNDS) -> list[Speed]:
    return [
        _measure(source, [path.read_text() for path in sorted(SAMPLES.glob(glob))], rounds)
        for source, glob in SOURCES.items()
    ]


def _measure(source: str, samples: list[str], rounds: int) -> Speed:
    rng = Random(source)  # noqa: S311 - names of records, no secret
    loads, parse = zip(*(_of_sample(sample, rng, rounds) for sample in samples), strict=True)
    return Speed(source, mean(loads), mean(parse))


def _of_sample(sample: str, rng: Random, rounds: int) -> tuple[float, float]:
    """Baseline and parsing are measured in turns: a busy machine slows both down."""
    loads, parse = [], []
    for _ in range(rounds):
        records = [_as_it_arrives(json.loads(varied(sample, rng))) for _ in range(_RECORDS)]
        loads.append(_microseconds(_load, records))
        parse.append(_microseconds(_parse, records))
    return min(loads), min(parse)


def _microseconds(work: Callable[[str], object], records: list[str]) -> float:
    """For each record; the garbage collector does not run, as in `timeit`."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    for record in records:
        work(record)
    ended = time.process_time()
    gc.enable()
    return (ended - begun) / len(records) * 1e6


# What differs from record to record: ids and digests, milliseconds since 1970, nodes, pods, minutes and seconds.
_VARYING = re.compile(
    r"\b(?!177243)[0-9a-f]{8,}\b|(?<=177243)[0-9]{7}|(?<=ip-10-0-)[0-9]-[0-9]|(?<=aws-node-)[a-z0-9]{5}(?![a-z0-9])"
    r"|(?<=[T ]08:[0-5])[0-9]|(?<=[T ]08:[0-5][0-9]:[0-5])[0-9]"
)


def varied(sample: str, rng: Random) -> str:
    """The sample with names of its own: what is the same in two places of it stays the same."""
    names: dict[str, str] = {}
    return _VARYING.sub(lambda match: names.setdefault(match[0], _another(match[0], rng)), sample)


def _another(name: str, rng: Random) -> str:
    return "".join(
        rng.choice("0123456789") if sign.isdigit() else rng.choice("abcdef") if sign.isalpha() else sign
        for sign in name
    )


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
