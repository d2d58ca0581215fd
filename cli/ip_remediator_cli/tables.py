"""Text for terminals: columns, lists, colours, and nothing that could steer the terminal.

On a terminal, tables and lists fit its width and outcomes have colours, by rich (`NO_COLOR` and `TERM=dumb` count). In
a pipe there is one line for each row, without colours, for grep and awk.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence

ABSENT = "-"
_NARROWEST = 40
_LABEL = 10
_GAP = 2
# ip-10-0-0-4.ap-northeast-2.compute.internal, and a little more.
_LONGEST_NAME = 44
_STYLES = {
    "green": ("healed", "done", "prepared", "approved", "ok"),
    "yellow": (
        "partly",
        "pending",
        "running",
        "(open)",
        "asks: plan",
        "asks: rollback",
        "asks: nodes",
        "warning",
        "medium",
        "expired",
        "unknown",
    ),
    "red": ("failed", "high", "broken", "still waits"),
}
_STYLE_OF = {word: style for style, words in _STYLES.items() for word in words}


def on_terminal() -> bool:
    """Whether standard output is a terminal that can show colours."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """The columns of the terminal, at least the narrowest width that tables need."""
    return max(shutil.get_terminal_size().columns, _NARROWEST)


def cell(value: object) -> str:
    """One line of printable text. What comes from clusters may hold control characters."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(" ".join(str(value).split()))


def in_words(name: str) -> str:
    """The name of a step or of an event as people read it."""
    return cell(name).replace("_", " ")


def who(by: str) -> str:
    """Without an ARN's region and account, which `--output json` has: a column is as wide as its widest cell."""
    if not by.startswith("arn:"):
        return by
    resource = by.split(":", 5)[-1]
    return f"execution {resource.rpartition(':')[2]}" if resource.startswith("execution:") else resource


def printable(line: str) -> str:
    """The line without what could steer a terminal; its spaces stay."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under headers in capitals; on a terminal where their words do not fit, a paragraph for each row: ids and
    CIDRs are there to be copied, so no word is broken."""
    lines = [[header.upper() for header in headers], *([cell(value) for value in row] for row in rows)]
    if not on_terminal():
        return _plain_table(lines)
    widths = _widths(lines)
    return _rich_table(lines, widths) if widths else _paragraphs(headers, lines[1:])


def _plain_table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _paragraphs(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first cell of each row, and below it the others behind their headers."""
    label = max(map(len, headers)) + _GAP
    paragraphs = []
    for first, *others in rows:
        cells = [
            wrapped(text, f"  {header:<{label}}", " " * (label + _GAP))
            for header, text in zip(headers[1:], others, strict=True)
            if text != ABSENT
        ]
        paragraphs.append("\n".join([first, *cells]))
    return "\n".join(paragraphs)


def _rich_table(lines: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    from rich.table import Table  # noqa: PLC0415 - pipes do without
    from rich.text import Text  # noqa: PLC0415

    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", show_edge=False)
    for column, (header, fixed) in enumerate(zip(lines[0], widths, strict=True)):
        grid.add_column(header, overflow="fold", no_wrap=column == 0, width=fixed)
    for line in lines[1:]:
        grid.add_row(*(Text(text, style=_STYLE_OF.get(text, "")) for text in line))
    return _drawn(grid)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column with which no word is broken; empty where the words do not fit. In a
    sentence a tag may be longer than any name of a node: that one is broken."""
    columns = list(zip(*lines, strict=True))
    words = [max((len(word) for text in column for word in text.split()), default=0) for column in columns]
    widths = [words[0], *(min(longest, _LONGEST_NAME) for longest in words[1:])]
    room = width() - sum(widths) - _GAP * (len(columns) - 1)
    if room < 0:
        return []
    for number, column in enumerate(columns):
        more = min(room, max(map(len, column)) - widths[number])
        widths[number] += more
        room -= more
    return widths


def _drawn(renderable: object) -> str:
    from rich.console import Console  # noqa: PLC0415 - pipes do without

    console = Console(width=width(), force_terminal=True, highlight=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def labelled(facts: Mapping[str, object]) -> str:
    """A line for each fact, its name in front; facts that are not known are left out."""
    return "\n".join(
        wrapped(cell(value), first=f"{name:<{_LABEL}}", rest=" " * _LABEL) for name, value in facts.items() if value
    )


def wrapped(line: str, first: str = "", rest: str = "") -> str:
    """The line behind `first`; on a terminal in its width, further lines behind `rest`. Words are never broken."""
    if not on_terminal():
        return f"{first}{line}"
    return textwrap.fill(
        line, width(), initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def bullets(title: str, lines: Iterable[object]) -> str:
    """A titled list, or nothing at all when it is empty."""
    items = [wrapped(cell(line), "  - ", "    ") for line in lines]
    return "\n".join([title, *items]) if items else ""


def commands(title: str, lines: Iterable[object]) -> str:
    """As `bullets`, but no line is broken: these are there to be copied."""
    items = [f"  {cell(line)}" for line in lines]
    return "\n".join([title, *items]) if items else ""


def page(*parts: str) -> str:
    """The parts that are not empty, an empty line between them."""
    return "\n\n".join(part for part in parts if part)
