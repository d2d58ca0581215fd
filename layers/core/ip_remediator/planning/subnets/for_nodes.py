"""Subnets for nodes, and who launches nodes in them: Karpenter by its tags, Auto Scaling groups, people.

A subnet is made like the full one: same zone, route table, network ACL, public addresses or none. Karpenter finds it
when it has the tags of a subnetSelectorTerm of its EC2NodeClass (https://karpenter.sh/docs/concepts/nodeclasses).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ip_remediator.common import tag_names
from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.launcher_commands import (
    create_node_group,
    drain_node_group,
    extend_auto_scaling_group,
    select_by_id,
)
from ip_remediator.diagnosis.node_subnets import full_node_subnets, without_room
from ip_remediator.planning import preconditions, sizing
from ip_remediator.planning.model import BlockRequirement, Recipient, subnet_placeholder
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.subnets import space
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, NodeClass, NodeGroup
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import outpost_of

# The owners of a self-managed Auto Scaling group allow us to change it by this tag; the role's condition asks for it.
CONSENT_TAG = tag_names.CLUSTER
# A node takes one address of its subnet where pods have subnets of their own.
_LEAST = 32
_LARGEST = 22
_NAMED = 3


Launcher = NodeClass | AutoScalingGroup | NodeGroup


@dataclass(frozen=True)
class _Short:
    """A launcher of nodes that cannot launch in some zone, and by zone its full subnet."""

    launcher: Launcher
    full: dict[str, Subnet]


def requirement(snapshot: Snapshot, options: PlanningOptions) -> BlockRequirement:
    """A subnet for each zone in which something cannot launch nodes.

    Raises:
        CannotPlan: nodes can be launched all the same, or are launched on an Outpost only.
    """
    short = _short(snapshot)
    like = _like(snapshot, short)
    zones = tuple(zone for zone in sorted(like) if not options.zones or zone in options.zones)
    if not zones:
        raise CannotPlan(_why_none(snapshot, asked=options.zones))
    preconditions.prepared_already(snapshot, zones, {like[zone].route_table for zone in zones})
    preconditions.require_below_subnet_quota(snapshot, len(zones))
    source = space.find(snapshot, options, {zone: _demand(snapshot, zone) for zone in zones}, largest=_LARGEST)
    served = [reachable for part in short if (reachable := _served(part, like, zones)).full]
    tags = _tags(served)
    recipients, by_hand = _given_away(snapshot.cluster.name, served, tags)
    ids = some_of([like[zone].id for zone in zones])
    return BlockRequirement(
        strategy="node-group",
        strategy_reason=f"nodes need subnets of their own: no free address in {ids}",
        zones=zones,
        **space.fields(source, options),
        recipients=tuple(recipients),
        like={zone: like[zone].id for zone in zones},
        tags=tags,
        by_hand=tuple(by_hand),
        expected=_expected(recipients, zones) + _for_the_next_plan(short, like, zones),
    )


def _why_none(snapshot: Snapshot, *, asked: tuple[str, ...]) -> str:
    full = full_node_subnets(snapshot)
    outposts = sorted({place for subnet in full if (place := outpost_of(snapshot, subnet))})
    if outposts:
        ids = some_of([subnet.id for subnet in full])
        return (
            f"the full node subnets ({ids}) are on an Outpost ({some_of(outposts)}), where no subnet of the Region "
            "serves a node: make one there"
        )
    where = f" in {some_of(asked)}" if asked else ""
    return f"no further subnet is needed for nodes to be launched{where}"


def _given_away(
    cluster: str, served: Sequence[_Short], tags: dict[str, dict[str, str]]
) -> tuple[list[Recipient], list[str]]:
    """The recipients that get the subnets from us, and the commands that people run for the others."""
    recipients: list[Recipient] = []
    by_hand: list[str] = []
    for part in served:
        if recipient := _recipient(cluster, part, tags):
            recipients.append(recipient)
        else:
            by_hand += _by_hand(cluster, part)
    return recipients, by_hand


def _short(snapshot: Snapshot) -> list[_Short]:
    """Those that cannot launch nodes in some zone, the ones that can be given subnets first."""
    cluster = snapshot.cluster
    launchers: list[Launcher] = [
        *(cluster.node_classes or ()),
        *(cluster.auto_scaling_groups or ()),
        *cluster.node_groups,
    ]
    return [short for launcher in launchers if (short := _Short(launcher, _full(snapshot, launcher))).full]


def _full(snapshot: Snapshot, launcher: Launcher) -> dict[str, Subnet]:
    """By zone of the Region, the first of the launcher's subnets, where all of them are full."""
    by_zone: dict[str, Subnet] = {}
    for subnet in without_room(snapshot, launcher.subnets):
        if not outpost_of(snapshot, subnet):
            by_zone.setdefault(subnet.zone, subnet)
    return dict(sorted(by_zone.items()))


def _like(snapshot: Snapshot, short: Sequence[_Short]) -> dict[str, Subnet]:
    """By zone, the full subnet that the new one is made like. Where nothing launches nodes, the
    nodes' own."""
    like: dict[str, Subnet] = {}
    for part in short:
        for zone, subnet in part.full.items():
            like.setdefault(zone, subnet)
    if not any((snapshot.cluster.node_classes, snapshot.cluster.auto_scaling_groups, snapshot.cluster.node_groups)):
        for subnet in full_node_subnets(snapshot):
            if not outpost_of(snapshot, subnet):
                like.setdefault(subnet.zone, subnet)
    return like


