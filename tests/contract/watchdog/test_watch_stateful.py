"""Any sequence of incidents, writes, crashes and jumps of the clock: one writer per VPC, nothing held for ever.

Ledger, lock, markers, change log and watchdog work on real tables. The model knows who may write; what it says is held
against every answer, and after a crash the watchdog must give everything back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.opening import STALE_AFTER, IncidentOpen
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.incidents.vpc_lock import HELD_FOR, LockLost, VpcLock, VpcLocked
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.rollback.workflow import ROLLBACK, RollbackRunning, RollbackWorkflow
from ip_remediator.watchdog.rules import Ending, Looked
from ip_remediator.watchdog.watch import Watchdog
from tests.contract.address_ledger.table import RawTable
from tests.contract.conftest import Clock, resource
from tests.support.properties import examples
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from local.aws.client import LocalAws

POOL = IPv4Network("100.64.0.0/16")
CLUSTERS, VPCS = ("a", "b", "c"), ("vpc-1", "vpc-2")
# Each step is some requests: a failure is shown as it was found, without minutes of shrinking.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
# So long a function may still write whose execution was stopped.
LATE = timedelta(seconds=201)
CIDR = ChangeMade(kind=ChangeKind.VPC_CIDR, target="100.64.0.0/20")
SUBNET = ChangeMade(kind=ChangeKind.SUBNET, target="eu-west-1a")
CORDON = ChangeMade(kind=ChangeKind.CORDON, target="node-1")


@dataclass
class Run:
    """An execution of an incident in a VPC; `cluster` is that of the incident."""

    arn: str
    incident: str
    cluster: str
    vpc: str
    ended: bool = False


@dataclass
class Model:
    """Who may write to each VPC, by which execution, until when; the open incident of each cluster, and since when."""

    holders: dict[str, tuple[str, str, datetime]] = field(default_factory=dict)
    opened: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def may_write(self, run: Run, now: datetime) -> bool:
        holder, execution, until = self.holders.get(run.vpc, ("", "", now))
        return (holder, execution) == (run.incident, run.arn) and until > now

    def is_free(self, vpc: str, incident: str, now: datetime) -> bool:
        holder, _, until = self.holders.get(vpc, ("", "", now))
        return holder == incident or until <= now

    def gives_up(self, vpc: str, incident: str, now: datetime) -> None:
        if vpc in self.holders and self.holders[vpc][0] == incident:
            self.holders[vpc] = (incident, "", now)


class WatchdogMachine(RuleBasedStateMachine):
    aws: ClassVar[LocalAws]

    remediations, closed, rollbacks = Bundle("remediations"), Bundle("closed"), Bundle("rollbacks")
    stopped_rollbacks = Bundle("stopped_rollbacks")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
        self.raw, records = (RawTable(table) for table in (self._table("ledger"), self._table("incidents")))
        self.table = records.table
        self.ledger = Ledger(self.raw.table, self.clock, pause=lambda _: None)
        self.lifecycle = Lifecycle(self.table, self.ledger, self.clock)
        self.incidents = Incidents(self.table, self.clock)
        self.lock = VpcLock(self.table, self.clock)
        self.endings: dict[str, Ending] = {}
        self.model = Model()
        self.runs: list[Run] = []

    def _table(self, stem: str) -> Any:
        keys = (("pk", "HASH"), ("sk", "RANGE"))
        return resource(self.aws.endpoint, self.aws).create_table(
            TableName=f"{stem}-{uuid4().hex}",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        )

    # --- A remediation

    @rule(target=remediations, cluster=st.sampled_from(CLUSTERS), vpc=st.sampled_from(VPCS))
    def open(self, cluster: str, vpc: str) -> Any:
        now = self.clock()
        present = self.model.opened.get(cluster)
        vacant = present is None or present[1] < now - STALE_AFTER
        arn = f"arn:aws:states:eu-west-1:1:execution:stack-Remediation:{uuid4().hex}"
        try:
            incident = self.incidents.open(cluster, "eu-west-1", Mode.AUTO, "", execution=arn)
        except IncidentOpen:
            assert not vacant
            return multiple()
        assert vacant
        self.model.opened[cluster] = (incident, now)
        return self._begun(Run(arn, incident, cluster, vpc))

    @rule(run=remediations, prefix=st.sampled_from([18, 20, 24]))
    def plan(self, run: Run, prefix: int) -> None:
        if run.ended:
            return
        with self._locking(run):
            self.lock.acquire(run.vpc, run.incident, run.arn)
            block = self.ledger.reserve(run.incident, POOL, prefix)
            plan = PLAN.model_copy(update={"vpc_id": run.vpc, "block": str(block)})
            self.incidents.complete(run.incident, Step.PLAN, plan=plan)

    @rule(run=remediations)
    def write(self, run: Run) -> None:
        """Also after its lock has expired."""
        self._write(run, CIDR)

    @rule(run=closed)
    def write_late(self, run: Run) -> None:
        """By a function that runs on although its execution has ended, perhaps beside a rollback of its incident."""
        self._write(run, SUBNET)

    @rule(target=closed, run=consumes(remediations), outcome=st.sampled_from([Outcome.HEALED, Outcome.FAILED]))
    def close(self, run: Run, outcome: Outcome) -> Any:
        if run.ended:
            return run
        self.lifecycle.close(run.incident, outcome, None)
        self._given_back(run)
        self._ends(run, "SUCCEEDED")
        return run

    @rule(target=closed, run=consumes(remediations), status=st.sampled_from(["ABORTED", "TIMED_OUT", "FAILED"]))
    def crash(self, run: Run, status: str) -> Any:
        self._ends(run, status)
        return run

    @rule(target=closed, cluster=st.sampled_from(CLUSTERS), vpc=st.sampled_from(VPCS), healed=st.booleans())
    def remediate(self, cluster: str, vpc: str, healed: bool) -> Any:
        """The usual way in one step, so that many sequences come to a rollback."""
        run = self.open(cluster, vpc)
        if not isinstance(run, Run):
            return run
        self.plan(run, 20)
        self.write(run)
        return self.close(run, Outcome.HEALED) if healed else self.crash(run, "ABORTED")

    # --- A rollback

    @rule(target=rollbacks, run=closed)
    def begin_rollback(self, run: Run) -> Any:
        record, now = self._record(run), self.clock()
        arn = f"arn:aws:states:eu-west-1:1:execution:stack-Rollback:{uuid4().hex}"
        others = [other for other in self.runs if other.incident == run.incident and not other.ended]
        try:
            self._workflow().begin({"incident": run.incident, "confirmed": True}, arn)
        except InvalidInput:
            assert record.open or record.plan is None or not self._log(run).made()
            return multiple()
        except RollbackRunning:
            assert others
            return multiple()
        except VpcLocked:
            assert not self.model.is_free(run.vpc, run.incident, now)
            run = Run(arn, run.incident, run.cluster, run.vpc)
            self._begun(run)
            self._ends(run, "FAILED")
            return multiple()
        assert self.model.is_free(run.vpc, run.incident, now)
        assert not others
        self.model.holders[run.vpc] = (run.incident, arn, now + HELD_FOR)
        self.write_late(run)
        return self._begun(Run(arn, run.incident, run.cluster, run.vpc))

    @rule(run=rollbacks)
    def cordon(self, run: Run) -> None:
        self._write(run, CORDON)

    @rule(run=consumes(rollbacks))
    def finish_rollback(self, run: Run) -> None:
        if run.ended:
            return
        for change in self._log(run).made():
            self._log(run).undone(change)
        self._workflow().finish(run.incident, run.arn)
        self._given_back(run)
        self._ends(run, "SUCCEEDED")

    @rule(
        target=stopped_rollbacks,
        run=consumes(rollbacks),
        status=st.sampled_from(["ABORTED", "TIMED_OUT", "FAILED"]),
    )
    def crash_rollback(self, run: Run, status: str) -> Any:
        self._ends(run, status)
        return run

    @rule(run=stopped_rollbacks)
    def cordon_late(self, run: Run) -> None:
        self._write(run, CORDON)

    # --- Time and the watchdog

    @rule(seconds=st.sampled_from([-600, 30, 150, 3600, 25 * 3600, 27 * 3600]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule()
    def the_watchdog_looks(self) -> None:
        self._sweep()

    # --- What must hold

    @invariant()
    def no_reservations_overlap(self) -> None:
        self.raw.blocks_by_owner()

    @invariant()
    def the_lock_is_held_by_nobody_else(self) -> None:
        for vpc, (incident, execution, until) in self.model.holders.items():
            if until > self.clock():
                self.lock.require(vpc, incident, execution)

    def teardown(self) -> None:
        """Everything ends, by whatever way: five minutes later nothing says that it is being worked on."""
        for run in self.runs:
            if not run.ended:
                self._ends(run, "ABORTED")
        # the clock may have gone back since
        latest = max([self.clock(), *(ending.stopped_at for ending in self.endings.values())])
        self.clock.advance(seconds=(latest + LATE - self.clock()).total_seconds())
        looked = self._sweep()
        assert set(looked.values()) <= {Looked.SETTLED}, looked
        assert list(self.incidents.worked_on()) == []
        standing = set()
        for run in self.runs:
            record, made = self._record(run), self._log(run).made()
            assert not record.open
            assert CORDON not in made
            if made:
                standing.add(run.incident)
            with pytest.raises(LockLost):
                self.lock.require(run.vpc, run.incident)
        for cluster in CLUSTERS:
            assert self.incidents.open_incident(cluster) is None
        assert self.raw.blocks_by_owner().keys() <= standing
        for table in (self.table, self.raw.table):
            table.delete()

    # --- Helpers

    def _begun(self, run: Run) -> Run:
        self.runs.append(run)
        return run

    def _write(self, run: Run, change: ChangeMade) -> None:
        """A change is recorded, and so made, only by who holds the VPC's lock at that moment."""
        may = self.model.may_write(run, self.clock())
        try:
            ChangeLog(self.table, self.clock, run.incident, run.vpc, run.arn).intend(change)
        except LockLost:
            assert not may
        else:
            assert may

    @contextmanager
    def _locking(self, run: Run) -> Iterator[None]:
        free = self.model.is_free(run.vpc, run.incident, self.clock())
        try:
            yield
        except VpcLocked:
            assert not free
        else:
            assert free
            self.model.holders[run.vpc] = (run.incident, run.arn, self.clock() + HELD_FOR)

    def _ends(self, run: Run, status: str) -> None:
        run.ended = True
        self.endings[run.arn] = Ending(execution=run.arn, status=status, stopped_at=self.clock())

    def _given_back(self, run: Run) -> None:
        self.model.gives_up(run.vpc, run.incident, self.clock())
        if self.model.opened.get(run.cluster, ("",))[0] == run.incident:
            del self.model.opened[run.cluster]

    def _sweep(self) -> dict[str, Looked]:
        looked = Watchdog(self.lifecycle, self.endings.get, self._start, self._give_back).sweep()
        for run in self.runs:
            busy = any(other.incident == run.incident and not other.ended for other in self.runs)
            if not busy and run.incident in looked:
                self._given_back(run)
        return looked

    def _start(self, incident: str, _cluster: str) -> str:
        raise AssertionError(f"{incident} has an execution")

    def _give_back(self, action: str, incident: str, _execution: str | None) -> None:
        kind = {"uncordon": ChangeKind.CORDON, "restore_warm_targets": ChangeKind.WARM_TARGETS}[action]
        log = ChangeLog(self.table, self.clock, incident)
        for change in log.made(kind):
            log.undone(change)

    def _workflow(self) -> RollbackWorkflow:
        return RollbackWorkflow(ROLLBACK, self.lifecycle, lambda arn: arn not in self.endings, 60)

    def _record(self, run: Run) -> Incident:
        return self.incidents.get(run.incident)

    def _log(self, run: Run) -> ChangeLog:
        return ChangeLog(self.table, self.clock, run.incident)


def test_no_sequence_of_runs_crashes_and_jumps_leaves_two_writers_or_anything_held(aws: LocalAws) -> None:
    bound = type("WatchdogMachineHere", (WatchdogMachine,), {"aws": aws})
    run_state_machine_as_test(bound, settings=settings(examples(0.3), stateful_step_count=20, phases=PHASES))
