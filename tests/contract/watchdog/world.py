"""An incident on a real table, and executions that end when the test says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ip_remediator.common.errors import ServiceUnavailable
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.vpc_lock import VpcLock, VpcLocked
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.watchdog.rules import Ending
from ip_remediator.watchdog.watch import Watchdog
from tests.contract.address_ledger.table import RawTable
from tests.contract.conftest import Clock, resource, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

MACHINE = "arn:aws:states:eu-west-1:1:execution:stack-{}StateMachine:{}"
REMEDIATION, ROLLING_BACK, REPLACING = (
    MACHINE.format(kind, kind.lower()) for kind in ("Remediation", "Rollback", "Replacement")
)
ENDINGS = ("ABORTED", "TIMED_OUT", "FAILED")
CIDR = ChangeMade(kind=ChangeKind.VPC_CIDR, target="100.64.0.0/22")
CORDON = ChangeMade(kind=ChangeKind.CORDON, target="node-1")


def new_table(aws: LocalAws, stem: str) -> RawTable:
    keys = (("pk", "HASH"), ("sk", "RANGE"))
    return RawTable(
        resource(aws.endpoint, aws).create_table(
            TableName=unique(stem),
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        )
    )


@dataclass
class Blocks:
    """Whose blocks were given back."""

    released: list[str] = field(default_factory=list)

    def release(self, owner: str) -> None:
        self.released.append(owner)


@dataclass
class World:
    """An incident, the executions that have ended, and what the watchdog asked others to do."""

    table: Any
    clock: Clock
    incident: str
    vpc: str
    blocks: Blocks = field(default_factory=Blocks)
    endings: dict[str, Ending] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuses: bool = False

    @property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(self.table, self.blocks, self.clock)  # type: ignore[arg-type]

    @property
    def incidents(self) -> Incidents:
        return Incidents(self.table, self.clock)

    @property
    def record(self) -> Incident:
        return self.incidents.get(self.incident)

    @property
    def log(self) -> ChangeLog:
        return ChangeLog(self.table, self.clock, self.incident)

    @property
    def watchdog(self) -> Watchdog:
        return Watchdog(self.lifecycle, self.endings.get, self.start, self.give_back)

    def start(self, incident: str, _cluster: str) -> str:
        self.started.append(incident)
        return REMEDIATION

    def give_back(self, action: str, incident: str, _execution: str | None) -> None:
        self.asked.append(action)
        if self.refuses:
            raise ServiceUnavailable("the cluster does not answer")
        kind = {"uncordon": ChangeKind.CORDON, "restore_warm_targets": ChangeKind.WARM_TARGETS}[action]
        for change in ChangeLog(self.table, self.clock, incident).made(kind):
            self.log.undone(change)

    def ends(self, execution: str, status: str, error: str | None = None) -> Ending:
        self.endings[execution] = Ending(execution=execution, status=status, error=error, cause="by the test")
        return self.endings[execution]

    def holds_lock(self) -> bool:
        try:
            VpcLock(self.table, self.clock).acquire(self.vpc, "another")
        except VpcLocked:
            return True
        VpcLock(self.table, self.clock).release(self.vpc, "another")
        return False

    def is_watched(self) -> bool:
        return self.incident in list(self.incidents.worked_on())
