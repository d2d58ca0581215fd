"""Network ACLs that let the present ranges pass and not the new one.

A network ACL is stateless: its entries are tried in the order of their numbers, the first that matches decides, and
answers need an entry of their own ("Network ACLs" of the Amazon VPC User Guide). Traffic inside a subnet passes none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import pairwise

from ip_remediator.common.cidr import network, networks
from ip_remediator.risks.migration import Migration, likewise, shown
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model_vpc import AclEntry, NetworkAcl, Subnet

_LAST_PORT = 65535
_HIGHEST_NUMBER = 32766
_NAMES = {"6": "tcp", "17": "udp"}
_ALL = "-1"
_EVERY_PORT = (0, _LAST_PORT)
_DNS = (53, 53)
# Linux's net.ipv4.ip_local_port_range: what answers come back to.
_EPHEMERAL = (32768, 60999)

Ports = tuple[int, int]


@dataclass(frozen=True, order=True)
class Blocked:
    """Traffic with `remote` that the ACL's entries stop: of the first and last port of `ports` and all between."""

    acl: str
    egress: bool
    protocol: str
    ports: Ports
    remote: IPv4Network

    def __str__(self) -> str:
        first, last = self.ports
        ports = "" if self.ports == _EVERY_PORT else f" {first}" if first == last else f" {first}-{last}"
        traffic = "everything" if self.protocol == _ALL else _NAMES[self.protocol] + ports
        return f"{self.acl} stops {traffic} {'to' if self.egress else 'from'} {self.remote}"

    def holds(self, other: Blocked) -> bool:
        """Whether `other` is the same blocked traffic or a part of it."""
        same = (self.acl, self.egress, self.remote) == (other.acl, other.egress, other.remote)
        ports = self.ports[0] <= other.ports[0] and other.ports[1] <= self.ports[1]
        return same and ports and self.protocol in (_ALL, other.protocol)


def passes(entries: Iterable[AclEntry], remote: IPv4Network, *, egress: bool, protocol: str, port: int) -> bool:
    """Whether every address of `remote` may pass on this port, by the first entry that matches each."""
    unmatched = [remote]
    for entry in sorted(entries, key=lambda entry: entry.number):
        cidr = network(entry.cidr)
        if cidr is None or entry.egress != egress or not _matches(entry, protocol, port):
            continue
        if not entry.allow and any(part.overlaps(cidr) for part in unmatched):
            return False
        unmatched = [rest for part in unmatched for rest in _without(part, cidr)]
        if not unmatched:
            return True
    return False


def _matches(entry: AclEntry, protocol: str, port: int) -> bool:
    if entry.protocol == _ALL:
        return True
    if entry.protocol != protocol:
        return False
    return entry.from_port is None or entry.to_port is None or entry.from_port <= port <= entry.to_port


def _without(part: IPv4Network, cidr: IPv4Network) -> list[IPv4Network]:
    if part.subnet_of(cidr):
        return []
    return list(part.address_exclude(cidr)) if cidr.subnet_of(part) else [part]


def stretches(entries: Iterable[AclEntry]) -> list[Ports]:
    """All ports, split where an entry begins or ends: within one range every port is treated alike."""
    bounds = {0, _LAST_PORT + 1}
    for entry in entries:
        if entry.from_port is not None and entry.to_port is not None:
            bounds |= {entry.from_port, entry.to_port + 1}
    cuts = sorted(bound for bound in bounds if 0 <= bound <= _LAST_PORT + 1)
    return [(first, after - 1) for first, after in pairwise(cuts)]


def stopped(acl: NetworkAcl, present: Sequence[IPv4Network], new: IPv4Network) -> list[Blocked]:
    """Traffic that passes with one of the `present` ranges and does not with `new`."""
    entries = _about(acl.entries, [*present, new])
    blocked = []
    for egress in (False, True):
        for protocol in _NAMES:
            bad = [
                ports
                for ports in stretches(entries)
                if not passes(entries, new, egress=egress, protocol=protocol, port=ports[0])
                and any(passes(entries, old, egress=egress, protocol=protocol, port=ports[0]) for old in present)
            ]
            blocked += [Blocked(acl.id, egress, protocol, ports, new) for ports in _joined(bad)]
    return blocked


