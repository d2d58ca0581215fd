"""What else would help this cluster, as commands: shown beside every plan, and if no plan is possible.

Sources: EKS User Guide ("Create a Node Class for Amazon EKS", "Define which Pods use AWS Fargate when launched",
"Learn about IPv6 addresses to clusters, Pods, and services"), VPC User Guide ("Share your VPC subnets").
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import islice

from ip_remediator.common import cidr as cidrs
from ip_remediator.common import tag_names
from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.max_pods import excesses
from ip_remediator.diagnosis.node_subnets import cures, launcher_cures
from ip_remediator.diagnosis.reserved import reservation_cures
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import DISCOVERY_TAG, MAX_ENI, WARM_ENI_TARGET, WARM_IP_TARGET, Cni, Node
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of, outpost_of_node
from ip_remediator.snapshot.node_room.limits import addresses_per_eni, eni_limit, free_slots, supports_prefixes
from ip_remediator.snapshot.subnet_owner import POD_SUBNET_TAG, other_cluster, owner_of_others
from ip_remediator.snapshot.taken_ranges import taken_ranges

ALTERNATIVES = (
    "an IPv6 cluster, where pods never run out of addresses",
    "a further VPC for new node groups",
)
NETWORK_INTERFACES, NETWORK_ADDRESS_UNITS, PEERED_ADDRESS_UNITS = "L-DF5E4CA3", "L-BB24F6E5", "L-CD17FD4B"
_PUBLIC_TAG = "kubernetes.io/role/elb"
_UNUSED_ENIS = (
    "delete ENIs that nobody uses: aws ec2 describe-network-interfaces --filters Name=status,Values=available"
)
_TOLD = 3
_WORTH_OFFERING = 16
_EXAMPLE_PREFIX = 20


def alternatives(snapshot: Snapshot, verdict: str) -> tuple[str, ...]:
    """What fits the diagnosis' verdict, the most useful first; empty where nothing is needed."""
    if verdict == "recovered":
        return ()
    special = {
        "unsupported": _for_unsupported,
        "node_limit": _for_node_limit,
        "eni_quota": _for_eni_quota,
        "cni_fault": _for_cni_fault,
        "node_launch": cures,
        "cluster_subnets": cures,
        "eniconfig_missing": _for_missing_eni_configs,
    }
    if verdict in special:
        fitting = tuple(special[verdict](snapshot))
        return (*reservation_cures(snapshot), *fitting) if verdict == "cni_fault" else fitting
    present = (
        *reservation_cures(snapshot),
        *_beside_this_cni(snapshot),
        *_idle_subnets(snapshot),
        *_better_use(snapshot),
    )
    return (*present, *ALTERNATIVES)


def _for_missing_eni_configs(snapshot: Snapshot) -> Iterator[str]:
    """For a missing ENIConfig: no address is lacking, so nothing that saves addresses helps."""
    yield from _beside_this_cni(snapshot)
    yield from _idle_subnets(snapshot)


def _better_use(snapshot: Snapshot) -> Iterator[str]:
    """Settings that use the present subnets better; each only where it changes something."""
    cni = snapshot.cni
    if not (cni.prefix_delegation or cni.number(WARM_IP_TARGET) or cni.env.get(WARM_ENI_TARGET) == "0"):
        yield f"{WARM_IP_TARGET} with MINIMUM_IP_TARGET, so that no node keeps a whole spare ENI"


def ask_for(quota: str, value: int) -> str:
    """The command that asks AWS for a higher quota of the VPC service."""
    return (
        "ask for more with `aws service-quotas request-service-quota-increase --service-code vpc "
        f"--quota-code {quota} --desired-value {value}`"
    )


def _idle_subnets(snapshot: Snapshot) -> Iterator[str]:
    """Subnets of the nodes' zones that no node uses; people must know what they are meant for."""
    subnets = _roomiest_idle_subnets(snapshot)[:_TOLD]
    if subnets:
        described = ", ".join(f"{subnet.id} ({subnet.zone}, {subnet.free} free)" for subnet in subnets)
        ids = " ".join(subnet.id for subnet in subnets)
        yield (
            f"a subnet that is there, as long as it is meant for pods: {described}: aws ec2 create-tags "
            f"--resources {ids} --tags Key={POD_SUBNET_TAG},Value={snapshot.cluster.name}"
        )


