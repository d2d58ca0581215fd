"""Proof for subnets that are not for pods alone: a node has joined in them, or the cluster has them and is healthy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.nodes import KubeNodes
from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import NotFound, NotYet
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import Incident, Step, SubnetBalance, Verification
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Plan, Recipient
from ip_remediator.provisioning.auto_scaling import AutoScaling
from ip_remediator.remediation.verify import balances
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.preflight.node_launchers import node_class

# How long one invocation watches; the state machine's Retry carries on.
WATCH_SECONDS = 60
_POLL = 2.0
_NODE_CLASSES = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses"
_NODE_CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
_LACKS_ADDRESSES = "InsufficientFreeAddresses"


class NoNodeYet(NotYet):
    """Nodes are wanted, and none has joined in the new subnets."""


@dataclass(frozen=True)
class _State:
    """`missing`: what is not as it should be, in words; `joined`: the nodes that live in the plan's subnets."""

    missing: tuple[str, ...]
    joined: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecipientVerifier:
    """`describe` gives DescribeCluster's answer, `autoscaling` is boto3's client."""

    incident: Incident
    incidents: Incidents
    snapshot: Snapshot
    kube: KubeApi
    ec2: Ec2Reader
    autoscaling: Any
    describe: Callable[[], Mapping[str, Any]]

    def verify(self, *, final: bool, seconds: float = WATCH_SECONDS) -> dict[str, Any]:
        """`{"outcome", "healed", "still_stuck"}`; `healed`: how many nodes have joined.

        `final`: judge what is there, wait no more.

        Raises:
            NoNodeYet: not `final`, and something is missing.
        """
        deadline = time.monotonic() + (0 if final else seconds)
        while (state := self._state()).missing and time.monotonic() < deadline:
            time.sleep(_POLL)
        if state.missing and not final:
            raise NoNodeYet(some_of(state.missing))
        proof = Verification(subnets=tuple(self._balances()), joined=state.joined)
        outcome = Outcome.FAILED if state.missing else Outcome.HEALED
        self.incidents.complete(self.incident.id, Step.VERIFY, self._note(state), verification=proof)
        return {"outcome": outcome.value, "healed": len(state.joined), "still_stuck": 0}

    @property
    def _plan(self) -> Plan:
        return self.incident.require_plan()

    def _state(self) -> _State:
        if self._plan.for_cluster:
            return _State(tuple(self._missing_of_cluster()))
        # read first, so that an instance that has come since is seen below
        wanted = list(self._nodes_wanted())
        living = self.ec2.instances_in(self._ids)
        nodes = KubeNodes(self.kube).ready_by_instance()
        joined = tuple(sorted(nodes[instance] for instance in living if instance in nodes))
        missing = [f"{text}" for recipient in self._plan.recipients for text in self._missing_of(recipient)]
        wanting = [] if joined else [*wanted, *_not_joined(living)]
        return _State((*missing, *(f"{text}, and no node has joined in the new subnets" for text in wanting)), joined)

    def _note(self, state: _State) -> str:
        if state.missing:
            return some_of(state.missing)
        if self._plan.for_cluster:
            return f"EKS has the subnets and lacks no addresses in them: {some_of(self._ids)}"
        if state.joined:
            return f"{counted(len(state.joined), 'node')} joined in the new subnets: {some_of(state.joined)}"
        return f"nothing waits for a node; {some_of(self._ids)} are ready for the next one"

    @property
    def _ids(self) -> list[str]:
        return sorted(self.incident.subnets.values())

    def _missing_of_cluster(self) -> Iterator[str]:
        described = self.describe()
        present = (described.get("resourcesVpcConfig") or {}).get("subnetIds") or []
        lacking = [id_ for id_ in self._ids if id_ not in present]
        if lacking:
            yield f"EKS does not have {some_of(lacking)} yet"
        issues = (described.get("health") or {}).get("issues") or []
        low = {id_ for issue in issues if issue.get("code") == _LACKS_ADDRESSES for id_ in issue["resourceIds"]}
        if about := sorted(low & set(present)):
            yield f"EKS still lacks addresses in {some_of(about)}"

    def _missing_of(self, recipient: Recipient) -> Iterator[str]:
        wanted = {self.incident.subnets[zone] for zone in recipient.zones}
        if recipient.kind == "auto-scaling-group":
            lacking = wanted - set(AutoScaling(self.autoscaling).group(recipient.name).subnets)
            where = f"Auto Scaling group {recipient.name}"
        else:
            item = self.kube.find(f"{_NODE_CLASSES}/{recipient.name}")
            lacking = wanted - set(node_class(item).subnets if item else ())
            where = f"EC2NodeClass {recipient.name}"
        if lacking:
            yield f"{where} does not have {some_of(sorted(lacking))} yet"

    def _nodes_wanted(self) -> Iterator[str]:
        """Who waits for a node: groups below their size, NodeClaims without an instance, pods that find no node."""
        for recipient in self._plan.recipients:
            if recipient.kind == "auto-scaling-group":
                yield from self._below_size(recipient.name)
            elif claims := self._unlaunched():
                yield f"NodeClaims {some_of(claims)} have no instance"
        if self._plan.for_nodes and (pods := self._unschedulable()):
            yield f"pods {some_of(pods, 3)} find no node"

    def _below_size(self, group: str) -> Iterator[str]:
        present = AutoScaling(self.autoscaling).group(group)
        running, desired = present.running or 0, present.desired or 0
        if running < desired:
            yield f"Auto Scaling group {group} has {running} of {counted(desired, 'instance')}"

    def _unlaunched(self) -> list[str]:
        try:
            claims = list(self.kube.items(_NODE_CLAIMS))
        except NotFound:
            return []
        return [
            claim["metadata"]["name"]
            for claim in claims
            if "deletionTimestamp" not in claim["metadata"] and not (claim.get("status") or {}).get("providerID")
        ]

    def _unschedulable(self) -> list[str]:
        pending = self.kube.items("/api/v1/pods", fieldSelector="status.phase=Pending,spec.nodeName=")
        return [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pending if _finds_no_node(pod)]

    def _balances(self) -> Iterator[SubnetBalance]:
        wanted = {*self._ids, *(id_ for recipient in self._plan.recipients for id_ in recipient.present)}
        return balances(self.ec2, self.snapshot, self._plan.vpc_id, wanted)


def _not_joined(instances: Iterable[str]) -> Iterator[str]:
    """An instance is InService before its node is Ready."""
    if names := sorted(instances):
        yield f"{some_of(names)} runs there without a Ready node"


def _finds_no_node(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "PodScheduled" and condition["status"] == "False" for condition in conditions)
