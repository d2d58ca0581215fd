"""One writer per VPC: a lock with an owner and an expiry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Records
from ip_remediator.common.errors import Waiting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock

# Longer than the longest execution: a lock must not expire under its owner.
HELD_FOR = timedelta(hours=25)


class VpcLocked(Waiting):
    """Another incident writes to the VPC; the state machine tries again later."""


class VpcLock:
    def __init__(self, table: Table, clock: Clock) -> None:
        self._records = Records(table)
        self._clock = clock

    def acquire(self, vpc_id: str, owner: str) -> None:
        """Raises VpcLocked while another owner holds it. Its holder may take it again."""
        now = self._clock()
        lock = {**_key(vpc_id), "owner": owner, "expires_at": (now + HELD_FOR).isoformat()}
        condition = "attribute_not_exists(pk) OR #owner = :owner OR expires_at <= :now"
        write = self._records.putting(lock, condition, {":owner": owner, ":now": now.isoformat()})
        write["Put"]["ExpressionAttributeNames"] = {"#owner": "owner"}  # a reserved word of DynamoDB
        try:
            self._records.transact([write])
        except ConditionFailed as error:
            holder = self._records.get(**_key(vpc_id)) or {}
            raise VpcLocked(f"{vpc_id} is being changed by incident {holder.get('owner')}") from error

    def release(self, vpc_id: str, owner: str) -> None:
        """Gives the lock up; a no-op when another owner holds it."""
        freed = {"expires_at": self._clock().isoformat()}
        write = self._records.setting(_key(vpc_id), freed, "#holder = :holder")
        write["Update"]["ExpressionAttributeNames"]["#holder"] = "owner"
        write["Update"]["ExpressionAttributeValues"][":holder"] = owner
        try:
            self._records.transact([write])
        except ConditionFailed:
            return


def _key(vpc_id: str) -> dict[str, str]:
    return {"pk": f"VPC#{vpc_id}", "sk": "LOCK"}
