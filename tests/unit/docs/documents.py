"""Reading the project's Markdown pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def sections(page: str) -> dict[str, str]:
    """The text under each heading, up to the next one."""
    parts = _HEADING.split(page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> Iterator[dict[str, str]]:
    """The rows of the tables in `text`, each by its table's column titles."""
    titles: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            titles = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not titles:
            titles = cells
        elif not set(line) <= set("|-: "):
            yield dict(zip(titles, cells, strict=True))
