"""EC2's tags as dictionaries, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_dict(tags: Any) -> dict[str, str]:
    """A list of `Key` and `Value`, as EC2 and Auto Scaling return it, as a mapping; None is empty."""
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def as_list(tags: Mapping[str, str]) -> list[Any]:
    """A mapping as the list of `Key` and `Value` that EC2 takes."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
