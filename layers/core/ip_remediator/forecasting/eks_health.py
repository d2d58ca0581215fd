"""Health issues that EKS reports of a cluster and its node groups, and which of them are new to people.

    CLUSTER#<name>   HEALTH   `told`: when people were last notified of each issue

EKS checks clusters every few hours and keeps an issue until then, so an issue is announced once, and again after twelve
hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.dynamodb import Item, Records
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound
from ip_remediator.signals.aws_events import signals_of_health
from ip_remediator.signals.model import Affected, Signal, Source

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_eks import EKSClient

    from ip_remediator.common.clock import Clock

REPEATED_AFTER = timedelta(hours=12)
# Node groups change less often than a sweep looks.
KEPT = timedelta(minutes=15)
_KEEP_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True)
class _Read:
    at: datetime
    groups: tuple[dict[str, Any], ...]


class EksHealth:
    """Raises the errors of `common.errors`."""

    def __init__(self, eks: EKSClient, table: Table, clock: Clock) -> None:
        self._eks = eks
        self._records = Records(table)
        self._clock = clock
        self._kept: dict[str, _Read] = {}

    def signals(self, described: dict[str, Any]) -> tuple[Signal, ...]:
        """The issues about addresses of a cluster (DescribeCluster's answer) and of its node groups, as signals."""
        name, now = described["name"], self._clock()
        sources = [(described, Affected.CLUSTER), *((group, Affected.NODES) for group in self._node_groups(name))]
        outcomes = (
            outcome
            for source, affected in sources
            for outcome in signals_of_health(_issues(source), name, affected, now, Source.SWEEP)
        )
        return tuple(outcome for outcome in outcomes if isinstance(outcome, Signal))

    def news(self, cluster: str, signals: Sequence[Signal], now: datetime) -> list[Signal]:
        """Those of `signals` that were not announced within the last twelve hours."""
        if not signals:
            return []
        announced = self._announced(cluster)
        return [
            signal
            for signal in signals
            if (key := _key(signal)) not in announced or now - announced[key] >= REPEATED_AFTER
        ]

    def note(self, cluster: str, signals: Sequence[Signal], now: datetime) -> None:
        """Records that `signals` were announced at `now`."""
        recent = {key: moment for key, moment in self._announced(cluster).items() if now - moment < REPEATED_AFTER}
        announced = {
            key: moment.isoformat() for key, moment in (recent | {_key(signal): now for signal in signals}).items()
        }
        self._records.put({**_item_key(cluster), "told": announced, "ttl": int(now.timestamp()) + _KEEP_SECONDS})

    def _announced(self, cluster: str) -> dict[str, datetime]:
        item = self._records.get(**_item_key(cluster)) or {}
        return {str(key): datetime.fromisoformat(str(moment)) for key, moment in item.get("told", {}).items()}

    def _node_groups(self, cluster: str) -> tuple[dict[str, Any], ...]:
        kept = self._kept.get(cluster)
        if kept is None or kept.at + KEPT < self._clock():
            kept = _Read(self._clock(), tuple(self._ask(cluster)))
            self._kept[cluster] = kept
        return kept.groups

    def _ask(self, cluster: str) -> Iterator[dict[str, Any]]:
        with aws_call("ListNodegroups"):
            pages = self._eks.get_paginator("list_nodegroups").paginate(clusterName=cluster)
            names = [name for page in pages for name in page["nodegroups"]]
        for name in names:
            try:
                with aws_call("DescribeNodegroup"):
                    answer = self._eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)
                    yield dict(answer["nodegroup"])
            except NotFound:  # deleted since it was listed
                continue


def _issues(described: dict[str, Any]) -> list[object]:
    return list((described.get("health") or {}).get("issues") or [])


def _key(signal: Signal) -> str:
    """An issue by its words, without the hour that its id holds."""
    return f"{signal.affected}: {signal.excerpt}"


def _item_key(cluster: str) -> Item:
    return {"pk": f"CLUSTER#{cluster}", "sk": "HEALTH"}
