"""From a click on the Slack page through the function URL to the execution, under the permissions of the role."""

from __future__ import annotations

import base64
import io
import json
import sys
import sysconfig
import time
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
import urllib3

from ip_remediator.approvals.questions import Approvals
from ip_remediator.common.actor import Actor
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import Approval, ApprovalState, RunRequest, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.requests import ManualRun, parsed
from ip_remediator.notifications.messages.message import Message, render
from tests.contract.functions.conftest import ROOT, new_table, plain_clients, put_secret
from tests.contract.functions.test_slack_requests import request
from tests.stack.slack.harness import CHANNEL, ON_CALL, VIEWER, Slack
from tests.support.waiting import eventually
from tests.unit.support.records import DIAGNOSIS, PLAN, healed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

PLATFORM_LEAD = "U0PLATFORM"
GROUP = "S0000ONCALL"  # has both of them, see local/slack
OTHER_CHANNEL = "C0PLATFORM"


@dataclass
class Endpoint:
    """The deployed function."""

    name: str
    url: str


@dataclass
class Application:
    """What the function works with, and the function. Every test has incidents of its own in it."""

    aws: str
    slack_url: str
    table: Table
    remediation_machine: str
    rollback_machine: str

    @cached_property
    def endpoint(self) -> Endpoint:
        return self.deployed()

    def deployed(self) -> Endpoint:
        """The function anew, which nobody has called yet."""
        name, secret = f"slack-{uuid4().hex[:8]}", put_secret()
        statements = (
            allow(self.table.table_arn, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            allow(f"arn:aws:ssm:*:*:parameter{secret}", "ssm:GetParameter"),
            allow(f"arn:aws:lambda:*:*:function:{name}", "lambda:InvokeFunction"),
            allow("*", "states:SendTaskSuccess"),
            allow(self.rollback_machine, "states:StartExecution"),
            allow(self.remediation_machine, "states:StartExecution"),
        )
        variables = {
            "INCIDENTS_TABLE": self.table.name,
            "SLACK_SECRET": secret,
            "SLACK_API_URL": f"{self.slack_url}/api/",
            "ALLOWED_USERS": f"U0SOMEBODY, {GROUP}",
            "ALLOWED_CHANNELS": CHANNEL,
            "REMEDIATION_STATE_MACHINE_ARN": self.remediation_machine,
            "ROLLBACK_STATE_MACHINE_ARN": self.rollback_machine,
            "DOCS_URL": "none",
            "REPLACEMENT_STATE_MACHINE_ARN": self.rollback_machine,
            "POWERTOOLS_TRACE_DISABLED": "true",
        }
        functions = boto3.client("lambda")
        functions.create_function(
            FunctionName=name,
            Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            Handler="app.handler",
            Role=role(name, "lambda.amazonaws.com", *statements),
            Code={"ZipFile": bundle()},
            Timeout=30,
            Environment={"Variables": variables},
        )
        result = functions.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
        url = f"{self.aws}/_aws/lambda-url/{urllib3.util.parse_url(result).host.split('.')[0]}/"
        return Endpoint(name, url)


def role(name: str, service: str, *statements: dict[str, Any]) -> str:
    iam = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=_policy(*statements))
    return arn


