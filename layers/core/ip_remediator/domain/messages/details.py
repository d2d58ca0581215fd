"""Everything about a plan, for the thread under the message: every change, manifest, risk and option."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ip_remediator.domain.incidents import Incident
from ip_remediator.domain.messages import blocks as kit
from ip_remediator.domain.messages import planned
from ip_remediator.domain.messages.cause import evidence
from ip_remediator.domain.messages.text import Line, Part, code, cut, escape, items, slack_part, words
from ip_remediator.domain.planning import Change, Plan
from ip_remediator.domain.plural import counted

# Slack takes 3,000 characters in a section (escaping can make five of one), 50 blocks and about 13,000 characters in
# all blocks of a message.
_MAX_MANIFEST = 550
_MAX_ALL = 11_000
_MAX_BLOCKS = 40
_PART_LIMIT = 2500


def details_text(plan: Plan) -> str:
    """For notifications and for clients without Block Kit."""
    return f"Details of plan {escape(words(plan.hash[:12]))}: {counted(len(plan.changes), 'change')}"


def details_blocks(incident: Incident, plan: Plan) -> list[kit.Block]:
    """As many whole paragraphs as fit; what does not is counted."""
    texts = [slack_part(part) for part in _parts(incident, plan) if part.lines]
    texts += [_manifest(change) for change in plan.changes if change.manifest]
    blocks: list[kit.Block] = []
    left = _MAX_ALL
    for text in texts[:_MAX_BLOCKS]:
        left -= len(text)
        if left >= 0:
            blocks.append(kit.section(text))
    if len(blocks) < len(texts):
        blocks.append(kit.context(f"{len(texts) - len(blocks)} more do not fit here: ip-remediator status has them"))
    return blocks


def _parts(incident: Incident, plan: Plan) -> Iterator[Part]:
    changes = (f"{number}. {words(change.description)}" for number, change in enumerate(plan.changes, 1))
    yield Part("Changes", items(changes, shown=15, mark="none"), limit=_PART_LIMIT)
    yield planned.risks(plan)
    yield evidence(incident)
    options = (f"{_word(option.taken)} {code(option.option)}: {words(option.reason)}" for option in plan.options)
    yield Part("Options", items(options))
    nodes = incident.diagnosis.nodes if incident.diagnosis else ()
    yield Part("Nodes", items((f"{code(node.name)}: {words(node.reason)}" for node in nodes), shown=6))
    yield Part("Instead of this plan", [Line(words(other)) for other in plan.alternatives[:6]])


def _word(taken: object) -> str:
    return "taken:" if taken else "passed over:"


def _manifest(change: Change) -> str:
    """JSON, which kubectl and the add-on's configurationValues take as it is."""
    document = json.dumps(change.manifest, indent=2, ensure_ascii=False).replace("`", "'")
    title = f"*Manifest of {escape(words(change.action))}* {_shown(change.target)}"
    return f"{title}\n```{escape(cut(document, _MAX_MANIFEST))}```"


def _shown(target: str) -> str:
    return f"`{escape(cut(words(target), 80))}`" if words(target) else ""
