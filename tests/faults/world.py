"""One run with a fault, and what must hold afterwards, read from outside: EC2, Kubernetes, tables, Slack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from local.cluster.kube import NODES
from tests.faults.cases import Call, Case, calls_of
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, roll_back
from tests.support.waiting import eventually

FUNCTIONS = (
    "IncidentFunction",
    "DiagnoseFunction",
    "PlanFunction",
    "NetworkFunction",
    "ClusterFunction",
    "VerifyFunction",
)
_SECONDS = 180.0
_RUNNING, _STUCK = 8, 2


class Violation(AssertionError):
    """Something that must hold does not."""


@dataclass
class World:
    """A cluster with two pods that wait for an address, and all that is there before anything happens."""

    lab: Lab
    sick: Patient
    before: dict[str, Any]

    @classmethod
    @contextmanager
    def made(cls, lab: Lab) -> Iterator[World]:
        with patient(lab, speed=SPEED) as sick:
            sick.settle(running=_RUNNING, stuck=_STUCK)
            yield cls(lab, sick, sick.world())

    def record(self) -> list[Call]:
        """The calls of a remediation and of its rollback, without a fault."""
        result = []
        self._forget_calls()
        incident = self._remediate()
        result += calls_of("remediation", self.lab.calls(), FUNCTIONS)
        self._forget_calls()
        self._roll_back(incident.id)
        result += calls_of("rollback", self.lab.calls(), FUNCTIONS)
        return result

    def run(self, case: Case) -> str:
        """What came of it, in a word: healed, restored, or stopped with a resumable record. Raises Violation."""
        if case.call.run == "remediation":
            with self.lab.faults(case.document()):
                incident = self._faulty_remediation()
        else:
            incident = self._remediate()
            with self.lab.faults(case.document()):
                self._end_of_rollback(incident.id)
        came = self._judge(incident)
        self._again(incident)
        return came

    # --- The runs

    def _faulty_remediation(self) -> Incident | None:
        execution = self.lab.start(self.sick.name)
        ended = self.lab.end_of(execution, _SECONDS)
        self._require(ended.status != "TIMED_OUT", f"the execution did not end: {ended}")
        result = [item for item in self.lab._incidents_with("execution", execution) if item["sk"] == "META"]
        return self._settled(str(result[0]["pk"]).removeprefix("INCIDENT#")) if result else None

    def _remediate(self) -> Incident:
        ended, incident = self.lab.remediate(self.sick.name)
        self._require(incident.outcome is Outcome.HEALED, f"not healed without a fault: {ended}, {incident.failure}")
        return incident

    def _end_of_rollback(self, incident: str) -> Ended:
        return roll_back(self.lab, incident, confirmed=True, evict=True)

    def _roll_back(self, incident: str) -> None:
        ended = self._end_of_rollback(incident)
        self._require(ended.status == "SUCCEEDED", f"the rollback without a fault: {ended}")
        self._settled(incident)
        self._require_as_before()
        self.sick.settle(running=_RUNNING, stuck=_STUCK)

    def _again(self, incident: Incident | None) -> None:
        """The fault is gone: what stands is rolled back; the same again heals, and is rolled back."""
        if incident is not None and self.lab.changes(incident.id):
            self._roll_back(incident.id)
        self._require_as_before()
        self._roll_back(self._remediate().id)

    def _settled(self, incident: str) -> Incident:
        """Once the watchdog has looked; what it finds in a sweep is done by its rule within five minutes."""
        self._sweep()
        waits = f"the watchdog strikes {incident} off"
        eventually(waits, lambda: incident not in list(self.lab.incidents.worked_on()), seconds=60)
        return self.lab.incidents.get(incident)

    def _sweep(self) -> None:
        name = "eks-ip-remediator-watchdog"
        answer = self.lab.aws("lambda").invoke(FunctionName=name, Payload=b"{}")
        self._require("FunctionError" not in answer, json.loads(answer["Payload"].read()))

    def _forget_calls(self) -> None:
        self.lab._control("DELETE", "/_local/calls")

    # --- What must hold

    def _judge(self, incident: Incident | None) -> str:
        if incident is None:
            self._require_as_before()
            return "refused before anything was opened"
        incident = self._settled(incident.id)
        self._require(not incident.open, f"open for ever: {incident.steps}")
        self._require(self.lab.incidents.open_incident(self.sick.name) is None, "the cluster's marker is open")
        self._require(self.lab.lock_holder(self.sick.vpc_id) is None, "the VPC's lock is held")
        self._require_no_cordon()
        self._require_nothing_points_at_what_is_gone()
        self._require_recorded_subnets(incident)
        self._require_apart()
        self._require(len(self.sick.addresses()) >= _RUNNING, f"pods are worse off: {self.sick.addresses()}")
        messages = eventually("Slack is told", lambda: self.lab.messages(incident.id), seconds=60)
        self._require(len(messages) == 1, f"{len(messages)} messages in Slack")
        return self._came_of(incident, messages[0])

    def _came_of(self, incident: Incident, message: dict[str, Any]) -> str:
        if not self.lab.changes(incident.id):
            self._require_as_before()
            return "restored"
        if incident.outcome is Outcome.HEALED and incident.rollback is None:
            return "healed"
        said = eventually(
            "Slack offers the rollback",
            lambda: self.lab.buttons(self.lab.messages(incident.id)[0]),
            lambda buttons: "rollback" in buttons,
            60,
        )
        self._require(said, f"no way on: {message['text']}")
        return "stopped, resumable"

    def _require_no_cordon(self) -> None:
        nodes = self.sick.api.get(NODES.path())["items"]
        cordoned = [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]
        self._require(not cordoned, f"still cordoned: {cordoned}")

    def _require_nothing_points_at_what_is_gone(self) -> None:
        subnets = set(self.sick.subnets())
        for name, spec in (self.sick.eni_configs() or {}).items():
            self._require(spec["subnet"] in subnets, f"ENIConfig {name} points at {spec['subnet']}, which is gone")

    def _require_recorded_subnets(self, incident: Incident) -> None:
        recorded = {line.rpartition("#")[2] for line in self.lab.changes(incident.id) if "#subnet#" in line}
        made = set(self.sick.new_subnets())
        self._require(made <= recorded, f"subnets in {made - recorded} are not in the record")

    def _require_apart(self) -> None:
        held = [_network(key) for _, key in self.lab.ledger_items() if key.count(".") == 3 and "/" in key]
        overlapping = [pair for pair in combinations(held, 2) if pair[0].overlaps(pair[1])]
        self._require(not overlapping, f"reservations overlap: {overlapping}")

    def _require_as_before(self) -> None:
        now = self.sick.world()
        different = {key: (self.before[key], now[key]) for key in now if now[key] != self.before[key]}
        self._require(not different, f"not as before: {different}")

    @staticmethod
    def _require(holds: object, otherwise: object) -> None:
        if not holds:
            raise Violation(str(otherwise)[:2000])


def _network(key: str) -> IPv4Network:
    """Of a ledger's key, whose numbers are padded so that they sort."""
    address, _, prefix = key.rpartition("#")[2].partition("/")
    return IPv4Network((".".join(str(int(part)) for part in address.split(".")), int(prefix)))
