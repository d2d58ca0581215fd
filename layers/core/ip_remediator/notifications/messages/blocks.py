"""Block Kit, as far as the message needs it. Limits: https://docs.slack.dev/reference/block-kit/blocks"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from ip_remediator.notifications.messages.text import cut, literal

Block = dict[str, Any]

MAX_HEADER = 150
MAX_FIELDS = 10
MAX_CONFIRM_TEXT = 300


def header(emoji: str, text: str) -> Block:
    # One character is kept for each emoji shortcode's rendering; the shortcode itself is counted by Slack.
    return {"type": "header", "text": _plain(f"{emoji} {cut(literal(text), MAX_HEADER - len(emoji) - 1)}", emoji=True)}


def section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def fields(texts: Sequence[str]) -> Block:
    return {"type": "section", "fields": [_mrkdwn(text) for text in texts[:MAX_FIELDS]]}


def context(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def actions(block_id: str, *buttons: Block) -> Block:
    return {"type": "actions", "block_id": block_id, "elements": list(buttons)}


def button(
    action_id: str,
    label: str,
    value: dict[str, str],
    confirm: Block | None = None,
    style: Literal["primary", "danger"] | None = None,
) -> Block:
    """As prominent as its confirmation, unless `style` says otherwise."""
    block: Block = {"type": "button", "action_id": action_id, "text": _plain(label), "value": json.dumps(value)}
    if confirm:
        block |= {"confirm": confirm, "style": style or confirm["style"]}
    return block


def confirm(title: str, text: str, yes: str, *, style: Literal["primary", "danger"]) -> Block:
    return {
        "title": _plain(title),
        "text": _plain(cut(literal(text), MAX_CONFIRM_TEXT)),
        "confirm": _plain(yes),
        "deny": _plain("Cancel"),
        "style": style,
    }


def modal(title: str, blocks: Sequence[Block]) -> Block:
    """A view to read; `title` has at most 24 characters."""
    return {"type": "modal", "title": _plain(title), "close": _plain("Close"), "blocks": list(blocks)}


def _plain(text: str, *, emoji: bool = False) -> Block:
    return {"type": "plain_text", "text": text, "emoji": emoji}


def _mrkdwn(text: str) -> Block:
    # verbatim: URLs, channels and users named by a cluster do not become links or mentions
    return {"type": "mrkdwn", "text": text, "verbatim": True}
