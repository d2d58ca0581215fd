"""What nodes give back when warm targets are lowered, and whether that serves the pods that wait.

Follows amazon-vpc-cni-k8s v1.23.1: with WARM_IP_TARGET and MINIMUM_IP_TARGET ipamd unassigns the addresses of a node
above both targets (ipamd.go, datastoreTargetState, tryUnassignCidrsFromAll), and asks for what is missing below
them. ENIs that become empty leave as well, one at a time. They are not counted, because it is not known which
addresses pods use.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.allocation import allocate
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import CURABLE, Diagnosis
from ip_remediator.risks.ownership import owner_of_cni
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import MINIMUM_IP_TARGET, WARM_ENI_TARGET, WARM_IP_TARGET, Cni, Node
from ip_remediator.snapshot.node_room.eni_subnets import next_eni_subnets, zone_subnets
from ip_remediator.snapshot.node_room.limits import addresses_per_eni, free_slots, on_default_card, usable_for_pods
from ip_remediator.snapshot.node_room.pools import hindrance, pool_of, room_on, serving_interfaces

# What a node keeps ready instead of a whole ENI.
READY = 2
# MINIMUM_IP_TARGET of larger nodes is rounded up to a multiple of this, so that an approved plan stays the same while
# pods come and go.
_STEP = 5


@dataclass(frozen=True)
class WarmReclaim:
    """What lower warm targets give.

    `settings`: of aws-node. `frees`: by subnet, the addresses that are certain to come back. `heals`: how many of
    the stuck pods get one. `enough`: all of them, and no subnet is short any more. `refusal`: why there is no such
    plan, as a sentence; else None.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    frees: Mapping[str, int] = field(default_factory=dict)
    heals: int = 0
    enough: bool = False
    refusal: str | None = None


def examine(snapshot: Snapshot, diagnosis: Diagnosis) -> WarmReclaim:
    """Whether lower warm targets free enough: what ipamd gives back of idle addresses, and how many stuck pods that
    heals.
    """
    refusal = _refusal(snapshot, diagnosis)
    if refusal:
        return WarmReclaim(refusal=refusal)
    settings = settings_for(snapshot)
    frees = _frees(snapshot, diagnosis, settings)
    if not frees:
        return WarmReclaim(settings, refusal="no node keeps addresses over that in the subnets that are short")
    after = _after(snapshot, settings, frees)
    still_short = [group for group in diagnose(after).groups if group.verdict in CURABLE]
    heals = _heals(after)
    return WarmReclaim(settings, frees, heals, enough=not still_short and heals == len(snapshot.stuck_pods))


def settings_for(snapshot: Snapshot) -> dict[str, str]:
    """The settings: MINIMUM_IP_TARGET is slightly above the average number of pods on a node (docs/eni-and-ip-target.md
    of the CNI). Nodes with stuck pods are left out, because they have more pods."""
    counts = [node.pods for node in without_stuck_pods(snapshot, snapshot.nodes) if node.pods is not None]
    wanted = math.ceil(sum(counts) / len(counts)) + READY if counts else READY
    minimum = _STEP * math.ceil(wanted / _STEP) if wanted > 2 * _STEP else wanted
    return {WARM_IP_TARGET: str(READY), MINIMUM_IP_TARGET: str(minimum)}


