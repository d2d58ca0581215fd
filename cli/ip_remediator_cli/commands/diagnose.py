"""`ip-remediator diagnose`: the verdict on a snapshot, the same that the deployed function gives."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning.address_map import MappedCidr, address_map, map_lines, map_svg
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.signals.model import Signal
from ip_remediator_cli.commands.signals import parse_record, read_records
from ip_remediator_cli.documents import in_format, read_text, write_text
from ip_remediator_cli.errors import NOT_CURABLE, NOT_NEEDED, OK, BadInput
from ip_remediator_cli.parser import STDIN
from ip_remediator_cli.snapshot_file import read_snapshot
from ip_remediator_cli.tables import bullets, cell, page, printable, table, wrapped


def run(arguments: Namespace) -> int:
    """Prints the diagnosis of a snapshot; the exit status says whether more addresses cure it."""
    snapshot = read_snapshot(arguments.snapshot)
    diagnosis = diagnose(snapshot, causes(arguments, snapshot.cluster.name))
    shown = address_map(snapshot)
    if arguments.map:
        write_text(arguments.map, map_svg(shown, f"{snapshot.cluster.name}: address space"), "--map")
    output = page(describe(snapshot.cluster.name, diagnosis), describe_map(shown))
    print(output if arguments.output == "table" else in_format(arguments.output, diagnosis.model_dump(mode="json")))
    return status_of(diagnosis)


def causes(arguments: Namespace, cluster: str) -> list[Cause]:
    """What `--cause` and `--signals` prove, as an incident of `cluster` would know it.

    Raises:
        BadInput: no such cause (it lists those there are); a file that is no JSON or has no signal of the cluster.
    """
    causes_known = [cause.value for cause in Cause]
    for word in arguments.cause:
        if word not in causes_known:
            raise BadInput(f"--cause: there is no cause {word!r}; use {', '.join(causes_known)}")
    named = [Cause(word) for word in arguments.cause]
    return [*named, *_proven(arguments, cluster)] if arguments.signals else named


def _proven(arguments: Namespace, cluster: str) -> list[Cause]:
    name = arguments.signals
    if name == STDIN == arguments.snapshot:
        raise BadInput("--signals and --snapshot cannot both be standard input; give one of them as a file")
    outcomes = (
        outcome
        for record in read_records(read_text(name, "--signals"), name, "--signals")
        for outcome in parse_record(record, cluster, datetime.now(UTC))
    )
    signals = [outcome for outcome in outcomes if isinstance(outcome, Signal) and outcome.cluster == cluster]
    if not signals:
        raise BadInput(
            f"--signals {name}: no record of it is a signal of cluster {cluster}; see what they are with "
            f"`ip-remediator signals {name}`"
        )
    return sorted({cause for signal in signals for cause in signal.causes})


def status_of(diagnosis: Diagnosis) -> int:
    """The command's exit status, so that a script need not read the text."""
    if diagnosis.verdict is Verdict.RECOVERED:
        return NOT_NEEDED
    return OK if diagnosis.curable else NOT_CURABLE


def describe_map(cidrs: Sequence[MappedCidr]) -> str:
    """The address space for people; nothing when the VPC was not read."""
    return (
        "\n".join(["Address space", *(wrapped(printable(line), rest=" " * 23) for line in map_lines(cidrs))])
        if cidrs
        else ""
    )


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
    headline = f"{cell(cluster)}: {diagnosis.verdict} ({cure[status_of(diagnosis)]})"
    return page(
        f"{wrapped(headline)}\n{wrapped(cell(diagnosis.summary))}",
        zones if diagnosis.zones else "",
        nodes if diagnosis.nodes else "",
        bullets("Evidence", diagnosis.evidence),
        bullets("What else would help" if diagnosis.curable else "What helps", diagnosis.alternatives),
        bullets("Unknown, because the snapshot does not say", diagnosis.unknown),
    )
