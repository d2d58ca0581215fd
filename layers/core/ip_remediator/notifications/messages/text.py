"""Text for people, written once for Slack and for terminals.

Texts are plain, with `` `names` `` in backticks. What came from a cluster, from AWS or from a person enters through
`words` or `code`; `mrkdwn` then escapes everything outside and inside the backticks, so nothing foreign can format
text, mention people or forge a link. Escaping: https://docs.slack.dev/messaging/formatting-message-text

Our own times, links and people are references (`moment`, `link`, `person`). Slack shows a time in the reader's zone, a
link by its label and a person by name; terminals show the plain text. A reference is framed by characters of Unicode's
private use area, which `words` takes out of everything foreign.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

from ip_remediator.common.actor import Actor

LONGEST_LINE = 400
_LONGEST_WRITTEN = 450
# A formatting character works at the edge of a word only, so AWS_VPC_K8S_CNI_* stays as it is and can be copied.
_FORMATTING = re.compile(r"(?<![^\W_])[*_~]|[*_~](?![^\W_])")
_LOOKALIKE = {"*": "\u2217", "_": "\uff3f", "~": "\u223c"}
_EMOJI = re.compile(r":(?=[a-zA-Z0-9_+'-]+:)")
# Shown as code, where Slack looks for no emoji: `:aws:` is one in many workspaces, and an ARN is there to be copied.
_ARN = re.compile(r"\barn:[a-z0-9-]+:[\w./:+=,@*-]*[\w*]")
_NO_EMOJI = ":\u200b"
_OPEN, _MIDDLE, _CLOSE = "\ue000", "\ue001", "\ue002"
_REFERENCE = re.compile(f"{_OPEN}([^{_OPEN}{_MIDDLE}{_CLOSE}]*){_MIDDLE}([^{_OPEN}{_MIDDLE}{_CLOSE}]*){_CLOSE}")
_CUT_REFERENCE = re.compile(f"{_OPEN}.*|[{_MIDDLE}{_CLOSE}]", re.DOTALL)

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
    "high": (":red_circle: *High:*", "- high:"),
    "medium": (":large_orange_circle: *Medium:*", "- medium:"),
    "low": (":large_blue_circle: *Low:*", "- low:"),
    "note": (":information_source:", "- note:"),
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


def prose(text: str) -> str:
    """A text of our own as one line, with its commands in backticks; unbalanced ones are not ours."""
    if text.count("`") % 2:
        return words(text)
    return cut(_printable(text), LONGEST_LINE)


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


def first_upper(text: str) -> str:
    """As the start of a sentence; `str.capitalize` would make an "ip address" of an IP address."""
    return text[:1].upper() + text[1:]


def listed(texts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def moment(time: datetime) -> str:
    """The date and time, in the reader's zone where Slack shows it and in UTC elsewhere.

    Source: https://docs.slack.dev/messaging/formatting-message-text#date-formatting
    """
    return _reference(f"!date^{int(time.timestamp())}^{{date_short_pretty}} {{time}}", f"{time:%Y-%m-%d %H:%M} UTC")


def clock(time: datetime) -> str:
    """The time of day without the date, for what happens within hours."""
    return _reference(f"!date^{int(time.timestamp())}^{{time}}", f"{time:%H:%M} UTC")


def link(label: str, url: str) -> str:
    """`label` leads to `url`; without a usable URL it is the label alone."""
    safe = quote(url, safe=":/?#[]@!$'()*+,;=%-._~&")
    if urlsplit(safe).scheme not in ("http", "https"):
        return label
    return _reference(safe, label)


def person(by: Actor) -> str:
    """Who acted. For a Slack user, Slack shows the name behind the id."""
    return _reference(f"@{by.slack_user}", words(str(by))) if by.slack_user else words(str(by))


def mention(whom: str) -> str:
    """The mention by which Slack notifies a user, a user group or everybody online; "" for nobody.

    Source: https://docs.slack.dev/messaging/formatting-message-text#mentioning-groups
    """
    if whom == "here":
        return "<!here>"
    if re.fullmatch(r"[UW][A-Z0-9]{2,20}", whom):
        return f"<@{whom}>"
    return f"<!subteam^{whom}>" if re.fullmatch(r"S[A-Z0-9]{2,20}", whom) else ""


def _reference(target: str, label: str) -> str:
    return f"{_OPEN}{target}{_MIDDLE}{label}{_CLOSE}"


def without_references(text: str) -> str:
    """Their labels in their places, for terminals."""
    return _CUT_REFERENCE.sub("", _REFERENCE.sub(lambda reference: reference[2], text))


def cut(text: str, limit: int) -> str:
    """The text with at most `limit` characters; an ellipsis ends a cut one."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(text: str) -> str:
    """For plain_text objects, where only emoji are interpreted."""
    return _EMOJI.sub(_NO_EMOJI, without_references(text).replace("`", ""))


def mrkdwn(text: str) -> str:
    """`text` for Slack: backticked names as code, our references as Slack writes them, nothing else formatted."""
    written, end = "", 0
    for reference in _REFERENCE.finditer(text):
        written += _mrkdwn(text[end : reference.start()]) + _slack_reference(reference[1], reference[2])
        end = reference.end()
    return written + _mrkdwn(_CUT_REFERENCE.sub("", text[end:]))


def _slack_reference(target: str, label: str) -> str:
    if target.startswith("@"):
        return f"<{target}>"
    return f"<{escape(target)}|{escape(label.replace('|', '/').replace('`', ''))}>"


def _mrkdwn(text: str) -> str:
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a cut went through a name
        pieces[-2:] = [f"{pieces[-2]}{pieces[-1]}"]
    return "".join(_as_code(piece) if index % 2 else _as_prose(piece) for index, piece in enumerate(pieces))


def _as_code(piece: str) -> str:
    return f"`{escape(piece)}`" if piece.strip() else piece


def _as_prose(piece: str) -> str:
    written, end = "", 0
    for arn in _ARN.finditer(piece):
        written += _unformatted(piece[end : arn.start()]) + _as_code(arn[0])
        end = arn.end()
    return written + _unformatted(piece[end:])


def _unformatted(piece: str) -> str:
    unformatted = _FORMATTING.sub(lambda match: _LOOKALIKE[match[0]], piece)
    return escape(_EMOJI.sub(_NO_EMOJI, unformatted))


def escape(piece: str) -> str:
    """The three characters that Slack interprets wherever they stand."""
    return piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_part(part: Part) -> str:
    """The part as mrkdwn of at most `part.limit` characters; lines that do not fit are counted."""
    text = f"*{part.title}*" if part.title else ""
    for index, line in enumerate(part.lines):
        unwritten = len(part.lines) - index
        rest = f"\nand {unwritten} more"
        label = f"*{line.label}*  " if line.label else ""
        more = f"\n{_fitting(line.more)}" if line.more else ""
        written = f"{text and chr(10)}{_marked(MARKS[line.mark][0], label + _fitting(line.text))}{more}"
        if len(text) + len(written) + (len(rest) if unwritten > 1 else 0) > part.limit:
            return text + rest
        text += written
    return text


def _fitting(text: str) -> str:
    """As much of a line as leaves room for the others: escaping can make five characters of one."""
    size = LONGEST_LINE
    while len(written := mrkdwn(cut(text, size))) > _LONGEST_WRITTEN and size > 1:
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
    text = without_references(f"{line.text} {line.more}".strip()).replace("`", "")
    return f"{line.label}: {text}" if line.label else text
