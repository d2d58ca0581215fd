"""docs/beliefs.md: every part of the embedded AWS that corrects an emulator is named, and what is named exists."""

from __future__ import annotations

import re

import pytest

from tests.unit.docs.documents import ROOT

PAGE = (ROOT / "docs" / "beliefs.md").read_text()
CORRECTIONS = [
    *(file for file in (ROOT / "local" / "aws" / "corrections").rglob("*.py") if file.name != "__init__.py"),
    *(ROOT / "local" / "aws" / "ec2").glob("*_rules.py"),
    *(ROOT / "local" / "aws" / "ec2" / name for name in ("addresses.py", "ipam.py", "consistency.py")),
    *(
        file
        for part in ("iam", "step_functions")
        for file in (ROOT / "local" / "aws" / part).glob("*.py")
        if file.stat().st_size
    ),
    *(ROOT / "local" / "aws" / name for name in ("autoscaling.py", "partitions.py")),
    *(ROOT / "local" / "aws" / "functions" / name for name in ("conditions.py", "concurrency.py")),
]
NAMED = re.findall(r"`((?:tests|local|scripts|docs|layers|cli)/[\w./-]+)`", PAGE)


@pytest.mark.parametrize("correction", CORRECTIONS, ids=lambda file: file.name)
def test_every_correction_of_an_emulator_has_its_belief(correction: object) -> None:
    assert f"{correction.name}`" in PAGE


@pytest.mark.parametrize("path", sorted(set(NAMED)))
def test_what_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_row_has_a_source_and_a_certainty() -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 6]
    beliefs = [row for row in rows if row[0].strip() not in ("belief", "---")]
    assert len(beliefs) > 25
    for row in beliefs:
        assert all(cell.strip() for cell in row)
        assert any(word in row[2] for word in ("documented", "reported", "assumed", "recorded"))
