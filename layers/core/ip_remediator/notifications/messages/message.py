"""The one message of an incident, as a function of its record.

`render` gives Slack's Block Kit with a text for notifications and screen readers, `plain` the same for e-mail and
terminals. Both handle any record: what does not fit is cut and counted, and text from clusters is escaped.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages import blocks as kit
from ip_remediator.notifications.messages.buttons import buttons
from ip_remediator.notifications.messages.calls import Call
from ip_remediator.notifications.messages.commands import commands
from ip_remediator.notifications.messages.details import Settings, details_blocks, details_groups, details_text, modal
from ip_remediator.notifications.messages.headline import headline
from ip_remediator.notifications.messages.links import Site, console_links
from ip_remediator.notifications.messages.parts import decision_fields, in_full, parts, question_parts
from ip_remediator.notifications.messages.question import deadline, lasted
from ip_remediator.notifications.messages.state import asked, cluster_name
from ip_remediator.notifications.messages.text import (
    code,
    cut,
    moment,
    mrkdwn,
    plain_part,
    slack_part,
    without_references,
    words,
)

__all__ = ["Message", "details", "details_view", "digest", "plain", "render", "reply", "subject"]

# Slack recommends 4,000 characters and cuts at 40,000 (chat.postMessage).
_MAX_TEXT = 3900
# Amazon SNS: fewer than 100 ASCII characters, no line break.
_MAX_SUBJECT = 99
NO_SITE = Site()


@dataclass(frozen=True)
class Message:
    """`text` is what notifications, screen readers and clients without Block Kit show."""

    text: str
    blocks: list[dict[str, Any]]


def render(incident: Incident, site: Site = NO_SITE) -> Message:
    """The message for Slack. It holds no task token, no credentials and no pod specs."""
    state = headline(incident)
    title = _title(incident)
    quick = [slack_part(part) for part in decision_fields(incident)]
    asked_about = [slack_part(part) for part in question_parts(incident)]
    paragraphs = [slack_part(part) for part in parts(incident, site)]
    shown = [kit.section(part) for part in paragraphs]
    pressed = buttons(incident) if site.clickable else commands(incident)
    return Message(
        text=_joined(
            f"{state.emoji} {mrkdwn(title)}", [*quick, *asked_about, *paragraphs], mrkdwn(_footer(incident, site))
        ),
        blocks=[
            kit.header(state.emoji, title),
            kit.context(mrkdwn(_setting(incident))),
            *([kit.fields(quick)] if quick else map(kit.section, asked_about)),
            # The headline and the buttons must be visible at once, also on a phone; everything else comes below.
            *((*pressed, *shown) if quick or asked_about else (*shown, *pressed)),
            kit.context(mrkdwn(_footer(incident, site))),
        ],
    )


def details(incident: Incident, site: Site = NO_SITE, before: Settings = None) -> Message | None:
    """Everything about the plan as far as it fits into a message; None while there is no plan. `before`:
    aws-node's variables as they were read, None where they were not."""
    if incident.plan is None:
        return None
    return Message(
        text=details_text(incident, incident.plan), blocks=details_blocks(incident, incident.plan, site, before)
    )


def details_view(incident: Incident, site: Site = NO_SITE, before: Settings = None) -> dict[str, Any]:
    """Everything about the plan, with every change and manifest, as a modal view."""
    if incident.plan is None:
        return modal([[mrkdwn(f"{cluster_name(incident)}: there is no plan yet.")]])
    return modal(details_groups(incident, incident.plan, site, before))


def reply(call: Call) -> Message:
    """For the thread."""
    return Message(text=call.mrkdwn, blocks=[kit.section(call.mrkdwn)])


def plain(incident: Incident, site: Site = NO_SITE) -> str:
    """The same for e-mail and terminals, with the whole plan where there is no button to see it."""
    first = [*decision_fields(incident), *question_parts(incident)]
    shown_parts = [*first, *in_full(incident, site), *parts(incident, site)]
    head = f"{_title(incident)}\n{_setting(incident)}"
    texts = [without_references(head), *map(plain_part, shown_parts), without_references(_footer(incident, site))]
    return "\n\n".join(text.replace("`", "") for text in texts)


def subject(incident: Incident) -> str:
    """The headline as the subject of an e-mail."""
    return cut(_title(incident).encode("ascii", "replace").decode(), _MAX_SUBJECT).replace("…", ".")


def digest(message: Message) -> str:
    """Equal for messages that look the same."""
    shown = json.dumps([message.text, message.blocks], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()[:32]


def _title(incident: Incident) -> str:
    return f"{cluster_name(incident)}: {headline(incident).words}"


def _setting(incident: Incident) -> str:
    """Where and when, for the small print under the headline."""
    question = asked(incident)
    if question:
        region, silence = words(cut(incident.region, 30)), "without an answer nothing changes"
        return f"{region} · {deadline(question)} · {silence}{_plan(incident)}"
    opened = f"opened {moment(incident.opened_at)}"
    if incident.closed_at:
        opened += f", closed after {lasted((incident.closed_at - incident.opened_at).total_seconds())}"
    mode = incident.policy.mode if incident.policy else incident.mode
    return f"{words(cut(incident.region, 30))} · mode {mode} · {opened}{_plan(incident)}"


def _plan(incident: Incident) -> str:
    return f" · plan {code(incident.plan.hash[:12])}" if incident.plan and incident.plan.hash else ""


def _footer(incident: Incident, site: Site) -> str:
    """The command that shows everything, and where to look further."""
    command = code(f"ip-remediator status {cut(incident.id, 80)}")
    pages = [site.page("operations.md", "Run book")] if site.linked else []
    return " · ".join([command, *console_links(incident), *pages])


def _joined(head: str, paragraphs: list[str], footer: str) -> str:
    """Whole parts only, so that no name and no escape is cut."""
    text, end = head, f"\n\n{footer}"
    for part in paragraphs:
        if len(text) + len(part) + len(end) + 2 <= _MAX_TEXT:
            text += f"\n\n{part}"
    return text + end
