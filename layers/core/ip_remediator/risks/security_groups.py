"""Security groups that admit pods by the addresses they have now, and would not admit those in the new range.

The CNI never translates between addresses of the VPC, so what is in it sees the pods' own (amazon-vpc-cni-k8s#3072).
Rules that refer to groups by id go on working, and make others needless: pods' ENIs have the groups of their node,
unless an ENIConfig sets others. What is outside the VPC sees the address of the node, unless translation is off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, collapse_addresses

from ip_remediator.common.cidr import networks
from ip_remediator.common.text import counted
from ip_remediator.risks.migration import (
    NODE_GROUP,
    WITH_ENI_CONFIGS,
    Migration,
    clip,
    likewise,
    shown,
)
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.model_vpc import SecurityGroup, SecurityGroupRule, UserKind

_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "all": "-1"}
_ALL_PORTS = ((None, None), (0, 65535), (-1, -1))
_WITH_PORTS = ("tcp", "udp")
# Users that pods may never connect to: other instances, ENIs of unknown use, file systems that nodes mount.
_UNSURE = frozenset({UserKind.INSTANCE, UserKind.ENI, UserKind.CONTROL_PLANE, UserKind.ECS_TASK, UserKind.EFS})
# What opens connections to pods; a database only answers, and answers need no rule. Functions accept none.
_CALLERS = frozenset(
    {
        UserKind.LOAD_BALANCER,
        UserKind.INSTANCE,
        UserKind.ENI,
        UserKind.CONTROL_PLANE,
        UserKind.ECS_TASK,
        UserKind.LAMBDA,
    }
)
_ACCEPTS_NONE = UserKind.LAMBDA


@dataclass(frozen=True)
class Protected:
    """What a group protects. Without a name: `more` things of its kind, each of which may have other groups as well."""

    kind: str
    name: str = ""
    more: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip() if not self.more else f"{self.kind} and {self.more:,} more"


@dataclass(frozen=True)
class Lost:
    """A rule by which pods are admitted now, and which does not admit `missing`. `cut_off`: what it protects."""

    group: SecurityGroup
    rule: SecurityGroupRule
    cut_off: tuple[Protected, ...]
    missing: IPv4Network
    severity: Severity

    @property
    def order(self) -> tuple[object, ...]:
        """The worst first, then in an order that does not depend on EC2's."""
        rule = self.rule
        return (
            -self.severity,
            self.group.id,
            rule.egress,
            rule.from_port or 0,
            rule.protocol,
            rule.id or "",
            rule.cidrs,
        )


