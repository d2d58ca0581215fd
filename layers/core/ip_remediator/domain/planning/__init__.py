"""Diagnosis -> Plan: the ladder of cures, the block that is needed, and every change that will be made.

Planning has two halves, because a block is reserved between them: `requirement` says what block is needed and what it
must not overlap; the ledger (or, off-line, the first free block) answers; `plan` turns the block into a document.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any

from ip_remediator.domain import addressing, refusals, risks
from ip_remediator.domain.capacity import eni_configs_of
from ip_remediator.domain.diagnosis import CURABLE, Diagnosis
from ip_remediator.domain.exclusions import taken_ranges
from ip_remediator.domain.planning.documents import (
    BlockRequirement,
    Change,
    Option,
    Plan,
    PlannedSubnet,
    Source,
    Strategy,
    digest,
    handover_of,
    subnet_placeholder,
)
from ip_remediator.domain.refusals import ALTERNATIVES, CannotPlan
from ip_remediator.domain.snapshot import (
    CUSTOM_NETWORK_CFG,
    ENI_CONFIG_LABEL_DEF,
    ZONE_LABEL,
    Node,
    Snapshot,
    Subnet,
)

__all__ = [
    "ALTERNATIVES",
    "BlockRequirement",
    "CannotPlan",
    "Change",
    "Option",
    "Plan",
    "PlannedSubnet",
    "Source",
    "Strategy",
    "block_refusal",
    "cni_settings",
    "digest",
    "eni_config_manifest",
    "handover_of",
    "plan",
    "requirement",
    "subnet_placeholder",
]

GROWTH = 4
FALLBACK_PODS_PER_NODE = 30

def requirement(
    snapshot: Snapshot,
    diagnosis: Diagnosis,
    *,
    pools: Iterable[IPv4Network] = (addressing.CGNAT,),
    excluded: Iterable[IPv4Network] = (),
) -> BlockRequirement:
    """What block the cure needs. `excluded` are ranges the operator keeps for others (Tailscale, on-premises).

    Raises:
        CannotPlan: the diagnosis is not curable by addresses, facts are missing, or the VPC is at a quota.
    """
    refusals.without_facts(snapshot, diagnosis)
    zones = _zones_to_serve(snapshot, diagnosis)
    refusals.shared_eni_configs(snapshot, zones)
    refusals.at_subnet_quota(snapshot, len(zones))
    kept = list(excluded)
    subnet_prefix = addressing.subnet_prefix_for(max(_demand(snapshot, zone) for zone in zones))
    prefix = addressing.block_prefix_for(len(zones), subnet_prefix)
    existing = _existing_pools(snapshot, kept, prefix)
    if existing:
        taken = {subnet.cidr: f"subnet {subnet.id}" for subnet in snapshot.subnets}
        source: Source = "existing-cidr"
    else:
        refusals.where_aws_adds_no_cidr(snapshot)
        pools = _allowed_pools(snapshot, pools)
        taken = taken_ranges(snapshot)
        source = "new-cidr"
    taken |= {str(network): "range excluded by the settings" for network in kept}
    return BlockRequirement(
        strategy="custom-networking-extension" if snapshot.cni.custom_networking else "custom-networking",
        source=source,
        pools=tuple(str(pool) for pool in existing or pools),
        prefix=prefix,
        subnet_prefix=subnet_prefix,
        zones=tuple(zones),
        excluded=taken,
    )


def _allowed_pools(snapshot: Snapshot, pools: Iterable[IPv4Network]) -> list[IPv4Network]:
    """The pools that AWS's association table allows beside the VPC's CIDRs (198.19.0.0/16 often is not)."""
    present = [IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs] if snapshot.vpc else []
    barred = addressing.barred_ranges(present)
    wanted = list(pools)
    allowed = [pool for pool in wanted if not any(pool.subnet_of(network) for network in barred)]
    if not allowed:
        names = ", ".join(str(pool) for pool in wanted) or "(none is configured)"
        raise CannotPlan(f"AWS allows none of the pools {names} in a VPC of {present[0] if present else '?'}")
    return allowed


def _zones_to_serve(snapshot: Snapshot, diagnosis: Diagnosis) -> list[str]:
    """Every zone with nodes at the first turn to custom networking (a zone without ENIConfig loses its nodes),
    afterwards only the zones in need."""
    everywhere = not snapshot.cni.custom_networking
    return [zone.zone for zone in diagnosis.zones if everywhere or zone.verdict in CURABLE]


def _demand(snapshot: Snapshot, zone: str) -> int:
    """Addresses a zone's subnet shall hold: each node's pods and ENIs, times `GROWTH` for nodes to come."""
    nodes = [node for node in snapshot.nodes if node.zone == zone and node.runs_vpc_cni]
    return GROWTH * sum(_addresses_of(node) for node in nodes)


def _addresses_of(node: Node) -> int:
    """In prefix mode max-pods exceeds what the ENIs hold as single addresses."""
    on_enis = (node.max_enis or 0) * (node.addresses_per_eni or 0)
    return max(on_enis, node.max_pods or 0) or FALLBACK_PODS_PER_NODE


def _existing_pools(snapshot: Snapshot, kept: list[IPv4Network], prefix: int) -> list[IPv4Network]:
    """CG-NAT CIDRs of the VPC that still have room for the block, beside its subnets and ranges `kept` for others."""
    vpc = snapshot.vpc
    cidrs = [IPv4Network(cidr.cidr) for cidr in vpc.cidrs if cidr.state == "associated"] if vpc else []
    used = [*kept, *(IPv4Network(subnet.cidr) for subnet in snapshot.subnets)]
    return [
        cidr
        for cidr in cidrs
        if cidr.subnet_of(addressing.CGNAT) and next(addressing.free_blocks(cidr, used, prefix), None)
    ]


def block_refusal(snapshot: Snapshot, needed: BlockRequirement, block: IPv4Network) -> str | None:
    """Why `block` cannot serve the requirement, or None. Covers AWS's association table for a new CIDR."""
    owner = next((whose for cidr, whose in needed.excluded.items() if IPv4Network(cidr).overlaps(block)), None)
    if owner:
        return f"{block} overlaps the {owner}"
    if needed.source == "existing-cidr" or snapshot.vpc is None:
        return None
    return addressing.association_refusal([IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs], block)


