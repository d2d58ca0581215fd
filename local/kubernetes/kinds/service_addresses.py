"""Cluster addresses and node ports that the API server allocates to Services."""

from __future__ import annotations

import ipaddress
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# EKS takes this range for clusters in a VPC of 10.0.0.0/8 ("serviceIpv4Cidr" of CreateCluster).
SERVICE_RANGE = ipaddress.ip_network("172.20.0.0/16")
NODE_PORTS = range(30000, 32768)
_FIRST = str(SERVICE_RANGE[1])  # always the `kubernetes` service, which is the first to be made


def allocate(service: dict[str, Any], old: dict[str, Any] | None, others: Iterable[dict[str, Any]]) -> None:
    """Allocate what the Service's type needs and `old`, its stored version, does not have yet. Changes `service`."""
    spec, kind = service["spec"], service["spec"].get("type", "ClusterIP")
    before = (old or {}).get("spec") or {}
    if kind == "ExternalName":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
        return
    others = list(others)
    if not spec.get("clusterIP"):
        spec["clusterIP"] = before.get("clusterIP") or _free_address(others)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if kind in ("NodePort", "LoadBalancer"):
        _number_ports(spec, before, others)
    else:
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)


def _number_ports(spec: dict[str, Any], before: dict[str, Any], others: Iterable[dict[str, Any]]) -> None:
    node_ports = {(port["port"], port.get("protocol")): port.get("nodePort") for port in before.get("ports") or ()}
    taken = {port.get("nodePort") for other in others for port in _ports(other)}
    for port in spec.get("ports") or ():
        if not port.get("nodePort"):
            port["nodePort"] = node_ports.get((port["port"], port.get("protocol"))) or random.choice(
                [number for number in NODE_PORTS if number not in taken]
            )
        taken.add(port["nodePort"])


def _ports(service: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (service.get("spec") or {}).get("ports") or ()


def _free_address(others: Iterable[dict[str, Any]]) -> str:
    taken = {(other.get("spec") or {}).get("clusterIP") for other in others}
    if _FIRST not in taken:
        return _FIRST
    while True:
        address = str(SERVICE_RANGE[random.randrange(2, SERVICE_RANGE.num_addresses - 1)])
        if address not in taken:
            return address