class Groups:
    """The VPC's groups, and which of their rules the move makes too narrow."""

    def __init__(self, migration: Migration) -> None:
        self.migration = migration
        vpc = migration.snapshot.vpc
        self.known = vpc is not None and vpc.security_groups is not None
        self.vpc_id = vpc.id if vpc else None
        self._all: tuple[SecurityGroup, ...] = (vpc.security_groups or ()) if vpc else ()
        self._overlapping: dict[tuple[Protected, IPv4Network], list[SecurityGroupRule]] = {}

    @cached_property
    def _of_enis(self) -> frozenset[str]:
        return frozenset(id_ for node in self.migration.nodes for eni in node.interfaces for id_ in eni.security_groups)

    def _on_nodes(self, group: str | None) -> bool:
        return group in self._of_enis

    @cached_property
    def of_nodes(self) -> frozenset[str]:
        """The ids of the nodes' security groups, that of the cluster included."""
        return self._of_enis | {self.migration.snapshot.cluster.security_group or ""}

    @cached_property
    def _of_pods(self) -> frozenset[frozenset[str]]:
        """The groups that ENIs for pods will have, node by node: those of its ENIConfig, else of its primary ENI."""
        snapshot, by_config = self.migration.snapshot, self.migration.strategy in WITH_ENI_CONFIGS
        group_sets = set()
        for node in self.migration.nodes:
            primary = next((eni for eni in node.interfaces if eni.primary), None)
            groups = (primary or node.interfaces[0]).security_groups if node.interfaces else ()
            config = snapshot.eni_config(_eni_config_of(snapshot, node)) if by_config else None
            group_sets.add(frozenset((config.security_groups if config else ()) or groups))
        return frozenset(group_sets)

    @cached_property
    def protects(self) -> dict[str, tuple[Protected, ...]]:
        """By group, what it protects; interface endpoints are known by themselves."""
        protected = {group.id: [*_users(group)] for group in self._all}
        vpc = self.migration.snapshot.vpc
        for endpoint in vpc.endpoints if vpc else ():
            for id_ in endpoint.security_groups:
                if id_ in protected and not any(endpoint.id in user.name for user in protected[id_]):
                    protected[id_].append(Protected(UserKind.ENDPOINT, f"{endpoint.id} ({endpoint.service})"))
        return {id_: tuple(dict.fromkeys(users)) for id_, users in protected.items()}

    @cached_property
    def _rules_of(self) -> dict[Protected, tuple[SecurityGroupRule, ...]]:
        """By what is protected, the rules of all its groups: they add up."""
        rules: dict[Protected, list[SecurityGroupRule]] = {}
        for group in self._all:
            for user in self.protects[group.id]:
                rules.setdefault(user, []).extend(group.rules)
        return {user: tuple(rules_of_user) for user, rules_of_user in rules.items()}

    def own(self) -> list[SecurityGroup]:
        """Groups of this VPC that neither nodes nor pods have."""
        return [group for group in self._all if not self._elsewhere(group) and group.id not in self.of_nodes]

    def nodes(self) -> list[SecurityGroup]:
        """Groups of this VPC that nodes or pods have."""
        return [group for group in self._all if not self._elsewhere(group) and group.id in self.of_nodes]

    def elsewhere(self) -> list[SecurityGroup]:
        """Groups of VPCs that this one reaches."""
        return [group for group in self._all if self._elsewhere(group)]

    def _elsewhere(self, group: SecurityGroup) -> bool:
        return bool(group.vpc_id and group.vpc_id != self.vpc_id)

    def lost(self, groups: Iterable[SecurityGroup]) -> list[Lost]:
        """Rules of `groups` that admit pods now and not afterwards, the worst first."""
        lost = []
        for group in groups:
            near = {
                range_: _overlapping(group.rules, range_)
                for range_ in (*self.migration.present, *self.migration.ranges)
            }
            by_group = [rule for rule in group.rules if rule.groups]
            for rule in group.rules:
                missing = None if self._admits_pods(by_group, rule) else self._missing(rule, near)
                cut_off = self._cut_off(group, rule, missing) if missing else None
                if missing and cut_off is not None:
                    lost.append(Lost(group, rule, cut_off, missing, _severity(rule, cut_off)))
        return sorted(lost, key=lambda rule: rule.order)

    def _admits_pods(self, rules: Iterable[SecurityGroupRule], like: SecurityGroupRule) -> bool:
        """Whether `rules` admit every pod by its groups, whatever its address; an ENI always has a group."""
        covering = (rule for rule in rules if _covers(rule, like))
        named = frozenset(id_ for rule in covering for id_ in rule.groups)
        return bool(named and self._of_pods) and all(named & groups for groups in self._of_pods)

    def _missing(self, rule: SecurityGroupRule, near: dict[IPv4Network, list[SecurityGroupRule]]) -> IPv4Network | None:
        """The first new range that the rule's group does not admit where the rule helps to admit pods now."""
        named = networks(rule.cidrs)
        helps = [range_ for range_ in self.migration.present if any(range_.overlaps(cidr) for cidr in named)]
        alone = any(range_.subnet_of(cidr) for range_ in helps for cidr in named)
        if not alone and not any(admits(near[range_], rule, range_) for range_ in helps):
            return None
        return next((range_ for range_ in self.migration.ranges if not admits(near[range_], rule, range_)), None)

    def _cut_off(
        self, group: SecurityGroup, rule: SecurityGroupRule, missing: IPv4Network
    ) -> tuple[Protected, ...] | None:
        """What is protected by this group and admits the new range by no other group; None: everything does."""
        protected = self.protects[group.id]
        cut_off = tuple(
            user for user in protected if _concerned(user, rule) and not self._admitted_elsewhere(user, rule, missing)
        )
        return None if protected and not cut_off else cut_off

    def _admitted_elsewhere(self, user: Protected, rule: SecurityGroupRule, missing: IPv4Network) -> bool:
        if user.kind == UserKind.CONTROL_PLANE:
            # The cluster's group admits whatever has it, and it is on the control plane's ENIs as well.
            return self._on_nodes(self.migration.snapshot.cluster.security_group)
        if user.more:
            return False
        return admits(self._near(user, missing), rule, missing) or self._admits_pods(self._rules_of[user], rule)

    def _near(self, user: Protected, wanted: IPv4Network) -> list[SecurityGroupRule]:
        if (user, wanted) not in self._overlapping:
            self._overlapping[user, wanted] = _overlapping(self._rules_of[user], wanted)
        return self._overlapping[user, wanted]


