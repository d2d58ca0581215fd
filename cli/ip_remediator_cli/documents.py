"""Reading files and JSON documents that people wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import yaml
from pydantic import ValidationError

from ip_remediator.common.document import Document, DocumentT, typed_by_people
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Vpc
from ip_remediator_cli.errors import BadInput
from ip_remediator_cli.parser import STDIN


def read_text(name: str, option: str) -> str:
    """The text of a file, or of standard input for "-". Raises BadInput that names `option`."""
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{option}: {name} cannot be read: {error.strerror}; give a readable file, or -") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{option}: {name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def in_format(output: str, document: object) -> str:
    """`document` as the `--output` that was asked for: json or yaml."""
    if output == "yaml":
        return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).rstrip("\n")
    return json.dumps(document, indent=2)


def write_text(file: Path, text: str, option: str) -> None:
    """Raises BadInput that names `option`."""
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"{option}: {file} cannot be written: {error.strerror}; name a file in a folder of yours"
        ) from error


def parse_json(text: str, where: str) -> object:
    """Raises BadInput that names `where`, with line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise BadInput(f"{where} is not JSON: {place}: {error.msg}; check that the whole document was saved") from error
    except RecursionError as error:
        raise BadInput(f"{where} is nested too deeply to be read; give the document itself") from error
    except ValueError as error:  # Python's limit for the digits of an integer
        raise BadInput(f"{where} holds a number of thousands of digits; correct it") from error


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


def validated(kind: type[DocumentT], document: object, where: str) -> DocumentT:
    """`document` as `kind`. Raises BadInput that names the first wrong field, and the fields there are."""
    try:
        return typed_by_people(kind, document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = [str(part) for part in first["loc"]]
        field = f"field {'.'.join(path)}" if path else "the document"
        remedy = _remedy(str(first["type"]), kind, path)
        raise BadInput(f"{where}: {field}: {first['msg']}; {remedy}") from error


def _remedy(problem: str, kind: type[Document], path: list[str]) -> str:
    if problem == "missing":
        return "add it"
    if problem == "extra_forbidden" and len(path) == 1:
        return f"remove or rename it; there are {', '.join(kind.model_fields)}"
    if problem == "extra_forbidden":
        return "remove or rename it"
    return "correct it"


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
        raise BadInput(f"{field}: {error}; give an IPv4 CIDR such as 10.0.0.0/16") from error
