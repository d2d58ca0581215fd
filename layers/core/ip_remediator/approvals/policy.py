"""Who decides, and when: the stack's parameters and the cluster's tags -> `Policy`; policy and plan -> decision.

Tags of the EKS cluster, each instead of the stack's parameter (AWS allows no comma in the value of a tag):

    eks-ip-remediator:mode            observe | approve | auto
    eks-ip-remediator:auto-max-risk   low | medium | high
    eks-ip-remediator:change-window   Mon-Fri 08:00-18:00 Europe/Berlin | always
    eks-ip-remediator:accept-risks    ids of risks that mode auto may take, whatever their severity, between spaces
    eks-ip-remediator:slack-channel   the channel's name or id
    eks-ip-remediator:slack-mention   id of a user (U0...) or a user group (S0...) | here | none
    eks-ip-remediator:strategy        custom-networking | subnet-discovery | node-group | auto
    eks-ip-remediator:kill-switch     on | off

An invalid value never allows more without asking: the safer setting is used, and the incident's message says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import cast

from ip_remediator.approvals.change_window import ChangeWindow
from ip_remediator.common.enums import Mode
from ip_remediator.common.tag_names import (
    ACCEPT_RISKS,
    AUTO_MAX_RISK,
    CHANGE_WINDOW,
    KILL_SWITCH,
    MODE,
    PREFIX,
    SLACK_CHANNEL,
    SLACK_MENTION,
    STRATEGY,
)
from ip_remediator.incidents.record import AskReason, Policy
from ip_remediator.planning.model import REQUESTED_STRATEGIES, RequestedStrategy
from ip_remediator.risks.catalogue import entry
from ip_remediator.risks.model import DOCS, Risk, Severity

ALWAYS = "always"
# In place of a window that cannot be read.
NEVER = "never"
_SAFER_FIRST = (Mode.OBSERVE, Mode.APPROVE, Mode.AUTO)
_CHANNEL = re.compile(r"#?[\w-]{1,80}")
_MENTION = re.compile(r"none|here|[UWS][A-Z0-9]{1,20}")


class NextAction(StrEnum):
    """What to do with a plan: only show it, ask people, or carry it out."""

    OBSERVE = "observe"
    ASK = "ask"
    GO = "go"


@dataclass(frozen=True)
class Decision:
    """`why` is for people. `reason`: why people are asked, where they are."""

    action: NextAction
    why: str
    reason: AskReason | None = None


@dataclass(frozen=True)
class Allowance:
    """How many plans of a VPC may go ahead without asking on one day, and how many did today."""

    per_day: int
    used: int


def in_force(defaults: Policy, tags: Mapping[str, str], requested_mode: Mode | None = None) -> Policy:
    """The policy of a cluster with `tags`. `wanted`: the mode that a run by hand asks for goes before the tag."""
    readers = (_mode, _max_risk, _change_window, _accepted_risks, _slack_channel, _slack_mention, _strategy)
    policy = defaults.model_copy(update={"kill_switch": defaults.kill_switch or switched_on(tags)})
    for read in readers:
        policy = read(policy, tags)
    known_tags = {MODE, AUTO_MAX_RISK, CHANGE_WINDOW, ACCEPT_RISKS, SLACK_CHANNEL, SLACK_MENTION, STRATEGY, KILL_SWITCH}
    unknown_tags = sorted(name for name in tags if name.startswith(PREFIX) and name not in known_tags)
    for name in unknown_tags:
        policy = _noted(policy, f"the cluster's tag {name} means nothing here: is it misspelt?")
    return policy.model_copy(update={"mode": requested_mode}) if requested_mode else policy


def switched_on(tags: Mapping[str, str]) -> bool:
    """Whether the tags stop every write: any value but "off" does."""
    return tags.get(KILL_SWITCH, "off").strip().lower() != "off"


def decide(
    policy: Policy, risks: Iterable[Risk], allowance: Allowance, now: datetime, rolled_back: str | None = None
) -> Decision:
    """What to do with a plan that has these `risks`, and the first reason that keeps it from going ahead.

    `rolled_back`: the incident that people rolled back before signals opened this one.
    """
    if policy.kill_switch:
        return Decision(NextAction.OBSERVE, "the kill switch is on: nothing is changed")
    if policy.mode is Mode.OBSERVE:
        return Decision(NextAction.OBSERVE, "mode observe: nothing is changed")
    if policy.mode is Mode.APPROVE:
        return Decision(NextAction.ASK, "mode approve: needs approval", AskReason.MODE)
    limit = Severity.parse(policy.auto_max_risk)
    too_high = [risk for risk in risks if risk.severity > limit and risk.id not in policy.accepted_risks]
    obstacles = {
        AskReason.AFTER_ROLLBACK: f"incident {rolled_back} was rolled back before" if rolled_back else "",
        AskReason.RISK: _risk_obstacle(too_high),
        AskReason.CHANGE_WINDOW: _window_obstacle(policy.change_window, now),
        AskReason.DAILY_LIMIT: _number_obstacle(allowance),
    }
    for reason, obstacle in obstacles.items():
        if obstacle:
            return Decision(NextAction.ASK, f"mode auto, but {obstacle}: needs approval", reason)
    return Decision(NextAction.GO, f"mode auto: no risk exceeds {policy.auto_max_risk}")


def _risk_obstacle(too_high: list[Risk]) -> str:
    if not too_high:
        return ""
    worst = max(too_high, key=lambda risk: risk.severity)
    more = f" (and {len(too_high) - 1} more)" if len(too_high) > 1 else ""
    return f"the risk {worst.id} is {worst.severity.name.lower()}{more}"


def _window_obstacle(window: str, now: datetime) -> str:
    if window in ("", ALWAYS):
        return ""
    if window == NEVER:
        return "the change window cannot be read"
    return "" if ChangeWindow.parse(window).is_open(now) else f"the change window {window} is closed"


def _number_obstacle(allowance: Allowance) -> str:
    if allowance.used < allowance.per_day:
        return ""
    return f"{allowance.used} of {allowance.per_day} plans of this VPC went ahead without asking today"


def _noted(policy: Policy, note: str, **update: object) -> Policy:
    return policy.model_copy(update={**update, "notes": (*policy.notes, note)})


def _mode(policy: Policy, tags: Mapping[str, str]) -> Policy:
    if MODE not in tags:
        return policy
    value = tags[MODE].strip().lower()
    if value in [mode.value for mode in Mode]:
        return policy.model_copy(update={"mode": Mode(value)})
    safer = min(policy.mode, Mode.APPROVE, key=_SAFER_FIRST.index)
    note = f"the cluster's tag {MODE} is {tags[MODE]!r}: use observe, approve or auto; {safer} is taken"
    return _noted(policy, note, mode=safer)


def _max_risk(policy: Policy, tags: Mapping[str, str]) -> Policy:
    if AUTO_MAX_RISK not in tags:
        return policy
    value = tags[AUTO_MAX_RISK].strip().lower()
    if value.upper() in Severity.__members__:
        return policy.model_copy(update={"auto_max_risk": value})
    note = f"the cluster's tag {AUTO_MAX_RISK} is {tags[AUTO_MAX_RISK]!r}: use low, medium or high; low is taken"
    return _noted(policy, note, auto_max_risk="low")


def _change_window(policy: Policy, tags: Mapping[str, str]) -> Policy:
    value = tags.get(CHANGE_WINDOW, policy.change_window).strip()
    if value in ("", ALWAYS):
        return policy.model_copy(update={"change_window": ""})
    try:
        ChangeWindow.parse(value)
    except ValueError as error:
        source = f"the cluster's tag {CHANGE_WINDOW}" if CHANGE_WINDOW in tags else "the parameter ChangeWindow"
        return _noted(policy, f"{source}: {error}; until then people are asked", change_window=NEVER)
    return policy.model_copy(update={"change_window": value})


def _accepted_risks(policy: Policy, tags: Mapping[str, str]) -> Policy:
    risk_ids = tags.get(ACCEPT_RISKS, "").split()
    policy = policy.model_copy(update={"accepted_risks": tuple(risk_id for risk_id in risk_ids if entry(risk_id))})
    unknown_ids = [risk_id for risk_id in risk_ids if not entry(risk_id)]
    if not unknown_ids:
        return policy
    return _noted(
        policy,
        f"the cluster's tag {ACCEPT_RISKS} has {unknown_ids[0]!r}, which is no id of a risk in {DOCS}: it is ignored",
    )


def _strategy(policy: Policy, tags: Mapping[str, str]) -> Policy:
    if STRATEGY not in tags:
        return policy
    value = tags[STRATEGY].strip().lower()
    if value in REQUESTED_STRATEGIES:
        return policy.model_copy(update={"strategy": cast("RequestedStrategy", value)})
    choices = ", ".join(REQUESTED_STRATEGIES)
    return _noted(policy, f"the cluster's tag {STRATEGY} is {value!r}: use one of {choices}; the stack's is used")


def _slack_channel(policy: Policy, tags: Mapping[str, str]) -> Policy:
    if SLACK_CHANNEL not in tags:
        return policy
    value = tags[SLACK_CHANNEL].strip()
    if _CHANNEL.fullmatch(value):
        return policy.model_copy(update={"slack_channel": value})
    note = f"the cluster's tag {SLACK_CHANNEL} is {value!r}, no channel's name or id: the stack's channel is used"
    return _noted(policy, note)


def _slack_mention(policy: Policy, tags: Mapping[str, str]) -> Policy:
    if SLACK_MENTION not in tags:
        return policy
    value = tags[SLACK_MENTION].strip()
    if _MENTION.fullmatch(value):
        return policy.model_copy(update={"slack_mention": value})
    note = f"the cluster's tag {SLACK_MENTION} is {value!r}: use the id of a user or user group, here or none"
    return _noted(policy, f"{note}; the stack's is used")
