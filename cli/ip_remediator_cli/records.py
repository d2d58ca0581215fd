"""Finding incidents in the deployed table: by id, by cluster, or each cluster's latest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from boto3.dynamodb.conditions import Attr

from ip_remediator.clients.aws.dynamodb import Records
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.repository import Incidents
from ip_remediator_cli.aws import Aws, Deployment

# The item that names a cluster's open or last incident, see `incidents.repository`.
_MARKER = "OPEN"


class IncidentRecords:
    """Raises the errors of `common.errors`."""

    def __init__(self, aws: Aws, deployment: Deployment) -> None:
        self._table = aws.table(deployment.output("IncidentsTableName"))
        self._incidents = Incidents(self._table, utc_now)

    def get(self, incident: str) -> Incident:
        """Raises IncidentNotFound."""
        return self._incidents.get(incident)

    def timeline(self, incident: str) -> list[dict[str, str]]:
        """`{"at", "by", "what", "detail"}` in order."""
        return self._incidents.timeline(incident)

    def latest(self, cluster: str) -> Incident | None:
        """The open incident of a cluster, else its last one."""
        marker = Records(self._table).get(f"CLUSTER#{cluster}", _MARKER)
        return self.get(str(marker["incident_id"])) if marker else None

    def latest_of_each(self) -> list[Incident]:
        """The latest incident of every cluster, the newest first. Scans the table: an operator's question, not a
        function's."""
        found = [self.get(str(item["incident_id"])) for item in self._markers()]
        return sorted(found, key=lambda incident: incident.opened_at, reverse=True)

    def _markers(self) -> Iterator[dict[str, Any]]:
        arguments: dict[str, Any] = {
            "FilterExpression": Attr("sk").eq(_MARKER),
            "ProjectionExpression": "incident_id",
        }
        while True:
            with aws_call(f"Scan {self._table.name}"):
                page = self._table.scan(**arguments)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