def allow(resource: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(scope="module")
def application(aws_url: str, boto_session: boto3.Session, workspace_url: str) -> Application:
    """One for all tests: a cold start takes a second, and every click would have two of them."""
    with plain_clients(aws_url, boto_session):
        table, wait = new_table(), {"Type": "Wait", "Seconds": 600, "End": True}
        machines = [_state_machine(f"{name}-{table.name}", wait, allow("*", "sts:x")) for name in ("run", "rollback")]
        return Application(aws_url, workspace_url, table, *machines)


@pytest.fixture
def table(application: Application, aws: str) -> Table:
    return application.table


@pytest.fixture
def endpoint(application: Application, slack: Slack, aws: str) -> Endpoint:
    """The function, deployed with a URL that the workspace sends clicks to."""
    slack.send_clicks_to(application.endpoint.url)
    return application.endpoint


@pytest.fixture
def cold_endpoint(application: Application, slack: Slack, aws: str) -> Endpoint:
    """As `endpoint`, and it does not know yet who is in the user group."""
    deployed = application.deployed()
    slack.send_clicks_to(deployed.url)
    return deployed


@pytest.fixture
def waiting(table: Table) -> tuple[str, str]:
    """An execution that waits for an answer, and its task token."""
    sqs = boto3.client("sqs")
    name = f"ask-{uuid4().hex[:12]}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "End": True,
    }
    machine = _state_machine(name, state, allow("*", "sqs:SendMessage"))
    execution = boto3.client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"]
    [message] = eventually("the question", lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    return execution, json.loads(message["Body"])["token"]


def _state_machine(name: str, state: dict[str, Any], *statements: dict[str, Any]) -> str:
    definition = json.dumps({"StartAt": "Only", "States": {"Only": state}})
    arn = role(name, "states.amazonaws.com", *statements)
    return boto3.client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=arn)[
        "stateMachineArn"
    ]


def bundle() -> bytes:
    """The function; instead of a layer, a path file leads to the library and to the packages of the tests."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.write(ROOT / "functions/slack/app.py", "app.py")
        files.writestr("layer.pth", f"{ROOT / 'layers/core'}\n{sysconfig.get_path('purelib')}\n")
    return archive.getvalue()


@pytest.fixture
def incident(table: Table) -> str:
    return Incidents(table, utc_now).open(new_cluster(), "ap-northeast-2", Mode.APPROVE, "")


def new_cluster() -> str:
    return f"prod-{uuid4().hex[:8]}"


def executions(machine: str, words: str) -> list[str]:
    """Those of the state machine whose input has the words."""
    sfn = boto3.client("stepfunctions")
    arns = [execution["executionArn"] for execution in sfn.list_executions(stateMachineArn=machine)["executions"]]
    return [arn for arn in arns if words in sfn.describe_execution(executionArn=arn)["input"]]


def ask(table: Table, incident: str, token: str, minutes: int = 60) -> Approval:
    expires = utc_now() + timedelta(minutes=minutes)
    return Approvals(table, utc_now).ask(incident, PLAN.hash, token, expires)


def show(slack: Slack, message: Message, channel: str = CHANNEL) -> str:
    return str(slack.client.chat_postMessage(channel=channel, text=message.text, blocks=message.blocks)["ts"])


def click(slack: Slack, ts: str, action: str, user: str = ON_CALL, channel: str = CHANNEL) -> str | None:
    """Presses a button of the message; the problem that the page shows, if any."""
    blocks = slack.record_of(ts)["blocks"]
    block_id = next(block["block_id"] for block in blocks if block["type"] == "actions")
    place = {"channel": channel, "ts": ts, "block_id": block_id, "action_id": action}
    problem: str | None = slack.request("POST", "/_page/click", {"user": user, **place}).json()["problem"]
    return problem


def question(table: Table, slack: Slack, incident: str, token: str, minutes: int = 60, channel: str = CHANNEL) -> str:
    """The approval's message on the page."""
    approval = ask(table, incident, token, minutes)
    shown = approval.model_copy(update={"state": ApprovalState.PENDING})
    record = (
        Incidents(table, utc_now)
        .get(incident)
        .model_copy(update={"approval": shown, "diagnosis": DIAGNOSIS, "plan": PLAN})
    )
    return show(slack, render(record), channel)


def private_replies(slack: Slack, user: str, since: str) -> list[str]:
    return [
        message["text"] for message in slack.messages() if message.get("ephemeral_to") == user and message["ts"] > since
    ]


def reply_to(slack: Slack, user: str, since: str) -> str:
    [text] = eventually("a private reply", lambda: private_replies(slack, user, since))
    return str(text)


