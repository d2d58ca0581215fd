"""The CloudFormation templates as documents that nobody changes; each is read once, which takes PyYAML a while."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

_ROOT = Path(__file__).parents[2]


@cache
def template(name: str = "template.yaml") -> dict[str, Any]:
    result: dict[str, Any] = yaml_parse((_ROOT / name).read_text())
    return result


def resources(name: str = "template.yaml") -> dict[str, Any]:
    result: dict[str, Any] = template(name)["Resources"]
    return result