def admits(rules: Sequence[SecurityGroupRule], like: SecurityGroupRule, wanted: IPv4Network) -> bool:
    """Whether `rules` together admit every address of `wanted`, for the direction, protocol and ports of `like`."""
    cidrs: list[IPv4Network] = []
    for rule in rules:
        if not _covers(rule, like):
            continue
        for cidr in networks(rule.cidrs):
            if wanted.subnet_of(cidr):
                return True
            if cidr.subnet_of(wanted):
                cidrs.append(cidr)
    return any(wanted.subnet_of(cidr) for cidr in collapse_addresses(cidrs))


def _covers(rule: SecurityGroupRule, like: SecurityGroupRule) -> bool:
    if rule.egress != like.egress:
        return False
    protocol = _protocol(rule)
    return protocol == "-1" or (protocol == _protocol(like) and _covers_ports(rule, like, protocol))


def _covers_ports(rule: SecurityGroupRule, like: SecurityGroupRule, protocol: str) -> bool:
    ports, wanted = (rule.from_port, rule.to_port), (like.from_port, like.to_port)
    if ports in _ALL_PORTS or ports == wanted:
        return True
    if None in ports or None in wanted or protocol not in _WITH_PORTS:
        return False
    return (ports[0] or 0) <= (wanted[0] or 0) and (wanted[1] or 0) <= (ports[1] or 0)


def _protocol(rule: SecurityGroupRule) -> str:
    word = rule.protocol.lower()
    return _NUMBERS.get(word, word)


def _overlapping(rules: Iterable[SecurityGroupRule], wanted: IPv4Network) -> list[SecurityGroupRule]:
    return [rule for rule in rules if any(cidr.overlaps(wanted) for cidr in networks(rule.cidrs))]


def _eni_config_of(snapshot: Snapshot, node: Node) -> str:
    """The ENIConfig that the node will select: at the first turn to custom networking the zone's, unless it has one."""
    if node.eni_config or snapshot.cni.custom_networking:
        return node.selected_eni_config
    return node.zone or node.selected_eni_config


def _users(group: SecurityGroup) -> Iterator[Protected]:
    yield from (Protected(user.kind, user.name) for user in group.users)
    yield from (Protected(kind, more=number) for kind, number in group.further_users.items())


def _concerned(user: Protected, rule: SecurityGroupRule) -> bool:
    return user.kind in _CALLERS if rule.egress else user.kind != _ACCEPTS_NONE


def _severity(rule: SecurityGroupRule, cut_off: tuple[Protected, ...]) -> Severity:
    if not cut_off:
        return Severity.LOW
    kinds = {user.kind for user in cut_off}
    surely = UserKind.LOAD_BALANCER in kinds if rule.egress else bool(kinds - _UNSURE)
    return Severity.HIGH if surely else Severity.MEDIUM


def old_ranges(migration: Migration) -> Risk | None:
    """Groups of databases, load balancers, endpoints and whatever else the VPC holds."""
    lost = _lost(migration, Groups.own)
    if not lost:
        return None
    cut_off = list(dict.fromkeys(str(user) for loss in lost for user in loss.cut_off))
    return Risk(
        id="security-groups-old-ranges",
        severity=lost[0].severity,
        found=_describe_lost(lost),
        breaks=f"pods in {migration.words} cannot connect to {shown(cut_off, longest=60)}"
        if cut_off
        else "nothing that is known: no ENI is seen to use these groups",
        remedy=_remedy(lost),
    )