def plan(snapshot: Snapshot, diagnosis: Diagnosis, needed: BlockRequirement, block: IPv4Network) -> Plan:
    """The plan that uses `block`.

    Raises:
        CannotPlan: AWS would refuse the block, or it is too small for the zones.
    """
    refusal = block_refusal(snapshot, needed, block)
    if refusal or snapshot.vpc is None:
        raise CannotPlan(refusal or "the snapshot has no vpc")
    try:
        cidrs = addressing.split_over_zones(block, needed.zones, needed.subnet_prefix)
    except addressing.CannotSplit as error:
        raise CannotPlan(str(error)) from error
    first_time = not snapshot.cni.custom_networking
    subnets = tuple(_planned_subnet(snapshot, zone, cidr) for zone, cidr in cidrs.items())
    draft = Plan(
        strategy="custom-networking" if first_time else "custom-networking-extension",
        vpc_id=snapshot.vpc.id,
        block=str(block),
        source=needed.source,
        subnets=subnets,
        changes=_changes(snapshot, needed.source, block, subnets, first_time=first_time),
        options=_options(snapshot, needed),
        risks=risks.assess(
            snapshot,
            strategy="custom-networking" if first_time else "custom-networking-extension",
            source=needed.source,
            block=block,
        ),
        alternatives=ALTERNATIVES,
        **_expectation(snapshot, diagnosis),
    )
    return draft.model_copy(update={"hash": digest(draft)})


def _planned_subnet(snapshot: Snapshot, zone: str, cidr: IPv4Network) -> PlannedSubnet:
    model = _node_subnet(snapshot, zone)
    return PlannedSubnet(
        zone=zone,
        cidr=str(cidr),
        route_table=model.route_table if model else None,
        network_acl=model.network_acl if model else None,
        reserve_prefixes=snapshot.cni.prefix_delegation,
        eni_configs=eni_configs_of(snapshot, zone),
    )


