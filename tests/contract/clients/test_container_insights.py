"""`ip-remediator onboard` warns where alarms on Container Insights cannot go off."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator_cli.checks.insights import ADDON, insights_warnings
from tests.contract.conftest import EksApi, unique
from tests.contract.support.vpcs import Vpc


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2)


@pytest.mark.parametrize(
    ("version", "warned"),
    [(None, False), ("v4.1.0-eksbuild.1", False), ("v6.1.9-eksbuild.1", False), ("v6.2.0-eksbuild.1", True),
     ("v10.0.1-eksbuild.2", True)],
)  # fmt: skip
def test_given_the_addon_of_a_version_when_onboarded_then_only_promql_ones_are_warned_about(
    eks_api: EksApi, vpc: Vpc, version: str | None, warned: bool
) -> None:
    name = unique("prod")
    eks_api.create_cluster(name, vpc)
    if version:
        eks_api.client.create_addon(clusterName=name, addonName=ADDON, addonVersion=version)
    warnings = insights_warnings(eks_api.client, name)
    assert [version in warning and "PromQL" in warning for warning in warnings] == ([True] if warned else [])
