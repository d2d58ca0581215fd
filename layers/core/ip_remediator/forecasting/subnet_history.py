"""The free addresses of a subnet in each hour of the last 14 days: one item of under 1 KB in the Incidents table.

    SUBNET#<id>   HISTORY   the lowest free count of each hour; when people were last notified that it will be full

The counts are unsigned 16-bit numbers, because a subnet has at most 65,531 usable addresses. An item under 1 KB is
one write unit, and is written only when it changes.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import Item, Records
from ip_remediator.forecasting.forecast import KEEP_HOURS, History

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.snapshot.model_vpc import Subnet

_UNKNOWN = 0xFFFF
_KEEP_SECONDS = KEEP_HOURS * 3600


@dataclass(frozen=True)
class Kept:
    """When a signal last announced that the subnet will be full, and the time that it gave."""

    history: History = field(default_factory=History)
    announced_at: datetime | None = None
    announced_full_at: datetime | None = None


class SubnetHistories:
    """All methods raise the errors of `common.errors`."""

    def __init__(self, table: Table) -> None:
        self._records = Records(table)

    def read(self, subnet: Subnet) -> Kept:
        """Empty when nothing is known, or what is known is of another subnet that had the same id (in a rebuilt
        account, say, or after a restore)."""
        item = self._records.get(**_key(subnet))
        if item is None or item["cidr"] != subnet.cidr:
            return Kept()
        return Kept(_unpacked(item), _moment(item, "told_at"), _moment(item, "told_full_at"))

    def write(self, subnet: Subnet, kept: Kept) -> None:
        """`kept` holds at least one hour."""
        first, minima = _packed(kept.history)
        announced = {"told_at": kept.announced_at, "told_full_at": kept.announced_full_at}
        self._records.put(
            {
                **_key(subnet),
                "cidr": subnet.cidr,
                "first": first,
                "minima": minima,
                **{name: moment.isoformat() for name, moment in announced.items() if moment},
                "ttl": max(kept.history.minima) * 3600 + _KEEP_SECONDS,
            }
        )


def _key(subnet: Subnet) -> Item:
    return {"pk": f"SUBNET#{subnet.id}", "sk": "HISTORY"}


def _packed(history: History) -> tuple[int, bytes]:
    """The first hour, and a big-endian number for each hour from it to the last."""
    first, last = min(history.minima), max(history.minima)
    counts = array("H", (min(history.minima.get(hour, _UNKNOWN), _UNKNOWN) for hour in range(first, last + 1)))
    return first, _big_endian(counts).tobytes()


def _unpacked(item: Item) -> History:
    counts = array("H", bytes(item["minima"]))
    first = int(item["first"])
    hours = enumerate(_big_endian(counts), start=first)
    return History({hour: free for hour, free in hours if free != _UNKNOWN})


def _big_endian(counts: array[int]) -> array[int]:
    if sys.byteorder == "little":
        counts.byteswap()
    return counts


def _moment(item: Item, name: str) -> datetime | None:
    return datetime.fromisoformat(str(item[name])) if name in item else None
