"""One writer per VPC: a lock with an owner, its execution and an expiry.

The owner is an incident. Several executions work on one incident after each other, and a function of one that was
stopped may still run when the next begins: so the lock names the execution too, and the latest one to take it writes.
`execution` is None for one that began before state machines sent it.
"""

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
    """The lock expired or was taken over, so another execution may write to the VPC: nothing more is written."""


class VpcLock:
    """One incident at a time changes a VPC; the others wait for its turn to end."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._records = Records(table)
        self._clock = clock

    def acquire(self, vpc_id: str, owner: str, execution: str | None = None) -> None:
        """Raises VpcLocked while another owner holds it. Its holder may take it again; an earlier execution of the
        same owner loses it by that."""
        now = self._clock()
        lock = {**_key(vpc_id), "owner": owner, "expires_at": (now + HELD_FOR).isoformat()}
        if execution:
            lock["execution"] = execution
        condition = "attribute_not_exists(pk) OR #owner = :owner OR expires_at <= :now"
        write = self._records.putting(lock, condition, {":owner": owner, ":now": now.isoformat()})
        write["Put"]["ExpressionAttributeNames"] = {"#owner": "owner"}  # a reserved word of DynamoDB
        try:
            self._records.transact([write])
        except ConditionFailed as error:
            holder = self._records.get(**_key(vpc_id)) or {}
            raise VpcLocked(f"{vpc_id} is being changed by incident {holder.get('owner')}") from error

    def require(self, vpc_id: str, owner: str, execution: str | None = None) -> None:
        """Raises LockLost unless `owner` holds the lock now, by this execution."""
        lock = self._unexpired(vpc_id)
        if lock.get("owner") != owner:
            raise LockLost(f"incident {owner} does not hold the lock of {vpc_id} any more: nothing more is changed")
        _refuse_superseded(lock, execution)

    def require_not_superseded(self, vpc_id: str, owner: str, execution: str | None) -> None:
        """Raises LockLost if another execution of `owner` holds the lock now: what is to be given back is its."""
        lock = self._unexpired(vpc_id)
        if lock.get("owner") == owner:
            _refuse_superseded(lock, execution)

    def _unexpired(self, vpc_id: str) -> Item:
        """The lock; empty while nobody holds it."""
        lock = self._records.get(**_key(vpc_id)) or {}
        return lock if str(lock.get("expires_at", "")) > self._clock().isoformat() else {}

    def holder(self, vpc_id: str) -> str | None:
        """The incident that holds the lock; None while nobody does."""
        lock = self._unexpired(vpc_id)
        return str(lock["owner"]) if lock else None

    def held_by(self, vpc_id: str, owner: str, execution: str | None = None) -> Item:
        """A check for a transaction that is to write only while `owner` holds the lock, by this execution."""
        condition, values = (
            "#owner = :owner AND expires_at > :now",
            {":owner": owner, ":now": self._clock().isoformat()},
        )
        if execution:
            condition += " AND (attribute_not_exists(execution) OR execution = :execution)"
            values[":execution"] = execution
        return self._records.checking(_key(vpc_id), condition, values, {"#owner": "owner"})

    def release(self, vpc_id: str, owner: str, only_if: Item | None = None, *, execution: str | None = None) -> None:
        """Gives the lock up; a no-op when another owner holds it, or another execution than the given one, or the
        check `only_if` of a transaction fails."""
        freed = {"expires_at": self._clock().isoformat()}
        by_it = " AND (attribute_not_exists(execution) OR execution = :by)" if execution else ""
        values = {":holder": owner, **({":by": execution} if execution else {})}
        write = self._records.setting(_key(vpc_id), freed, f"#holder = :holder{by_it}", values, {"#holder": "owner"})
        try:
            self._records.transact([write, *([only_if] if only_if else [])])
        except ConditionFailed:
            return


def _refuse_superseded(lock: Item, execution: str | None) -> None:
    holder = lock.get("execution")
    if execution and holder and holder != execution:
        raise LockLost(f"execution {str(holder).rpartition(':')[2]} took the incident over: nothing more is changed")


def _key(vpc_id: str) -> dict[str, str]:
    return {"pk": f"VPC#{vpc_id}", "sk": "LOCK"}
