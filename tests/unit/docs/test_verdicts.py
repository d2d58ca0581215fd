"""docs/decisions.md, "Verdicts": each verdict of the code with an example of the corpus, and nothing else."""

from __future__ import annotations

import pytest

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import WORST_FIRST, diagnose
from ip_remediator.diagnosis.model import CURABLE
from tests.unit.docs.documents import ROOT, rows, sections
from tests.unit.support.corpus import CASES

SECTION = sections((ROOT / "docs" / "decisions.md").read_text())["Verdicts"]
ROWS = {row["verdict"].strip("`"): row for row in rows(SECTION)}


def test_the_verdicts_are_the_codes_the_worst_first() -> None:
    assert list(ROWS) == [*WORST_FIRST, Verdict.UNSUPPORTED]
    assert ROWS.keys() == {verdict.value for verdict in Verdict}


def test_what_is_curable_is_told() -> None:
    assert {verdict for verdict, row in ROWS.items() if row["curable"] == "yes"} == CURABLE


@pytest.mark.parametrize("verdict", ROWS)
def test_the_example_is_in_the_corpus_and_gets_the_verdict(verdict: str) -> None:
    name = ROWS[verdict]["example"].strip("`")
    [case] = [case for case in CASES if case.name == f"{verdict}/{name}"]
    assert diagnose(case.snapshot, case.signals).verdict == verdict
