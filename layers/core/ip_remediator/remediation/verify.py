"""Verifies the result: the incident's pods run, EC2 has their addresses on ENIs of the plan's subnets, and these have
free addresses."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ip_remediator.clients.kubernetes.pods import KubePods
from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import NotYet
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import HealedPod, Incident, Progress, Step, SubnetBalance, Verification
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Plan
from ip_remediator.planning.warm_reclaim import describe_frees
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import NetworkInterface, NodeGroup, StuckPod
from ip_remediator.snapshot.model_node_group import NodeGroupState
from ip_remediator.snapshot.node_room.limits import free_slots

# How long one invocation watches; the state machine's Retry carries on, because ipamd waits two minutes after a
# full subnet before it asks EC2 again.
WATCH_SECONDS = 60
# How long it watches before it records how many pods still wait.
_SLICE_SECONDS = 10.0
# How often EC2 is asked for what it does not show yet.
_POLL_SECONDS = 2.0


class PodsStillPending(NotYet):
    """Some of the incident's pods have no address yet."""


@dataclass(frozen=True)
class Verifier:
    """Watches the stuck pods until they run, and reads their addresses back from EC2."""

    incident: Incident
    incidents: Incidents
    snapshot: Snapshot
    pods: KubePods
    ec2: Ec2Reader
    stuck_now: Callable[[], list[StuckPod]]
    """As `KubernetesReader.stuck_pods`."""
    unwell_groups: Callable[[datetime, Iterable[NodeGroup]], tuple[NodeGroupState, ...]]
    """As `NodeGroups.unwell`."""

    @property
    def plan(self) -> Plan:
        """The incident's plan."""
        return self.incident.require_plan()

    def verify(self, *, final: bool, seconds: float = WATCH_SECONDS) -> dict[str, Any]:
        """Waits for the incident's pods that can get an address, and evaluates all of them:
        `{"outcome", "healed", "still_stuck"}`, the latter two as numbers of pods.

        `final`: evaluate the present state without waiting.

        Raises:
            PodsStillPending: not `final`, and pods are still waiting.
        """
        uids = {pod.uid for pod in self.snapshot.stuck_pods if pod.uid and self._can_get_address(pod)}
        waiting = self._watch(uids, 0 if final else seconds)
        if waiting and not final:
            raise PodsStillPending(f"{len(waiting)} of {len(uids)} pods have no address yet")
        proof = self._visible_proof(waiting, 0 if final else seconds)
        if not final:
            self._require_proven(proof)
        outcome = self._outcome(proof)
        proof = self._with_node_groups(proof, outcome)
        note = self._note(proof) + described_groups(proof)
        self.incidents.complete(self.incident.id, Step.VERIFY, note, verification=proof)
        return {"outcome": outcome.value, "healed": len(proof.healed), "still_stuck": len(proof.still_stuck)}

    def _with_node_groups(self, proof: Verification, outcome: Outcome) -> Verification:
        """Where not all is healed, others may be at work on the node groups."""
        before, healed = self.snapshot.cluster.node_groups, outcome is Outcome.HEALED
        groups = () if healed else self.unwell_groups(self.incident.opened_at, before)
        return proof.model_copy(update={"node_groups": groups})

    def _require_proven(self, proof: Verification) -> None:
        """Raises PodsStillPending while EC2 or a pod that came since may still change the result."""
        if unseen := self._unseen(proof):
            raise PodsStillPending(f"EC2 does not show yet: {some_of(unseen)}")
        successors = [_path(pod) for pod in self._stuck_successors(proof.gone) if self._can_get_address(pod)]
        if successors:
            raise PodsStillPending(f"no address yet, in place of pods that are gone: {some_of(successors)}")
        if proof.without_node:
            raise PodsStillPending(f"no node yet, in place of pods that are gone: {some_of(proof.without_node)}")

    def _watch(self, uids: set[str], seconds: float) -> set[str]:
        """The pods that still wait after at most `seconds`; the progress is recorded meanwhile."""
        waiting = self.pods.await_not_pending(uids, 0)
        self._record_progress(len(uids) - len(waiting), len(uids))
        while waiting and seconds > 0:
            before, slice_ = len(waiting), min(seconds, _SLICE_SECONDS)
            waiting = self.pods.await_not_pending(uids, slice_)
            seconds -= slice_
            if len(waiting) != before:
                self._record_progress(len(uids) - len(waiting), len(uids))
        return waiting

    def _visible_proof(self, waiting: set[str], seconds: float) -> Verification:
        """The proof once EC2 shows what is new, or as it is after `seconds`: EC2 is eventually consistent."""
        deadline = time.monotonic() + seconds
        while self._unseen(proof := self._verification(waiting)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return proof

    def _unseen(self, proof: Verification) -> list[str]:
        """What must be there although EC2 does not show it: subnets that were made, the ENIs of running pods that have
        addresses of them, and the addresses that nodes give back."""
        shown = {subnet.id for subnet in proof.subnets}
        blocks = [IPv4Network(subnet.cidr) for subnet in self.plan.subnets]
        unproved = self.pods.present(proof.still_stuck).values()
        addresses = [(pod.get("status") or {}).get("podIP") for pod in unproved]
        ours = [text for text in addresses if text and any(IPv4Address(text) in block for block in blocks)]
        given_back = [f"what nodes give back in {subnet}" for subnet in self._kept_back(proof.freed)]
        return sorted(self._wanted - shown) + ours + given_back

    def _record_progress(self, done: int, total: int) -> None:
        progress = Progress(step=Step.VERIFY, unit="pod", done=done, total=total)
        if total and progress != self.incident.progress:
            self.incidents.record_progress(self.incident.id, progress)

    def _can_get_address(self, pod: StuckPod) -> bool:
        """False if only a new node helps, however long we wait."""
        return not (pod.node and self._must_be_replaced(pod.node))

    def _must_be_replaced(self, name: str) -> bool:
        """The plan says so, or the node has no slot for an ENI in a new subnet."""
        node = self.snapshot.node(name)
        full = self._in_subnets and node is not None and free_slots(self.snapshot.cni, node) == 0
        return full or name in self.plan.replace_nodes

    @property
    def _in_subnets(self) -> bool:
        """Pods must get addresses of the plan's subnets; where leaked ENIs made room, any address will do."""
        return self.plan.adds_addresses

    def _note(self, proof: Verification) -> str:
        if not self.snapshot.stuck_pods:
            free = sum(subnet.after or 0 for subnet in proof.subnets if subnet.id in self._wanted)
            return f"no pod was stuck; {counted(free, 'free address', 'free addresses')} in the plan's subnets"
        freed = f"; nodes gave back {describe_frees(proof.freed)}" if proof.freed else ""
        kind = "new addresses" if self._in_subnets else "an address"
        note = f"{len(proof.healed)} of {len(self.snapshot.stuck_pods)} pods run with {kind}"
        note += freed
        if proof.without_node:
            note += f"; no node for {some_of(proof.without_node)}, in place of pods that are gone"
        if proof.shortfall:
            note += f"; expected {proof.expected} healed now, {len(proof.healed)} are"
            note += f": {some_of(proof.still_stuck)} still wait" if proof.still_stuck else ""
        return note

    @property
    def _wanted(self) -> set[str]:
        return set(self.incident.subnets.values())

    def _stuck_successors(self, gone: Iterable[str]) -> list[StuckPod]:
        """Pods that hang in the namespaces of pods that are `gone` and are new since the diagnosis: whoever deletes a
        pod that hangs gets another one in its place, and that one must run too."""
        namespaces = _namespaces(gone)
        former = {pod.uid for pod in self.snapshot.stuck_pods}
        present = self.stuck_now() if namespaces else []
        return [pod for pod in present if pod.namespace in namespaces and pod.uid not in former]

    def _verification(self, waiting: set[str]) -> Verification:
        interfaces = self.ec2.addresses_of_subnets(self._wanted)
        healed, stuck, gone = [], [], []
        pods = self.pods.present(map(_path, self.snapshot.stuck_pods))
        for pod in self.snapshot.stuck_pods:
            present = pods.get(_path(pod))
            if present is None or present["metadata"]["uid"] != pod.uid:
                gone.append(_path(pod))
            elif pod.uid in waiting or not self._has_address(present, interfaces):
                stuck.append(pod)
            else:
                healed.append(self._healed(pod, present, interfaces))
        stuck += self._stuck_successors(gone)
        # Whoever deletes a node group in the middle of a run takes the pods' nodes away: that is no cure.
        without_node = self.pods.without_node(_namespaces(gone), self.snapshot.taken_at)
        return Verification(
            healed=tuple(healed),
            still_stuck=(*map(_path, stuck), *without_node),
            without_node=tuple(without_node),
            gone=tuple(gone),
            subnets=tuple(self._balances()),
            nodes_to_replace=self._nodes_to_replace(stuck),
            # It is not known which of the pods that are gone were to be healed now.
            expected=min(self.plan.heals_now, len(self.snapshot.stuck_pods) - len(gone)),
            freed=self._freed(),
        )

    def _kept_back(self, freed: Mapping[str, int]) -> list[str]:
        """The subnets in which nodes have not given back what the plan promises."""
        return [subnet for subnet, promised in self.plan.frees.items() if freed.get(subnet, 0) < promised]

    def _freed(self) -> dict[str, int]:
        """By subnet of the promise, the addresses that nodes without stuck pods hold no more."""
        if not self.plan.frees:
            return {}
        hosts = {pod.node for pod in self.snapshot.stuck_pods}
        now = self.ec2.interfaces(self.plan.vpc_id).by_instance
        freed = Counter[str](dict.fromkeys(self.plan.frees, 0))
        for node in self.snapshot.nodes:
            if node.name in hosts:
                continue
            freed.update(_addresses_by_subnet(node.interfaces))
            freed.subtract(_addresses_by_subnet(now.get(node.instance_id or "", ())))
        return {subnet: max(0, freed[subnet]) for subnet in self.plan.frees}

    def _has_address(self, pod: dict[str, Any], interfaces: Mapping[str, str]) -> bool:
        """The pod is Running, and EC2 has its address on an ENI of the plan's subnets."""
        status = pod.get("status") or {}
        address = status.get("podIP")
        if status.get("phase") != "Running" or not address:
            return False
        return address in interfaces or not self._in_subnets

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

    def _balances(self) -> Iterator[SubnetBalance]:
        """The subnets that nodes or pods use, and those of the plan."""
        used = {eni.subnet_id for node in self.snapshot.nodes for eni in node.interfaces}
        return balances(self.ec2, self.snapshot, self.plan.vpc_id, used | self._wanted)

    def _nodes_to_replace(self, stuck: Iterable[StuckPod]) -> tuple[str, ...]:
        hosts = {pod.node for pod in stuck}
        return tuple(sorted(name for name in hosts if name and self._must_be_replaced(name)))

    def _outcome(self, proof: Verification) -> Outcome:
        """Where no pod was stuck (a shortage that was only forecast) the plan's subnets must be there and have room."""
        if not proof.still_stuck and self._kept_back(proof.freed):
            return Outcome.PARTLY
        if proof.still_stuck:
            return Outcome.PARTLY if proof.healed else Outcome.FAILED
        with_room = {subnet.id for subnet in proof.subnets if subnet.after}
        return Outcome.HEALED if self.snapshot.stuck_pods or self._wanted <= with_room else Outcome.FAILED


def described_groups(proof: Verification) -> str:
    """The node groups that were not well, as a part of a note."""
    return f"; {some_of([str(group) for group in proof.node_groups])}" if proof.node_groups else ""


def balances(ec2: Ec2Reader, snapshot: Snapshot, vpc_id: str, wanted: Container[str]) -> Iterator[SubnetBalance]:
    """The free addresses of the `wanted` subnets, as the snapshot has them and as EC2 says now."""
    for subnet in ec2.balances(vpc_id):
        if subnet.id in wanted:
            before = snapshot.subnet(subnet.id)
            yield SubnetBalance(
                id=subnet.id,
                zone=subnet.zone,
                cidr=subnet.cidr,
                before=before.free if before else None,
                after=subnet.free,
            )


def _addresses_by_subnet(interfaces: Iterable[NetworkInterface]) -> Counter[str]:
    counts = Counter[str]()
    for eni in interfaces:
        counts[eni.subnet_id] += eni.addresses
    return counts


def _namespaces(paths: Iterable[str]) -> set[str]:
    return {path.partition("/")[0] for path in paths}


def _path(pod: StuckPod) -> str:
    return f"{pod.namespace}/{pod.name}"