def of_nodes(migration: Migration) -> Risk | None:
    """Groups that pods and nodes have themselves, where no rule by group id admits them anyway."""
    lost = _lost(migration, Groups.nodes)
    if not lost:
        return None
    return Risk(
        id="security-groups-of-nodes",
        severity=Severity.MEDIUM,
        found=_describe_lost(lost),
        breaks=f"pods in {migration.words} and other pods cannot connect: no rule by group id allows them",
        remedy=_remedy(lost),
    )


def of_other_vpcs(migration: Migration) -> Risk | None:
    """Groups across peerings and transit gateways, where they see the pods' (or new nodes') own addresses."""
    leaves = migration.external_snat or migration.strategy == NODE_GROUP
    if not (leaves or migration.unmasked):
        return None
    lost = _lost(migration, Groups.elsewhere)
    if not lost:
        return None
    vpcs = sorted({loss.group.vpc_id or "" for loss in lost})
    return Risk(
        id="security-groups-of-other-vpcs",
        severity=Severity.HIGH if leaves else Severity.MEDIUM,
        found=_describe_lost(lost),
        breaks=f"{migration.words} cannot connect to what these groups protect in {shown(vpcs)}",
        remedy=_remedy(lost),
    )


def unread(migration: Migration) -> Risk | None:
    """The VPC's security groups are not in the snapshot."""
    if not migration.ranges or Groups(migration).known:
        return None
    return Risk(
        id="security-groups-unread",
        severity=Severity.LOW if migration.known_range else Severity.MEDIUM,
        found="the security groups of the VPC were not read",
        breaks=f"pods in {migration.words} cannot connect to what allows pods by their present ranges only",
        remedy="let the reader call ec2:DescribeSecurityGroups and ec2:DescribeSecurityGroupRules, or look through "
        "`aws ec2 describe-security-group-rules` for rules that name "
        f"{shown([str(range_) for range_ in migration.present])}",
    )


def _lost(migration: Migration, which: Callable[[Groups], list[SecurityGroup]]) -> list[Lost]:
    groups = Groups(migration)
    return groups.lost(which(groups))


def _describe_lost(lost: list[Lost]) -> str:
    worst = [_describe(loss) for loss in lost[:2]]
    rest = lost[2:]
    groups = counted(len({loss.group.id for loss in rest}), "group")
    more = f"; and {counted(len(rest), 'more rule')} of {groups}" if rest else ""
    return "; ".join(worst) + more


def _describe(lost: Lost) -> str:
    rule = lost.rule
    name = f" ({clip(lost.group.name, 40)})" if lost.group.name else ""
    number = f" ({rule.id})" if rule.id else ""
    way = "allows {} out to {}" if rule.egress else "allows {} from {}"
    change = way.format(_flow(rule), shown(rule.cidrs, 2)) + number
    return f"{lost.group.id}{name} {change}, not {lost.missing}"


def _flow(rule: SecurityGroupRule) -> str:
    protocol = _protocol(rule)
    if protocol == "-1":
        return "everything"
    if (rule.from_port, rule.to_port) in _ALL_PORTS:
        return protocol
    ports = f"{rule.from_port}" if rule.from_port == rule.to_port else f"{rule.from_port}-{rule.to_port}"
    return f"{protocol} {ports}"


def _remedy(lost: list[Lost]) -> str:
    worst = lost[0]
    direction = "egress" if worst.rule.egress else "ingress"
    command = f"aws ec2 authorize-security-group-{direction} --group-id {worst.group.id} {_ports(worst.rule)}"
    return f"`{command} --cidr {worst.missing}`{likewise(len(lost) - 1)}"


def _ports(rule: SecurityGroupRule) -> str:
    protocol = _protocol(rule)
    if protocol not in (*_WITH_PORTS, "icmp"):
        return f"--protocol {protocol}"
    if (rule.from_port, rule.to_port) in _ALL_PORTS:
        return f"--protocol {protocol} --port {'0-65535' if protocol in _WITH_PORTS else '-1'}"
    ports = f"{rule.from_port}" if rule.from_port == rule.to_port else f"{rule.from_port}-{rule.to_port}"
    return f"--protocol {protocol} --port {ports}"
