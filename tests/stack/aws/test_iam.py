"""IAM: conditions and checks that keep a policy honest which would fail on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.stack.aws.conftest import MANAGED_TAG, Maker, Network, allow, code_of, tagged, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws


def test_given_a_resource_tag_condition_when_subnets_are_deleted_then_only_those_with_that_tag(
    network: Network, caller: Any
):
    ours = network.subnet("10.0.0.0/24", TagSpecifications=tagged("subnet", "true"))
    theirs = network.subnet("10.0.1.0/24")
    ec2 = caller(allow("ec2:DeleteSubnet", StringEquals={f"aws:ResourceTag/{MANAGED_TAG}": "true"}))
    assert code_of(ec2.delete_subnet, SubnetId=theirs) == "UnauthorizedOperation"
    assert code_of(ec2.delete_subnet, SubnetId=ours) == ""


def test_given_a_vpc_scoped_policy_when_a_cidr_is_disassociated_then_the_vpc_of_the_association_counts(
    aws: LocalAws, network: Network, caller: Any
):
    association = network.add("100.64.0.0/16")
    arn = f"arn:aws:ec2:{aws.region}:000000000000:vpc/"
    statement = allow("ec2:DisassociateVpcCidrBlock")
    other = caller({**statement, "Resource": f"{arn}vpc-0000000000000000f"})
    assert code_of(other.disassociate_vpc_cidr_block, AssociationId=association) == "UnauthorizedOperation"
    mine = caller({**statement, "Resource": arn + network.vpc})
    assert code_of(mine.disassociate_vpc_cidr_block, AssociationId=association) == ""


def test_given_no_create_tags_when_something_is_created_with_tags_then_refused(network: Network, caller: Any):
    ec2 = caller(allow("ec2:CreateSubnet"))
    asked = {"VpcId": network.vpc, "CidrBlock": "10.0.0.0/24"}
    refused = code_of(ec2.create_subnet, TagSpecifications=tagged("subnet", "true"), **asked)
    assert refused == "UnauthorizedOperation"
    condition = {"StringEquals": {"ec2:CreateAction": "CreateSubnet"}}
    ec2 = caller(allow("ec2:CreateSubnet"), allow("ec2:CreateTags", **condition))
    assert code_of(ec2.create_subnet, TagSpecifications=tagged("subnet", "true"), **asked) == ""


def test_given_a_namespace_condition_when_metrics_are_put_then_only_into_that_namespace(caller: Any):
    condition = {"StringEquals": {"cloudwatch:namespace": "IpRemediator"}}
    cloudwatch = caller(allow("cloudwatch:PutMetricData", **condition), service="cloudwatch")
    data = [{"MetricName": "FreeAddresses", "Value": 3}]
    assert code_of(cloudwatch.put_metric_data, Namespace="IpRemediator", MetricData=data) == ""
    refused = code_of(cloudwatch.put_metric_data, Namespace="Others", MetricData=data)
    assert refused in ("AccessDenied", "AccessDeniedException")


def test_given_leave_to_send_messages_when_they_are_sent_as_a_batch_then_it_covers_them(aws: LocalAws, caller: Any):
    url = aws.client("sqs").create_queue(QueueName="batches")["QueueUrl"]
    entries = [{"Id": "1", "MessageBody": "hello"}]
    allowed = caller(allow("sqs:SendMessage"), service="sqs")
    assert allowed.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    other = caller(allow("sqs:ReceiveMessage"), service="sqs")
    assert code_of(other.send_message_batch, QueueUrl=url, Entries=entries) == "AccessDenied"


def test_given_leave_for_one_action_only_when_a_role_is_handed_to_an_addon_then_it_needs_pass_role(
    aws: LocalAws, make: Maker, caller: Any
):
    cluster, role = unique("demo"), make.role()
    named = {"clusterName": cluster, "addonName": "vpc-cni"}
    aws.client("eks").create_cluster(name=cluster, roleArn=role, resourcesVpcConfig={"subnetIds": []})
    aws.client("eks").create_addon(**named)
    wanted = {**named, "serviceAccountRoleArn": role}
    passed = {"StringEquals": {"iam:PassedToService": "eks.amazonaws.com"}}

    without = caller(allow("eks:UpdateAddon"), service="eks")
    strict = caller(allow("eks:UpdateAddon"), allow("iam:PassRole", **passed), service="eks")
    if_exists = {"StringEqualsIfExists": passed["StringEquals"]}
    lenient = caller(allow("eks:UpdateAddon"), allow("iam:PassRole", **if_exists), service="eks")

    with pytest.raises(ClientError, match=f"not authorized to perform: iam:PassRole on resource: {role} because"):
        without.update_addon(**wanted)
    assert code_of(without.update_addon, **named, configurationValues="{}") == ""
    with aws.settings(addon_passed_to_service=""):
        assert code_of(strict.update_addon, **wanted) == "AccessDeniedException"
        assert code_of(lenient.update_addon, **wanted) in ("", "ResourceInUseException")
    assert code_of(strict.update_addon, **wanted) in ("", "ResourceInUseException")


def test_given_the_setting_when_an_absent_addon_is_described_then_its_path_is_what_counts(
    aws: LocalAws, make: Maker, caller: Any
):
    cluster = unique("demo")
    aws.client("eks").create_cluster(name=cluster, roleArn=make.role(), resourcesVpcConfig={"subnetIds": []})
    arn = f"arn:aws:eks:{aws.region}:000000000000"
    by_addon = {**allow("eks:DescribeAddon"), "Resource": f"{arn}:addon/{cluster}/*/*"}
    by_path = {**allow("eks:DescribeAddon"), "Resource": f"{arn}:/clusters/{cluster}/addons/*"}
    asked = {"clusterName": cluster, "addonName": "vpc-cni"}
    one, both = caller(by_addon, service="eks"), caller(by_addon, by_path, service="eks")

    assert code_of(one.describe_addon, **asked) == "ResourceNotFoundException"
    with aws.settings(addons_by_path=True):
        assert code_of(one.describe_addon, **asked) == "AccessDeniedException"
        assert code_of(both.describe_addon, **asked) == "ResourceNotFoundException"


def test_given_a_condition_on_the_sources_of_events_when_put_then_every_entry_must_have_one_of_them(
    aws: LocalAws, make: Maker, caller: Any
):
    condition = {"ForAllValues:StringEquals": {"events:source": ["ours"]}, "Null": {"events:source": "false"}}
    events = caller(allow("events:PutEvents", **condition), service="events")
    entry = {"DetailType": "d", "Detail": "{}"}
    ours, theirs = {"Source": "ours", **entry}, {"Source": "theirs", **entry}

    assert code_of(events.put_events, Entries=[ours, ours]) == ""
    assert code_of(events.put_events, Entries=[ours, theirs]) == "AccessDeniedException"

    def put(*entries: dict[str, Any]) -> str:
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::events:putEvents",
            "Arguments": {"Entries": list(entries)},
            "End": True,
        }
        machine = make.machine({"StartAt": "A", "States": {"A": task}}, allow("events:PutEvents", **condition))
        return str(make.run(machine)["status"])

    assert (put(ours), put(theirs)) == ("SUCCEEDED", "FAILED")


def test_given_a_condition_on_partition_keys_when_a_state_machine_writes_then_it_counts(aws: LocalAws, make: Maker):
    table = unique("table")
    aws.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CLICK#*"]}}

    def put(pk: str) -> str:
        arguments = {"TableName": table, "Item": {"pk": {"S": pk}}}
        resource = "arn:aws:states:::dynamodb:putItem"
        task = {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True}
        machine = make.machine({"StartAt": "A", "States": {"A": task}}, allow("dynamodb:PutItem", **keys))
        return str(make.run(machine)["status"])

    assert (put("CLICK#1"), put("INCIDENT#1")) == ("SUCCEEDED", "FAILED")