def _lacking(acl: NetworkAcl, remote: IPv4Network) -> list[Blocked]:
    """The traffic that every pod needs (DNS, and answers in both directions) and that the ACL stops."""
    entries = _about(acl.entries, [remote])
    return [
        Blocked(acl.id, egress, protocol, wanted, remote)
        for egress in (False, True)
        for protocol in _NAMES
        for wanted in (_DNS, _EPHEMERAL)
        if not all(
            passes(entries, remote, egress=egress, protocol=protocol, port=max(ports[0], wanted[0]))
            for ports in stretches(entries)
            if ports[0] <= wanted[1] and wanted[0] <= ports[1]
        )
    ]


def _about(entries: Iterable[AclEntry], remotes: Sequence[IPv4Network]) -> list[AclEntry]:
    parsed = [(entry, network(entry.cidr)) for entry in entries]
    return [entry for entry, cidr in parsed if cidr and any(cidr.overlaps(remote) for remote in remotes)]


def _joined(stretches: Iterable[Ports]) -> list[Ports]:
    joined: list[Ports] = []
    for first, last in stretches:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def of_new_subnets(migration: Migration) -> Risk | None:
    """The ACLs of the nodes' subnets, which new subnets are given too: pods must reach each other through them."""
    blocked: list[Blocked] = []
    for acl, subnets in _used(migration).items():
        if not any(_of_nodes_or_plan(migration, subnet) for subnet in subnets):
            continue
        remotes = list(dict.fromkeys((*migration.ranges, *_homes(migration, subnets))))
        blocked += [rule for new in migration.ranges for rule in stopped(acl, migration.present, new)]
        blocked += [rule for remote in remotes for rule in _lacking(acl, remote)]
    blocked = _summed_up(blocked)
    if not blocked:
        return None
    return Risk(
        id="network-acl-of-new-subnets",
        severity=Severity.HIGH,
        found=_describe_blocked(blocked),
        breaks=f"pods in {migration.words} cannot reach the nodes' subnets, CoreDNS among them, or are not reached",
        remedy=_remedy(migration, blocked),
    )


def _homes(migration: Migration, subnets: Iterable[Subnet]) -> list[IPv4Network]:
    """The nodes' subnets behind an ACL. They did not pass it to reach themselves, but pods of a new subnet with a copy
    of it will; behind that of an existing subnet, which pods did not use so far, all nodes are strangers."""
    strangers = any(network(subnet.cidr) in migration.ranges for subnet in subnets)
    there = migration.snapshot.subnets if strangers else subnets
    return sorted(networks(subnet.cidr for subnet in there if subnet.id in migration.node_subnets))


def old_ranges(migration: Migration) -> Risk | None:
    """The ACLs of other subnets, such as those of databases."""
    blocked = _summed_up(
        rule
        for acl, subnets in _used(migration).items()
        if not any(_of_nodes_or_plan(migration, subnet) for subnet in subnets)
        for new in migration.ranges
        for rule in stopped(acl, migration.present, new)
    )
    if not blocked:
        return None
    acls = {rule.acl for rule in blocked}
    behind = sorted(subnet.id for subnet in migration.snapshot.subnets if subnet.network_acl in acls)
    return Risk(
        id="network-acls-old-ranges",
        severity=Severity.HIGH,
        found=_describe_blocked(blocked),
        breaks=f"pods in {migration.words} cannot connect to what is in {shown(behind)}",
        remedy=_remedy(migration, blocked),
    )


def unread(migration: Migration) -> Risk | None:
    """Network ACLs of the nodes' subnets, of which the entries are not in the snapshot."""
    acls_read = {acl.id for acl in _used(migration)}
    homes = [subnet for subnet in migration.snapshot.subnets if _of_nodes_or_plan(migration, subnet)]
    lacking = sorted(subnet.id for subnet in homes if subnet.network_acl not in acls_read)
    if not migration.ranges or not lacking:
        return None
    return Risk(
        id="network-acls-unread",
        severity=Severity.LOW,
        found=f"the entries of the network ACLs of {shown(lacking)} were not read",
        breaks=f"traffic of pods in {migration.words} is dropped, if these let only the present ranges pass",
        remedy="let the reader call ec2:DescribeNetworkAcls, or look at "
        f"`aws ec2 describe-network-acls --filters Name=association.subnet-id,Values={lacking[0]}`",
    )


