"""Words for people, written once for Slack and for terminals.

Texts are plain, with `` `names` `` in backticks. What came from a cluster, from AWS or from a person enters through
`words` or `code`; `mrkdwn` then escapes everything outside and inside the backticks, so nothing foreign can format
text, mention people or forge a link. Escaping: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

LONGEST_LINE = 400
_LONGEST_WRITTEN = 450
# A formatting character works at the edge of a word only, so AWS_VPC_K8S_CNI_* stays as it is and can be copied.
_FORMATTING = re.compile(r"(?<![^\W_])[*_~]|[*_~](?![^\W_])")
_LOOKALIKE = {"*": "\u2217", "_": "\uff3f", "~": "\u223c"}
_EMOJI = re.compile(r":(?=[a-zA-Z0-9_+'-]+:)")
_NO_EMOJI = ":\u200b"

# name -> (Slack, terminal)
MARKS = {
    "item": ("•", "-"),
    "none": ("", ""),
    "done": (":white_check_mark:", "[x]"),
    "running": (":hourglass_flowing_sand:", "[>]"),
    "failed": (":x:", "[!]"),
    "skipped": (":heavy_minus_sign:", "[-]"),
    "undone": (":leftwards_arrow_with_hook:", "[<]"),
    "open": (":white_small_square:", "[ ]"),
    "high": (":red_circle:", "- high:"),
    "medium": (":large_orange_circle:", "- medium:"),
    "low": (":large_blue_circle:", "- low:"),
}


@dataclass(frozen=True)
class Line:
    """One line; `mark` is a key of `MARKS`, `label` what it is about. `more`: a second one that stays with it."""

    text: str
    mark: str = "item"
    label: str = ""
    more: str = ""


@dataclass(frozen=True)
class Part:
    """A paragraph, titled unless its lines have labels. `limit` bounds its length in Slack's characters."""

    title: str
    lines: Sequence[Line]
    limit: int = 1100


def words(foreign: str) -> str:
    """A foreign text as one line of prose, without control characters, direction overrides and backticks."""
    return cut(" ".join(_printable(foreign).replace("`", "'").split()), LONGEST_LINE)


def prose(ours: str) -> str:
    """A text of our own as one line, with its commands in backticks; unbalanced ones are not ours."""
    if ours.count("`") % 2:
        return words(ours)
    return cut(_printable(ours), LONGEST_LINE)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def code(foreign: str) -> str:
    """A foreign name or message, to be shown literally."""
    return f"`{words(foreign) or '?'}`"


def names(foreign: Iterable[str], shown: int = 5) -> str:
    """`a`, `b` and 3 more."""
    every = list(foreign)
    rest = f" and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(code(cut(name, 80)) for name in every[:shown]) + rest


def items(texts: Iterable[str], shown: int = 8, mark: str = "item") -> list[Line]:
    """A line for each text, and one that counts those left out."""
    every = list(texts)
    lines = [Line(text, mark) for text in every[:shown]]
    return lines + ([Line(f"and {len(every) - shown} more")] if len(every) > shown else [])


def listed(texts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(text: str) -> str:
    """For plain_text objects, where only emoji are interpreted."""
    return _EMOJI.sub(_NO_EMOJI, text.replace("`", ""))


def mrkdwn(text: str) -> str:
    """`text` for Slack: backticked names as code, nothing else formatted."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a cut went through a name
        pieces[-2:] = [f"{pieces[-2]}{pieces[-1]}"]
    return "".join(_as_code(piece) if index % 2 else _as_prose(piece) for index, piece in enumerate(pieces))


def _as_code(piece: str) -> str:
    return f"`{escape(piece)}`" if piece.strip() else piece


def _as_prose(piece: str) -> str:
    unformatted = _FORMATTING.sub(lambda found: _LOOKALIKE[found[0]], piece)
    return escape(_EMOJI.sub(_NO_EMOJI, unformatted))


def escape(piece: str) -> str:
    """The three characters that Slack interprets wherever they stand."""
    return piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_part(part: Part) -> str:
    """The part as mrkdwn of at most `part.limit` characters; lines that do not fit are counted."""
    text = f"*{part.title}*" if part.title else ""
    for index, line in enumerate(part.lines):
        left = len(part.lines) - index
        rest = f"\nand {left} more"
        label = f"*{line.label}*  " if line.label else ""
        more = f"\n{_fitting(line.more)}" if line.more else ""
        written = f"{text and chr(10)}{_marked(MARKS[line.mark][0], label + _fitting(line.text))}{more}"
        if len(text) + len(written) + (len(rest) if left > 1 else 0) > part.limit:
            return text + rest
        text += written
    return text


def _fitting(text: str) -> str:
    """As much of a line as leaves room for the others: escaping can make five characters of one."""
    size = LONGEST_LINE
    while len(written := mrkdwn(cut(text, size))) > _LONGEST_WRITTEN:
        size //= 2
    return written


def _marked(mark: str, text: str) -> str:
    return f"{mark} {text}" if mark else text


def plain_part(part: Part) -> str:
    """The part for terminals and e-mail: nothing left out, nothing escaped."""
    indent = "  " if part.title else ""
    lines = (f"{indent}{_marked(MARKS[line.mark][1], _unmarked(line))}" for line in part.lines)
    return "\n".join([*([part.title] if part.title else []), *lines])


def _unmarked(line: Line) -> str:
    text = f"{line.text} {line.more}".strip().replace("`", "")
    return f"{line.label}: {text}" if line.label else text
