"""Proof: the incident's pods run, their addresses lie in the new subnets, and EC2 says the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ip_remediator.adapters.ec2_facts import Ec2Facts
from ip_remediator.adapters.errors import NotYet
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.kube_pods import KubePods
from ip_remediator.domain.incidents import HealedPod, Incident, Outcome, Step, SubnetBalance, Verification
from ip_remediator.domain.planning import Plan
from ip_remediator.domain.snapshot import Snapshot, StuckPod
from ip_remediator.steps.planned import plan_of

# How long one invocation watches; the state machine's Retry carries on, because ipamd waits two minutes after a
# full subnet before it asks EC2 again.
WATCH_SECONDS = 60


class PodsStillPending(NotYet):
    """Some of the incident's pods have no address yet."""


@dataclass(frozen=True)
class Verifier:
    incident: Incident
    incidents: Incidents
    snapshot: Snapshot
    pods: KubePods
    ec2: Ec2Facts

    def verify(self, *, final: bool, seconds: float = WATCH_SECONDS) -> dict[str, Any]:
        """Waits for those of the incident's pods that can get an address, and judges all of them:
        `{"outcome", "healed", "still_stuck"}`.

        `final`: judge what is there, wait no more.

        Raises:
            PodsStillPending: not `final`, and pods are still waiting.
        """
        plan = plan_of(self.incident)
        uids = {pod.uid for pod in self.snapshot.stuck_pods if pod.uid and self._can_get_address(pod)}
        waiting = self.pods.await_not_pending(uids, 0 if final else seconds)
        if waiting and not final:
            raise PodsStillPending(f"{len(waiting)} of {len(uids)} pods have no address yet")
        found = self._verification(plan, waiting)
        outcome = _outcome(found)
        note = f"{len(found.healed)} of {len(self.snapshot.stuck_pods)} pods run with new addresses"
        self.incidents.complete(self.incident.id, Step.VERIFY, note, verification=found)
        return {
            "outcome": outcome.value,
            "healed": [f"{pod.namespace}/{pod.name} {pod.address}" for pod in found.healed],
            "still_stuck": list(found.still_stuck),
        }

    def _can_get_address(self, pod: StuckPod) -> bool:
        """False when its node has no slot for an ENI in a new subnet: only a new node helps, however long we wait."""
        node = self.snapshot.node(pod.node)
        return node is None or node.free_eni_slots != 0

    def _verification(self, plan: Plan, waiting: set[str]) -> Verification:
        interfaces = self.ec2.addresses_of_subnets(self.incident.subnets.values())
        healed, stuck, gone = [], [], []
        for pod in self.snapshot.stuck_pods:
            present = self.pods.pod(pod.namespace, pod.name)
            if present is None or present["metadata"]["uid"] != pod.uid:
                gone.append(f"{pod.namespace}/{pod.name}")
            elif pod.uid in waiting or not _has_new_address(present, plan, interfaces):
                stuck.append(f"{pod.namespace}/{pod.name}")
            else:
                healed.append(self._healed(pod, present, interfaces))
        return Verification(
            healed=tuple(healed),
            still_stuck=tuple(stuck),
            gone=tuple(gone),
            subnets=tuple(self._balances(plan)),
            nodes_to_replace=self._nodes_to_replace(stuck),
        )

    def _healed(self, pod: StuckPod, present: dict[str, Any], interfaces: dict[str, str]) -> HealedPod:
        address = present["status"]["podIP"]
        node = self.snapshot.node(pod.node)
        return HealedPod(
            namespace=pod.namespace,
            name=pod.name,
            node=pod.node,
            zone=node.zone if node else None,
            address=address,
            subnet=interfaces.get(address),
        )

    def _balances(self, plan: Plan) -> Iterable[SubnetBalance]:
        """The subnets that nodes or pods use, then the new ones."""
        used = {eni.subnet_id for node in self.snapshot.nodes for eni in node.interfaces}
        made = set(self.incident.subnets.values())
        for subnet in self.ec2.balances(plan.vpc_id):
            if subnet.id in used | made:
                before = self.snapshot.subnet(subnet.id)
                yield SubnetBalance(
                    id=subnet.id,
                    zone=subnet.zone,
                    cidr=subnet.cidr,
                    before=before.free if before else None,
                    after=subnet.free,
                )

    def _nodes_to_replace(self, stuck: list[str]) -> tuple[str, ...]:
        hosts = {pod.node for pod in self.snapshot.stuck_pods if f"{pod.namespace}/{pod.name}" in stuck}
        return tuple(
            sorted(node.name for node in self.snapshot.nodes if node.name in hosts and node.free_eni_slots == 0)
        )


def _has_new_address(pod: dict[str, Any], plan: Plan, interfaces: dict[str, str]) -> bool:
    """The pod is Running with an address of the block, and EC2 has that address on an ENI of a new subnet."""
    status = pod.get("status") or {}
    address = status.get("podIP")
    if status.get("phase") != "Running" or not address:
        return False
    in_block = plan.block is None or IPv4Address(address) in IPv4Network(plan.block)
    return in_block and address in interfaces


def _outcome(found: Verification) -> Outcome:
    if not found.still_stuck:
        return Outcome.HEALED
    return Outcome.PARTLY if found.healed else Outcome.FAILED