def _used(migration: Migration) -> dict[NetworkAcl, list[Subnet]]:
    """The ACLs whose entries are known (EC2 lists at least the last one, which denies), by their subnets."""
    vpc = migration.snapshot.vpc
    subnets: dict[str, list[Subnet]] = {}
    for subnet in migration.snapshot.subnets:
        subnets.setdefault(subnet.network_acl or "", []).append(subnet)
    acls = vpc.network_acls if vpc and migration.ranges else ()
    readable = sorted((acl for acl in acls if acl.entries and acl.id in subnets), key=lambda acl: acl.id)
    return {acl: subnets[acl.id] for acl in readable}


def _of_nodes_or_plan(migration: Migration, subnet: Subnet) -> bool:
    return subnet.id in migration.node_subnets or subnet.id in migration.way_out


def _summed_up(blocked: Iterable[Blocked]) -> list[Blocked]:
    """Leaves out entries that another one contains; TCP and UDP of every port become "everything"."""
    distinct = list(dict.fromkeys(blocked))
    whole = Counter((rule.acl, rule.egress, rule.remote) for rule in distinct if rule.ports == _EVERY_PORT)
    distinct += [
        Blocked(acl, egress, _ALL, _EVERY_PORT, remote)
        for (acl, egress, remote), protocols in whole.items()
        if protocols == len(_NAMES)
    ]
    by_acl: dict[str, list[Blocked]] = {}
    for rule in distinct:
        by_acl.setdefault(rule.acl, []).append(rule)
    return [
        rule
        for acl in sorted(by_acl)
        for rule in sorted(by_acl[acl])
        if not any(other is not rule and other.holds(rule) for other in by_acl[acl])
    ]


def _describe_blocked(blocked: list[Blocked]) -> str:
    return shown([str(rule) for rule in blocked])


def _remedy(migration: Migration, blocked: list[Blocked]) -> str:
    worst = blocked[0]
    acl = next(acl for acl in _used(migration) if acl.id == worst.acl)
    number = _number(acl, worst)
    if number is None:
        return f"give the entries of {acl.id} higher numbers, and put one before them that allows {worst.remote}"
    direction = "egress" if worst.egress else "ingress"
    first, last = worst.ports
    protocol = _NAMES.get(worst.protocol, _ALL)
    ports = "" if protocol == _ALL else f" --port-range From={first},To={last}"
    command = (
        f"aws ec2 create-network-acl-entry --network-acl-id {worst.acl} --{direction} --rule-number "
        f"{number} --protocol {protocol}{ports} --cidr-block {worst.remote} --rule-action allow"
    )
    return f"`{command}`{likewise(len(blocked) - 1)}"


def _number(acl: NetworkAcl, blocked: Blocked) -> int | None:
    """The highest free number before every entry that stops some of it; None when all are taken."""
    entries = [entry for entry in acl.entries if entry.egress == blocked.egress]
    denying = [entry.number for entry in entries if not entry.allow and _touches(entry, blocked)]
    below = min([*denying, _HIGHEST_NUMBER + 1])
    taken = {entry.number for entry in entries}
    return next((number for number in range(below - 1, 0, -1) if number not in taken), None)


def _touches(entry: AclEntry, blocked: Blocked) -> bool:
    cidr = network(entry.cidr)
    if cidr is None or not cidr.overlaps(blocked.remote):
        return False
    if entry.protocol == _ALL or entry.from_port is None or entry.to_port is None:
        return entry.protocol in (_ALL, blocked.protocol) or blocked.protocol == _ALL
    same = entry.protocol == blocked.protocol or (blocked.protocol == _ALL and entry.protocol in _NAMES)
    return same and entry.from_port <= blocked.ports[1] and blocked.ports[0] <= entry.to_port
