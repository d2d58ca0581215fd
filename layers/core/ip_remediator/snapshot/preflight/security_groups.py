"""Security groups whose rules name ranges of the VPC: those of the VPC, and those of VPCs that it reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import product
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.pagination import filters, pages
from ip_remediator.snapshot.enis import InterfaceFacts
from ip_remediator.snapshot.model_vpc import GroupUser, SecurityGroup, SecurityGroupRule
from ip_remediator.snapshot.preflight.routes import PrefixLists

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# A call takes 200 filter values in all (FilterLimitExceeded), and one of ours has two filters.
_FILTER_VALUES = 100
_GROUPS_PER_PAGE = 500
_ANYWHERE = 0
_OCTET = 8


@dataclass
class _Group:
    """A group of DescribeSecurityGroups; `directions` (egress or not) are those with a rule that names ranges,
    `by_group` those with a rule that names groups."""

    id: str
    name: str
    vpc_id: str
    directions: set[bool] = field(default_factory=set)
    by_group: set[bool] = field(default_factory=set)


@dataclass(frozen=True)
class SecurityGroupReader:
    """Reads groups and distils their rules; `ours` are the VPC's ranges.

    Raises the errors of `common.errors`.
    """

    ec2: EC2Client
    ours: Sequence[IPv4Network]
    lists: PrefixLists

    def read(self, vpc_id: str, neighbours: Iterable[str], interfaces: InterfaceFacts) -> tuple[SecurityGroup, ...]:
        """Every group of the VPC, and of the VPCs `neighbours` those that name our ranges."""
        groups = list(self._groups(filters("vpc-id", vpc_id)))
        for others, patterns in product(_chunks(sorted(neighbours)), _chunks(list(_patterns(self.ours)))):
            groups += self._groups([*filters("vpc-id", *others), *filters("ip-permission.cidr", *patterns)])
        _join_companions(groups, interfaces)
        named = {group.id: group for group in groups if group.directions}
        rules = self._rules(named)
        return tuple(
            SecurityGroup(
                id=group.id,
                name=group.name,
                vpc_id=group.vpc_id,
                rules=tuple(rules.get(group.id, ())),
                users=interfaces.users(group.id) if group.directions else (),
                further_users=interfaces.further_users(group.id) if group.directions else {},
            )
            for group in {group.id: group for group in groups}.values()
        )

    def _groups(self, wanted: list[dict[str, Any]]) -> Iterator[_Group]:
        paging = {"PageSize": _GROUPS_PER_PAGE}
        items = pages(self.ec2, "describe_security_groups", "SecurityGroups", Filters=wanted, PaginationConfig=paging)
        for item in items:
            group = _Group(item["GroupId"], item["GroupName"], item["VpcId"])
            for egress, key in ((False, "IpPermissions"), (True, "IpPermissionsEgress")):
                permissions = item.get(key, [])
                if any(self._names_ours(range_) for range_ in self._ranges_of(permissions)):
                    group.directions.add(egress)
                if any(permission.get("UserIdGroupPairs") for permission in permissions):
                    group.by_group.add(egress)
            yield group

    def _ranges_of(self, permissions: Iterable[dict[str, Any]]) -> Iterator[str]:
        for permission in permissions:
            yield from (range_["CidrIp"] for range_ in permission.get("IpRanges", []))
            for prefix_list in permission.get("PrefixListIds", []):
                yield from self.lists.ranges(prefix_list["PrefixListId"])

    def _rules(self, groups: dict[str, _Group]) -> dict[str, list[SecurityGroupRule]]:
        """The rules of the groups by group, each with its id, which DescribeSecurityGroups does not tell."""
        rules = defaultdict(list)
        for ids in _chunks(sorted(groups)):
            for item in pages(
                self.ec2,
                "describe_security_group_rules",
                "SecurityGroupRules",
                Filters=filters("group-id", *ids),
                PaginationConfig={"PageSize": 1000},
            ):
                rule = self._rule(item)
                if (rule.cidrs or rule.groups) and rule.egress in groups[item["GroupId"]].directions:
                    rules[item["GroupId"]].append(rule)
        return rules

    def _rule(self, item: dict[str, Any]) -> SecurityGroupRule:
        ranges = [item["CidrIpv4"]] if item.get("CidrIpv4") else []
        if item.get("PrefixListId"):
            ranges += self.lists.ranges(item["PrefixListId"])
        group = (item.get("ReferencedGroupInfo") or {}).get("GroupId")
        return SecurityGroupRule(
            id=item.get("SecurityGroupRuleId"),
            egress=item["IsEgress"],
            protocol=item["IpProtocol"],
            from_port=_port(item.get("FromPort")),
            to_port=_port(item.get("ToPort")),
            cidrs=tuple(range_ for range_ in ranges if self._matters(range_)),
            groups=(group,) if group else (),
        )

    def _names_ours(self, range_: str) -> bool:
        network = IPv4Network(range_, strict=False)
        return network.prefixlen != _ANYWHERE and any(network.overlaps(own) for own in self.ours)

    def _matters(self, range_: str) -> bool:
        """Public ranges of others are left out: no pod has an address in them."""
        network = IPv4Network(range_, strict=False)
        return not network.is_global or any(network.overlaps(own) for own in self.ours)


def _join_companions(groups: Sequence[_Group], interfaces: InterfaceFacts) -> None:
    """Adds groups that allow by group id what other groups of the same ENIs allow by ranges: their rules add up."""
    needed: dict[GroupUser, set[bool]] = defaultdict(set)
    for group in groups:
        for user in interfaces.users(group.id) if group.directions else ():
            needed[user] |= group.directions
    companions = [(group, group.by_group) for group in groups if group.by_group]
    for group, by_group in companions:
        for user in interfaces.users(group.id):
            group.directions |= by_group & needed.get(user, set())


def _port(port: int | None) -> int | None:
    return None if port is None or port < 0 else port


def _chunks(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _FILTER_VALUES):
        yield values[start : start + _FILTER_VALUES]


def _patterns(networks: Iterable[IPv4Network]) -> Iterator[str]:
    """Values of a filter on a rule's CIDR, which EC2 compares as text: "10.0.*" is every range within 10.0.0.0/16.

    The ranges around a network are few and named in full, down to /8.
    """
    for network in networks:
        # Whole octets can be written with an asterisk: a /20 is sixteen values.
        whole = -(-network.prefixlen // _OCTET)
        for part in network.subnets(new_prefix=whole * _OCTET):
            yield ".".join(str(part.network_address).split(".")[:whole]) + (".*" if whole * _OCTET < 32 else "/*")
        for length in range(_OCTET, network.prefixlen):
            yield str(network.supernet(new_prefix=length))
