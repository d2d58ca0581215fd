"""What the functions' roles must not do, tried with the template's own statements on the embedded AWS."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.support.groups import group_of_one
from tests.stack.aws.conftest import Maker, Network, code_of, unique
from tests.support.templates import resources

if TYPE_CHECKING:
    from local.aws.client import LocalAws

STACK, ACCOUNT = "remediator", "000000000000"
OUR_TAG = "eks-ip-remediator:stack"


def statements(function: str, **values: str) -> list[dict[str, Any]]:
    """The statements of the function's role, with `values` for what they refer to."""
    policies = resources()[function]["Properties"]["Policies"]
    return [_resolved(statement, values) for policy in policies for statement in policy["Statement"]]


def _resolved(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolved(item, values) for item in value]
    if not isinstance(value, dict):
        return value
    match next(iter(value.items())), len(value):
        case ("Ref", str(name)), 1:
            return values.get(name, name)
        case ("Fn::GetAtt", attribute), 1:
            name = attribute[0] if isinstance(attribute, list) else attribute.partition(".")[0]
            return values.get(name, f"arn:aws:none:::{name}")
        case ("Fn::Sub", str(text)), 1:
            return re.sub(r"\$\{([\w:]+)\}", lambda match: values.get(match[1], match[1]), text)
    return {key: _resolved(item, values) for key, item in value.items()}


@pytest.fixture
def values(aws: LocalAws) -> dict[str, str]:
    return {
        "AWS::Partition": "aws",
        "AWS::Region": aws.client("sts").meta.region_name,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": STACK,
        "ClusterNames": "prod-*",
        "IpamPoolId": "none",
        "KillSwitchParameter": "/kill",
        "SlackSecretParameter": "/slack",
    }


@pytest.fixture
def incidents_table(aws: LocalAws) -> Any:
    """A table with an incident that has a plan, and an open question."""
    dynamodb, name = aws.client("dynamodb"), unique("incidents")
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    for pk, sk in (("INCIDENT#1", "META"), ("APPROVAL#1", "TOKEN"), ("CLUSTER#shop", "OPEN")):
        dynamodb.put_item(TableName=name, Item={"pk": {"S": pk}, "sk": {"S": sk}, "plan": {"S": "{}"}})
    return name


@pytest.mark.parametrize(
    ("pk", "sk", "attribute", "allowed"),
    [
        ("APPROVAL#1", "TOKEN", "answer", True),
        ("INCIDENT#1", "META", "approval", True),
        ("INCIDENT#1", "META", "rollback_approval", True),
        ("INCIDENT#1", "META", "plan", False),
        ("INCIDENT#1", "META", "policy", False),
        ("CLUSTER#shop", "OPEN", "approval", False),
        ("VPC#1", "LOCK", "owner", False),
    ],
)
def test_given_the_public_function_when_it_writes_an_attribute_then_only_answers_are_allowed(
    aws: LocalAws,
    make: Maker,
    values: dict[str, str],
    incidents_table: str,
    pk: str,
    sk: str,
    attribute: str,
    allowed: bool,
) -> None:
    dynamodb = aws.client("dynamodb", **make.session(*_of_slack(values, aws, incidents_table)))
    update = {
        "TableName": incidents_table,
        "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
        "UpdateExpression": "SET #a = :v",
        "ExpressionAttributeNames": {"#a": attribute},
        "ExpressionAttributeValues": {":v": {"S": "changed"}},
    }
    assert code_of(dynamodb.update_item, **update) == ("" if allowed else "AccessDeniedException")
    transacted = code_of(dynamodb.transact_write_items, TransactItems=[{"Update": update}])
    assert transacted == ("" if allowed else "AccessDeniedException")


def test_given_the_public_function_when_it_puts_items_then_only_entries_of_a_timeline_are_allowed(
    aws: LocalAws, make: Maker, values: dict[str, str], incidents_table: str
) -> None:
    dynamodb = aws.client("dynamodb", **make.session(*_of_slack(values, aws, incidents_table)))

    def put(pk: str, **attributes: str) -> str:
        item = {"pk": {"S": pk}, "sk": {"S": "EVENT#1"}, **{name: {"S": text} for name, text in attributes.items()}}
        return code_of(dynamodb.put_item, TableName=incidents_table, Item=item)

    assert put("INCIDENT#1", entry="{}") == ""
    assert put("INCIDENT#1", entry="{}", plan="{}") == "AccessDeniedException"
    assert put("CLUSTER#shop", entry="{}") == "AccessDeniedException"


def _of_slack(values: dict[str, str], aws: LocalAws, table: str) -> list[dict[str, Any]]:
    arn = aws.client("dynamodb").describe_table(TableName=table)["Table"]["TableArn"]
    result = statements("SlackFunction", **values, IncidentsTable=arn)
    return [one for one in result if "dynamodb" in json.dumps(one["Action"])]


def test_given_a_subnet_of_others_when_its_network_acl_is_replaced_then_it_is_denied(
    aws: LocalAws, make: Maker, network: Network, values: dict[str, str]
) -> None:
    ours, theirs = network.subnet("10.0.0.0/24"), network.subnet("10.0.1.0/24")
    ec2 = aws.client("ec2")
    ec2.create_tags(Resources=[ours], Tags=[{"Key": OUR_TAG, "Value": STACK}])
    granted = aws.client("ec2", **make.session(*statements("NetworkFunction", **values)))
    acl = ec2.create_network_acl(VpcId=network.vpc)["NetworkAcl"]["NetworkAclId"]
    assert code_of(granted.replace_network_acl_association, **_replacing(ec2, ours, acl)) == ""
    assert code_of(granted.replace_network_acl_association, **_replacing(ec2, theirs, acl)) == "UnauthorizedOperation"


