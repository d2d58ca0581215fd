"""The same template in GovCloud: another partition in every ARN; a cluster is healed and rolled back there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.conftest import WAIT_SCALE
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient, scenario_in
from tests.integration.support.rollbacks import SPEED
from tests.integration.support.strategies import assert_healed_and_rolled_back

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REGION, PARTITION = "us-gov-west-1", "aws-us-gov"


def test_given_govcloud_when_deployed_then_a_cluster_is_healed_and_rolled_back_there(tmp_path: Path) -> None:
    with Stack(
        tmp_path, Ports.free(), {"DefaultMode": "auto"}, speed=SPEED, wait_scale=WAIT_SCALE, region=REGION
    ) as stack:
        stack.start()
        lab = Lab(stack)
        assert _partitions(lab) == {PARTITION}
        with patient(lab, scenario_in(REGION), speed=SPEED) as cluster:
            cluster.settle(running=8, stuck=2)
            assert_healed_and_rolled_back(lab, cluster)


def _partitions(lab: Lab) -> set[str]:
    """Of every ARN in the stack's outputs, its roles' policies and its state machines."""
    iam, states = lab.aws("iam"), lab.aws("stepfunctions")
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    policies = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for role in roles
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    machines = [value for name, value in lab.outputs.items() if name.endswith("StateMachineArn")]
    definitions = [states.describe_state_machine(stateMachineArn=machine)["definition"] for machine in machines]
    texts: list[Any] = [lab.outputs, policies, definitions]
    return set(re.findall(r"\barn:([a-z-]+):", json.dumps(texts)))