def status(execution: str) -> str:
    return str(boto3.client("stepfunctions").describe_execution(executionArn=execution)["status"])


@pytest.mark.parametrize(("action", "approved"), [("approve", True), ("reject", False)])
def test_an_answer_goes_to_the_execution_with_person_and_plan(
    table: Table,
    slack: Slack,
    endpoint: Endpoint,
    waiting: tuple[str, str],
    incident: str,
    action: str,
    approved: bool,
):
    execution, token = waiting
    ts = question(table, slack, incident, token)

    assert click(slack, ts, action) is None, "Slack must be answered in time"

    eventually("the execution's end", lambda: status(execution) == "SUCCEEDED")
    output = json.loads(boto3.client("stepfunctions").describe_execution(executionArn=execution)["output"])
    assert output == {"approved": approved, "by": f"{ON_CALL} (on-call)", "plan_hash": PLAN.hash}
    recorded = Incidents(table, utc_now).get(incident).approval
    assert recorded is not None
    assert (recorded.state, recorded.decided_by) == (
        ApprovalState.APPROVED if approved else ApprovalState.REJECTED,
        Actor.slack(ON_CALL, "on-call"),
    )
    assert private_replies(slack, ON_CALL, ts) == []


def test_a_second_click_is_told_privately_and_changes_nothing(
    table: Table, slack: Slack, endpoint: Endpoint, waiting: tuple[str, str], incident: str
):
    execution, token = waiting
    ts = question(table, slack, incident, token)
    click(slack, ts, "approve")
    eventually("the execution's end", lambda: status(execution) == "SUCCEEDED")

    assert click(slack, ts, "reject") is None

    assert f"the question about {incident} was answered already" in reply_to(slack, ON_CALL, ts)
    recorded = Incidents(table, utc_now).get(incident).approval
    assert recorded is not None
    assert recorded.state == ApprovalState.APPROVED


def test_a_repeated_click_is_told_that_the_first_one_was_taken(
    table: Table, slack: Slack, endpoint: Endpoint, waiting: tuple[str, str], incident: str
):
    execution, token = waiting
    ts = question(table, slack, incident, token)
    click(slack, ts, "approve")
    eventually("the execution's end", lambda: status(execution) == "SUCCEEDED")

    assert click(slack, ts, "approve") is None

    assert "Your earlier answer was taken" in reply_to(slack, ON_CALL, ts)


def test_people_who_may_not_decide_are_told_so_privately(
    table: Table, slack: Slack, endpoint: Endpoint, waiting: tuple[str, str], incident: str
):
    execution, token = waiting
    ts = question(table, slack, incident, token)

    assert click(slack, ts, "approve", VIEWER) is None

    assert "not among the people who may decide" in reply_to(slack, VIEWER, ts)
    assert status(execution) == "RUNNING"


def test_a_click_in_a_channel_that_is_not_listed_does_not_count(
    table: Table, slack: Slack, endpoint: Endpoint, waiting: tuple[str, str], incident: str
):
    execution, token = waiting
    ts = question(table, slack, incident, token, channel=OTHER_CHANNEL)

    assert click(slack, ts, "approve", channel=OTHER_CHANNEL) is None

    assert "in this channel do not count" in reply_to(slack, ON_CALL, ts)
    assert status(execution) == "RUNNING"


def test_while_slack_does_not_resolve_the_user_group_nobody_of_it_decides_and_is_told_why(
    table: Table, slack: Slack, cold_endpoint: Endpoint, waiting: tuple[str, str], incident: str
):
    execution, token = waiting
    ts = question(table, slack, incident, token)
    slack.fault(method="usergroups.users.list", error="missing_scope")

    assert click(slack, ts, "approve") is None

    reply = reply_to(slack, ON_CALL, ts)
    assert "could not check whether you may decide, so nothing was changed" in reply
    assert "install the app again with the scopes of slack/manifest.yaml" in reply
    assert status(execution) == "RUNNING"
    assert click(slack, ts, "approve") is None
    eventually("the execution's end", lambda: status(execution) == "SUCCEEDED")


