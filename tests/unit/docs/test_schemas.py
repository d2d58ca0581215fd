"""docs/schemas says what snapshots, diagnoses and plans look like, and what is written down fits it."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.snapshot.model import Snapshot
from scripts import schemas
from tests.unit.docs.documents import ROOT
from tests.unit.support import records


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(json.loads(schemas.file_of(name).read_text()))


@pytest.fixture(scope="module")
def shortest() -> dict[str, Any]:
    """The snapshot of docs/cli.md."""
    [example] = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "cli.md").read_text(), re.DOTALL)
    return dict(json.loads(example))


@pytest.mark.parametrize("name", schemas.SCHEMAS)
def test_the_schema_is_the_models(name: str) -> None:
    assert schemas.file_of(name).read_text() == schemas.text(name), "run: make schemas"


def test_the_shortest_snapshot_fits_as_written_and_as_read(shortest: dict[str, Any]) -> None:
    validator("snapshot").validate(shortest)
    read = Snapshot.model_validate(shortest)
    for written in (read.model_dump_json(), read.model_dump_json(exclude_defaults=True)):
        validator("snapshot").validate(json.loads(written))


def test_a_misspelt_field_does_not_fit(shortest: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match="nodez"):
        validator("snapshot").validate({**shortest, "nodez": []})


def test_what_is_decided_fits(shortest: dict[str, Any]) -> None:
    diagnosis = diagnose(Snapshot.model_validate(shortest))
    validator("diagnosis").validate(json.loads(diagnosis.model_dump_json()))
    validator("plan").validate(json.loads(records.PLAN.model_dump_json()))
