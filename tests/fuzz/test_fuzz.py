"""A slice of `make fuzz` in every test run."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from random import Random

import pytest

from tests.fuzz.hostile import deep, huge, mutant
from tests.fuzz.running import Broken, run
from tests.fuzz.sources import SAMPLES, SOURCES, Source

SEED = 20260302
INPUTS = 3_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_given_what_others_may_send_when_read_then_it_is_understood_or_refused_with_a_reason(source: Source):
    report = run(source, SEED, range(INPUTS))
    assert report.inputs == INPUTS
    # neither all refused at the door nor all harmless
    assert len(report.outcomes) >= 2, report


@pytest.mark.parametrize("sample", ["alarm_metric", "event_sandbox", "event_layout", "own_signal"])
def test_given_ten_megabytes_or_a_hundred_thousand_levels_when_read_then_it_is_no_more_than_a_drop(sample: str):
    text, rng = (SAMPLES / f"{sample}.json").read_text(), Random(SEED)
    hostile = [huge(json.loads(text), rng), *(deep(text, rng, levels) for levels in (900, 990, 100_000))]
    [source] = [source for source in SOURCES if source.name == "event"]
    assert all(list(source.read(item)) for item in hostile)


def test_given_the_same_seed_then_the_same_inputs():
    sample = '{"detail": {"reason": "Started", "count": 3}}'
    assert [mutant(sample, Random(f"7/{number}")) for number in range(200)] == [
        mutant(sample, Random(f"7/{number}")) for number in range(200)
    ]


@pytest.mark.parametrize("fault", [KeyError("reason"), AssertionError("too long"), RecursionError(), MemoryError()])
def test_given_a_reader_with_a_bug_then_the_input_that_shows_it_is_named(fault: Exception):
    def read(made: int) -> list[str]:
        if made > 900:
            raise fault
        return ["fine"]

    source = Source("buggy", lambda rng: rng.randrange(1_000), read)
    with pytest.raises(Broken, match=r"buggy, seed 1, input \d+") as broken:
        run(source, 1, range(1_000))
    assert isinstance(broken.value.__cause__, type(fault))
