"""docs/parameters.md and docs/tags.md are what the template and the code say, and nothing is missing."""

from __future__ import annotations

import re

from ip_remediator.common.enums import Mode
from ip_remediator.common.tag_names import AUTO_MAX_RISK, CATALOGUE, MODE, PREFIX, STRATEGY
from ip_remediator.planning.model import REQUESTED_STRATEGIES
from ip_remediator.risks.model import Severity
from scripts import settings_pages
from tests.support.templates import template
from tests.unit.docs.documents import ROOT

# Groups of Kubernetes, not tags.
_GROUPS = {f"{PREFIX}readers", f"{PREFIX}writers"}
_NAMED = re.compile(rf"{PREFIX}[a-z][a-z-]*")


def test_the_page_of_parameters_is_the_templates() -> None:
    assert settings_pages.PARAMETERS.read_text() == settings_pages.parameters_page(), "run: make schemas"


def test_the_page_of_tags_is_the_codes() -> None:
    assert settings_pages.TAGS.read_text() == settings_pages.tags_page(), "run: make schemas"


def test_every_parameter_is_in_a_group_and_says_what_it_does() -> None:
    page = settings_pages.parameters_page()
    parameters = template()["Parameters"]
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == set(parameters)
    assert [name for name, about in parameters.items() if not about.get("Description")] == []


def test_every_tag_that_code_and_templates_name_is_in_the_catalogue() -> None:
    files = [*(ROOT / "layers" / "core" / "ip_remediator").rglob("*.py"), ROOT / "template.yaml"]
    files += [*(ROOT / "functions").rglob("*.py"), *(ROOT / "cli").rglob("*.py"), *(ROOT / "onboarding").glob("*.yaml")]
    named = {name for file in files for name in _NAMED.findall(file.read_text())}
    assert named - _GROUPS <= {tag.name for tag in CATALOGUE}


def test_every_tag_in_the_pages_for_people_exists() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / "onboarding").glob("*.md")]
    named = {name.rstrip("-") for page in pages for name in _NAMED.findall(page.read_text())}
    assert named - _GROUPS <= {tag.name for tag in CATALOGUE}


def test_what_a_tag_overrides_is_a_parameter() -> None:
    parameters = template()["Parameters"]
    assert {tag.parameter for tag in CATALOGUE if tag.parameter} <= set(parameters)


def test_the_values_of_a_tag_are_those_that_the_code_takes() -> None:
    values = {tag.name: set(re.findall(r"`([^`]+)`", tag.values)) for tag in CATALOGUE}
    assert values[MODE] == set(Mode)
    assert values[STRATEGY] == set(REQUESTED_STRATEGIES)
    assert values[AUTO_MAX_RISK] == {severity.name.lower() for severity in Severity}
