"""Yesterday's tables are restored: what was open is closed, nothing overlaps, and the tool goes on."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.opening import IncidentOpen
from ip_remediator.incidents.record import Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.watchdog.rules import Ending, Looked
from ip_remediator.watchdog.watch import Watchdog
from tests.contract.address_ledger.table import RawTable
from tests.contract.conftest import Clock, unique
from tests.contract.watchdog.world import CIDR, REMEDIATION, new_table
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from local.aws.client import LocalAws

POOL = IPv4Network("100.64.0.0/16")


def restore(table: RawTable, items: list[dict[str, Any]]) -> None:
    """As docs/howto/restore-the-tables.md has it: the table is emptied and gets the items of the restored one."""
    with table.table.batch_writer() as batch:
        for item in table.items():
            batch.delete_item(Key={"pk": item["pk"], "sk": item["sk"]})
    with table.table.batch_writer() as batch:
        for item in items:
            batch.put_item(Item=item)


def test_given_the_tables_of_yesterday_when_restored_then_what_was_open_is_closed_and_the_tool_goes_on(
    aws: LocalAws, clock: Clock, cluster: str
) -> None:
    kept, records = new_table(aws, "ledger"), new_table(aws, "incidents")
    ledger, incidents = Ledger(kept.table, clock), Incidents(records.table, clock)
    lifecycle, vpc = Lifecycle(records.table, ledger, clock), unique("vpc")
    # yesterday: a remediation is under way
    first = incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution=REMEDIATION)
    block = ledger.reserve(first, POOL, 20)
    incidents.complete(first, Step.PLAN, plan=PLAN.model_copy(update={"vpc_id": vpc, "block": str(block)}))
    VpcLock(records.table, clock).acquire(vpc, first)
    ChangeLog(records.table, clock, first, vpc).intend(CIDR)
    yesterday = kept.items(), records.items()
    # today: it has healed, and another one came
    clock.advance(hours=20)
    lifecycle.close(first, Outcome.HEALED, None)
    second = incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution="arn:second")
    later = ledger.reserve(second, POOL, 20)

    restore(kept, yesterday[0])
    restore(records, yesterday[1])

    with pytest.raises(IncidentOpen):
        incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution="arn:third")
    endings = {REMEDIATION: Ending(execution=REMEDIATION, status="SUCCEEDED", stopped_at=clock() - timedelta(hours=1))}
    looked = Watchdog(lifecycle, endings.get, lambda *_: "", lambda *_: None).sweep()
    assert looked == {first: Looked.SETTLED}
    record = incidents.get(first)
    assert record.failure
    assert "CIDR" in record.failure.outstanding
    VpcLock(records.table, clock).acquire(vpc, "another")
    third = incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution="arn:third")
    # What was reserved since is told to the ledger as excluded; the block of yesterday is still held.
    assert ledger.reserve(third, POOL, 20, taken=[later]) not in (block, later)
    assert kept.blocks_by_owner().keys() == {first, third}
