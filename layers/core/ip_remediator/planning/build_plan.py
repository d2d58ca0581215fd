"""Builds the plan from a requirement and its block."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.launch_room import zones_missing_nodes
from ip_remediator.diagnosis.model import CURABLE, Diagnosis
from ip_remediator.diagnosis.node_subnets import launcher_cures
from ip_remediator.planning import handover
from ip_remediator.planning.changes import changes
from ip_remediator.planning.expectation import expect
from ip_remediator.planning.lifetime import lifetime
from ip_remediator.planning.model import BlockRequirement, Change, Plan, PlannedSubnet, digest
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.served import label_cures, layout_of, left_alone
from ip_remediator.planning.space import outposts, unallocated_space
from ip_remediator.planning.strategies import discovery_refusal, discovery_tags
from ip_remediator.risks.assess import assess
from ip_remediator.risks.migration import WITH_ENI_CONFIGS
from ip_remediator.risks.model import Risk
from ip_remediator.risks.ownership import foreign_owner
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import model_subnet
from ip_remediator.snapshot.node_room.eni_subnets import eni_configs_of, pod_nodes
from ip_remediator.snapshot.node_room.limits import all_use_prefixes


def block_refusal(snapshot: Snapshot, needed: BlockRequirement, block: IPv4Network) -> str | None:
    """Why `block` cannot serve the requirement, or None. Covers AWS's association table for a new CIDR."""
    owner = next((user for cidr, user in needed.excluded.items() if IPv4Network(cidr).overlaps(block)), None)
    if owner:
        return f"{block} overlaps the {owner}"
    if needed.source == "existing-cidr" or snapshot.vpc is None:
        return None
    return cidrs.association_refusal([IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs], block)


def plan(snapshot: Snapshot, diagnosis: Diagnosis, needed: BlockRequirement, block: IPv4Network | None) -> Plan:
    """The plan that uses `block`, which is None exactly where `needed.needs_block` is false.

    Raises:
        CannotPlan: AWS would refuse the block, or it is too small for the zones.
    """
    subnets = _subnets(snapshot, needed, block)
    owner = foreign_owner(snapshot, _pointed(needed)) if needed.strategy in WITH_ENI_CONFIGS else None
    made = changes(snapshot, needed, str(block) if block else None, subnets, foreign=owner is not None)
    handover = _handover(snapshot, needed, subnets, owner, made)
    nodes_next = _nodes_next(snapshot, needed, by_hand=owner is not None)
    expected = expect(snapshot, needed, by_hand=owner is not None)
    draft = Plan(
        verdict=diagnosis.verdict.value,
        strategy=needed.strategy,
        strategy_reason=needed.strategy_reason,
        vpc_id=snapshot.vpc.id if snapshot.vpc else "",
        block=str(block) if block else None,
        blocks=tuple(sorted(needed.pieces.values())) if needed.pieces else (str(block),) if block else (),
        source=needed.source,
        ipam_pool=needed.ipam_pool,
        leaked_interfaces=needed.leaked,
        subnets=subnets,
        recipients=needed.recipients,
        changes=made,
        options=needed.options,
        risks=_risks(snapshot, needed, block, subnets),
        expectation=f"{expected.text}{_for_nodes_later(nodes_next)}",
        nodes_next=nodes_next,
        sizing="" if needed.strategy == "cluster-subnets" else lifetime(snapshot, subnets),
        frees=needed.frees,
        heals_now=expected.heals_now,
        replace_nodes=expected.replace_nodes,
        handover=handover,
        alternatives=_instead(snapshot, diagnosis, needed, owner),
        unknown=(*diagnosis.unknown, *_unknown(snapshot)),
    )
    return draft.model_copy(update={"hash": digest(draft)})


