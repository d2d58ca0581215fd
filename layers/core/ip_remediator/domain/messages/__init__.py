"""The one message of an incident, as a function of its record.

`render` gives Slack's Block Kit with a text for notifications and screen readers, `plain` the same for e-mail and
terminals. Both cope with any record: what does not fit is cut and counted, what comes from clusters is escaped.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ip_remediator.domain.incidents import Incident
from ip_remediator.domain.messages import blocks as kit
from ip_remediator.domain.messages.buttons import buttons
from ip_remediator.domain.messages.parts import moment, parts
from ip_remediator.domain.messages.state import headline
from ip_remediator.domain.messages.text import code, counted, cut, mrkdwn, names, plain_part, slack_part, words

__all__ = ["Message", "digest", "plain", "render", "subject"]

# Slack recommends 4,000 characters and cuts at 40,000 (chat.postMessage).
_MAX_TEXT = 3900
# Amazon SNS: fewer than 100 ASCII characters, no line break.
_MAX_SUBJECT = 99


@dataclass(frozen=True)
class Message:
    """`text` is what notifications, screen readers and clients without Block Kit show."""

    text: str
    blocks: list[dict[str, Any]]


def render(incident: Incident) -> Message:
    """The message for Slack. It holds no task token, no credentials and no pod specs."""
    state = headline(incident)
    title = _title(incident)
    told = [slack_part(part) for part in parts(incident)]
    return Message(
        text=_joined(f"{state.emoji} {mrkdwn(title)}", told, mrkdwn(_footer(incident))),
        blocks=[
            kit.header(state.emoji, title),
            kit.fields([_field(name, text) for name, text in _facts(incident)]),
            *(kit.section(part) for part in told),
            *buttons(incident),
            kit.context(mrkdwn(_footer(incident))),
        ],
    )


def plain(incident: Incident) -> str:
    """The same for e-mail and terminals."""
    facts = [f"{name}: {text.replace('`', '')}" for name, text in _facts(incident)]
    told = [plain_part(part) for part in parts(incident)]
    head = "\n".join([_title(incident), *facts])
    return "\n\n".join([head, *told, _footer(incident).replace("`", "")])


def subject(incident: Incident) -> str:
    """The headline as the subject of an e-mail."""
    return cut(_title(incident).encode("ascii", "replace").decode(), _MAX_SUBJECT).replace("…", ".")


def digest(message: Message) -> str:
    """Equal for messages that look the same."""
    shown = json.dumps([message.text, message.blocks], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()[:32]


def _title(incident: Incident) -> str:
    return f"{cut(words(incident.cluster), 60)}: {headline(incident).words}"


def _facts(incident: Incident) -> list[tuple[str, str]]:
    facts = [
        ("Cluster", f"{code(cut(incident.cluster, 60))} in {words(cut(incident.region, 30))}"),
        ("Affected", _affected(incident)),
        ("Mode", str(incident.mode)),
        ("Opened", moment(incident.opened_at)),
    ]
    return facts + ([("Closed", moment(incident.closed_at))] if incident.closed_at else [])


def _field(name: str, text: str) -> str:
    return f"*{name}*\n{mrkdwn(text)}"


def _affected(incident: Incident) -> str:
    zones = incident.diagnosis.zones if incident.diagnosis else ()
    number = sum(zone.stuck_pods for zone in zones) or len(incident.signals.pods)
    named = f": {names(incident.signals.pods, shown=2)}" if incident.signals.pods else ""
    return f"{counted(number, 'pod')}{named}" if number else "no pod known yet"


def _footer(incident: Incident) -> str:
    planned = f" · plan {code(incident.plan.hash[:12])}" if incident.plan and incident.plan.hash else ""
    return f"incident {code(cut(incident.id, 80))}{planned}"


def _joined(head: str, told: list[str], footer: str) -> str:
    """Whole parts only, so that no name and no escape is cut."""
    text, end = head, f"\n\n{footer}"
    for part in told:
        if len(text) + len(part) + len(end) + 2 <= _MAX_TEXT:
            text += f"\n\n{part}"
    return text + end
