"""Nodes whose max-pods allows more pods than their ENIs have addresses for.

Sources: Karpenter, "Settings" (RESERVED_ENIS; it computes max-pods from the whole instance type); EKS User Guide,
"Deploy pods in alternate subnets with custom networking" (the primary ENI has no pods); issue #3238 of the VPC CNI.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import ENABLE_POD_ENI, MAX_ENI, Node
from ip_remediator.snapshot.node_room.limits import pods_that_fit, trunks


@dataclass(frozen=True)
class Excess:
    """Nodes of one kind. `max_pods`: what they are allowed; `fitting`: the pods that fit; `keeps`: why it is not more;
    `reserved`: the ENIs of each node that pods do not get."""

    kind: str
    provisioner: str
    max_pods: int
    fitting: int
    keeps: tuple[str, ...]
    reserved: int

    @property
    def summary(self) -> str:
        """The excess and its remedy, as one sentence."""
        why = f" ({' and '.join(self.keeps)})" if self.keeps else ""
        holds = f"max-pods is {self.max_pods} and the ENIs of {self.kind} hold {self.fitting} pods{why}"
        return f"{holds}: {self.remedy}"

    @property
    def remedy(self) -> str:
        """What prevents it on new nodes."""
        if self.provisioner == "karpenter" and self.reserved:
            return (
                f"set RESERVED_ENIS={self.reserved} on Karpenter's controller, or spec.kubelet.maxPods: {self.fitting} "
                "in the EC2NodeClass"
            )
        where = "spec.kubelet of the EC2NodeClass" if self.provisioner == "karpenter" else "the kubelet's configuration"
        return f"--max-pods={self.fitting} for {self.kind}, that is maxPods: {self.fitting} in {where}"


def excesses(snapshot: Snapshot, nodes: Iterable[Node], *, custom_networking: bool) -> list[Excess]:
    """Those of `nodes`, one for each kind; `custom_networking`: judged as if it were on."""
    cni, excesses_by_kind = snapshot.cni, set()
    for node in nodes:
        fitting = pods_that_fit(cni, node, custom_networking=custom_networking)
        if not node.runs_vpc_cni or fitting is None or not node.max_pods or node.max_pods <= fitting:
            continue
        keeps = ["custom networking keeps the primary ENI free of pods"] if custom_networking else []
        keeps += [f"{ENABLE_POD_ENI} keeps one for the trunk ENI"] if trunks(cni, node) else []
        limited = [] if keeps or not cni.number(MAX_ENI) else [f"{MAX_ENI}={cni.number(MAX_ENI)}"]
        excesses_by_kind.add(
            Excess(
                kind=node.instance_type or node.name,
                provisioner=node.provisioner or "",
                max_pods=node.max_pods,
                fitting=fitting,
                keeps=(*keeps, *limited),
                reserved=len(keeps),
            )
        )
    return sorted(excesses_by_kind, key=lambda excess: (excess.kind, excess.max_pods, excess.provisioner))
