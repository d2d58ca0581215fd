"""`ip-remediator incidents`: the incidents of a stack, the newest first."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.record import Incident
from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.documents import in_format
from ip_remediator_cli.errors import OK
from ip_remediator_cli.open_questions import state_of, under_way
from ip_remediator_cli.records import IncidentRecords
from ip_remediator_cli.tables import in_words, table
from ip_remediator_cli.watching import watch

_WATCH_SECONDS = 5.0


def run(arguments: Namespace) -> int:
    """Lists incidents, once or with `--watch` until it is interrupted; returns the exit status."""
    aws = Aws(arguments)
    records = IncidentRecords(aws, find_deployment(aws, arguments.stack))
    if arguments.watch:
        watch(lambda: listed(arguments.output, _wanted(arguments, records)), _WATCH_SECONDS)
    else:
        print(listed(arguments.output, _wanted(arguments, records)))
    return OK


def _wanted(arguments: Namespace, records: IncidentRecords) -> list[Incident]:
    earliest = utc_now() - arguments.since if arguments.since else None
    return [
        incident
        for incident in records.all(arguments.cluster)
        if (under_way(incident) or not arguments.open) and (earliest is None or incident.opened_at >= earliest)
    ]


def listed(output: str, incidents: Sequence[Incident]) -> str:
    """`incidents` as the `--output` that was asked for."""
    if output != "table":
        return in_format(output, [incident.model_dump(mode="json") for incident in incidents])
    if not incidents:
        return "no incident"
    return table(
        ["incident", "opened (UTC)", "state", "verdict", "plan"],
        (
            [
                incident.id,
                f"{incident.opened_at:%m-%d %H:%M}",
                in_words(state_of(incident)),
                in_words(incident.diagnosis.verdict) if incident.diagnosis else None,
                incident.plan.space if incident.plan else None,
            ]
            for incident in incidents
        ),
    )