def without_stuck_pods(snapshot: Snapshot, nodes: Iterable[Node]) -> list[Node]:
    """Those of `nodes` that run the VPC CNI and on which no pod waits."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    return [node for node in nodes if node.runs_vpc_cni and node.name not in hosts]


def _refusal(snapshot: Snapshot, diagnosis: Diagnosis) -> str | None:
    cni = snapshot.cni
    if diagnosis.verdict is not Verdict.SUBNET_EXHAUSTED:
        return f"single addresses are not what is missing ({diagnosis.verdict})"
    if no_spare := keeps_no_spare(cni):
        return no_spare
    if owner := owner_of_cni(snapshot):
        return f"{owner}: put the settings into that source"
    if cni.addon and (cni.addon.unreadable or {WARM_IP_TARGET, MINIMUM_IP_TARGET} & set(cni.addon.lacks)):
        return f"the configuration of the vpc-cni add-on {cni.addon.version or ''} cannot take these variables"
    unread = [node.name for node in _holders(snapshot, diagnosis) if node.pods is None]
    if unread:
        return f"how many pods run on {some_of(unread)} was not read, so what lies idle there is not known"
    return None


def keeps_no_spare(cni: Cni) -> str | None:
    """Why no node keeps a whole spare ENI."""
    if cni.prefix_delegation:
        return "prefixes are handed out: WARM_PREFIX_TARGET decides, and one /28 is the least a node keeps ready"
    if cni.number(WARM_IP_TARGET):
        return f"{WARM_IP_TARGET}={cni.env[WARM_IP_TARGET]} is set, so no node keeps a whole spare ENI"
    if cni.env.get(WARM_ENI_TARGET, "1") == "0":
        return f"{WARM_ENI_TARGET}=0 is set, so no node keeps a spare ENI"
    if cni.not_provisioning:
        return f"{cni.not_provisioning} keeps ipamd from giving anything back"
    return None


def _short_subnets(snapshot: Snapshot, diagnosis: Diagnosis) -> set[str]:
    groups = [group for group in diagnosis.groups if group.verdict in CURABLE]
    listed = {id_ for group in groups for id_ in group.subnets}
    return listed or {subnet.id for group in groups for subnet in zone_subnets(snapshot, group.zone)}


def _holders(snapshot: Snapshot, diagnosis: Diagnosis) -> list[Node]:
    """The nodes that hold addresses of the subnets that are short."""
    short = _short_subnets(snapshot, diagnosis)
    return [
        node for node in snapshot.nodes if node.runs_vpc_cni and any(eni.subnet_id in short for eni in node.interfaces)
    ]


def _frees(snapshot: Snapshot, diagnosis: Diagnosis, settings: Mapping[str, str]) -> dict[str, int]:
    """By short subnet, the addresses that nodes are certain to give back, minus those that nodes below the targets ask
    for."""
    short, balance = _short_subnets(snapshot, diagnosis), Counter[str]()
    for node in _holders(snapshot, diagnosis):
        over, lacking = _over_and_lacking(snapshot, node, settings)
        for id_ in short:
            balance[id_] += _surely_in(snapshot, node, id_, over)
        if lacking:
            balance[_asks_in(snapshot, node)] -= lacking
    return {id_: number for id_, number in sorted(balance.items()) if id_ in short and number > 0}


def _over_and_lacking(snapshot: Snapshot, node: Node, settings: Mapping[str, str]) -> tuple[int, int]:
    """The addresses above both targets, and those that the node asks for. Of a node with stuck pods only the former:
    what its pods need is counted with the pods."""
    warm, minimum = int(settings[WARM_IP_TARGET]), int(settings[MINIMUM_IP_TARGET])
    total = pool_of(snapshot, node)
    available = max(0, total - (node.pods or 0))
    over = max(0, min(available - warm, total - minimum))
    is_host = node.name in {pod.node for pod in snapshot.stuck_pods}
    if is_host or hindrance(snapshot, node) or total >= (node.max_pods or total + 1):
        return over, 0
    return over, _asked_for(snapshot, node, max(0, warm - available, minimum - total))


def _asked_for(snapshot: Snapshot, node: Node, lacking: int) -> int:
    """The addresses that the node asks for, with the first address of each further ENI."""
    room = sum(room_on(node, eni) or 0 for eni in serving_interfaces(snapshot, node))
    if lacking <= room:
        return lacking
    per_eni = max(1, (addresses_per_eni(node) or 2) - 1)
    slots = free_slots(snapshot.cni, node) or 0
    further = min(-(-(lacking - room) // per_eni), slots)
    return min(lacking, room + further * per_eni) + further


def _surely_in(snapshot: Snapshot, node: Node, subnet: str, over: int) -> int:
    """How many of the `over` addresses must be in the subnet, whichever ENIs ipamd takes them from."""
    addresses = Counter[str]()
    for eni in usable_for_pods(snapshot.cni, node, on_default_card(node) or ()):
        addresses[eni.subnet_id] += max(0, eni.addresses - 1)
    elsewhere = addresses.total() - addresses[subnet]
    return min(addresses[subnet], max(0, over - elsewhere))


def _asks_in(snapshot: Snapshot, node: Node) -> str:
    roomy = (eni.subnet_id for eni in serving_interfaces(snapshot, node) if room_on(node, eni))
    return next(roomy, next(iter(next_eni_subnets(snapshot, node)), ""))


def _after(snapshot: Snapshot, settings: Mapping[str, str], frees: Mapping[str, int]) -> Snapshot:
    """The same cluster after the nodes have given back what they are certain to give back."""
    subnets = (
        subnet.model_copy(update={"free": (subnet.free or 0) + frees[subnet.id]}) if subnet.id in frees else subnet
        for subnet in snapshot.subnets
    )
    cni = snapshot.cni.model_copy(update={"env": {**snapshot.cni.env, **settings}})
    return snapshot.model_copy(update={"cni": cni, "subnets": tuple(subnets)})


def _heals(after: Snapshot) -> int:
    """The stuck pods that are certain to get an address. Which node asks first is not known, and each also fills its
    targets. So it is 0 where there is not enough for all of them."""
    waiting = Counter(pod.node for pod in after.stuck_pods if pod.node)
    hosts = [node for node in after.nodes if node.name in waiting and not hindrance(after, node)]
    able = {node.name: node for node in hosts if free_slots(after.cni, node) is not None}
    capacity = {name: _capacity(after, node) for name, node in able.items()}
    asked = {name: min(_wanted(after, node, waiting[name]), capacity[name]) for name, node in able.items()}
    if allocate(after, asked, optimistic=False).unserved:
        return 0
    return sum(min(waiting[name], most) for name, most in capacity.items())


def _wanted(after: Snapshot, node: Node, pods: int) -> int:
    """The addresses that a node with stuck pods asks for in the end (ipamd.go, datastoreTargetState)."""
    warm, minimum = after.cni.number(WARM_IP_TARGET), after.cni.number(MINIMUM_IP_TARGET)
    return max(pods + warm, minimum - pool_of(after, node))


def _capacity(after: Snapshot, node: Node) -> int:
    """Further addresses for pods that the node's ENIs hold."""
    on_present = sum(room_on(node, eni) or 0 for eni in serving_interfaces(after, node))
    return on_present + (free_slots(after.cni, node) or 0) * max(0, (addresses_per_eni(node) or 1) - 1)


def describe_frees(frees: Mapping[str, int]) -> str:
    """The numbers of freed addresses by subnet, for people; three subnets are named."""
    return some_of([f"{counted(number, 'address', 'addresses')} of {id_}" for id_, number in frees.items()], 3)


def costs() -> str:
    """The disadvantages, by docs/eni-and-ip-target.md of the CNI."""
    return (
        "it costs an EC2 call for almost every pod that starts or ends, so not where pods come and go all the time, "
        "and it is temporary: no address is added"
    )
