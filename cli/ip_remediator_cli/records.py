"""Finding incidents in the deployed table: by id, by cluster, or each cluster's latest."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple

from boto3.dynamodb.conditions import Attr, ConditionBase

from ip_remediator.clients.aws.dynamodb import Records
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.repository import Incidents
from ip_remediator_cli.aws import Aws, Deployment, find_deployment
from ip_remediator_cli.errors import BadInput
from ip_remediator_cli.open_questions import only_one_that_asks

# The item that names a cluster's open or last incident, see `incidents.repository`.
_MARKER = "OPEN"
_RECORD = "META"
LATEST = "latest"


class IncidentRecords:
    """Raises the errors of `common.errors`."""

    def __init__(self, aws: Aws, deployment: Deployment) -> None:
        self._table = aws.table(deployment.output("IncidentsTableName"))
        self.incidents = Incidents(self._table, utc_now)

    def get(self, incident: str) -> Incident:
        """Raises IncidentNotFound."""
        return self.incidents.get(incident)

    def timeline(self, incident: str) -> list[dict[str, str]]:
        """`{"at", "by", "what", "detail"}` in order."""
        return self.incidents.timeline(incident)

    def latest(self, cluster: str) -> Incident | None:
        """The open incident of a cluster, else its last one."""
        marker = Records(self._table).get(f"CLUSTER#{cluster}", _MARKER)
        return self.get(str(marker["incident_id"])) if marker else None

    def chosen(self, arguments: Namespace) -> Incident:
        """The incident that the command names: by its id, as "latest", or as the latest one of `--cluster`.

        Raises:
            BadInput: none is named, or there is none.
        """
        id_, cluster = arguments.id or arguments.incident, getattr(arguments, "cluster", None)
        if id_ not in (None, LATEST):
            return self.get(id_)
        if cluster:
            latest = self.latest(cluster)
            if latest is None:
                raise BadInput(
                    f"--cluster: cluster {cluster!r} has had no incident; `ip-remediator incidents` lists all"
                )
            return latest
        if id_ is None:
            raise BadInput("INCIDENT: name an incident (`ip-remediator incidents` lists them), or say latest")
        incidents = self.latest_of_each()
        if not incidents:
            raise BadInput("INCIDENT: there is no incident so far")
        return incidents[0]

    def asking(self, arguments: Namespace) -> Incident:
        """As `chosen`, but "latest" and `--cluster` mean the one that waits for an answer: the newest incident may be
        another cluster's, or wait for nothing.

        Raises:
            BadInput: more than one waits.
        """
        searched = arguments.cluster or LATEST in (arguments.id, arguments.incident)
        asking = only_one_that_asks(self.all(arguments.cluster)) if searched else None
        return asking or self.chosen(arguments)

    def all(self, cluster: str | None = None) -> list[Incident]:
        """Every incident, of one cluster or of all, the newest first. Scans the table."""
        records = Attr("sk").eq(_RECORD)
        wanted = records & Attr("cluster").eq(cluster) if cluster else records
        ids = [str(item["pk"]).removeprefix("INCIDENT#") for item in self._scan(wanted, "pk")]
        return sorted((self.get(id_) for id_ in ids), key=lambda incident: incident.opened_at, reverse=True)

    def latest_of_each(self) -> list[Incident]:
        """The latest incident of every cluster, the newest first. Scans the table: an operator's question, not a
        function's."""
        incidents = [self.get(str(item["incident_id"])) for item in self._scan(Attr("sk").eq(_MARKER), "incident_id")]
        return sorted(incidents, key=lambda incident: incident.opened_at, reverse=True)

    def _scan(self, wanted: ConditionBase, attribute: str) -> Iterator[dict[str, Any]]:
        arguments: dict[str, Any] = {"FilterExpression": wanted, "ProjectionExpression": attribute}
        while True:
            with aws_call(f"Scan {self._table.name}"):
                page = self._table.meta.client.scan(TableName=self._table.name, **arguments)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


class ChosenIncident(NamedTuple):
    """The incident that a command is about, and where it was found."""

    aws: Aws
    deployment: Deployment
    records: IncidentRecords
    incident: Incident


def choose_incident(arguments: Namespace, *, asking: bool = False) -> ChosenIncident:
    """The incident that the command names, in the stack that it names. `asking`: for a command that answers a question.
    Raises BadInput as `IncidentRecords.chosen` and `asking`."""
    aws = Aws(arguments)
    deployment = find_deployment(aws, arguments.stack)
    records = IncidentRecords(aws, deployment)
    return ChosenIncident(aws, deployment, records, records.asking(arguments) if asking else records.chosen(arguments))
