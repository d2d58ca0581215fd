"""The verdict on one group of nodes that take addresses from the same place.

Facts take precedence over what signals prove: signals are about the whole cluster, and some minutes old.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.evidence import describe_forecast
from ip_remediator.diagnosis.groups import AddressGroup, free_for
from ip_remediator.diagnosis.node_subnets import full_node_subnets
from ip_remediator.diagnosis.supply import AddressSupply, NeedyNodes, NodeSupply
from ip_remediator.diagnosis.unselected import describe_unselected
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import EniConfig, Node
from ip_remediator.snapshot.node_places import outpost_of, outpost_of_node
from ip_remediator.snapshot.node_room.free_space import free_space, lasting
from ip_remediator.snapshot.node_room.limits import all_use_prefixes
from ip_remediator.snapshot.node_room.pools import (
    GrowthOption,
    addresses_of_new_eni,
    growth_options,
    prefixes_of_new_eni,
)

_SHORTAGES = {AddressSupply.EXHAUSTED: Verdict.SUBNET_EXHAUSTED, AddressSupply.FRAGMENTED: Verdict.PREFIX_FRAGMENTED}
_WORDS_ABOUT_SUBNETS = frozenset({Cause.SUBNET_FULL, Cause.PREFIX_FRAGMENTED})
_FAULTS = {
    Cause.CNI_IAM: "EC2 refuses the CNI's calls (IAM): give the aws-node role AmazonEKS_CNI_Policy",
    Cause.CNI_THROTTLED: "EC2 throttles the CNI's calls: wait, or ask for a higher API rate",
    Cause.CNI_DOWN: "ipamd does not answer on the node, it is down: look at the aws-node pod",
    Cause.SUBNET_TAGS: "the discovery tags exclude every subnet: correct the kubernetes.io/role/cni tags",
    Cause.ENICONFIG_MISSING: "the ENIConfigs are there and their subnets fit, yet ipamd attaches no ENI by them: are "
    "their security groups of the cluster's VPC?",
}
_SHOWN = 4


def judge(snapshot: Snapshot, group: AddressGroup, supply: NodeSupply, causes: frozenset[Cause]) -> tuple[Verdict, str]:
    """`causes`: what the signals and the group's own events prove."""
    fault = eni_config_fault(snapshot, group)
    if fault:
        return Verdict.ENICONFIG_MISSING, f"custom networking is on, but {fault}{describe_unselected(snapshot, group)}"
    hosts = supply.of(group.nodes, causes)
    if not hosts:
        return _judge_without_stuck_pods(snapshot, group)
    refused = _refused_by_ec2(snapshot, hosts, causes)
    if refused:
        return refused
    for shortage, verdict in _SHORTAGES.items():
        short = sorted(needy.reason for needy in hosts if needy.supply is shortage)
        if short:
            return verdict, some_of(short, _SHOWN)
    verdict, reason = _judge_with_free_addresses(hosts, causes)
    if verdict is Verdict.NODE_LIMIT:
        return _for_further_nodes(snapshot, group, reason)
    return verdict, f"{reason}{_full_besides(snapshot, group)}"


def _full_besides(snapshot: Snapshot, group: AddressGroup) -> str:
    """What the nodes lack, too, once nothing keeps ipamd from asking any more."""
    if not group.subnets or free_for(snapshot, group) != 0:
        return ""
    return f"; besides, no address is free in {some_of(sorted(group.subnets))}"


def _for_further_nodes(snapshot: Snapshot, group: AddressGroup, reason: str) -> tuple[Verdict, str]:
    """At its limit a node is helped by no address. The cure is more nodes, for which there may be too few as well: then
    pods need a subnet, unless no node can be launched at all."""
    unlaunchable = [subnet.id for subnet in full_node_subnets(snapshot) if subnet.zone == group.zone]
    if unlaunchable:
        return Verdict.NODE_LIMIT, f"{reason}, and no node can be launched in {some_of(unlaunchable)}"
    shortage = _too_few_for_next_node(snapshot, group)
    if shortage is None:
        return Verdict.NODE_LIMIT, reason
    verdict, few = shortage
    return verdict, f"{reason}, and these find too few addresses: {few}"


