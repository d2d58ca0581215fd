"""A plan for people at a terminal."""

from __future__ import annotations

from ip_remediator.planning.model import Plan
from ip_remediator_cli.tables import bullets, cell, page, table


def describe_plan(cluster: str, made: Plan | None) -> str:
    """The plan for people; nothing when there is none."""
    if made is None:
        return ""
    subnets = table(
        ["zone", "subnet", "id", "route table", "network acl"],
        (
            [s.zone, s.cidr, s.id or "(new)", s.route_table or "(main)", s.network_acl or "(default)"]
            for s in made.subnets
        ),
    )
    changes = "\n".join(
        f"  {number}. {cell(change.description)}{' (by hand)' if change.by_hand else ''}"
        for number, change in enumerate(made.changes, start=1)
    )
    options = table(["option", "taken", "reason"], ([o.option, o.taken, o.reason] for o in made.options))
    return page(
        f"{cell(cluster)}: {made.strategy} with {cell(made.space)}"
        f"{'' if made.source == 'none' else f' ({made.source})'} in "
        f"{cell(made.vpc_id)}\n{cell(made.expectation)}\n{made.strategy}: {cell(made.strategy_reason)}",
        subnets if made.subnets else "",
        f"How long it lasts\n  {cell(made.sizing)}" if made.sizing else "",
        f"Changes\n{changes}",
        bullets("Then, by hand", made.handover),
        options,
        _describe_risks(made),
        bullets("Instead of this plan", made.alternatives),
        bullets("Unknown, because the snapshot does not say", made.unknown),
        f"hash {made.hash}",
    )


def _describe_risks(made: Plan) -> str:
    """A block for each risk: in a table its sentences would be wider than any terminal."""
    told = [
        f"  {risk.severity.name.lower()}: {risk.id}\n"
        + "\n".join(f"    {part + ':':<8}{cell(getattr(risk, part))}" for part in ("found", "breaks", "remedy", "doc"))
        for risk in made.risks
    ]
    return "\n".join(["Risks", *told]) if told else ""
