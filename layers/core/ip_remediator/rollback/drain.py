"""The cluster's part of a rollback: reads what uses the block, evicts pods from it, uncordons nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.evictor import Evictor
from ip_remediator.clients.kubernetes.nodes import KubeNodes
from ip_remediator.common.actor import Actor
from ip_remediator.common.clock import Clock
from ip_remediator.common.errors import NotYet, PermissionDenied, RequestRefused, Transient
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import (
    ChangeKind,
    ChangeMade,
    HangingPods,
    Incident,
    Progress,
    RecordedChange,
    Rollback,
    RollbackState,
    Step,
    StepState,
)
from ip_remediator.incidents.repository import Incidents
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cordons import cordon, uncordon
from ip_remediator.provisioning.kubernetes import INCIDENT_LABEL, KubeChanges, pointed_by
from ip_remediator.rollback.block_pods import pods_on_block, pods_without_address
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.rules import (
    BlockSubnet,
    BlockUse,
    PointedEniConfig,
    assess,
    in_the_way,
    nodes_to_cordon,
    pods_remain,
)
from ip_remediator.rollback.successor import successions, successors_of_eni_configs
from ip_remediator.rollback.transfer import transfer_to
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.model_cluster import DISCOVERY_TAG

# How many pods a record names.
_NAMED = 20


class RollbackBlocked(RequestRefused):
    """Something else uses what the rollback would remove; the message names it and the remedy."""


class PodsInTheWay(RequestRefused):
    """Pods still have addresses of the block, and nobody asked to move them."""


@dataclass(frozen=True)
class BlockDrainer:
    """Raises the errors of `common.errors` and `clients.kubernetes.api`.

    `sleep` is time.sleep unless a test says so.
    """

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    kube: KubeApi
    ec2: Ec2Block
    clock: Clock
    sleep: Callable[[float], None] = time.sleep

    def assess(self, requested_by: Actor, evict: bool) -> dict[str, Any]:
        """Stores what uses the block, so that people can decide: `{"pods", "interfaces"}`.

        Raises:
            RollbackBlocked
        """
        use, _ = self._use_with_successors()
        assessment = assess(use, self.clock())
        rollback = Rollback(state=RollbackState.ASSESSED, requested_by=requested_by, assessment=assessment, evict=evict)
        note = f"{counted(assessment.pods, 'pod')} and {counted(assessment.interfaces, 'ENI')} use the block"
        self.incidents.record_rollback(self.incident, rollback, StepState.RUNNING, note)
        _refuse(assessment.in_the_way)
        return {"pods": assessment.pods, "interfaces": assessment.interfaces}

    def recheck_and_transfer(self) -> int:
        """Checks again, because things may have changed while people decided, and returns the number of ENIs on the
        block.

        What later incidents depend on is transferred to them before anything is undone.

        Raises:
            RollbackBlocked
        """
        use, later = self._use_with_successors()
        _refuse(tuple(in_the_way(use)))
        self._transfer(use, later)
        return len(use.interfaces)

    def _use_with_successors(self) -> tuple[BlockUse, dict[str, list[RecordedChange]]]:
        """The use with the later incidents that may take over, and the changes of each."""
        use = self._use()
        later = self._later(use.others)
        return use.model_copy(update={"successors": successors_of_eni_configs(later, use.own_subnets)}), later

    def _transfer(self, use: BlockUse, later: dict[str, list[RecordedChange]]) -> None:
        for succession in successions(self.incident.id, self.log.made(), later, use.own_subnets, use.cidr_successor):
            successor = self.incidents.get(succession.successor)
            inherits = dict.fromkeys((*successor.inherits, *self.incident.inherits, self.incident.id))
            transfer_to(self.log, succession, tuple(inherits))
            if self.incident.rollback:
                rollback = self.incident.rollback.model_copy(update={"successor": succession.successor})
                note = f"incident {succession.successor} keeps what it needs"
                self.incidents.record_rollback(self.incident, rollback, StepState.RUNNING, note)

    def _later(self, others: Iterable[BlockSubnet]) -> dict[str, list[RecordedChange]]:
        """The changes of the other incidents that have subnets in the VPC."""
        incidents = sorted({subnet.incident for subnet in others if subnet.incident})
        return {incident: self.log.of(incident).made() for incident in incidents}

    def move_pods(self, evict: bool) -> dict[str, Any]:
        """Evicts pods from the block if `evict`; some per call.

        Nodes that could assign its addresses again are cordoned first.

        Raises:
            PodsInTheWay: there are pods, and `evict` is False.
            NotYet: some are still there; call again.
        """
        use = self._use()
        if evict:
            self._cordon(use)
        if not use.pods:
            return {"pods": 0}
        if not evict:
            raise PodsInTheWay(pods_remain(use))
        assessed = self.incident.rollback.assessment if self.incident.rollback else None
        total = max(assessed.pods if assessed else 0, len(use.pods))
        progress = Progress(step=Step.ROLLBACK, unit="pod", done=total - len(use.pods), total=total)
        if progress != self.incident.progress:
            self.incidents.record_progress(self.incident.id, progress)
        self.log.require_lock()
        refusals = Evictor(self.kube, self.sleep).evict([pod for pod in use.pods if not pod.leaving])
        why = f"; refused: {some_of([refusal.message for refusal in refusals])}" if refusals else ""
        raise NotYet(f"{counted(len(use.pods), 'pod')} on addresses of the block, being moved{why}")

    def _cordon(self, use: BlockUse) -> None:
        nodes = KubeNodes(self.kube)
        for name in nodes_to_cordon(use, nodes.by_instance()):
            cordon(nodes, self.log, name)

    def uncordon(self) -> dict[str, Any]:
        """Uncordons the nodes that this rollback cordoned; nodes that people cordoned before stay cordoned."""
        return {"uncordoned": uncordon(KubeNodes(self.kube), self.log)}

    def read_back_hanging(self) -> int | None:
        """Records which pods made since the assessment have no address, and returns their number; None where nothing
        was assessed, or Kubernetes does not say: a rollback does not fail for what only its message tells."""
        rollback = self.incident.rollback
        if rollback is None or rollback.assessment is None:
            return None
        try:
            pods = pods_without_address(self.kube, rollback.assessment.at)
        except (Transient, PermissionDenied, RequestRefused):
            return None
        hanging = HangingPods(at=self.clock(), number=len(pods), names=tuple(pods[:_NAMED]))
        latest = rollback.model_copy(update={"hanging": hanging})
        note = f"{counted(len(pods), 'pod')} made since then {'has' if len(pods) == 1 else 'have'} no IP address"
        self.incidents.record_rollback(self.incident, latest, StepState.RUNNING, note)
        return len(pods)

    def _use(self) -> BlockUse:
        plan = self.incident.require_plan()
        subnets = self.ec2.subnets(plan.vpc_id)
        own_subnets = [subnet for subnet in subnets if subnet.incident == self.incident.id]
        networks = [IPv4Network(subnet.cidr) for subnet in own_subnets]
        return BlockUse(
            incident=self.incident.id,
            cluster=self.incident.cluster,
            cidr=self._added_cidr(),
            subnets=tuple(own_subnets),
            recorded=self._recorded_subnets(),
            others=tuple(subnet for subnet in subnets if subnet.incident != self.incident.id),
            interfaces=tuple(self.ec2.interfaces(subnet.id for subnet in own_subnets)),
            pods=tuple(pods_on_block(self.kube, networks, staying=plan.for_nodes)) if networks else (),
            changed=tuple(self._pointed(change) for change in self.log.made(ChangeKind.ENICONFIG)),
            eni_configs=tuple(KubernetesReader(self.kube).eni_configs()),
            switched=bool(self.log.made(ChangeKind.CNI)),
            standing=tuple(sorted({change.kind for change in self.log.outstanding()})),
            kept=tuple(subnet.id for subnet in plan.subnets if subnet.id),
            discoverable=self._opened_to_discovery(),
            for_nodes=plan.for_nodes,
            for_cluster=plan.for_cluster,
        )

    def _added_cidr(self) -> str | None:
        """The CIDR that the incident added to the VPC."""
        added = (change.target for change in self.log.made(ChangeKind.VPC_CIDR) if change.before is None)
        return next(added, None)

    def _recorded_subnets(self) -> dict[str, str | None]:
        """Ids of the subnets that the change log knows, by zone; None where a crash lost the id."""
        return {
            change.target: (change.after or {}).get("id") or self.incident.subnets.get(change.target)
            for change in self.log.made(ChangeKind.SUBNET)
        }

    def _opened_to_discovery(self) -> tuple[str, ...]:
        """Ids of the subnets that were there before, closed to subnet discovery until this incident."""
        changes = self.log.made(ChangeKind.SUBNET_TAGS)
        tags_before = [(change.target, change.before or {}) for change in changes]
        return tuple(subnet for subnet, tags in tags_before if DISCOVERY_TAG in tags and tags.get(DISCOVERY_TAG) != "1")

    def _pointed(self, change: ChangeMade) -> PointedEniConfig:
        present = KubeChanges(self.kube).eni_config(change.target)
        before = change.before["spec"].get("subnet") if change.before else None
        if present is None:
            return PointedEniConfig(name=change.target, before=before, missing=True)
        return PointedEniConfig(
            name=change.target,
            before=before,
            now=present.get("spec", {}).get("subnet"),
            incident=(present["metadata"].get("labels") or {}).get(INCIDENT_LABEL),
            writer=pointed_by(present),
        )


def _refuse(reasons: tuple[str, ...]) -> None:
    if reasons:
        raise RollbackBlocked("; ".join(reasons))
