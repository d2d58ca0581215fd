"""Preflight: what may break when pods move to the new range, with what was found and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from ip_remediator.domain.risks import cni, control_plane, ownership
from ip_remediator.domain.risks.model import Risk, Severity, highest
from ip_remediator.domain.risks.move import Move
from ip_remediator.domain.risks.ownership import foreign_owner
from ip_remediator.domain.snapshot import Snapshot

__all__ = ["Risk", "Severity", "assess", "foreign_owner", "highest"]

_CHECKS = (
    ownership.cni_settings,
    ownership.eni_configs,
    cni.prefix_mode,
    cni.external_snat,
    cni.fewer_pods,
    control_plane.delay,
)


def assess(
    snapshot: Snapshot,
    *,
    strategy: str,
    source: str,
    block: IPv4Network | None,
    existing: Iterable[IPv4Network] = (),
) -> tuple[Risk, ...]:
    """The risks of delivering new addresses, by a plan's `strategy` and `source`, the worst first.

    `block` is None when the plan takes nothing new; `existing` are the ranges of subnets that it uses as they are.
    """
    ranges = (*((block,) if block else ()), *existing)
    move = Move(snapshot, strategy, source, tuple(dict.fromkeys(ranges)))
    found = [risk for check in _CHECKS if (risk := check(move))]
    return tuple(sorted(found, key=lambda risk: -risk.severity))
