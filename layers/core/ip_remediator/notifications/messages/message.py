"""The one message of an incident, as a function of its record.

`render` gives Slack's Block Kit with a text for notifications and screen readers, `plain` the same for e-mail and
terminals. Both cope with any record: what does not fit is cut and counted, what comes from clusters is escaped.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages import blocks as kit
from ip_remediator.notifications.messages.buttons import buttons
from ip_remediator.notifications.messages.details import details_blocks, details_paragraphs, details_text, modal
from ip_remediator.notifications.messages.parts import parts
from ip_remediator.notifications.messages.state import asked, headline
from ip_remediator.notifications.messages.text import code, cut, moment, mrkdwn, plain_part, slack_part, words

__all__ = ["Message", "details", "details_view", "digest", "plain", "reminder", "render", "subject"]

# Slack recommends 4,000 characters and cuts at 40,000 (chat.postMessage).
_MAX_TEXT = 3900
# Amazon SNS: fewer than 100 ASCII characters, no line break.
_MAX_SUBJECT = 99
# Durations up to this many seconds are told in seconds, up to this many minutes in minutes.
_TELL_MINUTES = 120


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
            kit.context(mrkdwn(_setting(incident))),
            *(kit.section(part) for part in told),
            *buttons(incident),
            kit.context(mrkdwn(_footer(incident))),
        ],
    )


def details(incident: Incident) -> Message | None:
    """Everything about the plan as far as it fits into a message; None while there is no plan."""
    if incident.plan is None:
        return None
    return Message(text=details_text(incident.plan), blocks=details_blocks(incident, incident.plan))


def details_view(incident: Incident) -> dict[str, Any]:
    """Everything about the plan, with every change and manifest, as a modal view."""
    if incident.plan is None:
        return modal(["There is no plan yet."])
    return modal(details_paragraphs(incident, incident.plan))


def reminder(incident: Incident) -> Message | None:
    """For the thread, when the question about the plan expires soon; None when there is nothing to remind of."""
    question = asked(incident)
    if question is None or question.reminded_at is None:
        return None
    minutes = max(1, round((question.expires_at - question.reminded_at).total_seconds() / 60))
    text = mrkdwn(
        f"{words(incident.cluster)}: the plan still waits for an answer, until {moment(question.expires_at)} "
        f"(about {minutes} min). Silence is a rejection: nothing is changed, and the pods go on waiting."
    )
    return Message(text=f":alarm_clock: {text}", blocks=[kit.section(f":alarm_clock: {text}")])


def plain(incident: Incident) -> str:
    """The same for e-mail and terminals."""
    told = [plain_part(part) for part in parts(incident)]
    head = f"{_title(incident)}\n{_setting(incident)}".replace("`", "")
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


def _setting(incident: Incident) -> str:
    """Where and when, for the small print under the headline."""
    opened = f"opened {moment(incident.opened_at)}"
    if incident.closed_at:
        opened += f", closed after {_lasted(incident.closed_at - incident.opened_at)}"
    mode = incident.policy.mode if incident.policy else incident.mode
    planned = f" · plan {code(incident.plan.hash[:12])}" if incident.plan and incident.plan.hash else ""
    return f"{words(cut(incident.region, 30))} · mode {mode} · {opened}{planned}"


def _lasted(time: timedelta) -> str:
    seconds = max(0, round(time.total_seconds()))
    if seconds < _TELL_MINUTES:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < _TELL_MINUTES else f"{minutes // 60} h {minutes % 60} min"


def _footer(incident: Incident) -> str:
    return code(f"ip-remediator status --incident {cut(incident.id, 80)}")


def _joined(head: str, told: list[str], footer: str) -> str:
    """Whole parts only, so that no name and no escape is cut."""
    text, end = head, f"\n\n{footer}"
    for part in told:
        if len(text) + len(part) + len(end) + 2 <= _MAX_TEXT:
            text += f"\n\n{part}"
    return text + end