def opened_modals(slack: Slack, user: str) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = slack.request("GET", f"/_page/state?user={user}").json()["views"]
    return result


def close_modals(slack: Slack, user: str) -> None:
    for view in opened_modals(slack, user):
        slack.request("POST", "/_page/close", {"user": user, "view_id": view["id"]})


@pytest.fixture
def planned(table: Table, slack: Slack, incident: str, endpoint: Endpoint) -> str:
    """The message of an incident with a plan; its ts."""
    Incidents(table, utc_now).complete(incident, Step.PLAN, plan=PLAN)
    return show(slack, render(Incidents(table, utc_now).get(incident)))


@pytest.mark.parametrize(
    "fault",
    [None, {"method": "views.open", "drop": True, "when": "after"}],
    ids=["", "the answer to opening it is lost"],
)
def test_details_open_as_a_modal_for_whoever_sees_the_message(
    table: Table, slack: Slack, incident: str, planned: str, fault: dict[str, Any] | None
):
    if fault:
        slack.fault(**fault)

    assert click(slack, planned, "details", VIEWER) is None

    [view] = eventually(
        "the details", lambda: [view for view in opened_modals(slack, VIEWER) if "Loading" not in str(view)]
    )
    assert all(change.description in str(view["blocks"]) for change in PLAN.changes)
    assert view["blocks"][0]["text"]["text"].startswith(f"*{Incidents(table, utc_now).get(incident).cluster}: ")
    assert private_replies(slack, VIEWER, planned) == []
    close_modals(slack, VIEWER)


@pytest.mark.parametrize("fault", [{"error": "expired_trigger_id"}, {"status": 500}, {"drop": True}], ids=str)
def test_where_no_modal_can_be_opened_the_details_are_told_privately(slack: Slack, planned: str, fault: dict[str, Any]):
    slack.fault(method="views.open", **fault)

    assert click(slack, planned, "details") is None

    reply_to(slack, ON_CALL, planned)
    [reply] = [
        message for message in slack.messages() if message["ephemeral_to"] == ON_CALL and message["ts"] > planned
    ]
    assert all(change.description in str(reply["blocks"]) for change in PLAN.changes)
    assert opened_modals(slack, ON_CALL) == []


def test_details_of_an_incident_that_is_gone_are_told_so(slack: Slack, endpoint: Endpoint):
    ts = show(slack, render(healed(id=f"prod-{uuid4().hex[:12]}")))

    assert click(slack, ts, "details") is None

    assert "There are no details: no incident" in reply_to(slack, ON_CALL, ts)
    close_modals(slack, ON_CALL)


def test_an_expired_question_is_told_privately(
    table: Table, slack: Slack, endpoint: Endpoint, waiting: tuple[str, str], incident: str
):
    execution, token = waiting
    ts = question(table, slack, incident, token, minutes=-1)

    assert click(slack, ts, "approve") is None

    assert "expired" in reply_to(slack, ON_CALL, ts)
    assert status(execution) == "RUNNING"


def test_an_execution_that_no_longer_waits_is_told_privately(
    table: Table, slack: Slack, endpoint: Endpoint, incident: str
):
    ts = question(table, slack, incident, "a token that Step Functions does not know (any more)")

    assert click(slack, ts, "approve") is None

    assert f"The execution of {incident} no longer waits" in reply_to(slack, ON_CALL, ts)


