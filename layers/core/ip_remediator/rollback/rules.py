"""What uses an incident's block, what prevents its rollback, and which settings of the CNI free its ENIs.

The order of a rollback, and why it is this one:

1. the CNI's settings as they were before, and its rollout: no further ENI by them;
2. the ENIConfigs as they were before: where custom networking stays on, they decide where the next ENI goes;
3. the pods off the block, only when somebody asked for it;
4. the ENIs gone, at ipamd's own pace;
5. the subnets, then the CIDR, then the block back to the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from pydantic import Field

from ip_remediator.common.document import Document
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import ChangeKind, RollbackAssessment
from ip_remediator.snapshot.model_cluster import (
    CLUSTER_DISCOVERY_TAG,
    DISCOVERY_TAG,
    MANAGE_ENIS_NON_SCHEDULABLE,
    Cni,
    EniConfig,
)

SHOWN_PODS = 20
# ipamd keeps a spare ENI per node by default, always (shouldRemoveExtraENIs): an ENI that a rollback waits for
# leaves only when nothing is to be kept warm. With WARM_ENI_TARGET=0 it still asks for an ENI when none of its
# addresses is free; MINIMUM_IP_TARGET or WARM_IP_TARGET alone would keep part of the ENI, or let new pods starve.
_WARM_TARGETS = {"WARM_ENI_TARGET": "1", "WARM_PREFIX_TARGET": "0", "WARM_IP_TARGET": "0", "MINIMUM_IP_TARGET": "0"}


class BlockPod(Document):
    """`leaving`: its deletion has begun."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    leaving: bool = False

    @property
    def path(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def on_block(address: str, networks: Iterable[IPv4Network]) -> bool:
    """Whether the address is in one of the networks."""
    return any(IPv4Address(address) in network for network in networks)


class BlockSubnet(Document):
    """A subnet of the VPC; `incident` is the one that its tags name, `discovered_by` are the clusters for which its
    tags scope subnet discovery."""

    id: str
    zone: str
    cidr: str
    free: int
    incident: str | None = None
    discovered_by: tuple[str, ...] = ()


class BlockInterface(Document):
    """An ENI in the incident's subnets. `cluster` and `of_cni` are what its tags and description say; `primary`: its
    instance lives in the subnet, and ends with it."""

    id: str
    subnet: str
    description: str = ""
    cluster: str | None = None
    of_cni: bool = False
    attached: bool = True
    instance: str | None = None
    primary: bool = False


class PointedEniConfig(Document):
    """An ENIConfig that the incident changed: where it pointed before (None: nowhere), where it points now, whose label
    it has, and the field manager that wrote it last. It is `missing` when it was deleted since."""

    name: str
    before: str | None = None
    now: str | None = None
    incident: str | None = None
    writer: str = "somebody else"
    missing: bool = False


class BlockUse(Document):
    """Everything that a rollback must know about the present use of the incident's block.

    `cidr`: the CIDR that the incident added to the VPC, None when it used one that was there. `subnets` bear its tags,
    `recorded` are those that its change log knows, by zone (None: made, but its id was lost in a crash). `kept`: ids of
    subnets that were there before, and that stay with whatever uses them. `discoverable`: those of them that the
    incident opened to subnet discovery. `successors`: by ENIConfig, the later incident that found it
    pointing at a subnet of this one. `switched`: this incident turned custom networking on.
    `standing`: the kinds of its changes that are still in place. `for_nodes`, `for_cluster`:
    the subnets were given to what launches nodes, or to the cluster: instances live there, or EKS has its ENIs there.
    """

    incident: str
    cluster: str
    cidr: str | None
    subnets: tuple[BlockSubnet, ...]
    recorded: dict[str, str | None]
    others: tuple[BlockSubnet, ...]
    interfaces: tuple[BlockInterface, ...]
    pods: tuple[BlockPod, ...]
    changed: tuple[PointedEniConfig, ...]
    eni_configs: tuple[EniConfig, ...]
    kept: tuple[str, ...] = ()
    discoverable: tuple[str, ...] = ()
    successors: dict[str, str] = Field(default_factory=dict)
    switched: bool = False
    standing: tuple[ChangeKind, ...] = ()
    for_nodes: bool = False
    for_cluster: bool = False

    @property
    def own_subnets(self) -> frozenset[str]:
        """The ids of the incident's subnets, with those that somebody deleted: ENIConfigs may still name them."""
        recorded = (subnet for subnet in self.recorded.values() if subnet)
        return frozenset([*(subnet.id for subnet in self.subnets), *recorded])

    @property
    def living(self) -> tuple[str, ...]:
        """The instances that live in the subnets: they leave when they end."""
        return tuple(sorted({eni.instance or "" for eni in self.interfaces if eni.primary}))

    @property
    def cidr_successor(self) -> str | None:
        """The later incident whose subnets lie in the CIDR; of several, one that has our ENIConfigs."""
        if self.cidr is None:
            return None
        network = IPv4Network(self.cidr)
        inside = {other.incident for other in self.others if IPv4Network(other.cidr).overlaps(network)}
        later = sorted(incident for incident in inside if incident)
        return next(
            (incident for incident in later if incident in self.successors.values()), later[-1] if later else None
        )


def assess(use: BlockUse, at: datetime) -> RollbackAssessment:
    """The assessment that people see before they confirm."""
    return RollbackAssessment(
        at=at,
        pods=len(use.pods),
        pod_names=tuple(sorted(pod.path for pod in use.pods)[:SHOWN_PODS]),
        interfaces=len(use.interfaces),
        free_elsewhere=sum(subnet.free for subnet in use.others),
        standing=use.standing,
        in_the_way=tuple(in_the_way(use)),
        notes=tuple(_notes(use)),
    )


def in_the_way(use: BlockUse) -> Iterable[str]:
    """The reasons that prevent the rollback, each with its remedy. Pods and ENIs of the cluster do not: they can
    move."""
    own_subnets = use.own_subnets
    yield from _disputed_subnets(use)
    yield from _repointed(use, own_subnets | set(use.kept))
    own_configs = {config.name for config in use.changed}
    for config in use.eni_configs:
        if config.subnet in own_subnets and config.name not in own_configs:
            yield (
                f"ENIConfig {config.name} of {config.managed_by or 'somebody else'}, which this incident did not make, "
                f"uses {config.subnet}: point it elsewhere"
            )
    yield from _foreign_interfaces(use)
    yield from _discovered_by_others(use)
    if use.cidr:
        for subnet in use.others:
            if not subnet.incident and IPv4Network(subnet.cidr).overlaps(IPv4Network(use.cidr)):
                yield f"{subnet.id} ({subnet.cidr}) lies in {use.cidr} and belongs to somebody else"
    yield from _needed_by_successors(use)


def _disputed_subnets(use: BlockUse) -> Iterable[str]:
    """A subnet may be deleted only if both its tags and the change log say that we made it."""
    for subnet in use.subnets:
        if subnet.zone not in use.recorded:
            yield f"{subnet.id} bears this incident's tags, but its record does not know it: look who made it"
    for subnet in use.others:
        if subnet.id in use.recorded.values():
            yield f"{subnet.id} was made by this incident and lost its tags: give them back, or delete it by hand"


def _repointed(use: BlockUse, own_subnets: frozenset[str]) -> Iterable[str]:
    """ENIConfigs that were changed again since. A later incident's rollback restores what is here now."""
    other_subnets = {subnet.id for subnet in use.others}
    for config in use.changed:
        if _is_restored(config) or _lost_its_subnet(config, use.incident, own_subnets | other_subnets):
            continue
        if config.now in own_subnets:
            yield from _without_label(config, use.incident)
        else:
            yield from _pointed_elsewhere(config, use)


def _is_restored(config: PointedEniConfig) -> bool:
    return config.missing or config.now == config.before


def _lost_its_subnet(config: PointedEniConfig, incident: str, present: frozenset[str]) -> bool:
    """Whether this incident made it, and an interrupted undo deleted its subnet."""
    return config.before is None and config.incident == incident and config.now not in present


def _without_label(config: PointedEniConfig, incident: str) -> Iterable[str]:
    if config.before is None and config.incident != incident:
        yield f"ENIConfig {config.name} lost this incident's label: give it back, or delete it by hand"


def _pointed_elsewhere(config: PointedEniConfig, use: BlockUse) -> Iterable[str]:
    """Since we pointed it. A successor's record takes over what was there before, so its change is fine."""
    if config.name in use.successors:
        return
    if config.incident and config.incident != use.incident:
        yield (
            f"ENIConfig {config.name} points at {config.now} of the later incident {config.incident}: "
            "roll that one back first"
        )
    else:
        yield (
            f"ENIConfig {config.name} was changed by {config.writer} and points at {config.now}: put it back, or "
            "delete it"
        )


def _needed_by_successors(use: BlockUse) -> Iterable[str]:
    """Custom networking stays on for the successors, and a zone without its ENIConfig would lose its nodes."""
    successor = min(use.successors.values(), default=None)
    if not (successor and use.switched):
        return
    for config in use.changed:
        if config.name not in use.successors and config.before is None and not config.missing:
            yield (
                f"ENIConfig {config.name} points at {config.now} of this incident, and custom networking stays on for "
                f"the later incident {successor}: roll that one back first"
            )


def _foreign_interfaces(use: BlockUse) -> Iterable[str]:
    # ipamd tags a primary ENI like those that it makes, but it leaves only with its instance.
    instances = [f"{eni.instance} in {eni.subnet}" for eni in use.interfaces if eni.primary]
    if instances and not use.for_nodes:
        yield f"instances run in its subnets: {some_of(instances)}; remove their node groups first"
    foreign: dict[str, list[str]] = {}
    for eni in use.interfaces:
        if eni.primary:
            continue
        if eni.cluster and eni.cluster != use.cluster:
            foreign.setdefault(f"of cluster {eni.cluster}", []).append(f"{eni.id} in {eni.subnet}")
        elif not eni.of_cni and not _of_control_plane(use, eni):
            foreign.setdefault("not of the VPC CNI", []).append(f"{eni.id} in {eni.subnet} ({eni.description[:60]})")
    for owner, enis in sorted(foreign.items()):
        yield f"ENIs {owner} use its subnets: {some_of(enis)}; remove them first"


def _of_control_plane(use: BlockUse, eni: BlockInterface) -> bool:
    """EKS takes its ENIs out of a subnet that the cluster has no more."""
    return use.for_cluster and eni.description == f"Amazon EKS {use.cluster}"


def _discovered_by_others(use: BlockUse) -> Iterable[str]:
    """Subnets that other clusters discover only by the tag that this incident set and would remove."""
    for subnet in use.others:
        others = sorted({*subnet.discovered_by} - {use.cluster})
        if subnet.id in use.discoverable and others:
            yield (
                f"cluster {some_of(others)} discovers {subnet.id} by the tag {DISCOVERY_TAG} of this incident: "
                f"roll its incident back first, or take its tag {CLUSTER_DISCOVERY_TAG}{others[0]} off"
            )


def _notes(use: BlockUse) -> Iterable[str]:
    successors = sorted({*use.successors.values(), *([use.cidr_successor] if use.cidr_successor else [])})
    if successors:
        yield f"incident {some_of(successors)} stands on this one, and keeps what it needs of it"
    if use.kept:
        yield f"what was there before stays, with the pods and ENIs in it: {some_of(use.kept)}"
    if use.for_nodes and use.living:
        yield (
            f"{counted(len(use.living), 'instance')} live in its subnets ({some_of(use.living)}): no further one is "
            "launched there once the rollback has begun, and it waits until you have ended these"
        )
    if use.pods:
        free = sum(subnet.free for subnet in use.others)
        stuck = len(use.pods) - free
        shortage = f": {counted(stuck, 'pod')} will hang again" if stuck > 0 else ""
        free_text = f"the VPC's other subnets have {counted(free, 'free address', 'free addresses')}"
        yield f"{counted(len(use.pods), 'pod')} must get an address elsewhere; {free_text}{shortage}"
    if use.interfaces and not (use.for_nodes or use.for_cluster):
        yield (
            "ipamd frees most ENIs about two minutes after their last pod, with its warm targets lowered meanwhile; "
            "a node whose ENI it keeps must be replaced"
        )


def draining_settings(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of aws-node that make ipamd release empty ENIs.

    No warm targets; and ENIs of cordoned nodes are freed as well. Without the latter ipamd leaves them alone (ipamd.go,
    tryFreeENI; the variable and the rule came with v1.12.6), and a rollback cordons the nodes whose ENIs it waits for.
    """
    lowered = {name: "0" for name, default in _WARM_TARGETS.items() if env.get(name, default) != "0"}
    if not Cni(env=dict(env)).flag(MANAGE_ENIS_NON_SCHEDULABLE):
        lowered[MANAGE_ENIS_NON_SCHEDULABLE] = "true"
    return lowered


def nodes_to_cordon(use: BlockUse, node_of_instance: Mapping[str, str]) -> list[str]:
    """The nodes that could assign addresses of the block again: those with an ENI in its subnets."""
    instances = {eni.instance for eni in use.interfaces if eni.instance}
    return sorted({pod.node for pod in use.pods} | {node_of_instance[i] for i in instances if i in node_of_instance})


def pods_remain(use: BlockUse) -> str:
    """Why the ENIs cannot leave, with both remedies."""
    names = some_of(sorted(pod.path for pod in use.pods))
    return (
        f"{counted(len(use.pods), 'pod')} on addresses of the block: {names}. Delete or move them, or roll back again "
        "and let them be evicted"
    )


def interfaces_remain(interfaces: Sequence[BlockInterface]) -> str:
    """Names the ENIs that keep the subnets in use, and what to do if ipamd does not release them."""
    living = sorted({eni.instance or "" for eni in interfaces if eni.primary})
    if living:
        return (
            f"{counted(len(living), 'instance')} live in the subnets: {some_of(living)}. Drain their nodes and end "
            "them (with Karpenter, kubectl delete nodeclaim; in an Auto Scaling group, aws autoscaling "
            "terminate-instance-in-auto-scaling-group --no-should-decrement-desired-capacity --instance-id ID), then "
            "roll back again"
        )
    places = [f"{eni.id} in {eni.subnet} ({eni.instance or 'attached to nothing'})" for eni in interfaces]
    delete_first = "delete it when it is available, or " if any(not eni.attached for eni in interfaces) else ""
    return (
        f"{counted(len(interfaces), 'ENI')} left in the block's subnets: {some_of(places)}. ipamd gives one up when no "
        f"pod uses it and no warm target needs it: {delete_first}replace the node, then roll back again"
    )