def _roomiest_idle_subnets(snapshot: Snapshot) -> list[Subnet]:
    """The idle subnet with the most free addresses of each zone with nodes, in the order of the zones."""
    used = _used(snapshot)
    zones = {node.zone for node in snapshot.nodes if node.runs_vpc_cni and not outpost_of_node(snapshot, node)}
    idle: dict[str, Subnet] = {}
    for subnet in sorted(snapshot.subnets, key=lambda subnet: (-(subnet.free or 0), subnet.id)):
        if subnet.zone in zones and subnet.id not in used and _may_be_for_pods(snapshot, subnet):
            idle.setdefault(subnet.zone, subnet)
    return [subnet for _, subnet in sorted(idle.items())]


def _used(snapshot: Snapshot) -> set[str]:
    """Subnets in which nodes have ENIs, and those that an ENIConfig names."""
    named = {config.subnet for config in snapshot.eni_configs if config.subnet}
    return named | {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces}


def _may_be_for_pods(snapshot: Snapshot, subnet: Subnet) -> bool:
    """Whether the subnet has room, and no tag and no Outpost makes it something else."""
    if (subnet.free or 0) < _WORTH_OFFERING:
        return False
    marked = any(key in (_PUBLIC_TAG, DISCOVERY_TAG) or key.startswith(tag_names.PREFIX) for key in subnet.tags)
    return not marked and not other_cluster(snapshot.cluster.name, subnet) and not outpost_of(snapshot, subnet)


def _for_eni_quota(snapshot: Snapshot) -> Iterator[str]:
    yield ask_for(NETWORK_INTERFACES, snapshot.quotas.interfaces_per_zone + 1000)
    yield _UNUSED_ENIS


def beyond_quota(snapshot: Snapshot, code: str) -> tuple[str, ...] | None:
    """What helps where every address that a pod could get is refused, of whichever subnet; None: the quota is of
    another kind.

    Each address and each /28 prefix of an instance's ENI is a network address unit of the VPC, whatever the CIDR.
    """
    if code not in (NETWORK_INTERFACES, NETWORK_ADDRESS_UNITS, PEERED_ADDRESS_UNITS):
        return None
    nodes = [node for node in snapshot.nodes if node.runs_vpc_cni]
    prefixes = _prefix_delegation(snapshot, nodes) if code != NETWORK_INTERFACES else ()
    counted_once = (f"{text}; a prefix of 16 counts as one unit" for text in prefixes)
    return (_UNUSED_ENIS, *_better_use(snapshot), *counted_once, *ALTERNATIVES)


def _for_cni_fault(snapshot: Snapshot) -> Iterator[str]:
    yield "look at aws-node: kubectl -n kube-system logs -l k8s-app=aws-node -c aws-node --tail=100 --prefix"
    host = next((pod.node for pod in snapshot.stuck_pods if pod.node), "the node")
    yield f"and at ipamd's own log on {host}: /var/log/aws-routed-eni/ipamd.log"


def _for_unsupported(snapshot: Snapshot) -> Iterator[str]:
    cluster, vpc = snapshot.cluster, snapshot.vpc
    if cluster.ip_family == "ipv6":
        yield (
            "see that each node subnet has an IPv6 CIDR and each node a /80 prefix: "
            "aws ec2 describe-network-interfaces --query 'NetworkInterfaces[].[NetworkInterfaceId,Ipv6Prefixes]'"
        )
    elif cluster.auto_mode:
        yield from _for_auto_mode(snapshot)
    elif not snapshot.cni.installed:
        yield (
            "give the cluster's CNI a larger pod range with its own tools (Calico: a further IPPool; Cilium: "
            "clusterPoolIPv4PodCIDRList)"
        )
        yield "or move to the Amazon VPC CNI: aws eks create-addon --addon-name vpc-cni --cluster-name " + cluster.name
    elif vpc and (owner := owner_of_others(snapshot)):
        yield from _for_shared_vpc(snapshot, vpc.id, owner)
    else:
        yield from _for_nodes_of_others(snapshot)


