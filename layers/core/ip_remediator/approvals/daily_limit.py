"""How many incidents of a VPC went ahead without asking today (UTC): one item per VPC and day, gone after two days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ip_remediator.approvals.policy import Allowance
from ip_remediator.clients.aws.dynamodb import ConditionFailed, Item, Records

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock

# The attribute that the table's TimeToLiveSpecification names.
TTL = "ttl"
_KEPT = timedelta(days=2)


class DailyLimit:
    """The item keeps the incidents' ids, so that a step which is run again counts once."""

    def __init__(self, table: Table, clock: Clock, per_day: int) -> None:
        self._records = Records(table)
        self._clock = clock
        self._per_day = per_day

    def allowance(self, vpc_id: str, incident: str) -> Allowance:
        """How many plans may go ahead today and how many did, not counting `incident` itself."""
        item = self._records.get(**_key(vpc_id, self._clock())) or {}
        return Allowance(self._per_day, len(set(item.get("incidents", ())) - {incident}))

    def use(self, vpc_id: str, incident: str) -> bool:
        """Counts `incident` and returns True, unless the limit is used up."""
        now = self._clock()
        values: Item = {
            ":me": {incident},
            ":id": incident,
            ":max": self._per_day,
            ":gone": int((now + _KEPT).timestamp()),
        }
        room = "(attribute_not_exists(incidents) AND :max > :none) OR size(incidents) < :max"
        try:
            self._records.update(
                _key(vpc_id, now),
                "ADD incidents :me SET #ttl = :gone",
                {**values, ":none": 0},
                f"contains(incidents, :id) OR {room}",
                {"#ttl": TTL},  # a reserved word of DynamoDB
            )
        except ConditionFailed:
            return False
        return True


def _key(vpc_id: str, now: datetime) -> dict[str, str]:
    return {"pk": f"VPC#{vpc_id}", "sk": f"DAY#{now:%Y-%m-%d}"}
