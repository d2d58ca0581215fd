"""Settings of the CNI and of nodes that use the present subnets better: computed, told, and never applied.

Sources: amazon-vpc-cni-k8s, docs/eni-and-ip-target.md and docs/prefix-and-ip-target.md; EKS Best Practices Guide,
"Amazon VPC CNI"; Karpenter's setting RESERVED_ENIS.
"""

from __future__ import annotations

from ip_remediator.common.text import counted
from ip_remediator.diagnosis.max_pods import excesses
from ip_remediator.planning.model import Option
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import WARM_IP_TARGET

WARM_ENI_TARGET, MINIMUM_IP_TARGET = "WARM_ENI_TARGET", "MINIMUM_IP_TARGET"
# What a node keeps ready instead of a whole ENI.
_READY = 2


def advice(snapshot: Snapshot, strategy: str) -> tuple[Option, ...]:
    """All of it, always in the same order."""
    custom = strategy in ("custom-networking", "custom-networking-extension")
    return (
        _option("warm-targets", _warm_targets(snapshot)),
        _option("prefix-delegation", _prefix_delegation(snapshot)),
        _option("max-pods", _max_pods(snapshot, custom_networking=custom)),
        _option("reserved-enis", _reserved_enis(snapshot, custom_networking=custom)),
    )


def _option(name: str, reason: str) -> Option:
    return Option(option=name, taken=False, reason=f"advice, not applied: {reason}")


def _warm_targets(snapshot: Snapshot) -> str:
    env = snapshot.cni.env
    if snapshot.cni.prefix_delegation:
        return "prefix delegation is on: WARM_PREFIX_TARGET decides, and one /28 is the least a node keeps ready"
    if env.get(WARM_IP_TARGET, "0") not in ("", "0"):
        return f"{WARM_IP_TARGET}={env[WARM_IP_TARGET]} is set, so no node keeps a whole spare ENI"
    if env.get(WARM_ENI_TARGET, "1") == "0":
        return f"{WARM_ENI_TARGET}=0 is set, so no node keeps a spare ENI"
    spares = _spares(snapshot)
    setting = f"{WARM_IP_TARGET}={_READY} {MINIMUM_IP_TARGET}={_minimum(snapshot, spares)} on aws-node"
    if not spares:
        return f"no node has a spare ENI now; {setting} keeps it so where {WARM_ENI_TARGET}=1 would add a whole one"
    return (
        f"{WARM_ENI_TARGET}={env.get(WARM_ENI_TARGET, '1')} lets {counted(len(spares), 'node')} hold back up to "
        f"{sum(spares)} addresses on a spare ENI each; {setting} would keep {_READY * len(spares)} ready, for more "
        "EC2 calls: not where pods come and go all the time"
    )


def _spares(snapshot: Snapshot) -> list[int]:
    """The addresses of the smallest further ENI of each node without stuck pods: at most that is spare."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    calm = [node for node in snapshot.nodes if node.runs_vpc_cni and node.name not in hosts]
    further = ([eni.addresses for eni in node.interfaces if not eni.primary] for node in calm)
    return [min(held) for held in further if held]


def _minimum(snapshot: Snapshot, spares: list[int]) -> int:
    """Slightly more than what the nodes hold for pods on average, spare ENIs not counted: about what they run."""
    nodes = [node for node in snapshot.nodes if node.runs_vpc_cni and node.interfaces]
    held = sum(eni.addresses - 1 for node in nodes for eni in node.interfaces)
    return (held - sum(spares) + len(spares)) // max(1, len(nodes)) + _READY


def _prefix_delegation(snapshot: Snapshot) -> str:
    if snapshot.cni.prefix_delegation:
        return "it is on already"
    used = {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces}
    counts = [subnet.free_prefixes for subnet in snapshot.subnets if subnet.id in used]
    known = [count for count in counts if count is not None]
    room = f"the nodes' subnets have {sum(known)} free /28s" if known and len(known) == len(counts) else ""
    room = room or "how many /28s are free in the nodes' subnets is not known"
    return (
        "it adds no addresses but lets a node hold 16 in each slot; it needs contiguous /28s and Nitro instances "
        f"({room}): ENABLE_PREFIX_DELEGATION=true WARM_PREFIX_TARGET=1 on aws-node, for new nodes"
    )


def _max_pods(snapshot: Snapshot, *, custom_networking: bool) -> str:
    too_high = excesses(snapshot, snapshot.nodes, custom_networking=custom_networking or snapshot.cni.custom_networking)
    if not too_high:
        return "no node's max-pods exceeds what its ENIs hold, as far as its limits are known"
    more = f"; and {counted(len(too_high) - 3, 'more kind')} of nodes" if len(too_high) > 3 else ""
    return "set max-pods of new nodes: " + "; ".join(excess.told for excess in too_high[:3]) + more


def _reserved_enis(snapshot: Snapshot, *, custom_networking: bool) -> str:
    if not custom_networking:
        return "only custom networking keeps an ENI of each node free of pods"
    if snapshot.cluster.karpenter is None and not any(node.provisioner == "karpenter" for node in snapshot.nodes):
        return "with Karpenter, set RESERVED_ENIS=1 on its controller; whether the cluster has it is not known"
    if snapshot.cluster.karpenter is False:
        return "the cluster does not use Karpenter"
    return "set RESERVED_ENIS=1 on Karpenter's controller, so that it counts no pods on the primary ENI of new nodes"
