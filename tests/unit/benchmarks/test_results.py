"""The page of results: each part says when it was measured, and some can be renewed without the others."""

from __future__ import annotations

import re

import time_machine

from benchmarks.command_line import CommandStart
from benchmarks.results import Results

PAGE = """# Benchmark results

## Idle month

Measured on 2026-01-02.

of January

## Ledger

Measured on 2026-01-02.

stays
"""


def test_given_a_page_when_the_parts_without_a_cure_are_renewed_then_the_others_keep_their_date() -> None:
    results = Results(1.0, commands=[CommandStart("--help", 0.07, 0.05), CommandStart("status", 0.5, 0.4)])
    with time_machine.travel("2026-03-04"):
        page = results.renewed(PAGE)
        again = results.renewed(page)
    dates = dict(re.findall(r"^## (.*)\n\nMeasured on (\S+)\.$", page, re.MULTILINE))
    assert dates.pop("Ledger") == "2026-01-02"
    assert dates == dict.fromkeys(("Idle month", "Cold start", "Start-up of the command"), "2026-03-04")
    assert "| `ip-remediator status` | 0.50 | 0.40 | 0.60 |" in page
    assert "stays" in page
    assert "of January" not in page
    assert again == page


def test_given_a_whole_run_then_every_part_has_its_date() -> None:
    page = Results(1.0).markdown()
    assert len(re.findall(r"^## ", page, re.MULTILINE)) == len(re.findall(r"^Measured on ", page, re.MULTILINE))