def _served(short: _Short, like: dict[str, Subnet], zones: Sequence[str]) -> _Short:
    """The launcher with those of its full subnets whose route table is that of the zone's new subnet; the others need a
    plan of their own."""
    full = {
        zone: subnet
        for zone, subnet in short.full.items()
        if zone in zones and subnet.route_table == like[zone].route_table
    }
    return _Short(short.launcher, full)


def _for_the_next_plan(short: Sequence[_Short], like: dict[str, Subnet], zones: Sequence[str]) -> str:
    """A note on the full subnets with another route table, by launcher: one new subnet cannot have both."""
    full = [(part.launcher.name, zone, part.full[zone]) for part in short for zone in part.full if zone in zones]
    others = [
        f"{name} in {subnet.id} ({subnet.route_table})"
        for name, zone, subnet in full
        if subnet.route_table != like[zone].route_table
    ]
    return (
        f"; left for the next plan, for their route table is another one: {some_of(others, _NAMED)}" if others else ""
    )


def _demand(snapshot: Snapshot, zone: str) -> int:
    if snapshot.cni.custom_networking:
        return max(_LEAST, sizing.GROWTH * len(snapshot.nodes_in(zone)))
    return max(_LEAST, sizing.demand(snapshot, zone))


def _tags(served: Sequence[_Short]) -> dict[str, dict[str, str]]:
    """By zone, the tags by which NodeClasses select the new subnet: of each, those of a term that fits the full one."""
    tags: dict[str, dict[str, str]] = {}
    for launcher, full in ((short.launcher, short.full) for short in served):
        if not isinstance(launcher, NodeClass):
            continue
        for zone, subnet in full.items():
            wanted = _selecting_tags(launcher, subnet)
            if all(tags.get(zone, {}).get(key, value) == value for key, value in wanted.items()):
                tags.setdefault(zone, {}).update(wanted)
    return {zone: wanted for zone, wanted in tags.items() if wanted}


def _selecting_tags(node_class: NodeClass, subnet: Subnet) -> dict[str, str]:
    """The full subnet's own values: a term may say "*" or a pattern. Nothing where it is selected by its id."""
    for term in node_class.selector_terms:
        if term.tags and not term.id and term.tags.keys() <= subnet.tags.keys():
            return {key: subnet.tags[key] for key in term.tags}
    return {}


def _recipient(cluster: str, short: _Short, tags: dict[str, dict[str, str]]) -> Recipient | None:
    """The recipient; None if people must give it the subnets."""
    launcher, zones = short.launcher, tuple(short.full)
    if isinstance(launcher, NodeClass):
        wanted = {zone: _selecting_tags(launcher, subnet) for zone, subnet in short.full.items()}
        if all(of_zone and of_zone.items() <= tags.get(zone, {}).items() for zone, of_zone in wanted.items()):
            return Recipient(kind="node-class", name=launcher.name, zones=zones, present=launcher.subnets)
    elif isinstance(launcher, AutoScalingGroup) and launcher.tags.get(CONSENT_TAG) == cluster:
        return Recipient(kind="auto-scaling-group", name=launcher.name, zones=zones, present=launcher.subnets)
    return None


def _by_hand(cluster: str, short: _Short) -> Iterator[str]:
    """What people run, with placeholders for the ids of the new subnets."""
    launcher, ids = short.launcher, [subnet_placeholder(zone) for zone in short.full]
    if isinstance(launcher, NodeClass):
        yield f"EC2NodeClass {launcher.name} selects its subnets by id: {select_by_id(launcher, ids)}"
    elif isinstance(launcher, AutoScalingGroup):
        tag = f"ResourceId={launcher.name},ResourceType=auto-scaling-group,Key={CONSENT_TAG},Value={cluster}"
        yield (
            f"Auto Scaling group {launcher.name} lacks the tag {CONSENT_TAG}, by which its owners allow us to change "
            f"it: {extend_auto_scaling_group(launcher, ids)}"
        )
        yield f"or allow it from now on: aws autoscaling create-or-update-tags --tags {tag},PropagateAtLaunch=false"
    else:
        yield (
            f"node group {launcher.name} cannot change its subnets, create one with the same settings beside it: "
            f"{create_node_group(cluster, launcher, f'{launcher.name}-2', ids)}"
        )
        yield drain_node_group(launcher)
        yield (
            "and delete the old group once it is empty: aws eks delete-nodegroup --cluster-name "
            f"{cluster} --nodegroup-name {launcher.name}"
        )


_KINDS = {"node-class": "EC2NodeClass", "auto-scaling-group": "Auto Scaling group"}


def _expected(recipients: Sequence[Recipient], zones: Sequence[str]) -> str:
    where = some_of(zones)
    if not recipients:
        return f"nodes can be launched in {where} once the rest, which is handed over, is run"
    names = some_of([f"{_KINDS[recipient.kind]} {recipient.name}" for recipient in recipients], _NAMED)
    return f"{names} can launch nodes in {where} again; pods that run keep their addresses"