def test_clicks_on_one_offer_start_one_rollback_and_a_later_offer_another(
    slack: Slack, endpoint: Endpoint, application: Application
):
    record = healed(id=f"prod-{uuid4().hex[:12]}")

    def rollbacks() -> list[str]:
        return executions(application.rollback_machine, record.id)

    ts = show(slack, render(record))
    assert click(slack, ts, "rollback") is None
    [first] = eventually("the rollback", rollbacks)

    assert click(slack, ts, "rollback") is None
    assert click(slack, ts, "rollback", PLATFORM_LEAD) is None
    assert f"This rollback of {record.id} was asked for already" in reply_to(slack, PLATFORM_LEAD, ts)
    assert len(rollbacks()) == 1
    described = boto3.client("stepfunctions").describe_execution(executionArn=first)
    assert json.loads(described["input"]) == {
        "incident": record.id,
        "requested_by": {"kind": "slack_user", "id": ON_CALL, "name": "on-call"},
    }
    assert described["name"].startswith(f"rb-{record.id}-")

    later = record.model_copy(update={"closed_at": utc_now()})
    assert click(slack, show(slack, render(later)), "rollback") is None
    eventually("the second rollback", lambda: len(rollbacks()) == 2)


def test_a_run_is_asked_for_again_once_and_only_while_none_is_open(
    table: Table, slack: Slack, endpoint: Endpoint, application: Application
):
    incidents, cluster = Incidents(table, utc_now), new_cluster()

    def runs() -> list[str]:
        return executions(application.remediation_machine, cluster)

    rejected = incidents.open(cluster, "ap-northeast-2", Mode.AUTO, "", RunRequest(zones=("ap-northeast-2a",)))
    incidents.close(incidents.get(rejected), Outcome.REJECTED)
    ts = show(slack, render(incidents.get(rejected)))

    assert click(slack, ts, "run_again") is None
    [started] = eventually("the new run", runs)
    assert click(slack, ts, "run_again", PLATFORM_LEAD) is None
    assert "asked for already" in reply_to(slack, PLATFORM_LEAD, ts)

    document = json.loads(boto3.client("stepfunctions").describe_execution(executionArn=started)["input"])
    assert parsed(ManualRun, document).mode is Mode.APPROVE, "a click asks for a question, whatever the mode"
    assert document["zones"] == ["ap-northeast-2a"]
    assert rejected in document["reason"]
    present = incidents.open(cluster, "ap-northeast-2", Mode.APPROVE, "")
    assert click(slack, show(slack, render(incidents.get(rejected))), "run_again") is None
    eventually("a reply", lambda: any(present in text for text in private_replies(slack, ON_CALL, ts)))
    assert len(runs()) == 1


def test_a_stranger_is_refused_and_nothing_of_the_request_is_logged(endpoint: Endpoint):
    event = request("payload=a-marked-body", at=time.time(), secret="another")

    answer = boto3.client("lambda").invoke(FunctionName=endpoint.name, Payload=json.dumps(event), LogType="Tail")

    log = base64.b64decode(answer["LogResult"]).decode()
    assert json.load(answer["Payload"]) == {"statusCode": 401}
    assert "the signature does not match" in log
    assert "a-marked-body" not in log
    assert event["body"] not in log
    assert event["headers"]["x-slack-signature"] not in log


def test_a_stranger_learns_nothing_but_the_status(endpoint: Endpoint):
    headers = {"X-Slack-Request-Timestamp": str(int(time.time())), "X-Slack-Signature": "v0=" + "0" * 64}

    posted = urllib3.request("POST", endpoint.url, body="payload=%7B%7D", headers=headers, retries=False)
    got = urllib3.request("GET", endpoint.url, retries=False)

    assert (posted.status, got.status) == (401, 405)
    assert posted.data in (b"", b"null")


def test_a_click_that_fails_is_told_so_and_tried_again_by_itself(
    slack: Slack, endpoint: Endpoint, application: Application, aws: str
):
    refused_once = {"service": "states", "action": "StartExecution", "error": "AccessDeniedException"}
    assert urllib3.request("POST", f"{aws}/_local/faults", json=refused_once).status < 300
    record = healed(id=f"prod-{uuid4().hex[:12]}")
    ts = show(slack, render(record))

    assert click(slack, ts, "rollback") is None

    assert "It will be tried again" in reply_to(slack, ON_CALL, ts)
    eventually("the second try", lambda: executions(application.rollback_machine, record.id))
