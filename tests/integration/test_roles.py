"""Least privilege over a remediation, its rollback, and whatever other tests made this stack do."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from local.stack.deployment import STACK_NAME
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient
from tests.integration.support.rollbacks import SPEED
from tests.integration.support.sweeps import sweep

pytestmark = pytest.mark.slow
FUNCTIONS = (
    *("ingest", "sweep", "incident", "diagnose", "plan", "network"),
    *("cluster", "verify", "notify", "announce", "slack"),
)
# What a call needs, where that is not an action of the same name. A transaction needs the action of each of its
# writes, which the record of calls does not show; a tag in a creating call needs CreateTags.
NEEDS = {
    "dynamodb:TransactGetItems": {"dynamodb:GetItem"},
    "dynamodb:TransactWriteItems": {
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:ConditionCheckItem",
    },
    "ec2:CreateSubnet": {"ec2:CreateSubnet", "ec2:CreateTags"},
    "eks:UpdateAddon": {"eks:UpdateAddon", "iam:PassRole"},
    "lambda:Invoke": {"lambda:InvokeFunction"},
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
}


@pytest.fixture(scope="module")
def walked(lab: Lab) -> Lab:
    """The stack after a remediation, a sweep and the rollback."""
    with patient(lab, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        ended, incident = lab.remediate(cluster.name)
        assert ended.status == "SUCCEEDED"
        sweep(lab)
        assert lab.roll_back(incident.id).status == "SUCCEEDED"
    return lab


@pytest.fixture(scope="module")
def used(walked: Lab) -> dict[str, set[str]]:
    """Actions by function, of the calls that its own role made."""
    result: dict[str, set[str]] = defaultdict(set)
    for call in calls_of_roles(walked):
        role, session = call["principal"].split("/")[1:3]
        name = session.removeprefix(f"{STACK_NAME}-")
        assert name not in FUNCTIONS or role.startswith(f"{STACK_NAME}-{name.capitalize()}FunctionRole-"), call
        result[name].add(f"{call['service']}:{call['action']}")
    return dict(result)


def calls_of_roles(lab: Lab) -> list[dict[str, Any]]:
    """Those which a Lambda function made, with the role's temporary credentials."""
    return [call for call in lab.calls() if ":assumed-role/" in call["principal"]]


def granted(lab: Lab, function: str) -> set[str]:
    """The actions in the inline policies of the function's role; AWS's managed policies are for logs and traces."""
    iam = lab.aws("iam")
    arn = lab.aws("lambda").get_function_configuration(FunctionName=f"{STACK_NAME}-{function}")["Role"]
    role = arn.rpartition("/")[2]
    actions: set[str] = set()
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document: Any = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        for statement in document["Statement"]:
            wanted = statement["Action"]
            actions |= {wanted} if isinstance(wanted, str) else set(wanted)
    return actions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_given_what_a_function_did_then_its_own_role_did_it_within_its_policy(
    lab: Lab, used: dict[str, set[str]], function: str
) -> None:
    if function not in used:
        pytest.skip(f"neither a remediation by hand nor its rollback makes {function} call AWS")
    policy = granted(lab, function)
    asked = used[function]
    # What a transaction is made of is not known, so nothing is asked for it; AWS denies it as a whole.
    needed = set().union(*(NEEDS.get(action, {action}) for action in asked if action != "dynamodb:TransactWriteItems"))
    # GetCallerIdentity needs no permission; queues and streams are read by Lambda in the function's name.
    assert {action for action in needed if action != "sts:GetCallerIdentity"} <= policy
    assert not [action for action in policy if action.endswith("*") or ":" not in action]


def test_given_all_calls_then_none_was_denied(walked: Lab) -> None:
    """Refusals that tests inject bear another status. IAM knows no tags of an ENI that ipamd was faster to delete."""
    denied = [call for call in calls_of_roles(walked) if call["status"] == 403]
    assert [call for call in denied if call["action"] != "DeleteNetworkInterface"] == []


def test_given_all_calls_then_grants_that_none_used_are_printed(lab: Lab, used: dict[str, set[str]]) -> None:
    """Not every path is walked here, so what is printed (pytest -rP) is to be looked at, not wrong by itself."""
    assert {
        "sweep",
        "incident",
        "diagnose",
        "plan",
        "network",
        "cluster",
        "verify",
        "notify",
        "announce",
    } <= used.keys()
    for function in FUNCTIONS:
        covered = set().union(*(NEEDS.get(action, {action}) for action in used.get(function, set())))
        # SAM writes sns:publish into the policy of a failure destination; IAM does not care about case.
        covered_lower = {action.lower() for action in covered}
        unused = [action for action in sorted(granted(lab, function)) if action.lower() not in covered_lower]
        print(f"{function}: {', '.join(unused) or 'every grant was used'}")  # noqa: T201 - its purpose
