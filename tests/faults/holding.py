"""What must hold after every run, whatever happened in it; each is read from outside."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

from ip_remediator.incidents.record import Incident
from local.cluster.kube import NODES
from tests.faults.worlds import RUNNING, Setting
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient
from tests.support.waiting import eventually

_INCIDENT_TAG = "eks-ip-remediator:incident"


class Violation(AssertionError):
    """Something that must hold does not."""


def require(holds: object, otherwise: object) -> None:
    if not holds:
        raise Violation(str(otherwise)[:2000])


@dataclass(frozen=True)
class Invariants:
    """`before`: all that was there before anything happened (`Patient.world`)."""

    lab: Lab
    sick: Patient
    before: dict[str, Any]
    setting: Setting

    def require_all(self, incident: Incident) -> dict[str, Any]:
        """Raises Violation; returns the incident's one message in Slack."""
        require(not incident.open, f"open for ever: {incident.steps}")
        require(self.lab.incidents.open_incident(self.sick.name) is None, "the cluster's marker is open")
        require(self.lab.lock_holder(self.sick.vpc_id) is None, "the VPC's lock is held")
        self._require_no_cordon()
        self._require_nothing_points_at_what_is_gone()
        self._require_recorded_subnets(incident)
        self._require_apart()
        self._require_foreign_settings()
        running = self.sick.addresses()
        require(len(running) >= RUNNING, f"pods are worse off: {running}")
        messages = eventually("Slack is told", lambda: self._messages(incident.id), seconds=60)
        require(len(messages) == 1, f"{len(messages)} messages in Slack")
        return messages[0]

    def require_as_before(self) -> None:
        now = self.sick.world()
        different = {key: (self.before[key], now[key]) for key in now if now[key] != self.before[key]}
        require(not different, f"not as before: {different}")

    def _messages(self, incident: str) -> list[dict[str, Any]]:
        """After a look of the watchdog, which has those told again that Slack did not take."""
        messages = self.lab.messages(incident)
        if not messages:
            self.lab.aws("lambda").invoke(FunctionName="eks-ip-remediator-watchdog", Payload=b"{}")
        return messages

    def _require_no_cordon(self) -> None:
        nodes = self.sick.api.get(NODES.path())["items"]
        cordoned = [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]
        require(not cordoned, f"still cordoned: {cordoned}")

    def _require_nothing_points_at_what_is_gone(self) -> None:
        subnets = set(self.sick.subnets())
        for name, spec in (self.sick.eni_configs() or {}).items():
            require(spec["subnet"] in subnets, f"ENIConfig {name} points at {spec['subnet']}, which is gone")

    def _require_recorded_subnets(self, incident: Incident) -> None:
        recorded = {line.rpartition("#")[2] for line in self.lab.changes(incident.id) if "#subnet#" in line}
        made = self.sick.new_subnets()
        require(set(made) <= recorded, f"subnets in {set(made) - recorded} are not in the record")
        subnets = self.sick.subnets()
        untagged = [subnet for subnet in made.values() if _INCIDENT_TAG not in subnets[subnet]["tags"]]
        require(not untagged, f"subnets without our tag: {untagged}")

    def _require_apart(self) -> None:
        reserved = [_network(key) for _, key in self.lab.ledger_items() if key.count(".") == 3 and "/" in key]
        overlapping = [pair for pair in combinations(reserved, 2) if pair[0].overlaps(pair[1])]
        require(not overlapping, f"reservations overlap: {overlapping}")

    def _require_foreign_settings(self) -> None:
        """Variables of aws-node that are not the plan's, and subnets that were there before."""
        ours = ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "ENI_CONFIG_LABEL_DEF")
        now = self.sick.cni_environment()
        theirs = {name: value for name, value in self.before["cni"].items() if name not in ours}
        changed = {name: now.get(name) for name, value in theirs.items() if now.get(name) != value}
        require(not changed, f"variables of others were changed: {changed}")
        gone = self.before["subnets"].keys() - self.sick.subnets().keys()
        require(not gone, f"subnets of others are gone: {gone}")


def _network(key: str) -> IPv4Network:
    """Of a ledger's key, whose numbers are padded so that they sort."""
    address, _, prefix = key.rpartition("#")[2].partition("/")
    return IPv4Network((".".join(str(int(part)) for part in address.split(".")), int(prefix)))
