"""Risks in few words: `risks(snapshot)` are those of moving pods to 100.64.0.0/22 by a first turn to custom
networking, unless said otherwise. `ordinary()` is a VPC in which nothing stands in the way."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from ip_remediator.risks.assess import assess
from ip_remediator.risks.model import Risk
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import (
    AclEntry,
    GroupUser,
    NetworkAcl,
    Route,
    SecurityGroup,
    SecurityGroupRule,
    Vpc,
)
from tests.unit.support.facts import VPC_ID, Part, snapshot, vpc, zone

BLOCK = "100.64.0.0/22"
FULL = zone("a", free=0, stuck=1)


def risks(
    facts: Snapshot,
    *,
    strategy: str = "custom-networking",
    source: str = "new-cidr",
    block: str | None = BLOCK,
    existing: tuple[str, ...] = (),
    zones: tuple[str, ...] = (),
    eni_configs: tuple[str, ...] = (),
) -> dict[str, Risk]:
    result = assess(
        facts,
        strategy=strategy,
        source=source,
        block=IPv4Network(block) if block else None,
        existing=[IPv4Network(item) for item in existing],
        zones=zones,
        eni_configs=eni_configs,
    )
    assert len({risk.id for risk in result}) == len(result)
    return {risk.id: risk for risk in result}


def ordinary(*parts: Part, **of_vpc: Any) -> Snapshot:
    """A zone whose subnet is full, in a VPC as the console makes it; `of_vpc` instead."""
    return snapshot(*(parts or (FULL,)), vpc=ordinary_vpc(**of_vpc))


def ordinary_vpc(*further: str, **fields: Any) -> Vpc:
    defaults: dict[str, Any] = {
        "clusters": ("prod",),
        "routes": (Route(destination="0.0.0.0/0", target="nat-1", route_table="rtb-a"),),
        "network_acls": (acl("acl-a"), acl("acl-b")),
        "security_groups": (SecurityGroup(id="sg-default", name="default", vpc_id=VPC_ID),),
    }
    return vpc(*further, **(defaults | fields))


def acl(acl_id: str, *entries: AclEntry) -> NetworkAcl:
    """An ACL of `entries` and the last one, which denies; without any, one that lets everything pass."""
    given = entries or (allow(100, "0.0.0.0/0"), allow(100, "0.0.0.0/0", egress=True))
    last = tuple(AclEntry(number=32767, egress=egress, allow=False, cidr="0.0.0.0/0") for egress in (False, True))
    return NetworkAcl(id=acl_id, default=not entries, entries=(*given, *last))


def allow(number: int, cidr: str, ports: tuple[int, int] | None = None, *, egress: bool = False) -> AclEntry:
    return entry(number, cidr, ports, egress=egress, allow=True)


def deny(number: int, cidr: str, ports: tuple[int, int] | None = None, *, egress: bool = False) -> AclEntry:
    return entry(number, cidr, ports, egress=egress, allow=False)


def entry(number: int, cidr: str, ports: tuple[int, int] | None, *, egress: bool, allow: bool) -> AclEntry:
    """Of TCP where `ports` are given, else of everything."""
    first, last = ports or (None, None)
    protocol = "6" if ports else "-1"
    return AclEntry(
        number=number, egress=egress, allow=allow, cidr=cidr, protocol=protocol, from_port=first, to_port=last
    )


def user(kind: str, name: str) -> GroupUser:
    return GroupUser(kind=kind, name=name)


def group(
    group_id: str, *rules: SecurityGroupRule, users: tuple[GroupUser, ...] = (user("RDS", "orders-db"),), **fields: Any
) -> SecurityGroup:
    return SecurityGroup(**({"id": group_id, "vpc_id": VPC_ID, "rules": rules, "users": users} | fields))


def rule(*cidrs: str, port: int | None = 5432, to_port: int | None = None, **fields: Any) -> SecurityGroupRule:
    """Of TCP where there is a port, else of everything."""
    defaults: dict[str, Any] = {
        "id": "sgr-1",
        "protocol": "-1" if port is None else "tcp",
        "from_port": port,
        "to_port": to_port or port,
        "cidrs": cidrs,
    }
    return SecurityGroupRule(**(defaults | fields))
