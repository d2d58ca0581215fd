"""A deployed stack: with every parameter's other values, upgraded over an open incident, and deleted.

Each test works on the stack that the one before left behind, or on a new one if it runs alone.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ip_remediator.common.enums import Outcome
from local.stack.deployment import ROOT, STACK_NAME
from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.conftest import SPEED, WAIT_SCALE
from tests.integration.support.deciding import answer, question
from tests.integration.support.lab import Lab
from tests.integration.support.parameters import defaults, deployments
from tests.integration.support.patient import patient
from tests.integration.support.rollbacks import roll_back
from tests.integration.support.terminal import sam, sam_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FIRST_RELEASE = ROOT / "tests" / "data" / "records" / "waiting_for_approval.json"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("deployed")
    with Stack(folder, Ports.free(), speed=SPEED, wait_scale=WAIT_SCALE) as running:
        running.start()
        yield running


@pytest.mark.parametrize("number", range(len(deployments())))
def test_given_other_values_of_every_parameter_when_deployed_then_it_runs_with_them(stack: Stack, number: int) -> None:
    prerequisites = create_prerequisites(stack)
    values = {name: value.format(**prerequisites) for name, value in deployments()[number].items()}

    stack.parameters = {**defaults(), **values}
    stack.redeploy()

    cloudformation: Any = stack.servers.client("cloudformation")
    deployed = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    assert deployed["StackStatus"] == "UPDATE_COMPLETE"
    in_force = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in deployed["Parameters"]}
    assert values.items() <= in_force.items()
    assert ("SlackRequestUrl" in stack.outputs) is (values.get("SlackEndpoint") != "none")
    # functions start and read their settings: the first thing that they miss is the cluster
    lab = Lab(stack)
    ended = lab.end_of(lab.start("nowhere"))
    assert (ended.status, ended.error) == ("FAILED", "ClusterNotFound"), ended
    assert "nowhere" in ended.cause


def test_given_an_open_incident_of_the_first_release_when_upgraded_then_it_goes_on_with_the_new_functions(
    stack: Stack,
) -> None:
    # given a plan that waits for an answer, whose record is as the first release wrote it
    stack.parameters = {**defaults(), "CoolDownMinutes": "0"}
    stack.redeploy()
    stack._connect_slack()
    lab = Lab(stack)
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        execution = lab.start(cluster.name, mode="approve")
        incident = question(lab, execution)
        rewrite_as_first_release(lab, incident.id)
        assert lab.incidents.get(incident.id).schema_number == 1

        # when the template and every function are deployed anew, and somebody approves
        stack.redeploy(LogRetentionDays="30", DefaultMode="auto", MaxPerVpcPerDay="7")
        answer(lab, lab.incidents.get(incident.id), "approve")

        # then the execution that began before ends well, and can be rolled back
        ended = lab.end_of(execution)
        assert ended.status == "SUCCEEDED", ended
        assert lab.incidents.get(incident.id).outcome is Outcome.HEALED
        assert roll_back(lab, incident.id, confirmed=True, evict=True).status == "SUCCEEDED"


def test_given_a_deleted_stack_then_what_remains_is_what_the_run_book_names(stack: Stack) -> None:
    health_topic = create_prerequisites(stack)["topic"]
    stack.parameters = {**defaults(), "HealthTopicArn": health_topic, "Dashboard": "yes", "SlackEndpoint": "http-api"}
    stack.redeploy()
    tables = {stack.outputs["IncidentsTableName"], stack.outputs["LedgerTableName"]}
    before = resources_of(stack)
    assert all(before.values()), f"the stack must have a resource of each kind for this test to see it go: {before}"

    deletion = subprocess.run(
        [sam(), "delete", "--stack-name", STACK_NAME, "--region", stack.servers.region, "--no-prompts"],
        env=sam_environment(stack.servers.environment),
        cwd=stack.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert deletion.returncode == 0, deletion.stdout + deletion.stderr
    assert {kind: names for kind, names in resources_of(stack).items() if names} == {"tables": tables}
    # the tables are protected until somebody ends that, as the run book tells
    dynamodb: Any = stack.servers.client("dynamodb")
    for table in tables:
        with pytest.raises(ClientError, match="against deletion"):
            dynamodb.delete_table(TableName=table)
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=table)


def create_prerequisites(stack: Stack) -> Mapping[str, str]:
    """What people create before they can name it in a parameter. It is created once."""
    ec2: Any = stack.servers.client("ec2")
    events: Any = stack.servers.client("events")
    sns: Any = stack.servers.client("sns")
    iam: Any = stack.servers.client("iam")
    if "platform" not in [bus["Name"] for bus in events.list_event_buses()["EventBuses"]]:
        events.create_event_bus(Name="platform")
        allow_all = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(allow_all))
        vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
        ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.0.0/24")
        ec2.create_security_group(GroupName="functions", Description="functions", VpcId=vpc)
    subnets = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.20.0.0/24"]}])["Subnets"]
    groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["functions"]}])["SecurityGroups"]
    return {
        "bus": "platform",
        "topic": sns.create_topic(Name="platform")["TopicArn"],
        "subnet": subnets[0]["SubnetId"],
        "group": groups[0]["GroupId"],
        "boundary": "arn:aws:iam::000000000000:policy/boundary",
    }


def rewrite_as_first_release(lab: Lab, incident: str) -> None:
    """Takes out of the incident's items every field that the first release did not write."""
    first = {item["sk"]["S"].split("#")[0]: item for item in json.loads(FIRST_RELEASE.read_text())}
    table = lab._table("IncidentsTableName")
    for item in lab._incidents_with("pk", f"INCIDENT#{incident}"):
        recorded = first[str(item["sk"]).split("#")[0]]
        fields = {name: value for name, value in item.items() if name in recorded}
        documents = {
            name: json.dumps(without_later_fields(json.loads(value), json.loads(recorded[name]["S"])))
            for name, value in fields.items()
            if isinstance(value, str) and value.startswith("{")
        }
        table.put_item(Item={**fields, **documents})


