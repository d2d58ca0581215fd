"""What others do to managed node groups during a run, as EKS tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.snapshot.model_cluster import NodeGroup
from ip_remediator.snapshot.node_groups import NodeGroups
from tests.contract.conftest import EksApi
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws


@dataclass
class Groups:
    """A cluster with the node groups "spot" and "web", as a snapshot has them."""

    aws: LocalAws
    eks: Any
    cluster: str
    before: tuple[NodeGroup, ...]

    def create(self, name: str, *subnets: str) -> None:
        role = "arn:aws:iam::000000000000:role/node"
        self.eks.create_nodegroup(clusterName=self.cluster, nodegroupName=name, subnets=subnets, nodeRole=role)

    def delete(self, name: str) -> None:
        self.eks.delete_nodegroup(clusterName=self.cluster, nodegroupName=name)

    def change(self, name: str) -> None:
        self.eks.update_nodegroup_config(clusterName=self.cluster, nodegroupName=name, scalingConfig={"minSize": 0})

    def unwell(self, since: datetime | None = None) -> list[str]:
        groups = NodeGroups(self.eks, self.cluster).unwell(
            since or datetime.now(UTC) - timedelta(minutes=1), self.before
        )
        return [str(group) for group in groups]


@pytest.fixture
def groups(faults: LocalAws, eks_api: EksApi, ec2: Any, cluster: str) -> Groups:
    eks_api.create_cluster(cluster, Vpc.create(ec2, zones="a"))
    before = tuple(NodeGroup(name=name, subnets=("subnet-1", "subnet-2")) for name in ("spot", "web"))
    made = Groups(faults, eks_api.client, cluster, before)
    for group in before:
        made.create(group.name, *group.subnets)
    return made


def test_given_groups_that_nobody_touched_then_there_is_nothing_to_say(groups: Groups) -> None:
    assert groups.unwell() == []


def test_given_an_update_in_progress_then_the_group_is_updating(groups: Groups) -> None:
    with groups.aws.settings(node_group_update_seconds=60.0):
        groups.change("web")
    assert groups.unwell() == ["node group web is UPDATING"]


def test_given_an_update_that_failed_since_then_its_code_is_named_and_an_older_one_is_not(groups: Groups) -> None:
    with groups.aws.settings(node_group_update_seconds=0.0, node_group_updates_fail_by="NodeCreationFailure"):
        groups.change("web")
    assert groups.unwell() == ["node group web is ACTIVE, an update of it failed (NodeCreationFailure)"]
    assert groups.unwell(datetime.now(UTC) + timedelta(minutes=1)) == []


def test_given_a_degraded_group_then_its_issue_is_named(groups: Groups) -> None:
    with groups.aws.settings(degraded_node_groups="spot=AsgInstanceLaunchFailures"):
        assert groups.unwell() == ["node group spot is DEGRADED (AsgInstanceLaunchFailures)"]


def test_given_a_group_made_anew_under_its_name_in_other_subnets_then_they_are_named(groups: Groups) -> None:
    groups.delete("web")
    groups.create("web", "subnet-9")
    assert groups.unwell() == ["node group web is ACTIVE, was deleted and made anew in subnet-9"]


def test_given_a_group_that_was_deleted_then_it_is_named(groups: Groups) -> None:
    groups.delete("web")
    assert groups.unwell() == ["node group web was deleted"]


def test_given_a_group_that_is_deleted_after_it_was_listed_then_it_is_left_out(groups: Groups) -> None:
    groups.aws.inject("eks", "DescribeNodegroup", error="ResourceNotFoundException", message="gone")
    assert groups.unwell() == []


@pytest.mark.parametrize("action", ["ListNodegroups", "DescribeNodegroup", "ListUpdates"])
def test_given_a_right_that_is_missing_then_what_it_would_tell_is_left_out(groups: Groups, action: str) -> None:
    groups.aws.inject("eks", action, error="AccessDeniedException", message="no", times=10)
    assert groups.unwell() == []
    assert _of_web(groups) in (None, "ACTIVE")


def _of_web(groups: Groups) -> str | None:
    state = NodeGroups(groups.eks, groups.cluster).state("web")
    return state.status if state else None
