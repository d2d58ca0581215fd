"""The plan: in full for those who decide, in one line afterwards."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network

from ip_remediator.common.cidr import usable_addresses
from ip_remediator.common.text import counted
from ip_remediator.incidents.change_record import ChangeKind
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.text import Line, Part, code, items, listed, names, prose, words
from ip_remediator.planning.model import Change, Plan, PlannedSubnet, handover_of

# Changes that the lines about block and subnets already describe.
_TOLD_TOGETHER = ("associate_cidr", "create_subnet", "tag_subnet", "apply_eniconfig")
_NEW_CIDR = ("new-cidr", "ipam-pool")


def in_full(plan: Plan) -> Part:
    """Every change that will be made, and the expected result."""
    lines = [Line(_space(plan))] if plan.block else []
    lines += items((_subnet(subnet, plan) for subnet in plan.subnets), shown=6)
    if any(subnet.id is None for subnet in plan.subnets):
        lines.append(Line("route tables and network ACLs are those of the nodes' subnets"))
    others = [change for change in plan.changes if change.action not in _TOLD_TOGETHER]
    lines += items((_change(change, plan) for change in others), shown=4)
    if plan.prepares_only:
        instructions = counted(len(plan.handover), "instruction")
        lines.append(Line(f"manual steps remain: {instructions}, in the details", label="Afterwards"))
    lines.append(Line(words(plan.expectation), "none", label="Expected"))
    return Part("Plan", lines)


def _space(plan: Plan) -> str:
    if plan.source not in _NEW_CIDR:
        return f"use {code(plan.space)}, free in a CIDR that {code(plan.vpc_id)} already has"
    pool = f", out of the IPAM pool {code(plan.ipam_pool)}" if plan.ipam_pool else ""
    return f"add {code(plan.space)} to {code(plan.vpc_id)} as a secondary CIDR{pool}"


def action(plan: Plan | None) -> str:
    """What carrying it out does, in a few words for the headline and the button: Add 100.64.0.0/22."""
    if plan is None:
        return "Carry out the plan"
    if plan.leaked_interfaces:
        return f"Delete {counted(len(plan.leaked_interfaces), 'leaked ENI')}"
    if plan.frees:
        return "Lower the warm targets"
    if plan.block is None and not all(subnet.id for subnet in plan.subnets):
        return f"Add {counted(len(plan.subnets), 'subnet')}"
    if plan.block is None:
        return f"Use {counted(len(plan.subnets), 'existing subnet')}"
    return f"{'Add' if plan.source in _NEW_CIDR else 'Use'} {words(plan.block)}"


def does(plan: Plan) -> str:
    """What carrying it out does, in a sentence."""
    if plan.leaked_interfaces:
        addresses = sum(interface.addresses for interface in plan.leaked_interfaces)
        freed = counted(addresses, "address", "addresses")
        return f"Deletes {counted(len(plan.leaked_interfaces), 'leaked ENI')}, which frees {freed}"
    if plan.frees:
        freed = counted(sum(plan.frees.values()), "address", "addresses")
        return f"Lets nodes give back {freed} that they keep warm; the CNI then calls EC2 whenever pods start"
    return _uses(plan)


def _uses(plan: Plan) -> str:
    """Which addresses pods or nodes get, and how."""
    made = [subnet for subnet in plan.subnets if subnet.id is None]
    addresses = sum(_usable(subnet.cidr) for subnet in plan.subnets)
    noun = "address" if plan.recipients else "pod address"
    room = f" ({counted(addresses, noun, f'{noun}es')})" if addresses else ""
    verb = "Adds" if plan.source in _NEW_CIDR else "Uses"
    pool = f" from the IPAM pool {code(plan.ipam_pool)}" if plan.ipam_pool else ""
    zones = counted(len({subnet.zone for subnet in plan.subnets}), "zone")
    subnets = f", with {counted(len(made), 'subnet')} in {zones}," if made else ""
    return f"{verb} {code(plan.space)}{room}{pool}{subnets} and {_then(plan)}"


def _then(plan: Plan) -> str:
    if plan.for_nodes:
        return "lets nodes be launched there"
    return _THEN[plan.strategy]


_THEN = {
    "custom-networking": "switches new pods to it",
    "custom-networking-extension": "switches new pods to it",
    "subnet-discovery": "tags it so that the CNI gives new pods its addresses",
    "node-group": "prepares it for new node groups, which you create",
    "delete-leaked-enis": "",
    "reclaim-warm": "",
    "cluster-subnets": "gives them to the cluster instead of subnets that are nearly full",
}


def touches(plan: Plan, nodes: int) -> str:
    """What is disrupted, and what is not. `nodes`: how many run the CNI."""
    if _by_us(plan, "configure_cni"):
        first = f"{code('aws-node')} restarts on {counted(nodes, 'node')}"
    elif any(change.action == "configure_cni" for change in plan.changes):
        first = "The CNI's settings stay as they are until you change them"
    else:
        first = "Nothing restarts"
    return f"{first}. No running pod moves or changes its address"


def cost(plan: Plan) -> str:
    """What AWS charges for it.

    VPC CIDRs, subnets and ENIs have no price; the addresses that IPAM manages in its advanced tier do
    (https://aws.amazon.com/vpc/pricing), and node groups consist of instances.
    """
    if plan.ipam_pool:
        return "AWS charges for each active address where IPAM runs in its advanced tier"
    if plan.strategy == "node-group":
        return "subnets are free of charge, the nodes that you add are not"
    return "free of charge"


def undoable(plan: Plan) -> str:
    """Until when, and how, it can be undone."""
    if plan.leaked_interfaces:
        return "cannot be undone, and nothing uses what is deleted"
    if plan.frees:
        return "can be rolled back later: the former settings are restored, and nodes fill their warm pools again"
    if plan.for_nodes:
        return "can be rolled back later; nodes in the new subnets must then be terminated"
    if plan.for_cluster:
        return "can be rolled back later, once the former subnets have room"
    return "can be rolled back later; pods that use the new addresses must then move"


def risk_lines(plan: Plan, shown: int = 3) -> list[Line]:
    """What may break, the worst first, each in a line."""
    ordered = sorted(plan.risks, key=lambda risk: -risk.severity)
    lines = [Line(words(risk.breaks), risk.severity.name.lower()) for risk in ordered[:shown]]
    return lines + ([Line(f"{counted(len(ordered) - shown, 'more risk')} in the details")] if ordered[shown:] else [])


def _usable(cidr: str) -> int:
    try:
        return usable_addresses(IPv4Network(cidr))
    except ValueError:
        return 0


def brief(plan: Plan) -> str:
    """The plan as a noun, so that it can be planned, made and removed."""
    if plan.leaked_interfaces:
        return f"deletion of {counted(len(plan.leaked_interfaces), 'leaked ENI')}"
    if plan.frees:
        return "lower warm targets"
    made = [f"CIDR {code(plan.space)}" if plan.source in _NEW_CIDR else f"{code(plan.space)} of the VPC's own CIDR"]
    new = sum(subnet.id is None for subnet in plan.subnets)
    if new:
        made.append(counted(new, "subnet") + _PURPOSE.get(plan.strategy, ""))
    if len(plan.subnets) > new:
        made = made if plan.block else []
        made.append(counted(len(plan.subnets) - new, "existing subnet") + _PURPOSE.get(plan.strategy, ""))
    made += ["the CRD of ENIConfigs"] if plan.makes_crd else []
    configs = _eni_configs(plan)
    made += [counted(configs, "ENIConfig")] if configs else []
    made += ["custom networking"] if _by_us(plan, "configure_cni") else []
    return ", ".join(made)


_PURPOSE = {
    "subnet-discovery": ", found by its tag",
    "node-group": " for node groups",
    "cluster-subnets": " for the cluster",
}


def _eni_configs(plan: Plan) -> int:
    """How many are written, by us."""
    return 0 if plan.prepares_only else sum(len(subnet.eni_configs) for subnet in plan.subnets)


def _by_us(plan: Plan, action: str) -> list[Change]:
    return [change for change in plan.changes if change.action == action and not change.by_hand]


_RESTORED = {
    ChangeKind.ENICONFIG: "ENIConfigs",
    ChangeKind.CNI: "CNI settings",
    ChangeKind.RECLAIMED_WARM: "warm targets",
    ChangeKind.SUBNET_TAGS: "tags of your subnets",
    ChangeKind.AUTO_SCALING_GROUP: "Auto Scaling groups",
    ChangeKind.CLUSTER_SUBNETS: "the cluster's subnets",
}
# What custom networking changes.
_USUAL = (ChangeKind.ENICONFIG, ChangeKind.CNI, ChangeKind.SUBNET, ChangeKind.VPC_CIDR)
_DELETED = {ChangeKind.SUBNET: "subnets", ChangeKind.VPC_CIDR: "CIDR"}


def taken_back(plan: Plan | None, standing: Collection[ChangeKind] | None = None) -> tuple[str, str]:
    """What a rollback restores and what it deletes, each perhaps nothing. `standing`: the changes that are in place,
    which may be fewer than the plan's; None: not recorded."""
    kinds = standing if standing is not None else _kinds_of(plan) if plan else _USUAL
    return (
        listed([text for kind, text in _RESTORED.items() if kind in kinds]),
        listed([text for kind, text in _DELETED.items() if kind in kinds]),
    )


def _kinds_of(plan: Plan) -> set[ChangeKind]:
    """The kinds of changes that we make when the plan is carried out to its end."""
    settings = ChangeKind.RECLAIMED_WARM if plan.frees else ChangeKind.CNI
    made = {
        ChangeKind.ENICONFIG: bool(_eni_configs(plan)),
        settings: bool(_by_us(plan, "configure_cni")),
        ChangeKind.SUBNET_TAGS: bool(_by_us(plan, "tag_subnet")),
        ChangeKind.AUTO_SCALING_GROUP: bool(_by_us(plan, "extend_auto_scaling_group")),
        ChangeKind.CLUSTER_SUBNETS: bool(_by_us(plan, "update_cluster_subnets")),
        ChangeKind.SUBNET: any(subnet.id is None for subnet in plan.subnets),
        ChangeKind.VPC_CIDR: plan.source in _NEW_CIDR,
    }
    return {kind for kind, is_made in made.items() if is_made}


def undoing(plan: Plan | None, standing: Collection[ChangeKind] | None) -> str:
    """What a rollback will do, as sentences; "" if there is nothing to take back. `standing`: as for `taken_back`."""
    restored, deleted = taken_back(plan, standing)
    sentences = [f"{restored} are restored"] if restored else []
    sentences += [f"{deleted} {'is' if deleted == _DELETED[ChangeKind.VPC_CIDR] else 'are'} deleted"] if deleted else []
    return f"{'; then '.join(sentences)}." if sentences else ""


def undone(plan: Plan | None, standing: Collection[ChangeKind] | None) -> str:
    """What a rollback did. `standing`: as for `taken_back`, before it."""
    restored, deleted = taken_back(plan, standing)
    sentences = [f"{restored} restored"] if restored else []
    sentences += [f"{deleted} deleted"] if deleted else []
    free = plan is None or plan.block is not None
    return "; ".join([*sentences, *([f"{code(plan.space) if plan else 'the block'} is free again"] if free else [])])


def handed_over(plan: Plan, made: dict[str, str]) -> Part:
    """What people run now, with the subnets that were made; long commands are whole in the details."""
    where = ", ".join(f"{code(subnet)} in {words(zone)}" for zone, subnet in sorted(made.items()))
    lines = [Line(f"subnets: {where}"), *items((code(text) for text in handover_of(plan, made)), shown=6)]
    return Part("To run by hand now", lines, limit=1800)


def risks(plan: Plan, site: Site, shown: int = 6) -> Part:
    """What may break, the worst first."""
    ordered = sorted(plan.risks, key=lambda risk: -risk.severity)
    lines = [
        Line(
            f"{words(risk.found)}. Effect: {words(risk.breaks)}.",
            risk.severity.name.lower(),
            more=f"Remedy: {prose(risk.remedy)}. {site.page(risk.doc.removeprefix('docs/'), 'More')}",
        )
        for risk in ordered[:shown]
    ]
    return Part("Risks", lines + items((risk.id for risk in ordered[shown:]), shown=0), limit=2500)


def _subnet(subnet: PlannedSubnet, plan: Plan) -> str:
    text = f"{words(subnet.zone)}: subnet "
    if subnet.id:
        text += f"{code(subnet.id)} ({words(subnet.cidr)}), which exists already"
    else:
        text += f"{code(subnet.cidr)}{_size(subnet.cidr)}{', reserved for prefixes' if subnet.reserve_prefixes else ''}"
    if plan.strategy == "subnet-discovery":
        tags = names((f"{key}={value}" for key, value in subnet.tags.items()), shown=2)
        return f"{text}, tagged {tags} so that ipamd finds it" if tags else f"{text} and tagged"
    if plan.for_nodes:
        tags = names((f"{key}={value}" for key, value in subnet.tags.items()), shown=2)
        return f"{text}, for nodes" + (f", tagged {tags}" if tags else "")
    if plan.strategy == "node-group":
        return f"{text}, for node groups"
    if plan.for_cluster:
        return f"{text}, for the cluster"
    return f"{text}, ENIConfig {names(subnet.eni_configs, shown=3) or '-'}"


def _size(cidr: str) -> str:
    return f" ({_usable(cidr):,} addresses)" if _usable(cidr) else ""


def _change(change: Change, plan: Plan) -> str:
    if change.by_hand:
        return f"by you: {words(change.description)}"
    environment = (change.manifest or {}).get("env")
    if change.action != "configure_cni" or not isinstance(environment, dict):
        return words(change.description)
    turned = ", ".join(code(f"{name}={value}") for name, value in environment.items())
    doing = "lower the warm targets of" if plan.frees else "turn on custom networking on"
    return f"{doing} {code(change.target)} ({turned})"
