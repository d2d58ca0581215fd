"""One run with a fault, and what must hold afterwards, read from outside: EC2, Kubernetes, tables, Slack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from tests.faults.cases import KUBERNETES, REMEDIATION, SLACK, WITH_EVICTIONS, Case
from tests.faults.holding import Invariants, require
from tests.faults.worlds import RUNNING, SETTINGS, STUCK, Setting, prepared
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import Patient
from tests.integration.support.rollbacks import start_rollback
from tests.support.waiting import eventually

# By the part of a role's name that tells the function; Slack is called by one alone.
FUNCTIONS = (
    "IncidentFunction",
    "DiagnoseFunction",
    "PlanFunction",
    "NetworkFunction",
    "ClusterFunction",
    "VerifyFunction",
    "NotifyFunction",
)
# Where answers never come, a state is tried five times, and the SDK tries each call several times.
_SECONDS = 1200.0


@dataclass
class World:
    """A cluster with two pods that wait for an address, and all that is there before anything happens."""

    lab: Lab
    name: str
    sick: Patient
    before: dict[str, Any]

    @classmethod
    @contextmanager
    def made(cls, lab: Lab, name: str) -> Iterator[World]:
        with prepared(lab, SETTINGS[name]) as sick:
            yield cls(lab, name, sick, sick.world())

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.name]

    @property
    def holds(self) -> Invariants:
        return Invariants(self.lab, self.sick, self.before, self.setting)

    def warm_up(self) -> None:
        self._roll_back(self._remediate().id)

    def run(self, run: str, injected: AbstractContextManager[None], again: Callable[[], bool] = lambda: True) -> str:
        """What came of it, in a word: healed, restored, or stopped with a resumable record. Raises Violation.

        `again`: whether it is tried what follows now: before what stands is rolled back, and before the same again.
        """
        if run == REMEDIATION:
            with injected:
                incident = self._faulty_remediation()
        else:
            incident = self._remediate()
            with injected:
                self._end_of_rollback(incident.id, evict=run == WITH_EVICTIONS)
        came = self._judge(incident)
        if not again():
            return came
        if self.setting.returns:
            self._again(incident, again)
        elif not self._recovers():
            self._remediate()
        return came

    # --- The runs

    def _faulty_remediation(self) -> Incident | None:
        execution = self.lab.start(self.sick.name, **dict(self.setting.asked))
        ended = self.lab.end_of(execution, _SECONDS)
        require(ended.status != "TIMED_OUT", f"the execution did not end: {ended}")
        records = [item for item in self.lab._incidents_with("execution", execution) if item["sk"] == "META"]
        return self._settled(str(records[0]["pk"]).removeprefix("INCIDENT#")) if records else None

    def _remediate(self) -> Incident:
        ended, incident = self.lab.remediate(self.sick.name, **dict(self.setting.asked))
        require(incident.outcome is Outcome.HEALED, f"not healed without a fault: {ended}, {incident.failure}")
        return incident

    def _end_of_rollback(self, incident: str, *, evict: bool) -> Ended:
        return self.lab.end_of(start_rollback(self.lab, incident, confirmed=True, evict=evict), _SECONDS)

    def _roll_back(self, incident: str) -> None:
        ended = self._end_of_rollback(incident, evict=True)
        require(ended.status == "SUCCEEDED", f"the rollback without a fault: {ended}")
        self._settled(incident)
        self.holds.require_as_before()
        self.sick.settle(running=RUNNING, stuck=STUCK)

    def _again(self, incident: Incident | None, again: Callable[[], bool]) -> None:
        """The fault is gone: what stands is rolled back; the same again heals, and is rolled back."""
        if incident is not None and self.lab.changes(incident.id):
            self._roll_back(incident.id)
        self.holds.require_as_before()
        if again():
            self._roll_back(self._remediate().id)

    def _recovers(self) -> bool:
        """Whether the pods get addresses by themselves, now that some are free: ipamd asks EC2 again two minutes after
        a refusal (ipamd.go, insufficientCidrErrorCooldown)."""
        with suppress(AssertionError):
            return eventually("the pods recover", lambda: len(self.sick.addresses()) == RUNNING + STUCK, seconds=60)
        return False

    def _settled(self, incident: str) -> Incident:
        """Once the watchdog has looked; what it finds in a sweep is done by its rule within five minutes."""
        self._sweep()
        waits = f"the watchdog strikes {incident} off"
        eventually(waits, lambda: incident not in list(self.lab.incidents.worked_on()), seconds=60)
        return self.lab.incidents.get(incident)

    def _sweep(self) -> None:
        name = "eks-ip-remediator-watchdog"
        answer = self.lab.aws("lambda").invoke(FunctionName=name, Payload=b"{}")
        require("FunctionError" not in answer, json.loads(answer["Payload"].read()))

    # --- Faults

    @contextmanager
    def injected(self, case: Case) -> Iterator[None]:
        """Each fault at the counterpart that it meets, for the block's time."""
        of_aws = []
        try:
            for injection in case.injections:
                document = injection.document(self._crash_url(injection.call.function))
                if injection.call.service == KUBERNETES:
                    self.sick.api.request("POST", "/_local/faults", body=document)
                elif injection.call.service == SLACK:
                    self.lab.slack("POST", "/_control/faults", document)
                else:
                    of_aws.append(document)
            with self.lab.faults(*of_aws):
                yield
        finally:
            self.sick.api.request("DELETE", "/_local/faults")
            self.lab.slack("DELETE", "/_control/faults")

    def _crash_url(self, function: str) -> str:
        name = f"eks-ip-remediator-{function.removesuffix('Function').lower()}"
        return f"{self.lab.stack.servers.aws_url}/_local/crash?function={name}"

    # --- What must hold

    def _judge(self, incident: Incident | None) -> str:
        if incident is None:
            self.holds.require_as_before()
            return "refused before anything was opened"
        incident = self._settled(incident.id)
        message = self.holds.require_all(incident)
        return self._came_of(incident, message)

    def _came_of(self, incident: Incident, message: dict[str, Any]) -> str:
        standing = [change for change in self.lab.changes(incident.id) if "#leaked_eni#" not in change]
        if incident.outcome is Outcome.HEALED and incident.rollback is None:
            return "healed"
        if not standing:
            self.holds.require_as_before()
            return "restored"
        buttons = eventually(
            "Slack offers the rollback",
            lambda: self.lab.buttons(self.lab.messages(incident.id)[0]),
            lambda shown: "rollback" in shown,
            60,
        )
        require(buttons, f"no way on: {message['text']}")
        return "stopped, resumable"
