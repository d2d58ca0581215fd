"""The limits of EC2 instance types in the CNI's source: `instance_limits.json`, written by
`scripts/instance_limits.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("instance_limits.json")


@dataclass(frozen=True)
class InstanceLimits:
    """Limits of an instance type (pkg/vpc/vpc_ip_resource_limit.go of amazon-vpc-cni-k8s).

    Attributes:
        enis: ENIs that fit on the default network card; pods get no others (issue #3189 of the CNI).
        addresses: IPv4 addresses of each ENI, its primary one included.
        network_cards: how many cards there are.
        prefixes: Nitro or bare metal, so that ENIs can have /28 prefixes (awsutils.go, IsPrefixDelegationSupported).
        trunk: it can have a trunk ENI (awsutils.go, IsTrunkingCompatible).
    """

    enis: int
    addresses: int
    network_cards: int
    prefixes: bool
    trunk: bool


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


def version() -> str:
    """The CNI's release that the limits are from, such as "v1.23.1"."""
    return str(_document()["version"])


def instance_types() -> tuple[str, ...]:
    """The instance types whose limits are known."""
    return tuple(_document()["instances"])


@cache
def instance_limits(instance_type: str | None) -> InstanceLimits | None:
    """None for a type that the CNI does not know; it then asks EC2 (awsutils.go, FetchInstanceTypeLimits)."""
    limits = _document()["instances"].get(instance_type)
    return InstanceLimits(*limits) if limits else None


@cache
def most_enis_of_a_card() -> int:
    """No network card of a known type holds more."""
    return max(int(enis) for enis, *_ in _document()["instances"].values())