def _risks(
    snapshot: Snapshot, needed: BlockRequirement, block: IPv4Network | None, subnets: tuple[PlannedSubnet, ...]
) -> tuple[Risk, ...]:
    present = [IPv4Network(subnet.cidr) for subnet in subnets if subnet.id or needed.pieces]
    return assess(
        snapshot,
        strategy=needed.strategy,
        source=needed.source,
        block=block,
        existing=present,
        zones=needed.zones,
        eni_configs=_pointed(needed),
    )


def _nodes_next(snapshot: Snapshot, needed: BlockRequirement, *, by_hand: bool) -> tuple[str, ...]:
    """The zones in which nodes are missing as well, and get no address by subnets for pods. People who do the rest by
    hand start the next run themselves; and what nodes give back is room for nodes, too."""
    serves_pods_alone = needed.for_pods and needed.source != "none" and not by_hand
    return zones_missing_nodes(snapshot) if serves_pods_alone else ()


def _for_nodes_later(zones: tuple[str, ...]) -> str:
    if not zones:
        return ""
    return (
        f"; no node is launched in {some_of(zones)} by it: once pods have addresses, the run for nodes starts by itself"
    )


def _pointed(needed: BlockRequirement) -> set[str]:
    return {name for names in needed.eni_configs.values() for name in names}


def _unknown(snapshot: Snapshot) -> Iterator[str]:
    """The facts that were not read, and that would matter for the choice of the block."""
    vpc = snapshot.vpc
    if vpc and not vpc.cidrs:
        yield f"the CIDRs of {vpc.id}: AWS refuses a block that overlaps one"
    if vpc and not snapshot.routes_known:
        yield f"the routes of {vpc.id}: the block may be in use behind one"
    for gateway in vpc.transit_gateways if vpc else ():
        if gateway.routes is None:
            yield f"which ranges {gateway.id} routes"
    if not snapshot.quotas.applied:
        yield "the account's quotas: AWS's defaults are assumed, and refuse nothing"


def _instead(snapshot: Snapshot, diagnosis: Diagnosis, needed: BlockRequirement, owner: str | None) -> tuple[str, ...]:
    """What people could choose instead of this plan."""
    others = [
        *left_alone(snapshot, diagnosis, needed.zones, needed.eni_configs),
        *(launcher_cures(snapshot) if needed.for_pods and diagnosis.curable else ()),
        *label_cures(snapshot, diagnosis),
        *outposts.cures(snapshot, diagnosis),
        *diagnosis.alternatives,
    ]
    if needed.source in ("new-cidr", "ipam-pool"):
        others[:0] = unallocated_space.offers(snapshot, diagnosis)
    other_ways = owner is not None or needed.strategy in ("custom-networking", "node-group")
    if diagnosis.curable and other_ways and discovery_refusal(snapshot) is None:
        others.insert(0, _discovery_instead(snapshot, diagnosis, owner))
    return tuple(others)


def _discovery_instead(snapshot: Snapshot, diagnosis: Diagnosis, owner: str | None) -> str:
    """What the strategy that touches the short zones alone would spare, and what it would not do."""
    spares = (
        "writes nothing to the cluster, so nothing is left to do by hand" if owner else "changes nothing of aws-node"
    )
    condition = "" if snapshot.cni.release else ", where the VPC CNI is 1.18 or later"
    branches = (
        "; it moves no branch ENI of pods with security groups of their own (ENABLE_POD_ENI)"
        if snapshot.cni.pod_eni
        else ""
    )
    return f"strategy subnet-discovery, which {spares}{condition}{_spared(diagnosis)}{branches}"


def _spared(diagnosis: Diagnosis) -> str:
    """The zones that a strategy for the short zones alone would not change."""
    short = [zone.zone for zone in diagnosis.zones if zone.verdict in CURABLE]
    well = [zone.zone for zone in diagnosis.zones if zone.verdict not in CURABLE]
    return f": it touches {some_of(short)} alone and spares {some_of(well)}" if short and well else ""


