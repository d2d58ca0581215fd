"""The network address units of peered VPCs, which count against a quota together with those of this one.

"Peered Network Address Usage" holds for a VPC and all VPCs that are peered with it in the same Region, whichever
account they belong to ("Network Address Usage for your VPC" of the VPC User Guide).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model_vpc import Peering
from ip_remediator.snapshot.read_failures import ReadFailures

_READ = 20


def with_units(
    ec2: Ec2Reader, peerings: Sequence[Peering], account_id: str | None, unread: ReadFailures, pool: Executor
) -> tuple[Peering, ...]:
    """The peerings, with the units of the VPCs behind them where this account can list their ENIs, counted side by
    side. What cannot be counted gets a line in `unread`."""
    counting = [peering for peering in peerings if peering.counts_together]
    counted = pool.map(partial(_units, ec2, account_id, unread), counting[:_READ])
    units = {peering.id: number for peering, number in zip(counting, counted, strict=False)}
    if len(counting) > _READ:
        unread.note(f"network address units of {len(counting) - _READ} peered VPCs", f"only {_READ} are read")
    return tuple(peering.model_copy(update={"network_address_units": units.get(peering.id)}) for peering in peerings)


def _units(ec2: Ec2Reader, account_id: str | None, unread: ReadFailures, peering: Peering) -> int | None:
    subject = f"network address units of {peering.vpc_id}, which {peering.id} leads to"
    if peering.vpc_id is None or (peering.owner_id and account_id and peering.owner_id != account_id):
        unread.note(subject, f"the VPC belongs to account {peering.owner_id or '(unknown)'}")
        return None
    return unread.attempt(subject, partial(_count, ec2, peering.vpc_id), None)


def _count(ec2: Ec2Reader, vpc_id: str) -> int | None:
    return ec2.interfaces(vpc_id).network_address_units
