"""Writes the JSON Schemas of snapshot, diagnosis and plan into docs/schemas, from the code's models.

python -m scripts.schemas
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning.model import Plan
from ip_remediator.snapshot.model import Snapshot

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
# People write snapshots, so its schema is that of the input: almost nothing is required. The others are answers.
SCHEMAS: dict[str, dict[str, Any]] = {
    "snapshot": Snapshot.model_json_schema(mode="validation"),
    "diagnosis": Diagnosis.model_json_schema(mode="serialization"),
    "plan": Plan.model_json_schema(mode="serialization"),
}


def file_of(name: str) -> Path:
    """The path of the schema's file."""
    return FOLDER / f"{name}.schema.json"


def text(name: str) -> str:
    """The schema as the file has it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[name]}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        file_of(name).write_text(text(name), encoding="utf-8")
