"""Plain text for terminals: aligned columns, lists, and nothing that could steer the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ABSENT = "-"


def cell(value: object) -> str:
    """One line of printable text. What comes from clusters may hold control characters."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(" ".join(str(value).split()))


def printable(line: str) -> str:
    """The line without what could steer a terminal; its spaces stay."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, headers in capitals; the last column is not padded."""
    lines = [[header.upper() for header in headers], *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join(
        "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def bullets(title: str, lines: Iterable[object]) -> str:
    """A titled list, or nothing at all when it is empty."""
    items = [f"  - {cell(line)}" for line in lines]
    return "\n".join([title, *items]) if items else ""


def page(*parts: str) -> str:
    """The parts that are not empty, an empty line between them."""
    return "\n\n".join(part for part in parts if part)
