"""What no plan can get around: each check raises `CannotPlan` with the reason and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from ip_remediator.domain.capacity import eni_configs_of
from ip_remediator.domain.diagnosis import CURABLE, Diagnosis
from ip_remediator.domain.snapshot import ENI_CONFIG_LABEL_DEF, ZONE_LABEL, Snapshot

ALTERNATIVES = (
    "an IPv6 cluster, where pods never run out of addresses",
    "prefix delegation, or WARM_IP_TARGET with MINIMUM_IP_TARGET, to use the present subnets better",
    "a further VPC for new node groups",
)


class CannotPlan(Exception):
    """No plan is possible; the message says why, `alternatives` what else would help."""

    def __init__(self, reason: str, alternatives: Iterable[str] = ALTERNATIVES) -> None:
        super().__init__(reason)
        self.alternatives = tuple(alternatives)


def without_facts(snapshot: Snapshot, diagnosis: Diagnosis) -> None:
    if diagnosis.verdict not in CURABLE:
        raise CannotPlan(f"{diagnosis.verdict}: {diagnosis.summary}")
    if snapshot.vpc is None:
        raise CannotPlan("the snapshot has no vpc: which CIDRs are taken is unknown; capture it again")
    owner = snapshot.vpc.owner_id
    if owner and snapshot.account_id and owner != snapshot.account_id:
        raise CannotPlan(f"the VPC is shared by account {owner}, and only its owner may add CIDRs and subnets")


def shared_eni_configs(snapshot: Snapshot, zones: list[str]) -> None:
    """One ENIConfig holds one subnet: repointed for one zone, it would take the other zone's nodes out of service."""
    users: dict[str, set[str]] = {}
    for zone in {node.zone for node in snapshot.nodes if node.zone}:
        for name in eni_configs_of(snapshot, zone):
            users.setdefault(name, set()).add(zone)
    for name, sharing in sorted(users.items()):
        if len(sharing) > 1 and sharing & set(zones):
            raise CannotPlan(
                f"nodes of {', '.join(sorted(sharing))} select the same ENIConfig {name}, which holds one subnet of "
                f"one zone: set {ENI_CONFIG_LABEL_DEF}={ZONE_LABEL} on aws-node, with an ENIConfig per zone"
            )


def at_subnet_quota(snapshot: Snapshot, more: int) -> None:
    vpc, limit = snapshot.vpc, snapshot.quotas.subnets_per_vpc
    if vpc and vpc.subnet_count is not None and vpc.subnet_count + more > limit:
        raise CannotPlan(
            f"VPC {vpc.id} has {vpc.subnet_count} subnets, {more} more are needed and the quota is {limit}: "
            + _ask_for("L-407747CB", limit + 50)
        )


def where_aws_adds_no_cidr(snapshot: Snapshot) -> None:
    vpc, limit = snapshot.vpc, snapshot.quotas.cidrs_per_vpc
    if vpc and len(vpc.cidrs) >= limit:
        raise CannotPlan(
            f"VPC {vpc.id} has {len(vpc.cidrs)} IPv4 CIDRs and the quota is {limit}: "
            + _ask_for("L-83CA0A9D", limit + 5)
        )
    asked = (peering for peering in vpc.peerings if peering.requester) if vpc else ()
    pending = next((peering.id for peering in asked if peering.status == "pending-acceptance"), None)
    if pending:
        raise CannotPlan(
            f"AWS adds no CIDR to a VPC that has asked for a peering which is not accepted yet: have {pending} "
            "accepted, or delete it"
        )


def _ask_for(quota: str, value: int) -> str:
    return (
        "ask for more with `aws service-quotas request-service-quota-increase --service-code vpc "
        f"--quota-code {quota} --desired-value {value}`"
    )