def _replacing(ec2: Any, subnet: str, acl: str) -> dict[str, str]:
    acls = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
    [association] = [one for result in acls for one in result["Associations"] if one["SubnetId"] == subnet]
    return {"AssociationId": association["NetworkAclAssociationId"], "NetworkAclId": acl}


@pytest.mark.parametrize(
    ("cluster", "code"), [("prod-shop", "ResourceNotFoundException"), ("lab", "AccessDeniedException")]
)
def test_given_a_pattern_of_names_when_the_add_on_of_another_cluster_is_updated_then_it_is_denied(
    aws: LocalAws, make: Maker, values: dict[str, str], cluster: str, code: str
) -> None:
    granted = aws.client("eks", **make.session(*statements("ClusterFunction", **values)))
    result = code_of(granted.update_addon, clusterName=cluster, addonName="vpc-cni", configurationValues="{}")
    assert result == code


@pytest.mark.parametrize("by_path", [False, True], ids=["as an add-on", "by its path"])
@pytest.mark.parametrize("function", ["DiagnoseFunction", "ClusterFunction"])
def test_given_no_add_on_when_a_function_asks_for_it_then_it_learns_so_however_eks_authorises_the_call(
    aws: LocalAws, make: Maker, values: dict[str, str], function: str, by_path: bool
) -> None:
    """An absent add-on has no id: terraform-aws-eks #1725 shows an ARN of the API's path."""
    cluster = unique("prod-shop")
    aws.client("eks").create_cluster(name=cluster, roleArn=make.role(), resourcesVpcConfig={"subnetIds": []})
    granted = aws.client("eks", **make.session(*statements(function, **values)))
    with aws.settings(addons_by_path=by_path):
        code = code_of(granted.describe_addon, clusterName=cluster, addonName="vpc-cni")
    assert code == "ResourceNotFoundException"


@pytest.mark.parametrize("tag", ["eks:cluster-name", "eks-ip-remediator:cluster"])
@pytest.mark.parametrize(("cluster", "code"), [("prod-shop", ""), ("lab", "AccessDenied")])
def test_given_a_pattern_of_names_when_a_node_of_another_cluster_is_ended_then_it_is_denied(
    aws: LocalAws, make: Maker, network: Network, values: dict[str, str], tag: str, cluster: str, code: str
) -> None:
    subnet, name = network.subnet("10.0.0.0/24"), unique("nodes")
    node = group_of_one(network.ec2, aws.client("autoscaling"), name, subnet, **{tag: cluster})
    granted = aws.client("autoscaling", **make.session(*statements("ClusterFunction", **values)))
    end = granted.terminate_instance_in_auto_scaling_group
    assert code_of(end, InstanceId=node, ShouldDecrementDesiredCapacity=False) == code


def test_given_the_exporters_role_when_it_writes_events_of_another_source_then_all_are_refused(
    aws: LocalAws, make: Maker, values: dict[str, str]
) -> None:
    """`events:source` has a value for each entry of a call: one of another source must not hide among ours."""
    bus = unique("kubernetes")
    aws.client("events").create_event_bus(Name=bus)
    role = resources("onboarding/cluster.yaml")["EventExporterIamRole"]["Properties"]
    given = {**values, "EventBusName": bus, "ClusterName": "shop"}
    allowed = [_resolved(one, given) for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
    events = aws.client("events", **make.session(*allowed))

    def put(*sources: str) -> str:
        detail = {"DetailType": "d", "Detail": "{}", "EventBusName": bus}
        return code_of(events.put_events, Entries=[{"Source": source, **detail} for source in sources])

    assert put("kubernetes.shop", "kubernetes.shop") == ""
    assert put("kubernetes.shop", "kubernetes.lab") == "AccessDeniedException"
    assert put("aws.ec2x") == "AccessDeniedException"


@pytest.mark.parametrize(
    ("suffix", "service", "allowed"),
    [
        ("amazonaws.com", "eks.amazonaws.com", True),
        ("amazonaws.com", "", True),
        ("amazonaws.com", "lambda.amazonaws.com", False),
        ("amazonaws.com", "eks.amazonaws.com.cn", False),
        ("amazonaws.com.cn", "eks.amazonaws.com", True),
        ("amazonaws.com.cn", "eks.amazonaws.com.cn", True),
    ],
)
def test_given_an_add_ons_role_when_it_is_named_again_then_it_may_be_passed_to_eks_and_nobody_else(
    aws: LocalAws, make: Maker, values: dict[str, str], suffix: str, service: str, allowed: bool
) -> None:
    """Which service an UpdateAddon passes the role to, EKS does not document: it may leave the key out. In China a
    service may have either name (terraform-aws-eks #3422, of EC2)."""
    cluster, role = unique("prod-shop"), make.role()
    eks = aws.client("eks")
    eks.create_cluster(name=cluster, roleArn=role, resourcesVpcConfig={"subnetIds": []})
    eks.create_addon(clusterName=cluster, addonName="vpc-cni")
    given = {**values, "AddonRoleNames": "role-*", "AWS::URLSuffix": suffix}
    granted = aws.client("eks", **make.session(*statements("ClusterFunction", **given)))
    with aws.settings(addon_passed_to_service=service):
        code = code_of(
            granted.update_addon,
            clusterName=cluster,
            addonName="vpc-cni",
            configurationValues="{}",
            serviceAccountRoleArn=role,
        )
    assert code == ("" if allowed else "AccessDeniedException")
