"""Definitions of state machines: what is refused when one is created."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITION = re.compile(r"arn:([\w-]+):")


def foreign_resources(definition: str, partition: str) -> list[str]:
    """Resources of tasks, in a definition in JSON, that belong to another partition of AWS than ``partition``."""
    try:
        document = json.loads(definition)
    except ValueError:
        return []
    named = (PARTITION.match(one) for one in _resources(document))
    return [match.string for match in named if match and match[1] != partition]


def unknown_resource(resource: str) -> str:
    """What Step Functions says of a resource that is not of its region."""
    return (
        f"Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: The resource provided {resource} is not "
        "recognized. The value is not a valid resource ARN, or the resource is not available in this region.'"
    )


def _resources(document: Any) -> Iterator[str]:
    """Values of the field Resource, at any depth."""
    if isinstance(document, list):
        for item in document:
            yield from _resources(item)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name == "Resource" and isinstance(value, str):
                yield value
            else:
                yield from _resources(value)