def _refused_by_ec2(
    snapshot: Snapshot, hosts: list[NeedyNodes], causes: frozenset[Cause]
) -> tuple[Verdict, str] | None:
    """What EC2 refuses before it looks into a subnet, however full that is. No cure works until this is fixed, because
    each cure needs new ENIs. Nodes at their limit ask for none."""
    asking = [group for group in hosts if group.supply is not AddressSupply.AT_LIMIT]
    if not asking:
        return None
    full = any(group.supply in _SHORTAGES for group in asking)
    if Cause.ENI_QUOTA in causes:
        limit = f"{snapshot.quotas.interfaces_per_zone:,}"
        also = ", and subnets are short of addresses besides" if full else ""
        return Verdict.ENI_QUOTA, f"the region's quota of network interfaces (L-DF5E4CA3, {limit}) is used up{also}"
    # EC2 checks permissions first, so words about a subnet prove that it was permitted to ask.
    if full and Cause.CNI_IAM in causes and not causes & _WORDS_ABOUT_SUBNETS:
        return Verdict.CNI_FAULT, f"{_FAULTS[Cause.CNI_IAM]}; subnets are short of addresses besides"
    return None


def _judge_without_stuck_pods(snapshot: Snapshot, group: AddressGroup) -> tuple[Verdict, str]:
    """The group is short of addresses as soon as no node can get its next ones, even if no pod waits yet."""
    free = free_for(snapshot, group)
    if name := snapshot.cni.not_provisioning:
        value = snapshot.cni.env.get(name)
        kept = f"{name}={value} keeps ipamd from attaching any ENI, so no subnet adds addresses"
        return Verdict.RECOVERED, f"{describe_recovery(free)}; {kept}"
    if shortage := _too_few_for_next_node(snapshot, group):
        verdict, few = shortage
        return verdict, f"{few}; no pod waits for one yet"
    full_at = _full_at(snapshot, group)
    if full_at:
        names, verb = some_of(sorted(group.subnets)), "have" if len(group.subnets) > 1 else "has"
        forecast = describe_forecast(snapshot, full_at)
        return Verdict.SUBNET_EXHAUSTED, f"{names} {verb} {free} free and {forecast}; no pod waits yet"
    return Verdict.RECOVERED, describe_recovery(free)


def _too_few_for_next_node(snapshot: Snapshot, group: AddressGroup) -> tuple[Verdict, str] | None:
    """The shortage, where neither a node of the group nor a new one like them gets its next addresses."""
    free = free_for(snapshot, group)
    if free is None or _can_grow(snapshot, group):
        return None
    need = max(addresses_of_new_eni(snapshot, node) for node in group.nodes)
    few = "no free address" if free == 0 else counted(free, "free address", "free addresses")
    asks = f", where a node asks for {need} at once" if free else ""
    fragmented = all_use_prefixes(snapshot.cni, group.nodes) and free >= need
    verdict = Verdict.PREFIX_FRAGMENTED if fragmented else Verdict.SUBNET_EXHAUSTED
    side_by_side = " and side by side" if fragmented else ""
    return verdict, f"{few} in {some_of(sorted(group.subnets))}{asks}{side_by_side}"


def _full_at(snapshot: Snapshot, group: AddressGroup) -> datetime | None:
    """When the last of the group's subnets will be full; None where one of them was not read."""
    subnets = [subnet for id_ in group.subnets if (subnet := snapshot.subnet(id_))]
    last = lasting(subnets) if len(subnets) == len(group.subnets) else None
    return last.full_at if last else None


def describe_recovery(free: int | None) -> str:
    """The summary of a cluster without a stuck pod. `free`: its free addresses, None where unknown."""
    amount = "an unknown number of addresses" if free is None else counted(free, "address", "addresses")
    return f"no pod waits for an address; {amount} {'is' if free == 1 else 'are'} free"


