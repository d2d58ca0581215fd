"""The plan: in full for those who decide, in one line afterwards."""

from __future__ import annotations

from ipaddress import IPv4Network

from ip_remediator.domain.addressing import usable_addresses
from ip_remediator.domain.messages.text import Line, Part, code, items, names, words
from ip_remediator.domain.planning import Change, Plan, PlannedSubnet
from ip_remediator.domain.plural import counted
from ip_remediator.domain.risks import Risk

# Told with block and subnets; every other change is told in its own words.
_TOLD_TOGETHER = ("associate_cidr", "create_subnet", "apply_eniconfig")


def in_full(plan: Plan) -> Part:
    """Every change that will be made, and what it is expected to bring."""
    lines = [
        Line(f"add {code(plan.space)} to {code(plan.vpc_id)} as a further CIDR")
        if plan.source == "new-cidr"
        else Line(f"use {code(plan.space)}, free in a CIDR that {code(plan.vpc_id)} already has")
    ]
    lines += items((_subnet(subnet) for subnet in plan.subnets), shown=6)
    lines.append(Line("route tables and network ACLs are those of the nodes' subnets"))
    others = [change for change in plan.changes if change.action not in _TOLD_TOGETHER]
    lines += items((_change(change) for change in others), shown=4)
    lines.append(Line(words(plan.expectation), "none", label="Expected"))
    return Part("Plan", lines)


def brief(plan: Plan) -> str:
    """The plan as a noun, so that it can be planned, made and removed."""
    made = [
        f"CIDR {code(plan.space)}" if plan.source == "new-cidr" else f"{code(plan.space)} of the VPC's own CIDR",
        counted(len(plan.subnets), "subnet"),
        counted(sum(len(subnet.eni_configs) for subnet in plan.subnets), "ENIConfig"),
    ]
    if any(change.action == "configure_cni" for change in plan.changes):
        made.append("custom networking")
    return ", ".join(made)


def taken_back(plan: Plan | None) -> tuple[str, str]:
    """What a rollback restores and what it deletes: only what this plan changed or made."""
    first = plan is None or any(change.action == "configure_cni" for change in plan.changes)
    new_cidr = plan is None or plan.source == "new-cidr"
    return "ENIConfigs and CNI settings" if first else "ENIConfigs", "subnets and CIDR" if new_cidr else "subnets"


def risks(plan: Plan) -> Part:
    """What may break, the worst first."""
    ordered = sorted(plan.risks, key=lambda risk: -risk.severity)
    lines = [Line(_risk(risk), risk.severity.name.lower()) for risk in ordered[:6]]
    return Part("Risks", lines + items((risk.id for risk in ordered[6:]), shown=0))


def _subnet(subnet: PlannedSubnet) -> str:
    reservation = ", reserved for prefixes" if subnet.reserve_prefixes else ""
    return (
        f"{words(subnet.zone)}: subnet {code(subnet.cidr)}{_size(subnet.cidr)}{reservation}, "
        f"ENIConfig {names(subnet.eni_configs, shown=3) or '-'}"
    )


def _size(cidr: str) -> str:
    try:
        return f" ({usable_addresses(IPv4Network(cidr)):,} addresses)"
    except ValueError:
        return ""


def _change(change: Change) -> str:
    environment = (change.manifest or {}).get("env")
    if change.action != "configure_cni" or not isinstance(environment, dict):
        return words(change.description)
    turned = ", ".join(code(f"{name}={value}") for name, value in environment.items())
    return f"turn on custom networking on {code(change.target)} ({turned})"


def _risk(risk: Risk) -> str:
    return f"{words(risk.found)}. May break: {words(risk.breaks)}. Remedy: {words(risk.remedy)}."
