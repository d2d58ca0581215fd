"""How aws-node is set up: its version, prefixes, node ports, and how many pods a new node holds."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.risks.migration import SUBNET_DISCOVERY, Migration, shown
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model_cluster import NODE_PORT_SUPPORT, Node
from ip_remediator.snapshot.node_room.limits import pods_that_fit

_OWN_MAX_PODS = ("karpenter", "self-managed")


def prefix_mode(migration: Migration) -> Risk | None:
    """Prefixes on existing nodes. No release from v1.9.0 to v1.23.1 removes a prefix that a pod uses (pkg/ipamd,
    tryUnassignPrefixFromENI and tryUnassignCidrsFromAll: DelIPv4CidrFromStore with force false)."""
    if not (migration.first_time and migration.snapshot.cni.prefix_delegation):
        return None
    holding = sorted(
        node.name for node in migration.nodes if any(eni.primary and eni.prefixes for eni in node.interfaces)
    )
    on_nodes = f", {shown(holding)} with prefixes on the primary ENI" if holding else ""
    return Risk(
        id="prefix-mode-existing-nodes",
        severity=Severity.LOW,
        found=f"ENABLE_PREFIX_DELEGATION=true with custom networking off{on_nodes}",
        breaks="nothing: pods that run keep the primary ENI's prefixes, and ipamd gives back only those without a pod; "
        "until the nodes are replaced pods live in both ranges",
        remedy="none is needed; replace the nodes one by one later, where pods shall live in the new range alone",
    )


def node_ports(migration: Migration) -> Risk | None:
    """Node ports need rules that return answers through the primary ENI; with custom networking no pod uses that
    ENI."""
    if not migration.first_time or migration.snapshot.cni.flag(NODE_PORT_SUPPORT):
        return None
    return Risk(
        id="node-port-support-off",
        severity=Severity.MEDIUM,
        found=f"{NODE_PORT_SUPPORT}=false",
        breaks="Services of type NodePort, and load balancers with instance targets, fail for pods in the new range: "
        "their answers leave through another ENI than the request came by",
        remedy=f"{_set_to_true(migration, NODE_PORT_SUPPORT)}, or IP targets",
    )


def _set_to_true(migration: Migration, name: str) -> str:
    """The command that sets it; the add-on would revert a variable that is set directly on the DaemonSet."""
    if migration.snapshot.cni.owner == "addon":
        return f'`{{"env": {{"{name}": "true"}}}}` in the configurationValues of the vpc-cni add-on'
    return f"`kubectl -n kube-system set env daemonset/aws-node {name}=true`"


def fewer_pods(migration: Migration) -> Risk | None:
    """The primary ENI holds no pods any more: (ENIs - 1) x (addresses - 1) + 2 of them, and their prefixes."""
    if not migration.first_time:
        return None
    tight = [node for node in migration.nodes if _allows_too_many_pods(migration, node)]
    if not tight and not any(_limit_unknown(migration, node) for node in migration.nodes):
        return None
    changes = {
        f"{node.instance_type or node.name} can run {_room(migration, node)} pods instead of {node.max_pods}"
        for node in tight
    }
    return Risk(
        id="max-pods-on-new-nodes",
        severity=_severity_of_tight(migration, tight),
        found=f"new nodes: {shown(sorted(changes), 5)}"
        if changes
        else f"custom networking keeps the primary ENI of new nodes free of pods; {_unknown_limits(migration)}",
        breaks="a new node with the present max-pods is given more pods than it has addresses for",
        remedy="; ".join(_steps_to_lower_max_pods(karpenter=_uses_karpenter(migration), named=bool(changes))),
    )


def _severity_of_tight(migration: Migration, tight: list[Node]) -> Severity:
    """Owners of Karpenter and self-managed nodes set max-pods themselves."""
    owners_choice = any(node.provisioner in _OWN_MAX_PODS for node in tight) or _uses_karpenter(migration)
    return Severity.MEDIUM if tight and owners_choice else Severity.LOW


def _limit_unknown(migration: Migration, node: Node) -> bool:
    return node.max_pods is None or _room(migration, node) is None


def _unknown_limits(migration: Migration) -> str:
    """What new nodes hold, where it is their max-pods alone that was not read."""
    rooms = {node.instance_type or node.name: _room(migration, node) for node in migration.nodes}
    counts = [f"{kind} {room}" for kind, room in sorted(rooms.items()) if room is not None]
    if len(counts) < len(rooms):
        return "the nodes' limits are unknown"
    return f"the nodes' max-pods is unknown; pods that a new node has addresses for: {shown(counts, 5)}"


def _uses_karpenter(migration: Migration) -> bool:
    return bool(migration.snapshot.cluster.karpenter) or any(
        node.provisioner == "karpenter" for node in migration.nodes
    )


def _allows_too_many_pods(migration: Migration, node: Node) -> bool:
    room = _room(migration, node)
    return room is not None and (node.max_pods or 0) > room


def _steps_to_lower_max_pods(*, karpenter: bool, named: bool) -> Iterator[str]:
    if karpenter:
        yield "set RESERVED_ENIS=1 on Karpenter's controller"
    fitting = "named here" if named else "of (ENIs - 1) x (addresses per ENI - 1) + 2"
    yield f"let new node groups run with the max-pods {fitting} (kubelet's maxPods in the launch template)"


def _room(migration: Migration, node: Node) -> int | None:
    return pods_that_fit(migration.snapshot.cni, node, custom_networking=True)


def discovery(migration: Migration) -> Risk | None:
    """Since v1.18 ipamd looks for tagged subnets, unless a setting forbids it or custom networking is on."""
    cni = migration.snapshot.cni
    if migration.strategy != SUBNET_DISCOVERY or (cni.release and cni.subnet_discovery):
        return None
    unknown = cni.release is None and cni.subnet_discovery
    return Risk(
        id="subnet-discovery-not-in-force",
        severity=Severity.MEDIUM if unknown else Severity.HIGH,
        found="the version of the VPC CNI is unknown"
        if unknown
        else f"VPC CNI {cni.version or '(unknown)'} with ENABLE_SUBNET_DISCOVERY="
        f"{cni.env.get('ENABLE_SUBNET_DISCOVERY', '(default)')}, custom networking "
        f"{'on' if cni.custom_networking else 'off'}",
        breaks="the cure fails: ipamd does not use tagged subnets before v1.18, nor with ENABLE_SUBNET_DISCOVERY=false "
        "or custom networking",
        remedy="update the vpc-cni add-on to v1.18 or later, or choose the strategy custom-networking",
    )