def _for_auto_mode(snapshot: Snapshot) -> Iterator[str]:
    group = snapshot.cluster.security_group or "sg-OF-THE-CLUSTER"
    yield (
        "create subnets of a new CIDR, one in each zone with nodes, tag them kubernetes.io/role/pod=1, and add to the "
        'NodeClass (eks.amazonaws.com/v1) under spec: podSubnetSelectorTerms: [{tags: {kubernetes.io/role/pod: "1"}}], '
        f"podSecurityGroupSelectorTerms: [{{id: {group}}}]"
    )
    yield _new_cidr(snapshot)


def _for_shared_vpc(snapshot: Snapshot, vpc_id: str, owner: str) -> Iterator[str]:
    zones = ", ".join(_zones(snapshot)) or "each zone with nodes"
    yield f"ask account {owner}, which owns {vpc_id}, for a CIDR: {_new_cidr(snapshot)}"
    yield (
        f"and for a subnet of it in {zones}, with the route tables of the node subnets, shared with account "
        f"{snapshot.account_id} by AWS RAM"
    )
    yield "then point ENIConfigs at the shared subnets, which needs no right of the owner"


def _beside_this_cni(snapshot: Snapshot) -> Iterator[str]:
    """For pods that hang on Fargate, Windows and the like, while pods on nodes of this CNI hang as well."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    if any(node.name in hosts and not node.runs_vpc_cni for node in snapshot.nodes):
        yield from islice(_for_nodes_of_others(snapshot), 1)


def _for_nodes_of_others(snapshot: Snapshot) -> Iterator[str]:
    hosts = {pod.node for pod in snapshot.stuck_pods}
    nodes = [node for node in snapshot.nodes if node.name in hosts] or list(snapshot.nodes)
    if any(node.fargate for node in nodes):
        yield from _for_fargate(snapshot)
    elif any(node.windows for node in nodes):
        yield (
            "Windows: more or larger nodes in subnets with free addresses, or enable-windows-prefix-delegation: "
            '"true" in the ConfigMap kube-system/amazon-vpc-cni'
        )
    elif any(node.own_cni for node in nodes):
        yield (
            "hybrid nodes: a larger pool of their own CNI (Cilium or Calico); nodes of Auto Mode: a NodeClass with "
            "podSubnetSelectorTerms"
        )
    else:
        yield from ALTERNATIVES


def _for_fargate(snapshot: Snapshot) -> Iterator[str]:
    cluster = snapshot.cluster
    for profile in cluster.fargate_profiles[:_TOLD]:
        present = " ".join(profile.subnets)
        described = (
            f"aws eks describe-fargate-profile --cluster-name {cluster.name} --fargate-profile-name {profile.name}"
        )
        yield (
            f"profile {profile.name} uses {present or 'unknown subnets'}, and a profile cannot be changed: create one "
            f"beside it with further subnets, then delete it and restart its pods: aws eks create-fargate-profile "
            f"--cluster-name {cluster.name} --fargate-profile-name {profile.name}-2 --subnets {present} subnet-NEW "
            f'--pod-execution-role-arn "$({described} --query fargateProfile.podExecutionRoleArn --output text)" '
            f'--selectors "$({described} --query fargateProfile.selectors --output json)"'
        )
    if not cluster.fargate_profiles:
        yield (
            "add subnets with free addresses by a further Fargate profile beside those of: "
            f"aws eks list-fargate-profiles --cluster-name {cluster.name}"
        )
    yield _new_cidr(snapshot)


def _for_node_limit(snapshot: Snapshot) -> Iterator[str]:
    hosts = {pod.node for pod in snapshot.stuck_pods}
    cni = snapshot.cni
    full = [node for node in snapshot.nodes if node.name in hosts and free_slots(cni, node) == 0]
    bound = [node for node in full if eni_limit(cni, node) != eni_limit(Cni(), node)]
    yield from _without_max_eni(cni, bound)
    yield _more_or_larger_nodes(cni, [node for node in full if node not in bound])
    yield from _prefix_delegation(snapshot, full)
    too_high = excesses(snapshot, full, custom_networking=cni.custom_networking)
    yield from (f"keep pods off full nodes: {excess.summary}" for excess in too_high[:_TOLD])
    yield from launcher_cures(snapshot)
    yield from _pods_to_schedule_anew(snapshot, {node.name for node in full})


def _more_or_larger_nodes(cni: Cni, full: list[Node]) -> str:
    kinds = sorted({_limits(cni, node) for node in full if node.instance_type})
    return "add nodes, or use instance types with more ENIs" + (f" than {', '.join(kinds[:_TOLD])}" if kinds else "")


def _pods_to_schedule_anew(snapshot: Snapshot, full: set[str]) -> Iterator[str]:
    """A pod that has a node is never scheduled again, so it hangs there however many nodes are added."""
    pods = [pod for pod in snapshot.stuck_pods if pod.node in full]
    for namespace in sorted({pod.namespace for pod in pods})[:_TOLD]:
        names = [pod.name for pod in pods if pod.namespace == namespace][:_TOLD]
        yield (
            "pods that hang stay bound to their full node: once another node has room, delete those that a controller "
            f"makes anew, and they are scheduled there: kubectl delete pod --namespace {namespace} {' '.join(names)}"
        )


def _without_max_eni(cni: Cni, bound: list[Node]) -> Iterator[str]:
    """For nodes whose type can have more ENIs than the variable allows."""
    for node in bound[:1]:
        most = f"{node.instance_type or node.name} can have {eni_limit(Cni(), node)} ENIs"
        yield f"unset {MAX_ENI}={cni.number(MAX_ENI)} on aws-node, or raise it: {most}"


def _prefix_delegation(snapshot: Snapshot, full: list[Node]) -> Iterator[str]:
    """It needs Nitro or bare metal (EC2 User Guide, "Prefix delegation for network interfaces")."""
    able = [node for node in full if supports_prefixes(node)]
    unable = [node for node in full if supports_prefixes(node) is False]
    if snapshot.cni.prefix_delegation or (full and len(unable) == len(full)):
        return
    where = (
        f" on {_some_types_of(able)}, which are Nitro or bare metal" if able else " where they are Nitro or bare metal"
    )
    yield (
        "turn on prefix delegation, 16 addresses in a slot: ENABLE_PREFIX_DELEGATION=true WARM_PREFIX_TARGET=1 on "
        f"aws-node, for new nodes{where}" + (f" (not {_some_types_of(unable)})" if unable else "")
    )


def _some_types_of(nodes: list[Node]) -> str:
    return some_of(sorted({node.instance_type or node.name for node in nodes}), _TOLD)


def _limits(cni: Cni, node: Node) -> str:
    return f"{node.instance_type} ({eni_limit(cni, node)} ENIs of {addresses_per_eni(node)} addresses)"


def _new_cidr(snapshot: Snapshot) -> str:
    vpc_id = snapshot.vpc.id if snapshot.vpc else snapshot.cluster.vpc_id or "vpc-ID"
    block = next(cidrs.free_blocks(cidrs.CGNAT, _taken(snapshot), _EXAMPLE_PREFIX), None)
    return f"aws ec2 associate-vpc-cidr-block --vpc-id {vpc_id} --cidr-block {block or 'A-FREE-CIDR'}"


def _taken(snapshot: Snapshot) -> list[IPv4Network]:
    try:
        return [IPv4Network(cidr, strict=False) for cidr in taken_ranges(snapshot)]
    except ValueError:  # a hand-written document may name anything
        return []


def _zones(snapshot: Snapshot) -> list[str]:
    return sorted({node.zone for node in snapshot.nodes if node.zone})
