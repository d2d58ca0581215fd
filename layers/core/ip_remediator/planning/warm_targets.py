"""The option `reclaim-warm` as advice, with numbers and the command: idle addresses that nodes keep warm.

`WARM_ENI_TARGET=1`, the default, keeps a whole spare ENI on each node. `WARM_IP_TARGET` with `MINIMUM_IP_TARGET` gives
it back within minutes, for more EC2 calls whenever pods start (amazon-vpc-cni-k8s, docs/eni-and-ip-target.md). AWS
calls it a temporary measure (EKS Best Practices Guide, "Optimizing IP Address Utilization"): it replaces no plan.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.model import CURABLE, Diagnosis
from ip_remediator.planning import sizing
from ip_remediator.planning.changes import describe_settings
from ip_remediator.planning.model import Option
from ip_remediator.planning.warm_reclaim import (
    READY,
    WarmReclaim,
    costs,
    describe_frees,
    keeps_no_spare,
    without_stuck_pods,
)
from ip_remediator.risks.migration import RECLAIM_WARM
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import MINIMUM_IP_TARGET, WARM_ENI_TARGET, WARM_IP_TARGET, Node
from ip_remediator.snapshot.node_room.eni_subnets import next_eni_subnets, pod_nodes


def option(snapshot: Snapshot, diagnosis: Diagnosis, warm: WarmReclaim) -> Option:
    """The option of a plan that does not lower the warm targets: advice, with the command where it helps.

    `warm`: what is known to come back, where the pods of nodes were counted.
    """
    helps, reason = _reason(snapshot, diagnosis, warm)
    return Option(option=RECLAIM_WARM, taken=False, reason=reason, advice=helps)


def taken(warm: WarmReclaim) -> Option:
    """The option of a plan that lowers the warm targets."""
    reason = f"{describe_settings(warm.settings)} frees at least {describe_frees(warm.frees)}"
    return Option(option=RECLAIM_WARM, taken=True, reason=reason)


def _reason(snapshot: Snapshot, diagnosis: Diagnosis, warm: WarmReclaim) -> tuple[bool, str]:
    if no_spare := keeps_no_spare(snapshot.cni):
        return False, no_spare
    if warm.frees:
        serves = "enough for all that hangs" if warm.enough else f"enough for {counted(warm.heals, 'stuck pod')}"
        frees = f"{describe_settings(warm.settings)} frees at least {describe_frees(warm.frees)}, {serves}"
        return True, f"{frees} ({costs()}): {_command(snapshot, warm.settings)}"
    return _by_spare_enis(snapshot, diagnosis)


def _by_spare_enis(snapshot: Snapshot, diagnosis: Diagnosis) -> tuple[bool, str]:
    """Where how many pods nodes run was not read, a further ENI of a node is at most spare."""
    spares = _spares(snapshot, list(snapshot.nodes))
    settings = {WARM_IP_TARGET: str(READY), MINIMUM_IP_TARGET: str(_minimum(snapshot, spares))}
    setting = describe_settings(settings)
    if not spares:
        kept = f"no node has a spare ENI now; {setting} keeps it so where {WARM_ENI_TARGET}=1 would add a whole one"
        uncounted = any(node.pods is None for node in snapshot.nodes if node.runs_vpc_cni)
        idle = "; how many addresses of the nodes' other ENIs lie idle is not known, for their pods were not counted"
        return False, kept + (idle if uncounted else "")
    freed = _freed_in_need(snapshot, diagnosis)
    if freed and not any(freed.values()):
        return False, f"no node with a spare ENI keeps addresses where they are short ({some_of(list(freed), 3)})"
    spare = (
        f"{WARM_ENI_TARGET}={snapshot.cni.env.get(WARM_ENI_TARGET, '1')} lets {counted(len(spares), 'node')} hold back "
        f"up to {sum(spares)} addresses on a spare ENI each"
    )
    keeps = f"{setting} would keep {READY * len(spares)} ready{_in_need(snapshot, freed)}"
    return True, f"{spare}; {keeps} ({costs()}): {_command(snapshot, settings)}"


def _freed_in_need(snapshot: Snapshot, diagnosis: Diagnosis) -> dict[str, int]:
    """By zone that is short, how many addresses may become free where its nodes in need can take them."""
    freed = {}
    for zone in (zone.zone for zone in diagnosis.zones if zone.verdict in CURABLE):
        needy = sizing.nodes_in_need(snapshot, zone)
        reached = {id_ for node in needy for id_ in next_eni_subnets(snapshot, node)}
        freed[zone] = sum(max(0, spare - READY) for spare in _spares(snapshot, pod_nodes(snapshot, zone), reached))
    return freed


def _in_need(snapshot: Snapshot, freed: Mapping[str, int]) -> str:
    """What that frees where addresses are short, against what the nodes in need ask for."""
    texts = []
    for zone, addresses in freed.items():
        needed = sizing.urgent_need(snapshot, zone)
        enough = "enough for" if addresses >= needed else "less than"
        texts.append(f"up to {addresses} become free in {zone}, {enough} the {needed} that its nodes ask for")
    return f" ({some_of(texts, 3)})" if texts else ""


def _spares(snapshot: Snapshot, nodes: list[Node], subnets: set[str] | None = None) -> list[int]:
    """Of each node without stuck pods, the addresses of its smallest further ENI: at most that many are idle."""
    further = (
        [eni.addresses for eni in node.interfaces if not eni.primary and (subnets is None or eni.subnet_id in subnets)]
        for node in without_stuck_pods(snapshot, nodes)
    )
    return [min(addresses) for addresses in further if addresses]


def _minimum(snapshot: Snapshot, spares: list[int]) -> int:
    """Slightly more than nodes hold for pods on average without spare ENIs, which is about the number of pods that they
    run."""
    nodes = [node for node in snapshot.nodes if node.runs_vpc_cni and node.interfaces]
    addresses = sum(eni.addresses - 1 for node in nodes for eni in node.interfaces)
    return (addresses - sum(spares) + len(spares)) // max(1, len(nodes)) + READY


def _command(snapshot: Snapshot, settings: Mapping[str, str]) -> str:
    """The command that sets them: through the managed add-on if it owns aws-node, which would revert the DaemonSet."""
    if snapshot.cni.owner == "addon":
        values = shlex.quote(json.dumps({"env": dict(settings)}))
        return (
            f"aws eks update-addon --cluster-name {snapshot.cluster.name} --addon-name vpc-cni --configuration-values "
            f"{values} --resolve-conflicts PRESERVE (with what its configuration has already)"
        )
    return f"kubectl -n kube-system set env daemonset/aws-node {describe_settings(settings)}"