def _handover(
    snapshot: Snapshot,
    needed: BlockRequirement,
    subnets: tuple[PlannedSubnet, ...],
    owner: str | None,
    made: tuple[Change, ...],
) -> tuple[str, ...]:
    if needed.recipients or needed.by_hand:
        return needed.by_hand
    if needed.strategy == "node-group":
        return handover.node_groups(snapshot, subnets)
    return handover.manifests(snapshot, owner, made) if owner else ()


def _subnets(snapshot: Snapshot, needed: BlockRequirement, block: IPv4Network | None) -> tuple[PlannedSubnet, ...]:
    """The subnets in the order of the zones: existing ones, and those to create."""
    if needed.source == "none":
        return ()
    cidrs = _cut(snapshot, needed, block)
    present = {zone: snapshot.subnet(id_) for zone, id_ in needed.existing.items()}
    return tuple(
        _present_subnet(snapshot, needed, zone, subnet)
        if (subnet := present.get(zone))
        else _new_subnet(snapshot, needed, zone, cidrs)
        for zone in needed.zones
    )


def _cut(snapshot: Snapshot, needed: BlockRequirement, block: IPv4Network | None) -> dict[str, IPv4Network]:
    if needed.pieces:
        return {zone: IPv4Network(piece) for zone, piece in needed.pieces.items()}
    if not needed.needs_block:
        return {}
    if block is None or snapshot.vpc is None:
        raise CannotPlan("the plan needs a block, and has none" if snapshot.vpc else "the snapshot has no vpc")
    refusal = block_refusal(snapshot, needed, block)
    if refusal:
        raise CannotPlan(refusal)
    try:
        return cidrs.split_over_zones(block, needed.new_zones, needed.subnet_prefix_in(block))
    except cidrs.CannotSplit as error:
        raise CannotPlan(str(error)) from error


def _new_subnet(
    snapshot: Snapshot, needed: BlockRequirement, zone: str, cidrs: dict[str, IPv4Network]
) -> PlannedSubnet:
    present = layout_of(snapshot, needed.eni_configs.get(zone, ())) if snapshot.cni.custom_networking else None
    like = snapshot.subnet(needed.like.get(zone))
    model = present or like or model_subnet(snapshot, zone)
    return PlannedSubnet(
        zone=zone,
        cidr=str(cidrs[zone]),
        tags=discovery_tags(snapshot) if needed.strategy == "subnet-discovery" else needed.tags.get(zone, {}),
        route_table=model.route_table if model else None,
        network_acl=model.network_acl if model else None,
        reserve_prefixes=needed.for_pods and _all_by_prefixes(snapshot, zone),
        eni_configs=_eni_configs(snapshot, needed, zone),
        public_addresses=bool(like and like.public_addresses),
    )


def _all_by_prefixes(snapshot: Snapshot, zone: str) -> bool:
    """Whether all nodes take prefixes. A reservation for prefixes gives no single addresses, and nodes on Xen take only
    single addresses, whatever the CNI is set to."""
    return snapshot.cni.prefix_delegation and all_use_prefixes(snapshot.cni, pod_nodes(snapshot, zone))


def _present_subnet(snapshot: Snapshot, needed: BlockRequirement, zone: str, subnet: Subnet) -> PlannedSubnet:
    wanted = discovery_tags(snapshot) if needed.strategy == "subnet-discovery" else {}
    return PlannedSubnet(
        zone=zone,
        cidr=subnet.cidr,
        id=subnet.id,
        tags={name: value for name, value in wanted.items() if subnet.tags.get(name) != value},
        route_table=subnet.route_table,
        network_acl=subnet.network_acl,
        reserve_prefixes=False,
        eni_configs=_eni_configs(snapshot, needed, zone),
    )


def _eni_configs(snapshot: Snapshot, needed: BlockRequirement, zone: str) -> tuple[str, ...]:
    """Requirements of an earlier release name none: all that the zone's nodes select."""
    if needed.strategy not in WITH_ENI_CONFIGS:
        return ()
    return needed.eni_configs[zone] if zone in needed.eni_configs else eni_configs_of(snapshot, zone)
