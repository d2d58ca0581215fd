"""The pages on state machines, data and errors name the states, errors, outcomes and kinds of changes there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ip_remediator.address_ledger import ledger
from ip_remediator.clients.kubernetes import api
from ip_remediator.common import errors
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents import vpc_lock
from ip_remediator.incidents.record import ChangeKind
from ip_remediator.provisioning import kubernetes
from ip_remediator.remediation import verify, verify_recipients
from tests.unit.docs.documents import ROOT, rows, sections

# A node of a flowchart, with or without quotes: id["label"], id{"label"}.
LABEL = re.compile(r"""\w+[\[{]"([^"]+)"[\]}]""")
LIBRARY = ROOT / "layers" / "core" / "ip_remediator"
MODULES = (errors, api, kubernetes, ledger, vpc_lock, verify, verify_recipients)


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    names = ("state-machines", "data", "errors")
    return {
        title: text for name in names for title, text in sections((ROOT / "docs" / f"{name}.md").read_text()).items()
    }


@pytest.mark.parametrize("name", ["remediate", "rollback", "replace"])
def test_the_diagram_of_a_state_machine_has_exactly_its_states(page: dict[str, str], name: str) -> None:
    # given a state machine and the diagram under its name
    drawn = set(LABEL.findall(page[name]))

    # then each of its states is drawn, and nothing else
    assert drawn == {title for title, _ in _states(_machine(name))}


def test_every_retried_error_is_in_the_table_and_exists(page: dict[str, str]) -> None:
    # given the errors of ours that the state machines retry
    retried = {
        error
        for name in ("remediate", "rollback", "replace")
        for _, state in _states(_machine(name))
        for rule in state.get("Retry", [])
        for error in rule["ErrorEquals"]
        if "." not in error
    }

    # when the rows that speak of retries are read
    documented = {row["error"].strip("`") for row in rows(page["Errors"]) if "retries" in row["state machine"]}

    # then they are the same, and each is an exception class of that name
    assert documented == retried
    defined = {name for module in MODULES for name in vars(module)}
    assert retried <= defined


def test_the_outcomes_and_kinds_of_changes_are_all_named(page: dict[str, str]) -> None:
    # given what the code can record, then the page names each of it
    event, log = page["Events"], page["Change log"]
    assert {outcome for outcome in Outcome if f"`{outcome}`" not in event} == set()
    assert {kind for kind in ChangeKind if f"`{kind}`" not in log} == set()


def _machine(name: str) -> dict[str, Any]:
    machine: dict[str, Any] = json.loads((ROOT / "statemachine" / f"{name}.asl.json").read_text())
    return machine


def _states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for title, state in machine["States"].items():
        yield title, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


@pytest.mark.parametrize(("page", "fewest"), [("docs/architecture.md", 40), ("CONTRIBUTING.md", 10)])
def test_every_file_and_folder_that_a_page_for_newcomers_names_exists(page: str, fewest: int) -> None:
    # given what the page writes as code and that looks like a path: `intake/handle.py`, `messages/`, `planning/`
    text = (ROOT / page).read_text()
    paths = [path for path in re.findall(r"`([\w./-]+)`", text) if path.endswith(("/", ".py"))]
    assert len(paths) >= fewest

    # then it is in the repository, in the library, or in the package that the row is about
    roots = (ROOT, LIBRARY, LIBRARY / "notifications")
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []
