"""Block Kit, as far as the message needs it. Limits: https://docs.slack.dev/reference/block-kit/blocks"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from ip_remediator.notifications.messages.text import cut, literal

Block = dict[str, Any]
Style = Literal["primary", "danger"]

MAX_HEADER = 150
MAX_FIELDS = 10
MAX_BUTTON = 75
MAX_CONFIRM_TITLE = 100
MAX_CONFIRM_TEXT = 300
MAX_CONFIRM_BUTTON = 30


def header(emoji: str, text: str) -> Block:
    """A header block: the emoji and the text, cut to Slack's limit."""
    # One character is kept for each emoji shortcode's rendering; the shortcode itself is counted by Slack.
    return {"type": "header", "text": _plain(f"{emoji} {cut(literal(text), MAX_HEADER - len(emoji) - 1)}", emoji=True)}


def section(text: str) -> Block:
    """A section block with one text in Slack's markup."""
    return {"type": "section", "text": _mrkdwn(text)}


def fields(texts: Sequence[str]) -> Block:
    """A section block with short texts in two columns; more than Slack takes are left out."""
    return {"type": "section", "fields": [_mrkdwn(text) for text in texts[:MAX_FIELDS]]}


def context(text: str) -> Block:
    """A context block: one small, grey text."""
    return {"type": "context", "elements": [_mrkdwn(text)]}


def actions(block_id: str, *buttons: Block) -> Block:
    """A block of buttons."""
    return {"type": "actions", "block_id": block_id, "elements": list(buttons)}


def button(
    action_id: str,
    label: str,
    value: dict[str, str],
    confirm: Block | None = None,
    style: Style | None = None,
) -> Block:
    """Without a `style` it is neutral. `confirm`: what it asks before it counts as pressed."""
    text = _plain(cut(literal(label), MAX_BUTTON))
    block: Block = {"type": "button", "action_id": action_id, "text": text, "value": json.dumps(value)}
    return block | ({"confirm": confirm} if confirm else {}) | ({"style": style} if style else {})


def confirm(title: str, text: str, yes: str, *, style: Style) -> Block:
    """The dialog of a button; `style` colours its `yes`."""
    return {
        "title": _plain(cut(literal(title), MAX_CONFIRM_TITLE)),
        "text": _plain(cut(literal(text), MAX_CONFIRM_TEXT)),
        "confirm": _plain(cut(literal(yes), MAX_CONFIRM_BUTTON)),
        "deny": _plain("Cancel"),
        "style": style,
    }


def divider() -> Block:
    """A divider block."""
    return {"type": "divider"}


def modal(title: str, blocks: Sequence[Block]) -> Block:
    """A view to read; `title` has at most 24 characters."""
    return {"type": "modal", "title": _plain(title), "close": _plain("Close"), "blocks": list(blocks)}


def _plain(text: str, *, emoji: bool = False) -> Block:
    return {"type": "plain_text", "text": text, "emoji": emoji}


def _mrkdwn(text: str) -> Block:
    # verbatim: URLs, channels and users named by a cluster do not become links or mentions
    return {"type": "mrkdwn", "text": text, "verbatim": True}
