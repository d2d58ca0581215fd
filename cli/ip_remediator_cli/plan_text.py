"""A plan for people at a terminal."""

from __future__ import annotations

from ip_remediator.planning.model import Plan
from ip_remediator_cli.tables import bullets, cell, commands, page, table, wrapped


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
        wrapped(f"{cell(change.description)}{' (by hand)' if change.by_hand else ''}", f"  {number}. ", "     ")
        for number, change in enumerate(made.changes, start=1)
    )
    options = table(["option", "", "reason"], ([o.option, o.standing, o.reason] for o in made.options))
    return page(
        f"{wrapped(_headline(cluster, made))}\n{wrapped(f'expected: {cell(made.expectation)}')}\n"
        f"{wrapped(cell(made.strategy_reason), f'{made.strategy}: ', '  ')}",
        subnets if made.subnets else "",
        f"How long it lasts\n{wrapped(cell(made.sizing), '  ', '  ')}" if made.sizing else "",
        f"Changes\n{changes}",
        commands("Then, by hand", made.handover),
        options,
        _describe_risks(made),
        bullets("Instead of this plan", made.alternatives),
        bullets("Unknown, because the snapshot does not say", made.unknown),
        f"hash {made.hash}",
    )


def _headline(cluster: str, made: Plan) -> str:
    source = "" if made.source == "none" else f" ({made.source})"
    return f"{cell(cluster)}: {made.strategy} with {cell(made.space)}{source} in {cell(made.vpc_id)}"


def _describe_risks(made: Plan) -> str:
    """A block for each risk: in a table its sentences would be wider than any terminal."""
    texts = [
        f"  {risk.severity.name.lower()}: {risk.id}\n"
        + "\n".join(
            wrapped(cell(getattr(risk, part)), f"    {part + ':':<8}", " " * 12)
            for part in ("found", "breaks", "remedy", "doc")
        )
        for risk in made.risks
    ]
    return "\n".join(["Risks", *texts]) if texts else ""
