"""A snapshot that somebody saved or wrote by hand."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Vpc
from ip_remediator_cli.documents import parse_json, read_text, validated
from ip_remediator_cli.errors import BadInput
from ip_remediator_cli.option_types import not_a_cidr


def read_snapshot(name: str) -> Snapshot:
    """The snapshot in a file. Raises BadInput that names the field and the remedy."""
    where = f"--snapshot {name}"
    document = parse_json(read_text(name, "--snapshot"), where)
    snapshot = validated(Snapshot, document, where)
    for field, cidr in _cidrs(snapshot):
        _check_cidr(f"{where}: field {field}", cidr)
    for field, cidr in _ranges_of_rules(snapshot.vpc):
        _check_cidr(f"{where}: field {field}", cidr, strict=False)
    return snapshot


def _cidrs(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Every CIDR of the document, with the path of its field."""
    for index, cidr in enumerate(snapshot.cluster.service_cidrs):
        yield f"cluster.service_cidrs.{index}", cidr
    for index, cidr in enumerate(snapshot.cluster.remote_cidrs):
        yield f"cluster.remote_cidrs.{index}", cidr
    for index, subnet in enumerate(snapshot.subnets):
        yield f"subnets.{index}.cidr", subnet.cidr
        for number, reservation in enumerate(subnet.reservations):
            yield f"subnets.{index}.reservations.{number}.cidr", reservation.cidr
    if snapshot.vpc:
        yield from _cidrs_of_vpc(snapshot.vpc)


def _cidrs_of_vpc(vpc: Vpc) -> Iterator[tuple[str, str]]:
    for index, associated in enumerate(vpc.cidrs):
        yield f"vpc.cidrs.{index}.cidr", associated.cidr
    for index, route in enumerate(vpc.routes):
        yield f"vpc.routes.{index}.destination", route.destination
    for index, gateway in enumerate(vpc.transit_gateways):
        for number, cidr in enumerate(gateway.routes or ()):
            yield f"vpc.transit_gateways.{index}.routes.{number}", cidr
    for index, peering in enumerate(vpc.peerings):
        for number, cidr in enumerate(peering.cidrs):
            yield f"vpc.peerings.{index}.cidrs.{number}", cidr


def _ranges_of_rules(vpc: Vpc | None) -> Iterator[tuple[str, str]]:
    """Those of security groups and network ACLs: one that is not understood would hide a risk."""
    for index, acl in enumerate(vpc.network_acls if vpc else ()):
        for number, entry in enumerate(acl.entries):
            yield f"vpc.network_acls.{index}.entries.{number}.cidr", entry.cidr
    for index, group in enumerate((vpc.security_groups if vpc else None) or ()):
        for number, rule in enumerate(group.rules):
            for place, cidr in enumerate(rule.cidrs):
                yield f"vpc.security_groups.{index}.rules.{number}.cidrs.{place}", cidr


def _check_cidr(field: str, text: str, *, strict: bool = True) -> None:
    try:
        IPv4Network(text, strict=strict)
    except ValueError as error:
        raise BadInput(f"{field}: {not_a_cidr(text)}") from error
