"""One writer per VPC: a lock with an owner and an expiry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Item, Records
from ip_remediator.common.errors import Waiting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock

# Longer than the longest execution: a lock must not expire under its owner.
HELD_FOR = timedelta(hours=25)


class VpcLocked(Waiting):
    """Another incident writes to the VPC; the state machine tries again later."""


class LockLost(Exception):
    """The lock expired or was taken over, so another incident may write to the VPC: nothing more is written."""


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

    def require(self, vpc_id: str, owner: str) -> None:
        """Raises LockLost unless `owner` holds the lock now."""
        lock = self._records.get(**_key(vpc_id)) or {}
        if lock.get("owner") != owner or str(lock.get("expires_at")) <= self._clock().isoformat():
            raise LockLost(f"incident {owner} does not hold the lock of {vpc_id} any more: nothing more is changed")

    def holder(self, vpc_id: str) -> str | None:
        """The incident that holds the lock; None while nobody does."""
        lock = self._records.get(**_key(vpc_id))
        if lock is None or str(lock["expires_at"]) <= self._clock().isoformat():
            return None
        return str(lock["owner"])

    def held_by(self, vpc_id: str, owner: str) -> Item:
        """A check for a transaction that is to write only while `owner` holds the lock."""
        values = {":owner": owner, ":now": self._clock().isoformat()}
        return self._records.checking(
            _key(vpc_id), "#owner = :owner AND expires_at > :now", values, {"#owner": "owner"}
        )

    def release(self, vpc_id: str, owner: str, only_if: Item | None = None) -> None:
        """Gives the lock up; a no-op when another owner holds it, or the check `only_if` of a transaction fails."""
        freed = {"expires_at": self._clock().isoformat()}
        write = self._records.setting(_key(vpc_id), freed, "#holder = :holder")
        write["Update"]["ExpressionAttributeNames"]["#holder"] = "owner"
        write["Update"]["ExpressionAttributeValues"][":holder"] = owner
        try:
            self._records.transact([write, *([only_if] if only_if else [])])
        except ConditionFailed:
            return


def _key(vpc_id: str) -> dict[str, str]:
    return {"pk": f"VPC#{vpc_id}", "sk": "LOCK"}
