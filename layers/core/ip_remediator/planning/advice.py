"""Settings of the CNI and of nodes that use the present subnets better: computed, shown, and never applied.

Sources: amazon-vpc-cni-k8s, docs/prefix-and-ip-target.md; EKS Best Practices Guide, "Amazon VPC CNI"; Karpenter's
setting RESERVED_ENIS.
"""

from __future__ import annotations

from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.max_pods import excesses
from ip_remediator.planning.model import Option
from ip_remediator.risks.migration import WITH_ENI_CONFIGS
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.node_room.limits import pods_that_fit, supports_prefixes


def advice(snapshot: Snapshot, strategy: str) -> tuple[Option, ...]:
    """All of it, always in the same order."""
    custom = strategy in WITH_ENI_CONFIGS
    return (
        _option("prefix-delegation", *_prefix_delegation(snapshot)),
        _option("max-pods", *_max_pods(snapshot, custom_networking=custom)),
        _option("reserved-enis", *_reserved_enis(snapshot, custom_networking=custom)),
    )


def _option(name: str, helps: bool, reason: str) -> Option:
    return Option(option=name, taken=False, reason=reason, advice=helps)


def _prefix_delegation(snapshot: Snapshot) -> tuple[bool, str]:
    served = [node for node in snapshot.nodes if node.runs_vpc_cni]
    unfit = [node for node in served if supports_prefixes(node) is False]
    unfit_types = sorted({node.instance_type or node.name for node in unfit})
    if unfit and len(unfit) == len(served):
        return False, f"it needs Nitro or bare-metal instances, and {some_of(unfit_types)} cannot have prefixes"
    others = f"; not on {some_of(unfit_types)}, which are no Nitro instances" if unfit else ""
    if snapshot.cni.prefix_delegation:
        return False, f"it is on already{others or ' (Nitro and bare-metal instances)'}"
    return True, (
        "it adds no addresses but lets a node hold 16 in each slot; it needs contiguous /28s and Nitro instances "
        f"({_free_prefixes(snapshot)}): ENABLE_PREFIX_DELEGATION=true WARM_PREFIX_TARGET=1 on aws-node, for new nodes"
        f"{others}"
    )


def _free_prefixes(snapshot: Snapshot) -> str:
    """How many /28 are free where nodes have ENIs, if they were counted in each of these subnets."""
    used = {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces}
    counts = [subnet.free_prefixes for subnet in snapshot.subnets if subnet.id in used]
    numbers = [count for count in counts if count is not None]
    if not counts or len(numbers) < len(counts):
        return "how many /28s are free in the nodes' subnets is not known"
    return f"the nodes' subnets have {sum(numbers)} free /28s"


def _max_pods(snapshot: Snapshot, *, custom_networking: bool) -> tuple[bool, str]:
    too_high = excesses(snapshot, snapshot.nodes, custom_networking=custom_networking or snapshot.cni.custom_networking)
    if not too_high:
        return False, "no node's max-pods exceeds what its ENIs hold, as far as its limits are known"
    more = f"; and {counted(len(too_high) - 3, 'more kind')} of nodes" if len(too_high) > 3 else ""
    return True, "set max-pods of new nodes: " + "; ".join(excess.summary for excess in too_high[:3]) + more


def _leave_the_primary_eni_out(snapshot: Snapshot) -> bool:
    nodes = [node for node in snapshot.nodes if node.provisioner == "karpenter"]
    fitting = [pods_that_fit(snapshot.cni, node, custom_networking=True) for node in nodes]
    return bool(nodes) and all(
        node.max_pods is not None and most is not None and node.max_pods <= most
        for node, most in zip(nodes, fitting, strict=True)
    )


def _reserved_enis(snapshot: Snapshot, *, custom_networking: bool) -> tuple[bool, str]:
    if not custom_networking:
        return False, "only custom networking keeps an ENI of each node free of pods"
    if snapshot.cluster.karpenter is None and not any(node.provisioner == "karpenter" for node in snapshot.nodes):
        return True, "with Karpenter, set RESERVED_ENIS=1 on its controller; whether the cluster has it is not known"
    if snapshot.cluster.karpenter is False:
        return False, "the cluster does not use Karpenter"
    if _leave_the_primary_eni_out(snapshot):
        return False, "max-pods of Karpenter's nodes leaves the primary ENI out already"
    return (
        True,
        "set RESERVED_ENIS=1 on Karpenter's controller, so that it counts no pods on the primary ENI of new nodes",
    )
