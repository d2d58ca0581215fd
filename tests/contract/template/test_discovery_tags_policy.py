"""The template's grant to tag subnets that are not ours: the tags of subnet discovery, and none else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import Maker, Network, code_of
from tests.support.templates import resources

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ROLE, SCOPE = "kubernetes.io/role/cni", "cni.networking.k8s.aws/cluster/prod"
OURS = "eks-ip-remediator:stack"


@pytest.fixture
def granted(aws: LocalAws, make: Maker) -> Any:
    """EC2 for somebody who has that one statement of NetworkFunction."""
    policies = resources()["NetworkFunction"]["Properties"]["Policies"]
    [statement] = [
        one
        for one in policies[0]["Statement"]
        if "ec2:CreateTags" in one["Action"] and "ec2:DeleteTags" in one["Action"]
    ]
    return aws.client("ec2", **make.session({**statement, "Resource": "*"}))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ([ROLE], ""),
        ([ROLE, SCOPE], ""),
        ([OURS], "UnauthorizedOperation"),
        ([ROLE, OURS], "UnauthorizedOperation"),
        (["Name"], "UnauthorizedOperation"),
    ],
)
def test_given_the_grant_when_a_subnet_is_tagged_or_a_tag_taken_off_then_only_for_discovery(
    network: Network, granted: Any, keys: list[str], code: str
) -> None:
    subnet = network.subnet("10.0.0.0/24")
    tags = [{"Key": key, "Value": "1"} for key in keys]
    assert code_of(granted.create_tags, Resources=[subnet], Tags=tags) == code
    assert code_of(granted.delete_tags, Resources=[subnet], Tags=[{"Key": key} for key in keys]) == code