def _node_subnet(snapshot: Snapshot, zone: str) -> Subnet | None:
    """The subnet whose way out the new one copies: the one that holds most nodes of the zone."""
    homes = [node.primary_subnet for node in snapshot.nodes if node.zone == zone and node.primary_subnet]
    return snapshot.subnet(max(sorted(set(homes)), key=homes.count)) if homes else None


def _changes(
    snapshot: Snapshot,
    source: Source,
    block: IPv4Network,
    subnets: tuple[PlannedSubnet, ...],
    *,
    first_time: bool,
) -> tuple[Change, ...]:
    vpc_id = snapshot.vpc.id if snapshot.vpc else ""
    changes = []
    if source == "new-cidr":
        changes.append(Change(action="associate_cidr", target=vpc_id, description=f"add {block} to {vpc_id}"))
    changes += [
        Change(
            action="create_subnet",
            target=subnet.zone,
            description=f"create {subnet.cidr} in {subnet.zone} with route table {subnet.route_table or '(main)'} "
            f"and network ACL {subnet.network_acl or '(default)'}",
        )
        for subnet in subnets
    ]
    changes += [
        Change(
            action="apply_eniconfig",
            target=name,
            description=f"point ENIConfig {name} at the new subnet of {subnet.zone}",
            manifest=eni_config_manifest(name, f"(the subnet {subnet.cidr})"),
        )
        for subnet in subnets
        for name in subnet.eni_configs
    ]
    if first_time:
        way = "the vpc-cni add-on" if snapshot.cni.owner == "addon" else "DaemonSet aws-node"
        settings = " ".join(f"{name}={value}" for name, value in cni_settings().items())
        changes.append(
            Change(
                action="configure_cni",
                target="aws-node",
                description=f"set {settings} through {way}, and watch the rollout",
                manifest={"env": cni_settings()},
            )
        )
    return tuple(changes)


def cni_settings() -> dict[str, str]:
    """The environment of `aws-node` that turns custom networking on, one ENIConfig per zone."""
    return {CUSTOM_NETWORK_CFG: "true", ENI_CONFIG_LABEL_DEF: ZONE_LABEL}


def eni_config_manifest(name: str, subnet_id: str) -> dict[str, Any]:
    """An ENIConfig without security groups: the CNI then takes those of the node's primary ENI."""
    return {
        "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
        "kind": "ENIConfig",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "eks-ip-remediator"}},
        "spec": {"subnet": subnet_id},
    }


def _options(snapshot: Snapshot, needed: BlockRequirement) -> tuple[Option, ...]:
    leaked = len(snapshot.leaked_interfaces)
    existing = needed.source == "existing-cidr"
    return (
        Option(
            option="delete-leaked-enis",
            taken=False,
            reason=f"{leaked} leaked ENIs hold addresses: delete them by hand, they alone do not last"
            if leaked
            else "no ENI is leaked",
        ),
        Option(
            option="existing-cidr",
            taken=existing,
            reason=f"{needed.pools[0]} of the VPC has room for a /{needed.prefix}"
            if existing
            else f"the VPC has no CIDR of {addressing.CGNAT} with room for a /{needed.prefix}",
        ),
        Option(
            option="new-cidr",
            taken=not existing,
            reason="not needed" if existing else f"a /{needed.prefix} of {needed.pools[0]} costs nothing and lasts",
        ),
    )


def _expectation(snapshot: Snapshot, diagnosis: Diagnosis) -> dict[str, Any]:
    relieved = {node.name for node in diagnosis.nodes if node.relieved_now}
    stuck = snapshot.stuck_pods
    now = [pod for pod in stuck if pod.node in relieved]
    later = sorted({pod.node for pod in stuck if pod.node and pod.node not in relieved})
    text = f"heals {len(now)} of {len(stuck)} pods now"
    text += f", {len(stuck) - len(now)} after replacing {', '.join(later)}" if later else ""
    return {"expectation": text, "heals_now": len(now), "replace_nodes": tuple(later)}
