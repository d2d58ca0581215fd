"""Everything about a plan: every change, manifest, risk and option. All of it in a modal, as much as fits in a message.

Slack takes 3,000 characters in a section; 50 blocks and about 13,000 characters in a message; 100 blocks and 250 KB in
a modal, whose title has at most 24 characters (https://docs.slack.dev/reference/views/modal-views). Escaping can make
five characters of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ip_remediator.common.text import counted
from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages import blocks as kit
from ip_remediator.notifications.messages import planned
from ip_remediator.notifications.messages.cause import evidence
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.state import cluster_name
from ip_remediator.notifications.messages.text import Line, Part, code, cut, escape, items, mrkdwn, slack_part, words
from ip_remediator.notifications.messages.yaml_text import as_yaml
from ip_remediator.planning.model import Change, Plan, handover_of

# Variables by name; None where they were not read.
Settings = Mapping[str, str] | None

_MAX_SECTION = 2900
_MAX_VIEW_BLOCKS = 98
_MAX_VIEW_BYTES = 200_000
_MAX_RAW_LINE = 500
_MAX_MANIFEST = 550
_MAX_COMMAND = 2700
_MAX_ALL = 11_000
_MAX_BLOCKS = 40
_PART_LIMIT = 2500
_SHOWN_IN_VIEW = 50
_MANIFESTS = {
    "apply_eniconfig": "ENIConfig",
    "configure_cni": "Variables to set on",
}


def details_text(incident: Incident, plan: Plan) -> str:
    """For notifications and for clients without Block Kit; and the first line of the modal, which has no other place
    for the cluster's name: its title takes 24 characters."""
    number = counted(len(plan.changes), "change")
    return mrkdwn(f"{cluster_name(incident)}: {number} of plan {words(plan.hash[:12])}")


def details_blocks(incident: Incident, plan: Plan, site: Site, before: Settings = None) -> list[kit.Block]:
    """As many whole paragraphs as fit; the others are counted."""
    texts = [slack_part(part) for part in _parts(incident, plan, site, before) if part.lines]
    texts += _handed_over(incident, plan)
    texts += [_manifest(change) for change in plan.changes if change.manifest]
    blocks: list[kit.Block] = []
    room = _MAX_ALL
    for text in texts[:_MAX_BLOCKS]:
        room -= len(text)
        if room >= 0:
            blocks.append(kit.section(text))
    if len(blocks) < len(texts):
        blocks.append(kit.context(f"{len(texts) - len(blocks)} more do not fit here: ip-remediator status has them"))
    return blocks


def details_groups(incident: Incident, plan: Plan, site: Site, before: Settings = None) -> list[list[str]]:
    """Every change first, then what speaks for and against the plan, what people run, and every manifest in full:
    paragraphs in groups, between which the modal draws a line. `before`: see `_settings`."""
    changes = Part(details_text(incident, plan), [Line(change, "none") for change in _changes(plan)])
    parts = [changes, _settings(plan, before), *_reasons(incident, plan, site, shown=_SHOWN_IN_VIEW)]
    groups = [list(_filled(_unabridged(part))) for part in parts if part.lines]
    manifests = (text for change in plan.changes if change.manifest for text in _whole_manifest(change))
    commands = [list(_filled(_handed_over(incident, plan))), list(_filled(manifests))]
    return [group for group in groups + commands if group]


def _settings(plan: Plan, before: Settings) -> Part:
    """aws-node's variables as they are and will be. `before`: what was read when the incident was diagnosed, None where
    that is not known."""
    lines = []
    for change in plan.changes:
        environment = (change.manifest or {}).get("env")
        if change.action == "configure_cni" and isinstance(environment, dict):
            lines += [_variable(str(name), str(value), before) for name, value in environment.items()]
    return Part("Variables of aws-node, before → after", lines)


def _variable(name: str, value: str, before: Settings) -> Line:
    before_text = "not read" if before is None else code(before[name]) if name in before else "not set"
    return Line(f"{code(name)}: {before_text} → {code(value)}")


