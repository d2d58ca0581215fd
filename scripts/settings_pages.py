"""Writes docs/parameters.md from template.yaml and docs/tags.md from the code's tag names.

python -m scripts.settings_pages
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from ip_remediator.common.tag_names import CATALOGUE, PEOPLE, US, Tag

ROOT = Path(__file__).parents[1]
PARAMETERS, TAGS = ROOT / "docs" / "parameters.md", ROOT / "docs" / "tags.md"
_PARAMETERS_HEAD = """\
# Parameters of the stack

Made of `template.yaml` by `make schemas`; do not edit it here. Every parameter has a default. What a tag of a cluster
overrides is in [tags.md](tags.md).

`sam deploy --parameter-overrides DefaultMode=auto` sets one and keeps the others as they are in the stack. But
`sam deploy --guided` saves all of its answers in `samconfig.toml` (`parameter_overrides`), and every later `sam deploy`
without the option sends them again. So after `--guided` change the value in that file, and run `sam deploy`.

SAM cuts a value at its first blank unless it has quotes of its own: 'ChangeWindow="Mon-Fri 08:00-18:00 Europe/Berlin"'.
"""
_TAGS_HEAD = """\
# Tags

Made of `common/tag_names.py` by `make schemas`; do not edit it here.
"""
_BY_PEOPLE = """\
## Tags that you set

On the EKS cluster a tag overrides the stack's parameter for this cluster. It is read at the beginning of each incident;
the kill switch is read before every write. A value that is not understood never widens what may be done without
asking: the safer setting is taken, and the message says so.
"""
_BY_US = """\
## Tags that it sets

In the call that creates the resource. A subnet without them is never deleted.
"""


def parameters_page() -> str:
    """docs/parameters.md, from template.yaml."""
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    lines = [_PARAMETERS_HEAD]
    for group in groups:
        lines += [f"## {group['Label']['default']}", "", "| parameter | default | values | what it does |"]
        lines += ["|---|---|---|---|"]
        lines += [_parameter(name, template["Parameters"][name]) for name in group["Parameters"]] + [""]
    return "\n".join(lines)


def _parameter(name: str, about: dict[str, Any]) -> str:
    default = f"`{about['Default']}`" if about["Default"] != "" else ""
    tag = next((tag.name for tag in CATALOGUE if tag.parameter == name), "")
    overridden = f". Overridden by the cluster's tag `{tag}`" if tag else ""
    does = f"{about.get('Description', '')}{overridden}".replace("|", "\\|")
    return f"| `{name}` | {default} | {_values(about)} | {does} |"


def _values(about: dict[str, Any]) -> str:
    if "AllowedValues" in about:
        return ", ".join(f"`{value}`" for value in about["AllowedValues"])
    if "MinValue" in about:
        return f"{about['MinValue']} to {about['MaxValue']}"
    return "list" if "List" in about["Type"] else ""


def tags_page() -> str:
    """docs/tags.md, from the code's tag names."""
    return "\n".join([_TAGS_HEAD, _BY_PEOPLE, *_table(PEOPLE), "", _BY_US, *_table(US), ""])


def _table(set_by: str) -> Iterator[str]:
    yield "| tag | on | values | what it does | instead of |"
    yield "|---|---|---|---|---|"
    yield from (_row(tag) for tag in CATALOGUE if tag.set_by == set_by)


def _row(tag: Tag) -> str:
    instead = f"`{tag.parameter}`" if tag.parameter else ""
    return f"| `{tag.name}` | {tag.on} | {tag.values} | {tag.does} | {instead} |"


if __name__ == "__main__":
    PARAMETERS.write_text(parameters_page(), encoding="utf-8")
    TAGS.write_text(tags_page(), encoding="utf-8")
