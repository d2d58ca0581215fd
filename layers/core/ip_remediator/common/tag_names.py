"""Every tag of ours: what people set, and what we set. docs/tags.md is made of `CATALOGUE`."""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "eks-ip-remediator:"

MODE = f"{PREFIX}mode"
AUTO_MAX_RISK = f"{PREFIX}auto-max-risk"
CHANGE_WINDOW = f"{PREFIX}change-window"
ACCEPT_RISKS = f"{PREFIX}accept-risks"
STRATEGY = f"{PREFIX}strategy"
SLACK_CHANNEL = f"{PREFIX}slack-channel"
SLACK_MENTION = f"{PREFIX}slack-mention"
KILL_SWITCH = f"{PREFIX}kill-switch"
SWEEP = f"{PREFIX}sweep"
POD_SUBNET = f"{PREFIX}pod-subnet"
STACK = f"{PREFIX}stack"
INCIDENT = f"{PREFIX}incident"
CLUSTER = f"{PREFIX}cluster"

PEOPLE, US = "people", "eks-ip-remediator"


class Tag(NamedTuple):
    """`values` and `does` are Markdown. `parameter`: the one of the stack that a cluster's tag overrides."""

    name: str
    on: str
    set_by: str
    values: str
    does: str
    parameter: str = ""


_EKS = "EKS cluster"
CATALOGUE = (
    Tag(MODE, _EKS, PEOPLE, "`observe`, `approve`, `auto`", "who decides", "DefaultMode"),
    Tag(AUTO_MAX_RISK, _EKS, PEOPLE, "`low`, `medium`, `high`", "the highest risk that `auto` takes", "AutoMaxRisk"),
    Tag(
        CHANGE_WINDOW,
        _EKS,
        PEOPLE,
        "such as `Mon-Fri 08:00-18:00 Europe/Berlin`, or `always`",
        "when `auto` goes ahead without asking",
        "ChangeWindow",
    ),
    Tag(
        ACCEPT_RISKS,
        _EKS,
        PEOPLE,
        "ids of [risks](risks.md), between spaces",
        "what `auto` may take whatever its severity",
    ),
    Tag(
        STRATEGY,
        _EKS,
        PEOPLE,
        "`custom-networking`, `subnet-discovery`, `node-group`, `reclaim-warm`, `auto`",
        "[how pods get the addresses](decisions.md#strategies)",
        "Strategy",
    ),
    Tag(SLACK_CHANNEL, _EKS, PEOPLE, "the channel's name or id", "where its messages go", "SlackChannel"),
    Tag(
        SLACK_MENTION,
        _EKS,
        PEOPLE,
        "id of a user (`U…`) or a user group (`S…`), `here`, `none`",
        "who is mentioned",
        "SlackMention",
    ),
    Tag(KILL_SWITCH, _EKS, PEOPLE, "`on`, `off`", "`on` stops every write for the cluster", "KillSwitchParameter"),
    Tag(SWEEP, _EKS, PEOPLE, "`off`", "the sweep leaves the cluster out"),
    Tag(
        POD_SUBNET,
        "subnet",
        PEOPLE,
        "the cluster's name, or `shared`",
        "offers the subnet for pods: it is used before anything is added",
    ),
    Tag(
        CLUSTER,
        "Auto Scaling group",
        PEOPLE,
        "the cluster's name",
        "allows nodes of a self-managed group to be replaced, and its subnets to be extended when they are full",
    ),
    Tag(STACK, "subnet, prefix reservation, access entry", US, "the stack's name", "what the stack made, and may undo"),
    Tag(INCIDENT, "subnet, prefix reservation", US, "the incident's id", "which incident made it"),
    Tag(CLUSTER, "subnet, prefix reservation", US, "the cluster's name", "for which cluster it was made"),
)
