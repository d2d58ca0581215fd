"""docs/risks.md explains every risk of the catalogue, and no other."""

from __future__ import annotations

import re

import pytest

from ip_remediator.common.tag_names import ACCEPT_RISKS
from ip_remediator.risks.catalogue import CATALOGUE, RiskEntry
from ip_remediator.risks.model import DOCS, Severity
from tests.unit.docs.documents import ROOT, rows, sections

PAGE = (ROOT / DOCS).read_text()
NAMES = tuple(severity.name.lower() for severity in Severity)


def test_every_risk_of_the_catalogue_has_a_section_and_every_section_a_risk() -> None:
    explained = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert explained == [item.id for item in CATALOGUE]


def test_the_table_says_what_the_catalogue_says() -> None:
    documented = {re.sub(r"\[(.+)\]\(.+\)", r"\1", row["id"]): row for row in rows(sections(PAGE)["The risks"])}
    assert list(documented) == [item.id for item in CATALOGUE]
    for item in CATALOGUE:
        assert documented[item.id]["severity"] == ", ".join(
            severity.name.lower() for severity in sorted(item.severities)
        )
        assert documented[item.id]["in short"] == item.title


@pytest.mark.parametrize("risk", CATALOGUE, ids=lambda risk: risk.id)
def test_a_section_says_when_it_weighs_what(risk: RiskEntry) -> None:
    # given a risk that can classify_message more or less
    named = {name for name in NAMES if f"**{name}**" in sections(PAGE)[risk.id]}
    possible = {severity.name.lower() for severity in risk.severities}

    # then its section tells when it weighs more than least, and names no severity that it cannot have
    assert named <= possible
    assert len(possible) == 1 or named >= possible - {min(risk.severities).name.lower()}


def test_the_meaning_of_each_severity_is_told() -> None:
    assert [row["severity"].strip("`") for row in rows(sections(PAGE)["What the severities mean"])] == [
        "high",
        "medium",
        "low",
    ]


def test_the_example_of_the_tag_has_ids_of_the_catalogue() -> None:
    example = re.search(rf'"{ACCEPT_RISKS}": "(.+)"', PAGE)
    assert example
    assert set(example[1].split()) <= {item.id for item in CATALOGUE}