def _can_grow(snapshot: Snapshot, group: AddressGroup) -> bool:
    """Whether any node gets its next addresses. If all are at their limit, whether a new node of the same type gets its
    own."""
    options = {option for node in group.nodes for option in growth_options(snapshot, node)}
    options = options or {
        GrowthOption(id_, addresses_of_new_eni(snapshot, node), prefixes_of_new_eni(snapshot, node))
        for node in group.nodes
        for id_ in group.subnets
    }
    return any(_has_room(snapshot, option) for option in options)


def _has_room(snapshot: Snapshot, option: GrowthOption) -> bool:
    """Whether the subnet has enough for the request; True if unknown."""
    subnet = snapshot.subnet(option.subnet)
    if subnet is None:
        return True
    space = free_space(subnet, prefixes=option.prefixes > 0)
    enough = space.addresses is None or space.addresses >= option.addresses
    return enough and (not option.prefixes or space.prefixes is None or space.prefixes >= option.prefixes)


def _judge_with_free_addresses(hosts: list[NeedyNodes], causes: frozenset[Cause]) -> tuple[Verdict, str]:
    """The verdict if no subnet is short: what else keeps pods from getting an address."""
    reasons = {supply: sorted(group.reason for group in hosts if group.supply is supply) for supply in AddressSupply}
    others = sorted(group.reason for group in hosts if group.supply is not AddressSupply.AT_LIMIT)
    at_limit = some_of(reasons[AddressSupply.AT_LIMIT], _SHOWN)
    if not others:
        return Verdict.NODE_LIMIT, at_limit
    fault = _fault_of_cni(reasons, causes)
    if fault:
        return Verdict.CNI_FAULT, fault
    if at_limit:
        return Verdict.NODE_LIMIT, at_limit
    if Cause.NODE_LIMIT in causes and reasons[AddressSupply.UNKNOWN]:
        return Verdict.NODE_LIMIT, "EC2 or ipamd says that the node's limit of ENIs or addresses is reached"
    return Verdict.CNI_FAULT, some_of(others, _SHOWN)


def _fault_of_cni(reasons: Mapping[AddressSupply, list[str]], causes: frozenset[Cause]) -> str | None:
    """A fault of the CNI. What the facts show takes precedence over what events and signals prove."""
    for supply in (AddressSupply.BARRED, AddressSupply.RESERVED):
        if reasons[supply]:
            return some_of(reasons[supply], _SHOWN)
    return next((fault for cause, fault in _FAULTS.items() if cause in causes), None)


def eni_config_fault(snapshot: Snapshot, group: AddressGroup) -> str | None:
    """What is wrong with the ENIConfig that the nodes select, so that ipamd can attach no ENI; None if nothing."""
    if group.eni_config is None:
        return None
    return _fault_of(snapshot, group.nodes[0], snapshot.eni_config(group.eni_config))


def _fault_of(snapshot: Snapshot, node: Node, config: EniConfig | None) -> str | None:
    if config is None:
        return f"there is no ENIConfig {node.selected_eni_config}"
    if not config.subnet:
        return f"ENIConfig {config.name} names no subnet"
    subnet = snapshot.subnet(config.subnet)
    if subnet is None:
        missing = f"ENIConfig {config.name} names {config.subnet}, which the VPC does not have"
        return missing if snapshot.subnets else None  # no subnet was read: nothing is known
    if subnet.zone != node.zone:
        return f"ENIConfig {config.name} names {subnet.id} of {subnet.zone}, and nodes of {node.zone} select it"
    place, outpost = outpost_of(snapshot, subnet), outpost_of_node(snapshot, node)
    if place != outpost:
        places = f"{place or 'the Region'}, and nodes of {outpost or 'the Region'}"
        return f"ENIConfig {config.name} names {subnet.id} of {places} select it"
    return None
