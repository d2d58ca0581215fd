"""What EKS says of clusters and node groups is told once, and again after twelve hours: on a real DynamoDB API.

The embedded EKS is always well, so its answers are given here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.forecasting.eks_health import EksHealth
from ip_remediator.signals.causes import Cause
from ip_remediator.signals.model import Affected, Source
from tests.contract.conftest import Clock, unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ISSUE = {"code": "InsufficientFreeAddresses", "message": "not enough", "resourceIds": ["subnet-0783288fba3453a60"]}
OTHER = {"code": "AccessDenied", "message": "x", "resourceIds": []}


class UnwellEks:
    """EKS as it answers about node groups that have issues."""

    def __init__(self, **groups: list[dict[str, Any]]) -> None:
        self._groups = groups
        self.asked = 0

    def get_paginator(self, _name: str) -> UnwellEks:
        return self

    def paginate(self, **_of: str) -> list[dict[str, Any]]:
        self.asked += 1
        return [{"nodegroups": list(self._groups)}]

    def describe_nodegroup(self, *, clusterName: str, nodegroupName: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        issues = self._groups[nodegroupName]
        return {"nodegroup": {"clusterName": clusterName, "nodegroupName": nodegroupName, "health": {"issues": issues}}}


def described(*issues: dict[str, Any]) -> dict[str, Any]:
    return {"name": unique("shop"), "health": {"issues": list(issues)}}


@pytest.fixture
def unwell(table: Table, clock: Clock) -> EksHealth:
    eks: Any = UnwellEks(workers=[ISSUE], others=[OTHER])
    return EksHealth(eks, table, clock)


def test_given_issues_about_addresses_when_read_then_each_is_a_strong_signal_of_what_it_affects(
    unwell: EksHealth,
) -> None:
    signals = unwell.signals(described(ISSUE, OTHER))
    assert [(one.source, one.cause, one.affected) for one in signals] == [
        (Source.SWEEP, Cause.SUBNET_FULL, Affected.CLUSTER),
        (Source.SWEEP, Cause.SUBNET_FULL, Affected.NODES),
    ]


def test_given_an_issue_that_stands_when_looked_at_again_then_it_is_told_after_twelve_hours(
    unwell: EksHealth, clock: Clock
) -> None:
    # given
    cluster = described(ISSUE)
    signals = unwell.signals(cluster)
    assert unwell.news(cluster["name"], signals, clock()) == list(signals)
    unwell.note(cluster["name"], signals, clock())
    # when, then
    assert unwell.news(cluster["name"], unwell.signals(cluster), clock() + timedelta(hours=1)) == []
    assert len(unwell.news(cluster["name"], signals, clock() + timedelta(hours=12))) == len(signals)


def test_given_node_groups_that_were_read_when_swept_again_soon_then_they_are_not_asked_for(
    table: Table, clock: Clock
) -> None:
    eks: Any = UnwellEks(workers=[ISSUE])
    health, cluster = EksHealth(eks, table, clock), described()
    health.signals(cluster)
    health.signals(cluster)
    assert eks.asked == 1