def modal(groups: Sequence[Sequence[str]]) -> kit.Block:
    """A modal view with as many paragraphs as Slack takes; what does not fit is counted."""
    blocks: list[kit.Block] = []
    paragraphs = [
        (text, at == 0 and number > 0) for number, group in enumerate(groups) for at, text in enumerate(group)
    ]
    shown, room = 0, _MAX_VIEW_BYTES
    for text, begins in paragraphs:
        added = [*([kit.divider()] if begins else []), kit.section(text)]
        room -= len(json.dumps(added))
        if room < 0 or len(blocks) + len(added) > _MAX_VIEW_BLOCKS:
            break
        blocks += added
        shown += 1
    if shown < len(paragraphs):
        more = counted(len(paragraphs) - shown, "more paragraph does", "more paragraphs do")
        blocks.append(kit.context(f"{more} not fit here: ip-remediator status has them"))
    return kit.modal("Details of the plan", blocks)


def _unabridged(part: Part) -> Iterator[str]:
    """Title and lines one by one, so that none has to be left out."""
    yield f"*{part.title}*"
    for line in part.lines:
        yield slack_part(Part("", [line], limit=_PART_LIMIT))


def _filled(texts: Iterable[str]) -> Iterator[str]:
    """The texts, joined to as few sections as take them."""
    section = ""
    for text in texts:
        if section and len(section) + 1 + len(text) > _MAX_SECTION:
            yield section
            section = ""
        section += f"\n{text}" if section else text
    if section:
        yield section


def _parts(incident: Incident, plan: Plan, site: Site, before: Settings) -> Iterator[Part]:
    yield Part(details_text(incident, plan), items(_changes(plan), shown=15, mark="none"), limit=_PART_LIMIT)
    yield _settings(plan, before)
    yield from _reasons(incident, plan, site)


def _changes(plan: Plan) -> Iterator[str]:
    return (f"{number}. {words(change.description)}" for number, change in enumerate(plan.changes, 1))


def _reasons(incident: Incident, plan: Plan, site: Site, shown: int = 6) -> Iterator[Part]:
    yield planned.risks(plan, site, shown)
    yield evidence(incident)
    chosen = [f"strategy {code(plan.strategy)}: {words(plan.strategy_reason)}"] if plan.strategy_reason else []
    options = [
        f"{option.standing}: {code(option.option)}, {words(option.reason)}"
        for option in plan.options
        if option.advice is not False
    ]
    yield Part("Options", items(chosen + options, max(shown, 10)))
    nodes = incident.diagnosis.nodes if incident.diagnosis and not _for_others(plan) else ()
    yield Part("Nodes", items((f"{code(node.name)}: {words(node.reason)}" for node in nodes), shown))
    yield Part("Instead of this plan", [Line(words(other)) for other in plan.alternatives[:6]])


def _for_others(plan: Plan) -> bool:
    """Its subnets are for new nodes or for the cluster itself: the nodes that there are get nothing from them."""
    return plan.strategy in ("node-group", "cluster-subnets")


def _handed_over(incident: Incident, plan: Plan) -> Iterator[str]:
    """What people run after the plan, each in a code block that can be copied."""
    for number, text in enumerate(handover_of(plan, incident.subnets), 1):
        title = f"*To run by hand afterwards, {number} of {len(plan.handover)}*"
        yield f"{title}\n```{_escaped(text.replace('`', chr(39)), _MAX_COMMAND)}```"


def _escaped(text: str, limit: int) -> str:
    """As much of the text as fits when it is escaped."""
    while len(written := escape(text)) > limit:
        text = cut(text, len(text) // 2)
    return written


def _manifest(change: Change) -> str:
    return f"{_title(change)}\n```{escape(cut(_document(change), _MAX_MANIFEST))}```"


def _whole_manifest(change: Change) -> Iterator[str]:
    """In as many code blocks as it takes."""
    document = _document(change).splitlines()
    lines = [line[at : at + _MAX_RAW_LINE] for line in document for at in range(0, len(line), _MAX_RAW_LINE)]
    title = _title(change)
    code_block = ""
    for line in map(escape, lines):
        if code_block and len(title) + len(code_block) + len(line) + 10 > _MAX_SECTION:
            yield f"{title}\n```{code_block}```"
            title, code_block = "", ""
        code_block += f"\n{line}" if code_block else line
    yield f"{title}\n```{code_block}```".strip()


def _document(change: Change) -> str:
    """YAML, which kubectl and the add-on's configurationValues take as it is."""
    return as_yaml(change.manifest).replace("`", "'")


def _title(change: Change) -> str:
    title = _MANIFESTS.get(change.action, f"Manifest of {words(change.action)}")
    return f"*{escape(title)}* {_shown(change.target)}"


def _shown(target: str) -> str:
    return f"`{escape(cut(words(target), 80))}`" if words(target) else ""
