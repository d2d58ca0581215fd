"""Verifies the result of a node replacement: the pods that waited run, or the pods that their controllers made
instead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ip_remediator.clients.kubernetes.workload_pods import KubeDrain
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import HealedPod, Step, Verification
from ip_remediator.incidents.replacement_record import NodeState, Replacement, WaitingPod
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.remediation.verify import WATCH_SECONDS, PodsStillPending, Verifier, described_groups
from ip_remediator.snapshot.node_room.limits import free_slots

Pod = dict[str, Any]


@dataclass(frozen=True)
class _Workload:
    """The pods of one controller: those that waited, and the pods in their place now, the best proof first. As many
    running pods count as waited before, minus those that are not Running."""

    waited: list[WaitingPod]
    pending: list[Pod]
    running: list[Pod]

    @property
    def healed(self) -> list[Pod]:
        return self.running[: max(0, len(self.waited) - len(self.pending))]

    @property
    def gone(self) -> list[WaitingPod]:
        """Those for which the controller made no other pod."""
        return self.waited[len(self.healed) + len(self.pending) :]


@dataclass(frozen=True)
class VerifierAfterReplacement(Verifier):
    """Pods count as healed with any address, because a terminated node also frees addresses in its old subnet."""

    drain: KubeDrain

    def verify(self, *, final: bool, seconds: float = WATCH_SECONDS) -> dict[str, Any]:
        """As `Verifier.verify`, of what was still stuck.

        Raises:
            PodsStillPending: not `final`, and pods are still waiting.
        """
        recreated = self._recreated_pods()
        pending = [pod for pods in recreated.values() for pod in pods if _phase(pod) == "Pending"]
        full = self._full
        able = {_uid(pod) for pod in pending if _host(pod) not in full}
        waiting = self.pods.await_not_pending(able, 0 if final else seconds)
        if waiting and not final:
            raise PodsStillPending(f"{len(waiting)} of the pods that were moved have no address yet")
        proof = self._proof(self._recreated_pods())
        outcome = Outcome.HEALED if not proof.still_stuck else Outcome.PARTLY if proof.healed else Outcome.FAILED
        every = len(proof.healed) + len(proof.still_stuck)
        proof = self._with_node_groups(proof, outcome)
        note = f"after the replacement of nodes: {len(proof.healed)} of {every} pods run{described_groups(proof)}"
        self.incidents.complete(self.incident.id, Step.VERIFY, note, verification=proof)
        return {"outcome": outcome.value, "healed": len(proof.healed), "still_stuck": len(proof.still_stuck)}

    @property
    def _replacement(self) -> Replacement:
        if self.incident.replacement is None:
            raise InvalidInput(f"incident {self.incident.id} had no node replaced")
        return self.incident.replacement

    def _recreated_pods(self) -> dict[str, list[Pod]]:
        """By controller: the pods that waited and are still there, and those made since, the newest first."""
        began = self._replacement.since.replace(microsecond=0)
        kept = {pod.uid for pod in self._replacement.waiting}
        recreated = {}
        for namespace, controller in {(pod.namespace, pod.controller) for pod in self._replacement.waiting}:
            pods = self.drain.pods_of(namespace, controller)
            made = [pod for pod in pods if _uid(pod) in kept or _created(pod) >= began]
            recreated[controller] = sorted(made, key=_created, reverse=True)
        return recreated

    def _proof(self, recreated: Mapping[str, list[Pod]]) -> Verification:
        """The verification before the replacement, brought up to date."""
        before = self.incident.verification or Verification()
        interfaces = self.ec2.addresses_of_subnets(self._wanted)
        workloads = self._workloads(recreated, interfaces)
        gone = [f"{pod.namespace}/{pod.name}" for workload in workloads for pod in workload.gone]
        stuck = [_shown(pod) for workload in workloads for pod in workload.pending]
        stuck += self._stuck_without_controller(before, recreated)
        return before.model_copy(
            update={
                "healed": tuple(self._healed_pods(before, workloads, interfaces)),
                "still_stuck": tuple(sorted(stuck)),
                "gone": tuple(dict.fromkeys([*before.gone, *gone])),
                "subnets": tuple(self._balances()),
                "nodes_to_replace": tuple(sorted(self._unreplaced(before) | self._full_hosts(recreated, stuck))),
            }
        )

    def _workloads(self, recreated: Mapping[str, list[Pod]], interfaces: Mapping[str, str]) -> list[_Workload]:
        waited: dict[str, list[WaitingPod]] = defaultdict(list)
        for pod in self._replacement.waiting:
            waited[pod.controller].append(pod)
        return [_workload(pods, recreated.get(controller, []), interfaces) for controller, pods in waited.items()]

    def _healed_pods(
        self, before: Verification, workloads: Iterable[_Workload], interfaces: Mapping[str, str]
    ) -> list[HealedPod]:
        """Those healed before whose nodes stayed, and those that run now, each once."""
        ended = self._ended
        healed = [pod for pod in before.healed if pod.node not in ended]
        for workload in workloads:
            listed = {(pod.namespace, pod.name) for pod in healed}
            healed += [self._healed_pod(pod, interfaces) for pod in workload.healed if _key(pod) not in listed]
        return healed

    def _stuck_without_controller(self, before: Verification, recreated: Mapping[str, list[Pod]]) -> list[str]:
        """Those stuck before that are no controller's, as far as is recorded, and still wait."""
        judged = {_shown(pod) for pods in recreated.values() for pod in pods}
        judged |= {f"{pod.namespace}/{pod.name}" for pod in self._replacement.waiting}
        names = [name for name in before.still_stuck if name not in judged]
        present = self.pods.present(names)
        return [name for name in names if name in present and _phase(present[name]) == "Pending"]

    def _unreplaced(self, before: Verification) -> set[str]:
        return set(before.nodes_to_replace) - self._ended

    def _full_hosts(self, recreated: Mapping[str, list[Pod]], stuck: Collection[str]) -> set[str]:
        hosts = {_host(pod) for pods in recreated.values() for pod in pods if _shown(pod) in stuck}
        return hosts & self._full

    @property
    def _full(self) -> set[str]:
        """The nodes on which no pod gets an address, however long we wait: they exist and have no free ENI slot."""
        named = self.incident.verification.nodes_to_replace if self.incident.verification else ()
        full = {node.name for node in self.snapshot.nodes if free_slots(self.snapshot.cni, node) == 0}
        return {*named, *full} - self._ended

    @property
    def _ended(self) -> set[str]:
        """The nodes that were replaced, or terminated by others."""
        begun = [node for zone in self.incident.replacements.values() for node in zone.nodes]
        return {node.name for node in begun if node.state is NodeState.REPLACED} | set(self._replacement.gone)

    def _healed_pod(self, pod: Pod, interfaces: Mapping[str, str]) -> HealedPod:
        address, node = pod["status"].get("podIP"), pod["spec"].get("nodeName")
        subnet = interfaces.get(address or "")
        zones = {id_: zone for zone, id_ in self.incident.subnets.items()}
        at = self.snapshot.node(node)
        return HealedPod(
            namespace=pod["metadata"]["namespace"],
            name=pod["metadata"]["name"],
            node=node,
            zone=zones.get(subnet or "") or (at.zone if at else None),
            address=address,
            subnet=subnet,
        )


def _workload(waited: list[WaitingPod], made: list[Pod], interfaces: Mapping[str, str]) -> _Workload:
    running = [pod for pod in made if _phase(pod) == "Running"]
    return _Workload(
        waited=waited,
        pending=[pod for pod in made if _phase(pod) != "Running"],
        running=sorted(running, key=lambda pod: pod["status"].get("podIP") not in interfaces),
    )


def _uid(pod: Pod) -> str:
    return str(pod["metadata"]["uid"])


def _key(pod: Pod) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _shown(pod: Pod) -> str:
    return "/".join(_key(pod))


def _host(pod: Pod) -> str:
    return str(pod["spec"].get("nodeName", ""))


def _phase(pod: Pod) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _created(pod: Pod) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
