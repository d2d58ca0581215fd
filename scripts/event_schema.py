"""Writes docs/schemas/event.schema.json, the schema of the events on EventBridge, from the code's model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ip_remediator.incidents.timeline import StageEvent

FILE = Path(__file__).parents[1] / "docs" / "schemas" / "event.schema.json"


def schema() -> dict[str, Any]:
    """JSON Schema of an event's `detail`. What an event is not about is left out of it, never null; readers must bear
    fields that they do not know."""
    document = StageEvent.model_json_schema()
    for field in document["properties"].values():
        if field.pop("default", None) is None and "anyOf" in field:
            field.update(next(kind for kind in field.pop("anyOf") if kind != {"type": "null"}))
    document["required"] = sorted({*document["required"], "version"})
    document["additionalProperties"] = True
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def text() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
