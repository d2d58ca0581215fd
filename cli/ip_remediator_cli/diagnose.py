"""`ip-remediator diagnose`: the verdict on a snapshot, the same that the deployed function gives."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from ip_remediator.domain.diagnosis import Diagnosis, Verdict, diagnose
from ip_remediator.domain.signals import Cause
from ip_remediator_cli.documents import read_snapshot
from ip_remediator_cli.errors import NOT_CURABLE, NOT_NEEDED, OK, BadInput
from ip_remediator_cli.tables import bullets, cell, page, table


def run(arguments: Namespace) -> int:
    snapshot = read_snapshot(arguments.snapshot)
    diagnosis = diagnose(snapshot, causes(arguments.cause))
    print(diagnosis.model_dump_json(indent=2) if arguments.json else describe(snapshot.cluster.name, diagnosis))
    return status_of(diagnosis)


def causes(words: Iterable[str]) -> list[Cause]:
    """Raises BadInput that lists the causes there are."""
    try:
        return [Cause(word) for word in words]
    except ValueError as error:
        raise BadInput(f"--cause: {error}; use {', '.join(Cause)}") from error


def status_of(diagnosis: Diagnosis) -> int:
    if diagnosis.verdict is Verdict.RECOVERED:
        return NOT_NEEDED
    return OK if diagnosis.curable else NOT_CURABLE


def describe(cluster: str, diagnosis: Diagnosis) -> str:
    """The diagnosis for people."""
    cure = {OK: "more addresses cure it", NOT_NEEDED: "nothing is needed", NOT_CURABLE: "more addresses do not cure it"}
    zones = table(
        ["zone", "verdict", "free", "nodes", "stuck pods", "reason"],
        ([z.zone, z.verdict, z.free, z.nodes, z.stuck_pods, z.reason] for z in diagnosis.zones),
    )
    nodes = table(
        ["node", "zone", "relieved now", "reason"],
        ([node.name, node.zone, node.relieved_now, node.reason] for node in diagnosis.nodes),
    )
    return page(
        f"{cell(cluster)}: {diagnosis.verdict} ({cure[status_of(diagnosis)]})\n{cell(diagnosis.summary)}",
        zones if diagnosis.zones else "",
        nodes if diagnosis.nodes else "",
        bullets("Evidence", diagnosis.evidence),
        bullets("Unknown, because the snapshot does not say", diagnosis.unknown),
    )
