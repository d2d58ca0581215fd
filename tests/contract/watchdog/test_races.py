"""Many at once on real tables: one writer per VPC, no overlap, everything ends, and of two of a kind one is first."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pytest

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.opening import IncidentOpen
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.vpc_lock import VpcLock, VpcLocked
from ip_remediator.node_replacement.workflow import REPLACEMENT, NodeReplacementWorkflow, ReplacementRunning
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.rollback.workflow import ROLLBACK, RollbackRunning, RollbackWorkflow
from tests.contract.address_ledger.table import RawTable
from tests.contract.conftest import at_once, unique
from tests.contract.watchdog.test_restore import new_table
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from local.aws.client import LocalAws

POOL = IPv4Network("100.64.0.0/10")
SIZES = (16, 18, 20, 22, 24, 28)


class Writers:
    """Who writes to each VPC; AssertionError when two do."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._present: Counter[str] = Counter()

    def enter(self, vpc: str) -> None:
        with self._guard:
            self._present[vpc] += 1
            assert self._present[vpc] == 1, f"two write to {vpc}"

    def leave(self, vpc: str) -> None:
        with self._guard:
            self._present[vpc] -= 1


@pytest.fixture
def kept(aws: LocalAws) -> RawTable:
    return new_table(aws, "ledger")


@pytest.fixture
def records(aws: LocalAws) -> RawTable:
    return new_table(aws, "incidents")


@pytest.fixture
def lifecycle(kept: RawTable, records: RawTable) -> Lifecycle:
    return Lifecycle(records.table, Ledger(kept.table, utc_now), utc_now)


def remediated(lifecycle: Lifecycle, cluster: str, vpc: str, writers: Writers, prefix: int = 22) -> str:
    """An incident from its opening to its end, as the functions take it there."""
    incidents, lock = lifecycle.incidents, VpcLock(lifecycle.table, utc_now)
    incident = incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution=f"arn:{cluster}")
    deadline = time.monotonic() + 300
    while True:
        try:
            lock.acquire(vpc, incident)
            break
        except VpcLocked:
            assert time.monotonic() < deadline, "the VPC is never free"
            time.sleep(0.05)
    writers.enter(vpc)
    block = lifecycle.ledger.reserve(incident, POOL, prefix)
    plan = PLAN.model_copy(update={"vpc_id": vpc, "block": str(block)})
    incidents.complete(incident, Step.PLAN, plan=plan)
    change = ChangeMade(kind=ChangeKind.VPC_CIDR, target=str(block))
    ChangeLog(lifecycle.table, utc_now, incident, vpc).intend(change)
    writers.leave(vpc)
    lifecycle.close(incident, Outcome.HEALED, None)
    return incident


@pytest.mark.parametrize(("incidents", "vpcs"), [(12, 3), pytest.param(200, 50, marks=pytest.mark.slow)])
def test_given_many_incidents_at_once_then_each_vpc_has_one_writer_and_all_end(
    lifecycle: Lifecycle, kept: RawTable, incidents: int, vpcs: int
) -> None:
    writers, stem = Writers(), unique("cluster")

    def run(number: int) -> str:
        return remediated(lifecycle, f"{stem}-{number}", f"vpc-{number % vpcs}", writers, SIZES[1 + number % 5])

    with ThreadPoolExecutor(min(incidents, 40)) as pool:
        ended = list(pool.map(run, range(incidents)))
    assert len(kept.blocks_by_owner()) == incidents
    assert all(not lifecycle.incidents.get(incident).open for incident in ended)
    lock = VpcLock(lifecycle.table, utc_now)
    for number in range(vpcs):
        lock.acquire(f"vpc-{number}", "another")


@pytest.mark.slow
def test_given_500_reservations_of_mixed_sizes_at_once_then_none_overlap_and_all_come_back(kept: RawTable) -> None:
    ledger = Ledger(kept.table, utc_now)
    with ThreadPoolExecutor(40) as pool:
        blocks = list(pool.map(lambda n: ledger.reserve(f"owner-{n}", POOL, SIZES[n % 6 or 1]), range(500)))
    assert sorted(kept.blocks_by_owner().values()) == sorted(blocks)
    with ThreadPoolExecutor(40) as pool:
        assert all(pool.map(lambda n: ledger.release(f"owner-{n}"), range(500)))
    assert kept.items() == []


def test_given_two_incidents_of_a_cluster_at_once_then_one_is_opened(records: RawTable) -> None:
    cluster, incidents = unique("cluster"), Incidents(records.table, utc_now)
    results = at_once(2, lambda number: incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution=f"arn:{number}"))
    assert {type(result) for result in results} == {str, IncidentOpen}
    assert list(incidents.worked_on()) == [result for result in results if isinstance(result, str)]


def test_given_a_rollback_that_was_stopped_when_its_last_function_ends_late_then_the_next_one_keeps_the_lock(
    lifecycle: Lifecycle,
) -> None:
    # given a function of a stopped rollback that is about to give the lock back
    vpc = unique("vpc")
    incident = remediated(lifecycle, unique("cluster"), vpc, Writers())
    rolling = RollbackWorkflow(ROLLBACK, lifecycle, lambda _: False, 60)
    rolling.begin({"incident": incident, "confirmed": True}, "arn:stopped")
    read = rolling.own(incident, "arn:stopped")

    # when the next rollback begins before it does
    rolling.begin({"incident": incident, "confirmed": True}, "arn:next")
    rolling.release(read)

    # then the VPC is the next one's, until that gives it back
    lock = VpcLock(lifecycle.table, utc_now)
    lock.require(vpc, incident, "arn:next")
    rolling.release(rolling.own(incident, "arn:next"))
    lock.acquire(vpc, "another")


def test_given_two_rollbacks_and_a_replacement_at_once_then_one_changes_the_incident(lifecycle: Lifecycle) -> None:
    incident = remediated(lifecycle, unique("cluster"), unique("vpc"), Writers())
    lifecycle.incidents.revise(lifecycle.incidents.get(incident), Outcome.PARTLY)
    rolling = RollbackWorkflow(ROLLBACK, lifecycle, lambda _: True, 60)
    replacing = NodeReplacementWorkflow(REPLACEMENT, lifecycle, lambda _: True, 60)

    def begin(number: int) -> str:
        arn = f"arn:{number}"
        if number < 2:
            rolling.begin({"incident": incident, "confirmed": True}, arn)
        else:
            record = lifecycle.incidents.get(incident)
            replacing.claim(record, arn)
            replacing.start(record, "somebody", arn)
        return arn

    results = at_once(3, begin)
    winners = [result for result in results if isinstance(result, str)]
    assert len(winners) == 1
    assert all(isinstance(result, (str, RollbackRunning, ReplacementRunning)) for result in results), results
    assert lifecycle.incidents.get(incident).change_execution == winners[0]