def without_later_fields(document: Any, recorded: Any) -> Any:
    """The document without the fields that `recorded`, at the same place, does not have."""
    if isinstance(document, dict) and isinstance(recorded, dict):
        return {
            name: without_later_fields(value, recorded[name]) for name, value in document.items() if name in recorded
        }
    if isinstance(document, list) and isinstance(recorded, list) and recorded:
        return [without_later_fields(item, recorded[0]) for item in document]
    return document


def resources_of(stack: Stack) -> dict[str, set[str]]:
    """Names of the stack's resources that AWS lists, by kind."""

    def names(service: str, operation: str, result: str, key: str) -> set[str]:
        client: Any = stack.servers.client(service)
        items = getattr(client, operation)().get(result, [])
        listed = [str(item[key] if isinstance(item, dict) else item) for item in items]
        return {name for name in listed if STACK_NAME in name}

    layers: Any = stack.servers.client("lambda")
    return {
        "tables": names("dynamodb", "list_tables", "TableNames", ""),
        "log groups": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "functions": names("lambda", "list_functions", "Functions", "FunctionName"),
        # their names do not tell the stack, and nobody else has layers here
        "layers": {layer["LayerName"] for layer in layers.list_layers()["Layers"]},
        "roles": names("iam", "list_roles", "Roles", "RoleName"),
        "state machines": names("stepfunctions", "list_state_machines", "stateMachines", "name"),
        "rules": names("events", "list_rules", "Rules", "Name"),
        "topics": names("sns", "list_topics", "Topics", "TopicArn"),
        "queues": names("sqs", "list_queues", "QueueUrls", ""),
        "APIs": names("apigatewayv2", "get_apis", "Items", "Name"),
        "alarms": names("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        "dashboards": names("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    }
