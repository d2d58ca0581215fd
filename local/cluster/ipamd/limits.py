"""What the CNI knows about EC2 instance types: `instance_limits.json`, written by `scripts/instance_limits.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("instance_limits.json")
_NITRO = "nitro"


@dataclass(frozen=True)
class InstanceLimits:
    """Limits of one instance type (vpc.go:30, InstanceTypeLimits).

    `ips_per_eni` includes the ENI's primary address. `network_card_enis` has the ENIs of each network card, by index.
    """

    eni_limit: int
    ips_per_eni: int
    default_network_card: int
    network_card_enis: tuple[int, ...]
    hypervisor: str
    bare_metal: bool
    trunking_compatible: bool = True

    @property
    def prefix_delegation_supported(self) -> bool:
        """awsutils.go:2025, IsPrefixDelegationSupported: not on Xen."""
        return self.hypervisor == _NITRO or self.bare_metal


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


def version() -> str:
    """The CNI's release from which the limits were taken, such as "v1.23.1"."""
    return str(_document()["version"])


def instance_limits(instance_type: str) -> InstanceLimits | None:
    """The limits of an instance type; None when the CNI does not know it, and asks EC2 (FetchInstanceTypeLimits)."""
    limits = _document()["instances"].get(instance_type)
    if limits is None:
        return None
    return InstanceLimits(**{**limits, "network_card_enis": tuple(limits["network_card_enis"])})
